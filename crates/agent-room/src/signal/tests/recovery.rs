//! Loss of an established connection: which attempts are made, in which order, how often, and the events for
//! the user.

use super::*;

pub(super) fn lost(rig: &mut Rig) {
    rig.step("closed", |signal, now| signal.signal_closed("reset", now));
}

pub(super) fn opened(rig: &mut Rig) {
    rig.step("opened", Signal::opened);
}

pub(super) fn resumed(rig: &mut Rig, last_message_seq: u32) {
    rig.receives(Response::Reconnect(proto::ReconnectResponse { last_message_seq, ..Default::default() }));
}

/// The lower layers' part of a resume.
pub(super) fn synced(rig: &mut Rig) {
    let below = LowerState {
        channels: vec![("_reliable".to_owned(), 0)],
        received: vec![("PA_ada".to_owned(), 7)],
        ..LowerState::default()
    };
    rig.step("sync", |signal, now| signal.sync(below, Some("v=0 restart".to_owned()), now));
}

pub(super) fn restarted(rig: &mut Rig) {
    rig.step("restarted", Signal::media_restarted);
}

pub(super) fn rejoin(room: &str, others: Vec<proto::ParticipantInfo>) -> Response {
    let mut join = join();
    join.room = Some(proto::Room { sid: room.to_owned(), name: "lobby".to_owned(), ..Default::default() });
    join.participant = Some(info("PA_me2", "me", 1));
    join.other_participants = others;
    Response::Join(join)
}

/// The times of the attempts within a duration, all of which fail immediately.
fn tries(rig: &mut Rig, within: Duration) -> Vec<u128> {
    let begin = rig.now;
    let mut at = Vec::new();
    while rig.now < begin + within && !rig.signal.is_closed() {
        if rig.script.contains("    Connect ") {
            at.push((rig.now - begin).as_millis());
        }
        rig.script.clear();
        rig.step("failed", |signal, now| signal.failed("connection refused", now));
        let Some((due, _)) = rig.signal.poll_timeout() else { break };
        rig.wait(due - rig.now);
    }
    at
}

#[test]
fn a_lost_signal_is_resumed_at_once_in_the_same_session() {
    let mut rig = Rig::connected(quiet);
    rig.command(1, RoomCommand::SetName("unanswered".to_owned()));
    lost(&mut rig);
    rig.command(2, RoomCommand::SetMetadata("meanwhile".to_owned()));
    opened(&mut rig);
    resumed(&mut rig, 41);
    synced(&mut rig);
    rig.updates(vec![info("PA_bob", "bob", 1)]);
    restarted(&mut rig);
    assert!(rig.signal.is_connected());
    assert_eq!(rig.signal.violations(), 0);
    rig.check("resume");
}

/// A request that makes the server end the connection would otherwise end every later one.
#[test]
fn a_change_that_no_connection_outlives_is_given_up() {
    let mut rig = Rig::connected(quiet);
    rig.command(1, RoomCommand::SetName("poison".to_owned()));
    for _ in 0..5 {
        lost(&mut rig);
        rig.wait(Duration::from_secs(2));
        opened(&mut rig);
        resumed(&mut rig, 0);
        synced(&mut rig);
        restarted(&mut rig);
    }
    assert!(rig.signal.is_connected());
    assert_eq!(
        rig.script.matches("poison").count(),
        4,
        "as requested, and sent three times:\n{}",
        rig.script
    );
    assert!(rig.script.contains("Done { id: 1, result: Err(TimedOut) }"), "{}", rig.script);
}

#[test]
fn the_newest_token_is_used() {
    let mut rig = Rig::connected(quiet);
    rig.receives(Response::RefreshToken("sesame 2".to_owned()));
    rig.signal.signal_closed("reset", rig.now);
    let mut tokens = Vec::new();
    while let Some(output) = rig.signal.poll_output() {
        if let SignalOutput::Connect { token, .. } = output {
            tokens.push(token.expose().to_owned());
        }
    }
    assert_eq!(tokens, ["sesame 2"]);
}

