//! Transcripts: the server's messages on the left, the machine's outputs on the right, as text.

mod any_input;
mod newer;
mod recovery;
mod subscriptions;
mod tracks;

use std::fmt::Write;

use super::*;
use crate::{AutoSubscribe, Limits, RoomCommand};
use proto::leave_request::Action;
use proto::participant_info::State;
use proto::signal_response::Message as Response;

/// The machine, its clock, and its outputs so far.
struct Rig {
    signal: Signal,
    now: Time,
    script: String,
    /// Whether the room is left after a join that failed once the server had admitted us.
    leaves_failed_join: bool,
    reason: Option<DisconnectReason>,
}

impl Rig {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("wss://host/base", "sesame");
        change(&mut config);
        Self {
            signal: Signal::new(config),
            now: Time::ZERO,
            script: String::new(),
            leaves_failed_join: true,
            reason: None,
        }
    }

    /// Joined, with Ada present already, and the media connection ready.
    fn connected(change: impl FnOnce(&mut Config)) -> Self {
        let mut rig = Self::joined(change);
        rig.step("media ready", Signal::media_ready);
        rig.script.clear();
        rig
    }

    fn joined(change: impl FnOnce(&mut Config)) -> Self {
        let mut rig = Self::new(change);
        rig.step("bound", |signal, _| signal.bound("v=0 ours".to_owned()));
        rig.step("opened", Signal::opened);
        rig.receives(Response::Join(join()));
        rig.script.clear();
        rig
    }

    fn step(&mut self, name: &str, act: impl FnOnce(&mut Signal, Time)) {
        let at = (self.now - Time::ZERO).as_millis();
        writeln!(self.script, "[{at} ms] {name}").unwrap();
        act(&mut self.signal, self.now);
        while let Some(output) = self.signal.poll_output() {
            writeln!(self.script, "    {}", show(&output)).unwrap();
            if let SignalOutput::JoinFailed { .. } = output
                && self.leaves_failed_join
            {
                self.signal.leave(CommandId::MAX, self.now);
            }
            if let SignalOutput::Closed { reason } = output {
                self.reason = Some(reason);
            }
        }
        if let Some((due, timer)) = self.signal.poll_timeout() {
            assert!(due > self.now, "{timer:?} is due already\n{}", self.script);
        }
    }

    fn receives(&mut self, message: Response) {
        let name = format!("server: {}", head(&format!("{message:?}")));
        let frame = encode(&proto::SignalResponse { message: Some(message) });
        self.step(&name, |signal, now| signal.received(&frame, now));
    }

    fn updates(&mut self, participants: Vec<proto::ParticipantInfo>) {
        self.receives(Response::Update(proto::ParticipantUpdate { participants, ..Default::default() }));
    }

    fn command(&mut self, id: CommandId, command: RoomCommand) {
        let name = format!("command {id}: {command:?}");
        let change = match command {
            RoomCommand::Leave => return self.step(&name, |signal, now| signal.leave(id, now)),
            RoomCommand::ChangeSubscription { track_sid, change } => {
                return self.step(&name, |signal, _| signal.change_subscription(id, &track_sid, change));
            }
            RoomCommand::ResetSubscriptions { before } => {
                return self.step(&name, |signal, _| signal.reset_subscriptions(id, before));
            }
            RoomCommand::SetMetadata(metadata) => OwnChange { metadata, ..OwnChange::default() },
            RoomCommand::SetName(name) => OwnChange { name, ..OwnChange::default() },
            RoomCommand::SetAttributes(attributes) => OwnChange { attributes, ..OwnChange::default() },
            RoomCommand::Publish(_)
            | RoomCommand::SendStream { .. }
            | RoomCommand::OpenStream(_)
            | RoomCommand::WriteStream { .. }
            | RoomCommand::CloseStream { .. }
            | RoomCommand::RegisterMethod(_)
            | RoomCommand::UnregisterMethod(_)
            | RoomCommand::Respond { .. }
            | RoomCommand::SendDtmf { .. }
            | RoomCommand::PublishDataTrack { .. }
            | RoomCommand::PushDataFrame { .. }
            | RoomCommand::UnpublishDataTrack { .. }
            | RoomCommand::SubscribeDataTrack { .. }
            | RoomCommand::UnsubscribeDataTrack { .. }
            | RoomCommand::PublishTrack { .. }
            | RoomCommand::UnpublishTrack { .. }
            | RoomCommand::MuteTrack { .. }
            | RoomCommand::RequestKeyFrame { .. }
            | RoomCommand::SetE2eeKey { .. }
            | RoomCommand::UseE2eeKey { .. }
            | RoomCommand::RatchetE2eeKey { .. } => panic!("goes not through the signalling alone"),
        };
        self.step(&name, |signal, now| signal.change(id, change, now));
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((due, timer)) = self.signal.poll_timeout()
            && due <= until
        {
            self.now = due;
            self.step(&format!("{timer:?}"), |signal, now| {
                signal.handle_timeout(now, || "no way".to_owned())
            });
        }
        self.now = until;
    }

    fn check(&self, name: &str) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, self.script);
        });
    }
}