#[test]
fn an_unknown_session_is_rejoined() {
    let mut rig = Rig::connected(quiet);
    rig.command(1, RoomCommand::SetName("Agent".to_owned()));
    rig.receives(Response::RequestResponse(proto::RequestResponse { request_id: 1, ..Default::default() }));
    rig.updates(vec![info("PA_bob", "bob", 1), info("PA_eve", "eve", 1)]);
    rig.script.clear();
    lost(&mut rig);
    opened(&mut rig);
    rig.receives(leave(proto::DisconnectReason::StateMismatch, Action::Reconnect));
    rig.wait(Duration::from_millis(300));
    rig.step("unconfirmed", |signal, _| signal.unconfirmed(3));
    rig.step("bound", |signal, _| signal.bound("v=0 new".to_owned()));
    opened(&mut rig);
    // Ada has left, Bob is a new session, Eve is the same.
    rig.receives(rejoin("RM_1", vec![info("PA_bob2", "bob", 1), info("PA_eve", "eve", 1)]));
    rig.updates(vec![info("PA_joe", "joe", 1)]);
    rig.step("media ready", Signal::media_ready);
    assert_eq!(rig.signal.violations(), 0);
    rig.check("new_session");
}

#[test]
fn each_session_has_its_own_trailer() {
    let with_trailer = |response, trailer: &'static [u8]| match response {
        Response::Join(join) => Response::Join(proto::JoinResponse { sif_trailer: trailer.into(), ..join }),
        other => other,
    };
    let mut rig = Rig::connected(quiet);
    rig.receives(leave(proto::DisconnectReason::ServerShutdown, Action::Reconnect));
    rig.step("bound", |signal, _| signal.bound("v=0 new".to_owned()));
    opened(&mut rig);
    rig.receives(with_trailer(rejoin("RM_1", Vec::new()), b"another"));
    assert_eq!(rig.signal.server_trailer(), b"another");
}

#[test]
fn another_room_of_the_same_name_is_reported() {
    for (room, changed) in [("RM_1", false), ("RM_2", true)] {
        let mut rig = Rig::connected(quiet);
        rig.receives(leave(proto::DisconnectReason::ServerShutdown, Action::Reconnect));
        rig.step("bound", |signal, _| signal.bound("v=0 new".to_owned()));
        opened(&mut rig);
        rig.receives(rejoin(room, Vec::new()));
        rig.step("media ready", Signal::media_ready);
        assert!(rig.script.contains(&format!("room_changed: {changed}")), "{}", rig.script);
        assert!(rig.script.contains("Reconnecting { reason: ServerShutdown }"), "{}", rig.script);
    }
}

#[test]
fn the_servers_reconnect_action_is_followed() {
    let first = |action| {
        let mut rig = Rig::connected(quiet);
        rig.receives(leave(proto::DisconnectReason::UnknownReason, action));
        assert!(rig.script.contains("Reconnecting { reason: ReconnectRequested }"), "{}", rig.script);
        rig.script
    };
    assert!(first(Action::Resume).contains("resume PA_me"));
    assert!(first(Action::Reconnect).contains("Rebind"));
}

#[test]
fn silence_and_dead_media_are_losses_too() {
    let silent = {
        let mut rig = Rig::connected(quiet);
        rig.wait(Duration::from_secs(15));
        rig.script
    };
    assert!(silent.contains("resume PA_me RrSignalDisconnected"), "{silent}");
    let quiet_media = {
        let mut rig = Rig::connected(quiet);
        rig.step("silent", |signal, now| signal.media_silent("nothing came", now));
        rig.script
    };
    assert!(quiet_media.contains("resume PA_me RrPublisherFailed"), "{quiet_media}");
    // A media connection that was closed cannot be resumed.
    let closed = {
        let mut rig = Rig::connected(quiet);
        rig.step("gone", |signal, now| signal.media_gone("closed", now));
        rig.wait(Duration::from_secs(2));
        rig.script
    };
    assert!(closed.contains("Rebind") && !closed.contains("Connect"), "{closed}");
    // Nor can it if the signal is lost with it.
    let both = {
        let mut rig = Rig::connected(quiet);
        rig.step("gone", |signal, now| signal.media_gone("closed", now));
        lost(&mut rig);
        rig.script
    };
    assert!(both.contains("Rebind") && !both.contains("Connect"), "{both}");
}

#[test]
fn media_without_a_path_get_a_new_session() {
    let mut rig = Rig::connected(quiet);
    lost(&mut rig);
    opened(&mut rig);
    resumed(&mut rig, 0);
    synced(&mut rig);
    rig.script.clear();
    rig.wait(Duration::from_secs(6));
    assert!(rig.script.contains("Rebind"), "{}", rig.script);
}

#[test]
fn a_server_that_never_answers_a_resume_gets_a_join() {
    let mut rig = Rig::connected(quiet);
    let mut resumes = 0;
    // It closes without a reason, each time.
    loop {
        rig.script.clear();
        lost(&mut rig);
        while !rig.script.contains("    Connect ") && !rig.script.contains("    Rebind") {
            let (due, _) = rig.signal.poll_timeout().unwrap();
            rig.wait(due - rig.now);
        }
        if rig.script.contains("    Rebind") {
            break;
        }
        resumes += 1;
        opened(&mut rig);
    }
    assert_eq!(resumes, 3);
}

#[test]
fn tries_back_off_with_jitter_and_are_given_up() {
    let run = |seed| {
        let mut rig = Rig::connected(|config| config.seed = seed);
        lost(&mut rig);
        let at = tries(&mut rig, Duration::from_secs(100));
        (at, rig.reason.take().unwrap())
    };
    let (at, reason) = run(1);
    assert_eq!(at[0], 0, "the first at once: {at:?}");
    assert!(at[1] > 0 && at[1] <= 251, "{at:?}");
    assert!(at.iter().zip(&at[1..]).all(|(a, b)| b - a <= 5001), "{at:?}");
    assert!((10..60).contains(&at.len()), "{at:?}");
    assert!(*at.last().unwrap() < 60_000, "{at:?}");
    assert_eq!(
        reason.to_string(),
        "the connection was lost (the signalling connection was lost: reset) and could not be re-established: the room could not be \
         joined: no connection to the server: connection refused; check the URL and that the server runs"
    );
    assert_ne!(at, run(2).0, "rooms do not come back in step");
    assert_eq!(at, run(1).0);
}

#[test]
fn reconnects_to_a_server_that_drops_each_connection_are_limited() {
    let mut rig = Rig::connected(quiet);
    let begin = rig.now;
    let mut resumes = 0;
    while rig.now < begin + Duration::from_secs(10) {
        lost(&mut rig);
        while !rig.script.contains("    Connect ") {
            let (due, _) = rig.signal.poll_timeout().unwrap();
            rig.wait(due - rig.now);
        }
        opened(&mut rig);
        resumed(&mut rig, 0);
        synced(&mut rig);
        restarted(&mut rig);
        rig.script.clear();
        resumes += 1;
    }
    assert!(resumes <= 12, "{resumes} in 10 s");
    // A connection that lasted for a while is resumed immediately.
    rig.wait(Duration::from_secs(4));
    rig.receives(Response::Pong(0));
    rig.wait(Duration::from_secs(7));
    rig.script.clear();
    lost(&mut rig);
    assert!(rig.script.contains("    Connect "), "{}", rig.script);
}

#[test]
fn a_token_that_is_refused_for_long_ends_it() {
    let mut rig = Rig::connected(quiet);
    lost(&mut rig);
    let refuse = |rig: &mut Rig| rig.step("refused", |signal, now| signal.refused(401, "expired", None, now));
    refuse(&mut rig);
    assert!(!rig.signal.is_closed(), "it was good a moment ago");
    rig.wait(Duration::from_secs(15));
    refuse(&mut rig);
    let reason = rig.reason.take().unwrap();
    let DisconnectReason::ReconnectFailed { last, .. } = &reason else { panic!("{reason:?}") };
    assert!(matches!(**last, DisconnectReason::JoinFailed(JoinFailure::Unauthorized { status: 401, .. })));
    assert!(rig.script.contains("    Disconnected {"), "{}", rig.script);

    // Any other status may come from a server, or a proxy in front of it, that is starting.
    for status in [301, 404, 429, 502, 503] {
        let mut rig = Rig::connected(quiet);
        lost(&mut rig);
        rig.wait(Duration::from_secs(20));
        rig.step("refused", |signal, now| signal.refused(status, "", None, now));
        assert!(!rig.signal.is_closed(), "{status}");
    }
}