/// The start of a message, which shows its kind.
fn head(text: &str) -> String {
    let text = text.trim_start_matches("Message(").trim_end_matches(')');
    text.split_inclusive(['(', '{', ' '])
        .next()
        .unwrap_or_default()
        .trim_end_matches(['(', '{', ' '])
        .to_owned()
}

fn show(output: &SignalOutput) -> String {
    match output {
        SignalOutput::Connect { url, token, may_be_new_server } => {
            let (base, _) = url.split_once('?').unwrap();
            let request = join::tests::read(url);
            let new_server = if *may_be_new_server { " (may be a new server)" } else { "" };
            match request.publisher_offer {
                Some(offer) => format!("Connect{new_server} {base} token {token:?} {:?}", offer.sdp),
                None => {
                    let reason = request.reconnect_reason();
                    format!(
                        "Connect{new_server} {base} token {token:?} resume {} {reason:?}",
                        request.participant_sid
                    )
                }
            }
        }
        SignalOutput::Send(frame) => {
            let request: proto::SignalRequest = decode(frame, 1 << 20).unwrap();
            format!("Send {:?}", request.message.unwrap())
        }
        SignalOutput::Event(event) => format!("Event {}", show_event(event)),
        SignalOutput::Entered(event) => format!("Entered {}", show_event(event)),
        SignalOutput::Hold(events) => {
            let events: String =
                events.iter().map(|event| format!("\n        {}", show_event(event))).collect();
            format!("Hold{events}")
        }
        other => format!("{other:?}"),
    }
}

/// Events without the parts that are the same in all of them.
fn show_event(event: &RoomEvent) -> String {
    let text = format!("{event:?}");
    let boring = [
        ", permissions: Permissions { can_subscribe: false, can_publish: false, can_publish_sources: [], can_publish_data: false, can_update_metadata: false, hidden: false }",
        ", kind: Standard",
        ", metadata: \"\"",
        ", attributes: {}",
        ", tracks: {}",
        ", data_tracks: {}",
        ", kind_details: []",
        ", name: \"\"",
        ", mime_type: \"\", width: 0, height: 0",
        ", joined_at_ms: 0",
    ];
    boring.iter().fold(text, |text, part| text.replace(part, ""))
}

fn info(sid: &str, identity: &str, version: u32) -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        sid: sid.to_owned(),
        identity: identity.to_owned(),
        state: State::Joined as i32,
        version,
        ..Default::default()
    }
}