#[test]
fn retry_after_is_respected() {
    let seconds = Duration::from_secs;
    for (asked, least, most) in [
        (Some(seconds(10)), seconds(10), seconds(10)),
        (Some(Duration::ZERO), Duration::ZERO, seconds(1)),
        (None, Duration::ZERO, seconds(1)),
        // Another attempt must be possible within the minute.
        (Some(Duration::MAX), seconds(30), seconds(30)),
    ] {
        let mut rig = Rig::connected(quiet);
        lost(&mut rig);
        rig.step("refused", |signal, now| signal.refused(503, "", asked, now));
        let wait = rig.signal.poll_timeout().unwrap().0 - rig.now;
        assert!(wait >= least && wait <= most, "{asked:?}: {wait:?}");
    }
}

#[test]
fn a_leave_does_not_wait_for_a_connection() {
    let left = |rig: &mut Rig| {
        rig.script.clear();
        rig.command(9, RoomCommand::Leave);
        rig.step("flushed", |signal, _| signal.flushed());
        assert_eq!(rig.reason, Some(DisconnectReason::ClientInitiated), "{}", rig.script);
        rig.script.contains("Leave(")
    };
    let mut rig = Rig::connected(quiet);
    lost(&mut rig);
    assert!(!left(&mut rig), "no connection for the leave");

    let mut rig = Rig::connected(quiet);
    lost(&mut rig);
    opened(&mut rig);
    resumed(&mut rig, 0);
    synced(&mut rig);
    assert!(left(&mut rig), "the server listens");
}

#[test]
fn an_end_while_it_is_being_restored_is_an_end() {
    let mut rig = Rig::connected(quiet);
    lost(&mut rig);
    opened(&mut rig);
    rig.receives(leave(proto::DisconnectReason::RoomDeleted, Action::Disconnect));
    assert_eq!(rig.reason, Some(DisconnectReason::RoomDeleted));
}

#[test]
fn steps_that_time_out_are_retried() {
    // A WebSocket that is never opened.
    let mut rig = Rig::connected(quiet);
    lost(&mut rig);
    rig.script.clear();
    rig.wait(Duration::from_secs(6));
    assert_eq!(rig.script.matches("    Connect ").count(), 1, "{}", rig.script);
    // Nothing at all, to the end.
    rig.wait(Duration::from_secs(60));
    assert!(matches!(rig.reason, Some(DisconnectReason::ReconnectFailed { .. })), "{}", rig.script);

    // A socket that is never bound, and a join that is never answered.
    for answers in [0, 1, 2] {
        let mut rig = Rig::connected(quiet);
        rig.receives(leave(proto::DisconnectReason::StateMismatch, Action::Reconnect));
        if answers > 0 {
            rig.step("bound", |signal, _| signal.bound("v=0 new".to_owned()));
        }
        if answers > 1 {
            opened(&mut rig);
        }
        rig.script.clear();
        rig.wait(Duration::from_secs(11));
        assert_eq!(rig.script.matches("    Rebind").count(), 1, "{}", rig.script);
    }
}

#[test]
fn a_room_whose_sid_comes_later_is_compared_later() {
    for (sid, replaced) in [("RM_1", false), ("RM_2", true)] {
        let mut rig = Rig::connected(quiet);
        rig.receives(leave(proto::DisconnectReason::ServerShutdown, Action::Reconnect));
        rig.step("bound", |signal, _| signal.bound("v=0 new".to_owned()));
        opened(&mut rig);
        rig.receives(rejoin("", Vec::new()));
        rig.step("media ready", Signal::media_ready);
        assert!(rig.script.contains("room_changed: false"), "{}", rig.script);
        let room = proto::Room { sid: sid.to_owned(), name: "lobby".to_owned(), ..Default::default() };
        rig.receives(Response::RoomUpdate(proto::RoomUpdate { room: Some(room) }));
        assert_eq!(rig.script.contains("RoomReplaced"), replaced, "{}", rig.script);
    }
}