fn track(sid: &str, kind: proto::TrackType, muted: bool) -> proto::TrackInfo {
    proto::TrackInfo { sid: sid.to_owned(), r#type: kind as i32, muted, ..Default::default() }
}

fn join() -> proto::JoinResponse {
    proto::JoinResponse {
        room: Some(proto::Room { sid: "RM_1".to_owned(), name: "lobby".to_owned(), ..Default::default() }),
        participant: Some(info("PA_me", "me", 1)),
        other_participants: vec![info("PA_ada", "ada", 1)],
        server_version: "1.13.5".to_owned(),
        ping_interval: 5,
        ping_timeout: 15,
        ..Default::default()
    }
}

fn leave(reason: proto::DisconnectReason, action: Action) -> Response {
    Response::Leave(proto::LeaveRequest {
        reason: reason as i32,
        action: action as i32,
        ..Default::default()
    })
}

fn quiet(_: &mut Config) {}

#[test]
fn join_from_the_socket_to_the_first_event() {
    let mut rig = Rig::new(quiet);
    rig.step("bound", |signal, _| signal.bound("v=0 ours".to_owned()));
    rig.step("opened", Signal::opened);
    rig.receives(Response::Join(join()));
    rig.receives(Response::RefreshToken("sesame 2".to_owned()));
    let candidate_init =
        r#"{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host","sdpMid":"0"}"#.to_owned();
    rig.receives(Response::Trickle(proto::TrickleRequest { candidate_init, ..Default::default() }));
    let end = r#"{"candidate":""}"#.to_owned();
    rig.receives(Response::Trickle(proto::TrickleRequest { candidate_init: end, ..Default::default() }));
    rig.receives(Response::Answer(proto::SessionDescription {
        sdp: "v=0 theirs".to_owned(),
        ..Default::default()
    }));
    // HeldEvents back until `Connected`.
    rig.updates(vec![info("PA_bob", "bob", 1)]);
    rig.step("media ready", Signal::media_ready);
    rig.wait(Duration::from_secs(6));
    assert_eq!(rig.signal.violations(), 0);
    assert_eq!(rig.signal.token.expose(), "sesame 2");
    rig.check("join");
}

#[test]
fn a_participant_joins_changes_and_leaves() {
    let mut rig = Rig::connected(quiet);
    rig.updates(vec![info("PA_bob", "bob", 1)]);
    let mut bob = info("PA_bob", "bob", 2);
    bob.state = State::Active as i32;
    bob.attributes =
        BTreeMap::from([("mood".to_owned(), "good".to_owned()), ("x".to_owned(), "1".to_owned())]);
    bob.metadata = "tall".to_owned();
    bob.name = "Bob".to_owned();
    rig.updates(vec![bob.clone()]);
    // Repeated: no change. Older: ignored.
    rig.updates(vec![bob.clone(), info("PA_bob", "bob", 1)]);
    bob.version = 3;
    bob.attributes.remove("x");
    bob.tracks =
        vec![track("TR_a", proto::TrackType::Audio, false), track("TR_v", proto::TrackType::Video, true)];
    rig.updates(vec![bob.clone()]);
    bob.version = 4;
    bob.tracks = vec![track("TR_a", proto::TrackType::Audio, true)];
    rig.updates(vec![bob.clone()]);
    bob.version = 5;
    bob.state = State::Disconnected as i32;
    bob.disconnect_reason = proto::DisconnectReason::ClientInitiated as i32;
    rig.updates(vec![bob.clone(), bob]);
    assert_eq!(rig.signal.violations(), 0);
    rig.check("participant");
}

#[test]
fn the_same_identity_with_another_sid_is_another_participant() {
    let mut rig = Rig::connected(quiet);
    rig.updates(vec![info("PA_ada2", "ada", 1)]);
    // The end of a session that is already forgotten.
    let mut old = info("PA_ada", "ada", 9);
    old.state = State::Disconnected as i32;
    rig.updates(vec![old]);
    rig.check("same_identity");
}

#[test]
fn speakers_and_quality() {
    let mut rig = Rig::connected(quiet);
    let speaker = |sid: &str, level, active| proto::SpeakerInfo { sid: sid.to_owned(), level, active };
    let speakers_changed = |speakers| Response::SpeakersChanged(proto::SpeakersChanged { speakers });
    rig.receives(speakers_changed(vec![
        speaker("PA_ada", 0.25, true),
        speaker("PA_me", 0.5, true),
        speaker("PA_nobody", 1.0, true),
    ]));
    rig.receives(speakers_changed(vec![speaker("PA_me", 0.0, false), speaker("PA_ada", f32::NAN, true)]));
    let quality = |sid: &str, quality| proto::ConnectionQualityInfo {
        participant_sid: sid.to_owned(),
        quality,
        ..Default::default()
    };
    let updates = vec![quality("PA_ada", 0), quality("PA_me", 2), quality("PA_ada", 77), quality("PA_x", 1)];
    rig.receives(Response::ConnectionQuality(proto::ConnectionQualityUpdate { updates }));
    rig.check("speakers_and_quality");
}

#[test]
fn room_updates_and_subscriptions() {
    let mut rig = Rig::connected(quiet);
    let room = proto::Room { metadata: "theme: blue".to_owned(), ..Default::default() };
    rig.receives(Response::RoomUpdate(proto::RoomUpdate { room: Some(room.clone()) }));
    rig.receives(Response::RoomUpdate(proto::RoomUpdate {
        room: Some(proto::Room { num_participants: 3, ..room.clone() }),
    }));
    rig.receives(Response::RoomUpdate(proto::RoomUpdate {
        room: Some(proto::Room { num_participants: 3, ..room }),
    }));
    let mut ada = info("PA_ada", "ada", 2);
    ada.tracks = vec![track("TR_a", proto::TrackType::Audio, false)];
    rig.updates(vec![ada]);
    let answer = |mids: &[(&str, &str)]| {
        let mid_to_track_id = mids.iter().map(|(m, t)| ((*m).to_owned(), (*t).to_owned())).collect();
        Response::Answer(proto::SessionDescription { mid_to_track_id, ..Default::default() })
    };
    rig.receives(Response::MediaSectionsRequirement(proto::MediaSectionsRequirement {
        num_audios: 1,
        num_videos: 0,
    }));
    rig.step("offer", |signal, _| signal.offer("v=0 more".to_owned()));
    rig.receives(answer(&[("0", "TR_a")]));
    rig.receives(answer(&[("0", "TR_a")]));
    rig.receives(answer(&[]));
    rig.check("room_updates_and_subscriptions");
}

#[test]
fn only_the_wanted_kind_is_subscribed() {
    let mut rig = Rig::connected(|config| config.auto_subscribe = AutoSubscribe::AudioOnly);
    let mut ada = info("PA_ada", "ada", 2);
    ada.tracks =
        vec![track("TR_a", proto::TrackType::Audio, false), track("TR_v", proto::TrackType::Video, false)];
    rig.updates(vec![ada]);
    rig.check("audio_only");
}

#[test]
fn our_own_changes_are_answered() {
    let mut rig = Rig::connected(|config| config.limits.requests = 3);
    rig.command(1, RoomCommand::SetMetadata("m".to_owned()));
    rig.command(2, RoomCommand::SetName("n".to_owned()));
    rig.command(3, RoomCommand::SetAttributes(BTreeMap::from([("k".to_owned(), "v".to_owned())])));
    rig.command(4, RoomCommand::SetName("one too many".to_owned()));
    rig.command(5, RoomCommand::SetName(String::new()));
    let answer = |request_id, reason, message: &str| {
        Response::RequestResponse(proto::RequestResponse {
            request_id,
            reason,
            message: message.to_owned(),
            ..Default::default()
        })
    };
    rig.receives(answer(2, proto::request_response::Reason::NotAllowed as i32, "no grant"));
    rig.receives(answer(1, 0, ""));
    rig.receives(answer(1, 0, ""));
    let mut me = info("PA_me", "me", 2);
    me.metadata = "m".to_owned();
    rig.updates(vec![me]);
    rig.wait(Duration::from_secs(5));
    rig.receives(answer(3, 0, ""));
    rig.command(6, RoomCommand::SetName("refused".to_owned()));
    rig.receives(answer(4, 99, ""));
    rig.command(7, RoomCommand::SetName("cut short".to_owned()));
    rig.receives(leave(proto::DisconnectReason::RoomDeleted, Action::Disconnect));
    rig.check("own_changes");
}

#[test]
fn a_leave_waits_for_published_messages() {
    let mut rig = Rig::connected(quiet);
    rig.command(1, RoomCommand::Leave);
    rig.command(2, RoomCommand::Leave);
    rig.step("flushed", |signal, _| signal.flushed());
    rig.check("leave_flushed");

    let mut rig = Rig::connected(quiet);
    rig.command(1, RoomCommand::Leave);
    rig.wait(Duration::from_secs(1));
    rig.check("leave_timeout");
}

/// How the machine closes after `act`: the reason, and whether the user was notified.
fn end(mut rig: Rig, act: impl FnOnce(&mut Rig)) -> (DisconnectReason, bool) {
    let before = rig.script.len();
    act(&mut rig);
    let disconnected = rig.script[before..].contains("    Disconnected {");
    assert!(rig.signal.is_closed(), "{}", rig.script);
    let closed = rig.script[before..].lines().filter(|line| line.contains("Closed {")).count();
    assert_eq!(closed, 1, "{}", rig.script);
    assert!(rig.signal.poll_timeout().is_none());
    // A closed machine does nothing.
    rig.script.clear();
    rig.receives(Response::Join(join()));
    rig.step("closed again", |signal, now| signal.signal_closed("again", now));
    rig.wait(Duration::from_secs(100));
    assert!(!rig.script.contains("    "), "{}", rig.script);
    (rig.reason.take().unwrap(), disconnected)
}

#[test]
fn every_end_has_its_reason() {
    use DisconnectReason as Reason;
    let leaves = |reason, action| move |rig: &mut Rig| rig.receives(leave(reason, action));
    for (wire, action, reason) in [
        (proto::DisconnectReason::DuplicateIdentity, Action::Disconnect, Reason::DuplicateIdentity),
        (proto::DisconnectReason::ParticipantRemoved, Action::Disconnect, Reason::Removed),
        (proto::DisconnectReason::RoomClosed, Action::Disconnect, Reason::RoomClosed),
        (proto::DisconnectReason::ServerShutdown, Action::Disconnect, Reason::ServerShutdown),
        (proto::DisconnectReason::UnknownReason, Action::Disconnect, Reason::Unspecified),
    ] {
        assert_eq!(end(Rig::connected(quiet), leaves(wire, action)), (reason, true));
    }
    // The server sends the reason before its packets stop, but the packets may be faster.
    assert_eq!(
        end(Rig::connected(quiet), |rig| {
            rig.step("gone", |s, now| s.media_gone("closed", now));
            rig.wait(Duration::from_millis(1900));
            rig.receives(leave(proto::DisconnectReason::RoomDeleted, Action::Disconnect));
        }),
        (Reason::RoomDeleted, true)
    );
    // Leaving: the request was carried out.
    assert_eq!(
        end(Rig::connected(quiet), |rig| {
            rig.command(1, RoomCommand::Leave);
            rig.step("closed", |s, now| s.signal_closed("reset", now));
        }),
        (Reason::ClientInitiated, true)
    );
}

#[test]
fn every_failed_join_has_its_reason() {
    let opened = || {
        let mut rig = Rig::new(quiet);
        rig.step("bound", |signal, _| signal.bound(String::new()));
        rig.step("opened", Signal::opened);
        rig
    };
    let bound = || {
        let mut rig = Rig::new(quiet);
        rig.step("bound", |signal, _| signal.bound(String::new()));
        rig
    };
    let failed = |rig: Rig, act: &dyn Fn(&mut Rig)| match end(rig, act) {
        (DisconnectReason::JoinFailed(failure), false) => failure,
        other => panic!("{other:?}"),
    };
    let refused = |status, body: &'static str| {
        failed(bound(), &move |rig: &mut Rig| {
            rig.step("refused", |s, now| s.refused(status, body, None, now))
        })
    };
    assert_eq!(refused(404, ""), JoinFailure::ServerTooOld);
    assert!(JoinFailure::ServerTooOld.to_string().contains("1.9.10"));
    let detail = "invalid token".to_owned();
    assert_eq!(refused(401, " invalid token\n"), JoinFailure::Unauthorized { status: 401, detail });
    let detail = "busy".to_owned();
    assert_eq!(refused(503, "busy"), JoinFailure::Refused { status: Some(503), detail });
    let detail = "refused".to_owned();
    assert_eq!(
        failed(bound(), &|rig| rig.step("failed", |s, now| s.failed("refused", now))),
        JoinFailure::Unreachable { detail }
    );
    assert_eq!(failed(bound(), &|rig| rig.wait(Duration::from_secs(10))), JoinFailure::SignalTimeout);
    assert_eq!(failed(opened(), &|rig| rig.wait(Duration::from_secs(10))), JoinFailure::SignalTimeout);
    let joined = || {
        // Messages arrive all the time, but no media.
        let mut rig = Rig::joined(quiet);
        rig.wait(Duration::from_secs(8));
        rig.receives(Response::Pong(1));
        rig
    };
    let detail = "no way".to_owned();
    assert_eq!(
        failed(joined(), &|rig| rig.wait(Duration::from_secs(2))),
        JoinFailure::MediaTimeout { detail }
    );
    assert_eq!(failed(joined(), &|rig| rig.command(1, RoomCommand::Leave)), JoinFailure::Cancelled);
    let waits = |rig: &mut Rig| {
        rig.command(1, RoomCommand::Leave);
        rig.wait(Duration::from_secs(10));
    };
    assert_eq!(failed(opened(), &waits), JoinFailure::Cancelled);
    assert_eq!(
        failed(opened(), &|rig| rig
            .receives(leave(proto::DisconnectReason::RoomDeleted, Action::Disconnect))),
        JoinFailure::Ended(Box::new(DisconnectReason::RoomDeleted))
    );
    let unusable = failed(joined(), &|rig| rig.step("answer", |s, now| s.answer_unusable("no sdp", now)));
    assert_eq!(unusable, JoinFailure::Media { detail: "no sdp".to_owned() });
    let mut refused_without_status = join();
    refused_without_status.participant = None;
    let refused_without_status =
        failed(opened(), &move |rig| rig.receives(Response::Join(refused_without_status.clone())));
    assert!(
        matches!(refused_without_status, JoinFailure::Refused { status: None, .. }),
        "{refused_without_status:?}"
    );
}

#[test]
fn a_leave_in_the_middle_of_a_join_notifies_the_server() {
    let mut rig = Rig::joined(quiet);
    rig.command(1, RoomCommand::Leave);
    rig.check("leave_while_joining");
}

#[test]
fn a_leave_before_the_join_waits_for_it_and_notifies_the_server() {
    let given_up = || {
        let mut rig = Rig::new(quiet);
        rig.step("bound", |signal, _| signal.bound("v=0 ours".to_owned()));
        rig.command(1, RoomCommand::Leave);
        assert!(!rig.signal.is_closed());
        rig
    };
    let mut rig = given_up();
    rig.step("opened", Signal::opened);
    rig.receives(Response::Join(join()));
    rig.check("leave_while_connecting");

    let cancelled = (DisconnectReason::JoinFailed(JoinFailure::Cancelled), false);
    assert_eq!(end(given_up(), |rig| rig.wait(Duration::from_secs(10))), cancelled);
    assert_eq!(end(given_up(), |rig| rig.step("failed", |s, now| s.failed("refused", now))), cancelled);
}

#[test]
fn invalid_messages_are_counted_and_skipped() {
    let mut rig = Rig::connected(|config| {
        config.limits = Limits { participants: 2, media_sections: 3, signal_frame: 200, ..Limits::default() };
    });
    let mut expected = 0;
    let mut invalid = |rig: &mut Rig, act: &dyn Fn(&mut Rig)| {
        rig.script.clear();
        act(rig);
        assert!(!rig.script.contains("    "), "{}", rig.script);
        expected += 1;
        assert_eq!(rig.signal.violations(), expected, "{}", rig.script);
    };
    invalid(&mut rig, &|rig| {
        rig.step("garbage", |s, now| s.received(&Bytes::from_static(b"\xff\xff\xff"), now))
    });
    invalid(&mut rig, &|rig| rig.step("too long", |s, now| s.received(&vec![0; 201].into(), now)));
    invalid(&mut rig, &|rig| rig.receives(Response::Offer(proto::SessionDescription::default())));
    invalid(&mut rig, &|rig| rig.receives(Response::Reconnect(proto::ReconnectResponse::default())));
    invalid(&mut rig, &|rig| {
        rig.receives(Response::Trickle(proto::TrickleRequest {
            candidate_init: "{".to_owned(),
            ..Default::default()
        }));
    });
    invalid(&mut rig, &|rig| rig.receives(Response::RoomUpdate(proto::RoomUpdate { room: None })));
    invalid(&mut rig, &|rig| rig.updates(vec![info("", "refused_without_status", 1)]));
    rig.updates(vec![info("PA_2", "second", 1)]);
    invalid(&mut rig, &|rig| rig.updates(vec![info("PA_3", "third", 1)]));
    invalid(&mut rig, &|rig| {
        let wanted = proto::MediaSectionsRequirement { num_audios: u32::MAX, num_videos: 1 };
        rig.receives(Response::MediaSectionsRequirement(wanted));
    });
    invalid(&mut rig, &|rig| rig.step("opened", Signal::opened));
    // A message of a newer server is not a violation.
    rig.step("newer", |s, now| s.received(&Bytes::from_static(b"\xf2\x3f\x01\x00"), now));
    rig.step("empty", |s, now| s.received(&Bytes::new(), now));
    assert_eq!(rig.signal.violations(), expected);
}