#[test]
fn media_that_close_during_a_resume_end_it() {
    let mut rig = Rig::connected(quiet);
    lost(&mut rig);
    opened(&mut rig);
    rig.step("gone", |signal, now| signal.media_gone("closed", now));
    rig.wait(Duration::from_millis(300));
    assert!(rig.script.contains("Rebind"), "{}", rig.script);
}

#[test]
fn a_leave_while_rejoining_waits_for_the_servers_join_and_sends_leave() {
    let mut rig = Rig::connected(quiet);
    rig.receives(leave(proto::DisconnectReason::ServerShutdown, Action::Reconnect));
    rig.step("bound", |signal, _| signal.bound("v=0 new".to_owned()));
    opened(&mut rig);
    rig.command(9, RoomCommand::Leave);
    assert!(!rig.signal.is_closed());
    rig.script.clear();
    rig.receives(rejoin("RM_1", Vec::new()));
    assert!(rig.script.contains("Leave"), "{}", rig.script);
    assert!(rig.script.contains("Disconnected { reason: ClientInitiated }"), "{}", rig.script);
    assert!(rig.script.contains("Done { id: 9, result: Ok(()) }"), "{}", rig.script);
    assert!(rig.signal.is_closed());
}

#[test]
fn participants_who_left_meanwhile_are_reported() {
    let mut rig = Rig::connected(quiet);
    rig.updates((0..20).map(|n| info(&format!("PA_{n}"), &format!("user-{n}"), 1)).collect());
    rig.receives(leave(proto::DisconnectReason::ServerShutdown, Action::Reconnect));
    rig.step("bound", |signal, _| signal.bound("v=0 new".to_owned()));
    opened(&mut rig);
    rig.script.clear();
    rig.receives(rejoin("RM_1", Vec::new()));
    // Including Ada.
    assert_eq!(rig.script.matches("ParticipantLeft").count(), 21, "{}", rig.script);
}

#[test]
fn an_answer_to_an_older_offer_is_not_taken() {
    let mut rig = Rig::connected(quiet);
    rig.step("offer", |signal, _| signal.offer("v=0 older".to_owned()));
    rig.step("offer", |signal, _| signal.offer("v=0 newer".to_owned()));
    rig.script.clear();
    let answer = |id| {
        Response::Answer(proto::SessionDescription { id, sdp: format!("v=0 to {id}"), ..Default::default() })
    };
    // The join's offer was the first.
    rig.receives(answer(2));
    assert!(!rig.script.contains("Answer {"), "{}", rig.script);
    rig.receives(answer(3));
    assert!(rig.script.contains("Answer { sdp: \"v=0 to 3\""), "{}", rig.script);
    // A server that does not number its answers.
    rig.receives(answer(0));
    assert!(rig.script.contains("Answer { sdp: \"v=0 to 0\""), "{}", rig.script);
    assert_eq!(rig.signal.violations(), 0);
}

#[test]
fn messages_before_the_answer_to_a_resume_are_not_lost() {
    let mut rig = Rig::connected(quiet);
    lost(&mut rig);
    opened(&mut rig);
    rig.script.clear();
    rig.updates(vec![info("PA_bob", "bob", 1)]);
    assert!(rig.script.contains("ParticipantJoined"), "{}", rig.script);
    resumed(&mut rig, 0);
    assert!(rig.script.contains("Resume"), "{}", rig.script);
    assert_eq!(rig.signal.violations(), 0);
}

/// The old media connection was lost just before the server asked for a new session.
#[test]
fn a_new_session_does_not_end_because_of_the_old_media() {
    let mut rig = Rig::connected(quiet);
    rig.step("gone", |signal, now| signal.media_gone("closed", now));
    rig.receives(leave(proto::DisconnectReason::ServerShutdown, Action::Reconnect));
    rig.step("bound", |signal, _| signal.bound("v=0 new".to_owned()));
    opened(&mut rig);
    rig.receives(rejoin("RM_1", Vec::new()));
    rig.script.clear();
    rig.wait(Duration::from_secs(3));
    assert!(!rig.script.contains("Leave(") && !rig.script.contains("Rebind"), "{}", rig.script);
    rig.step("media ready", Signal::media_ready);
    assert!(rig.signal.is_connected(), "{}", rig.script);
}