#[test]
fn texts_that_are_too_long_are_counted_and_skipped() {
    let mut rig = Rig::connected(quiet);
    let token = "x".repeat(64 * 1024 + 1);
    let candidate_init = format!(r#"{{"candidate":"{}"}}"#, "x".repeat(4096));
    rig.receives(Response::RefreshToken(token.clone()));
    rig.receives(Response::Trickle(proto::TrickleRequest { candidate_init, ..Default::default() }));
    assert!(!rig.script.contains("    "), "{}", rig.script);
    assert_eq!(rig.signal.violations(), 2);
    // We are in the other room nevertheless, with the token that we have.
    rig.receives(Response::RoomMoved(proto::RoomMovedResponse {
        room: Some(proto::Room { sid: "RM_2".to_owned(), ..Default::default() }),
        token,
        participant: Some(info("PA_me2", "me", 1)),
        ..Default::default()
    }));
    assert_eq!(rig.signal.violations(), 3);
}

#[test]
fn own_tracks_are_bounded() {
    let track = |n| proto::TrackInfo { sid: format!("TR_{n}"), ..Default::default() };
    let participant =
        proto::ParticipantInfo { tracks: (0..600).map(track).collect(), ..info("PA_me", "me", 1) };
    let mut rig = Rig::new(quiet);
    rig.step("bound", |signal, _| signal.bound("v=0 ours".to_owned()));
    rig.step("opened", Signal::opened);
    rig.receives(Response::Join(proto::JoinResponse { participant: Some(participant), ..join() }));
    assert_eq!(rig.signal.roster.local().map(|local| local.tracks.len()), Some(500));
}

#[test]
fn a_moved_room_replaces_the_participants() {
    let mut rig = Rig::connected(quiet);
    rig.receives(Response::RoomMoved(proto::RoomMovedResponse {
        room: Some(proto::Room { sid: "RM_2".to_owned(), name: "hall".to_owned(), ..Default::default() }),
        token: "sesame 3".to_owned(),
        participant: Some(info("PA_me2", "me", 1)),
        other_participants: vec![info("PA_eve", "eve", 1)],
    }));
    rig.check("moved");
}

#[test]
fn same_inputs_same_bytes() {
    let run = || {
        let mut rig = Rig::new(quiet);
        let mut bytes = Vec::new();
        rig.signal.bound("v=0".to_owned());
        rig.signal.opened(rig.now);
        let frame = encode(&proto::SignalResponse { message: Some(Response::Join(join())) });
        rig.signal.received(&frame, rig.now);
        rig.signal.media_ready(rig.now);
        let attributes = (0..20).map(|n| (format!("k{n}"), format!("v{n}"))).collect();
        rig.signal.change(1, OwnChange { attributes, ..OwnChange::default() }, rig.now);
        rig.signal.handle_timeout(rig.now + Duration::from_secs(5), String::new);
        while let Some(output) = rig.signal.poll_output() {
            match output {
                SignalOutput::Send(frame) => bytes.extend_from_slice(&frame),
                SignalOutput::Connect { url, .. } => bytes.extend_from_slice(url.as_bytes()),
                other => bytes.extend_from_slice(format!("{other:?}").as_bytes()),
            }
        }
        bytes
    };
    assert_eq!(run(), run());
}

#[test]
fn a_change_that_is_too_long_for_any_server_is_not_sent() {
    let mut rig = Rig::connected(|_| {});
    let long = "m".repeat(MAX_CHANGE_LEN + 1);
    rig.command(1, RoomCommand::SetMetadata(long.clone()));
    rig.command(2, RoomCommand::SetName(long.clone()));
    rig.command(3, RoomCommand::SetAttributes([("k".to_owned(), long)].into()));
    for id in 1..=3 {
        assert!(
            rig.script.contains(&format!("Done {{ id: {id}, result: Err(ChangeTooLarge {{ len: ")),
            "{id}"
        );
    }
    assert!(!rig.script.contains("    Send"));
}

/// The user decides what follows a failed join, however it came about that there were no media.
#[test]
fn media_that_were_lost_before_a_join_failed_do_not_end_it() {
    let mut rig = Rig::joined(quiet);
    rig.leaves_failed_join = false;
    rig.wait(Duration::from_secs(9));
    rig.step("gone", |signal, now| signal.media_gone("closed", now));
    for _ in 0..3 {
        rig.wait(Duration::from_secs(1));
        rig.receives(Response::Pong(1));
    }
    assert!(rig.script.contains("JoinFailed {") && !rig.signal.is_closed(), "{}", rig.script);
    rig.step("retry", |signal, now| signal.retry_join(Duration::from_secs(10), now));
    rig.step("media ready", Signal::media_ready);
    assert!(rig.signal.is_connected(), "{}", rig.script);
}

/// The time of a call that was given up does not limit the next one.
#[test]
fn a_join_that_is_retried_before_it_failed_has_the_time_of_the_retry() {
    for steps in 0..4 {
        let mut rig = Rig::new(quiet);
        let start = [
            |rig: &mut Rig| rig.step("bound", |signal, _| signal.bound("v=0 ours".to_owned())),
            |rig: &mut Rig| rig.step("opened", Signal::opened),
            |rig: &mut Rig| rig.receives(Response::Join(join())),
        ];
        start[..steps].iter().for_each(|step| step(&mut rig));
        rig.wait(Duration::from_secs(5));
        rig.step("retry", |signal, now| signal.retry_join(Duration::from_secs(30), now));
        for _ in 0..29 {
            rig.wait(Duration::from_secs(1));
            if steps == 3 {
                rig.receives(Response::Pong(1));
            }
        }
        assert!(!rig.signal.is_closed(), "after {steps} steps: {}", rig.script);
        rig.wait(Duration::from_secs(1));
        assert!(rig.signal.is_closed(), "after {steps} steps: {}", rig.script);
    }
}

/// Media that came after the join had failed, and are lost again, are no connection.
#[test]
fn a_retry_after_media_were_lost_waits_for_media() {
    let mut rig = Rig::joined(quiet);
    rig.leaves_failed_join = false;
    rig.step("answer", |signal, now| signal.answer_unusable("no sdp", now));
    rig.step("media ready", Signal::media_ready);
    rig.step("gone", |signal, now| signal.media_gone("closed", now));
    rig.step("retry", |signal, now| signal.retry_join(Duration::from_secs(10), now));
    assert!(!rig.signal.is_connected() && rig.script.contains("RestartMedia"), "{}", rig.script);
}

#[test]
fn nothing_is_sent_without_a_connection_when_media_are_lost() {
    let mut rig = Rig::new(quiet);
    rig.step("bound", |signal, _| signal.bound("v=0 ours".to_owned()));
    rig.step("gone", |signal, now| signal.media_gone("closed", now));
    rig.wait(Duration::from_secs(2));
    assert!(rig.signal.is_closed() && !rig.script.contains("    Send"), "{}", rig.script);
    // A join that was given up is not ended by it: its Leave has to wait for the server's Join.
    let mut rig = Rig::new(quiet);
    rig.step("bound", |signal, _| signal.bound("v=0 ours".to_owned()));
    rig.command(1, RoomCommand::Leave);
    rig.step("gone", |signal, now| signal.media_gone("closed", now));
    rig.wait(Duration::from_secs(3));
    rig.step("opened", Signal::opened);
    rig.receives(Response::Join(join()));
    assert!(rig.signal.is_closed() && rig.script.contains("    Send Leave("), "{}", rig.script);
}

/// The answer of the layers below may come when the resume is over: then there is nothing to send it on.
#[test]
fn the_state_of_a_resume_that_is_over_is_not_sent() {
    let mut rig = Rig::connected(quiet);
    recovery::lost(&mut rig);
    recovery::opened(&mut rig);
    recovery::resumed(&mut rig, 0);
    recovery::lost(&mut rig);
    rig.script.clear();
    recovery::synced(&mut rig);
    assert!(!rig.script.contains("    "), "{}", rig.script);
}
