//! A whole session: the join, data, requests, tracks, the leave.

use std::time::Duration;

use agent_proto::livekit as proto;
use agent_room::{DisconnectReason, JoinFailure, Publish, RoomCommand, RoomError, RoomEvent};

use crate::support::Pair;
use proto::data_packet::Value;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

fn connected() -> Pair {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    pair
}

fn publish(topic: &str, payload: impl Into<bytes::Bytes>, reliable: bool) -> RoomCommand {
    let mut message = Publish::new(topic, payload);
    message.reliable = reliable;
    RoomCommand::Publish(message)
}

#[test]
fn a_join_takes_a_few_round_trips() {
    let mut pair = Pair::new(|_| {});
    let start = pair.now;
    pair.connect();
    let took = pair.now - start;
    assert!(took < Duration::from_millis(60), "{took:?} at 4 ms a round trip");
    assert_eq!(pair.channels.keys().collect::<Vec<_>>(), ["_data_track", "_lossy", "_reliable"]);
    assert_eq!(pair.room.violations(), 0);
}

#[test]
fn data_goes_both_ways() {
    let mut pair = connected();
    let mut message = Publish::new("chat", "hello");
    message.destinations = vec!["ada".to_owned()];
    pair.command(1, RoomCommand::Publish(message));
    pair.command(2, publish("", "quick", false));
    pair.run_until("both packets", |pair| pair.received.len() == 2);
    assert_eq!(pair.done[&1], Ok(()));
    assert_eq!(pair.done[&2], Ok(()));
    let (label, packet) = pair.received.iter().find(|(label, _)| label == "_reliable").unwrap();
    assert_eq!((label.as_str(), packet.sequence), ("_reliable", 1));
    assert_eq!(packet.destination_identities, ["ada"]);
    let Some(Value::User(user)) = &packet.value else { panic!("{packet:?}") };
    assert_eq!((user.topic.as_deref(), &user.payload[..]), (Some("chat"), &b"hello"[..]));
    assert!(pair.received.iter().any(|(label, packet)| label == "_lossy" && packet.sequence == 0));

    let mut packet = proto::DataPacket {
        participant_identity: "ada".to_owned(),
        participant_sid: "PA_ada".to_owned(),
        sequence: 1,
        value: Some(Value::User(proto::UserPacket {
            payload: "hi".into(),
            topic: Some("chat".to_owned()),
            ..Default::default()
        })),
        ..Default::default()
    };
    pair.send("_reliable", &packet);
    // Repeated, as a server does after a resume.
    pair.send("_reliable", &packet);
    packet.sequence = 0;
    pair.send("_lossy", &packet);
    pair.run_for(Duration::from_millis(100));
    let messages: Vec<_> = pair
        .events
        .iter()
        .filter_map(|event| match event {
            RoomEvent::DataReceived(m) => {
                Some((m.sender.as_deref(), m.topic.as_str(), &m.payload[..], m.reliable))
            }
            _ => None,
        })
        .collect();
    let expected = |reliable| (Some("ada"), "chat", &b"hi"[..], reliable);
    assert_eq!(messages, [expected(true), expected(false)]);
}

#[test]
fn data_without_the_permission_is_refused_as_the_server_would_drop_it() {
    let mut pair = connected();
    let me = |can_publish_data| proto::ParticipantInfo {
        permission: Some(proto::ParticipantPermission { can_publish_data, ..Default::default() }),
        version: u32::from(can_publish_data) + 5,
        sid: "PA_me".to_owned(),
        identity: "me".to_owned(),
        ..Default::default()
    };
    pair.server_sends(Response::Update(proto::ParticipantUpdate {
        participants: vec![me(false)],
        ..Default::default()
    }));
    pair.run_for(Duration::from_millis(20));
    pair.command(1, publish("t", "x", true));
    pair.command(2, publish("t", "x", false));
    for id in [1, 2] {
        assert!(matches!(pair.done[&id], Err(RoomError::NotAllowed { .. })), "{:?}", pair.done);
    }
    pair.server_sends(Response::Update(proto::ParticipantUpdate {
        participants: vec![me(true)],
        ..Default::default()
    }));
    pair.run_for(Duration::from_millis(20));
    pair.command(3, publish("t", "x", true));
    pair.run_until("the packet", |pair| pair.received.len() == 1);
}

#[test]
fn more_than_fits_at_once_waits_and_arrives_in_order_despite_losses() {
    let mut pair = connected();
    pair.lose = |n| n % 19 == 0;
    for id in 0..60 {
        pair.command(id, publish("bulk", vec![u8::try_from(id).unwrap(); 20_000], true));
    }
    assert!(pair.done.len() < 60, "the channel's buffer is smaller than that");
    // A leave in the middle loses nothing, if it has the time.
    pair.run_until("all packets", |pair| pair.received.len() == 60);
    let order: Vec<u32> = pair.received.iter().map(|(_, packet)| packet.sequence).collect();
    assert_eq!(order, (1..=60).collect::<Vec<_>>());
    assert_eq!(pair.done.len(), 60);
}

#[test]
fn a_leave_waits_for_published_messages() {
    let mut pair = Pair::new(|config| config.leave_timeout = Duration::from_secs(10));
    pair.connect();
    for id in 0..20 {
        pair.command(id, publish("bulk", vec![0; 20_000], true));
    }
    pair.command(100, RoomCommand::Leave);
    pair.run_until("the end", |pair| pair.closed.is_some());
    assert_eq!(pair.received.len(), 20);
    assert_eq!(pair.closed, Some(DisconnectReason::ClientInitiated));
    assert_eq!(pair.done[&100], Ok(()));
    assert!(matches!(pair.requests.last(), Some(Request::Leave(_))));
    assert!(pair.signal_closed);
    assert!(matches!(pair.events.last(), Some(RoomEvent::Disconnected { .. })));
}

#[test]
fn a_leave_with_nothing_to_wait_for_is_at_once() {
    let mut pair = connected();
    pair.run_for(Duration::from_secs(1));
    pair.command(1, RoomCommand::Leave);
    assert_eq!(pair.closed, Some(DisconnectReason::ClientInitiated));
    pair.room.handle_input(
        agent_room::Input::Commanded { id: 2, command: RoomCommand::SetName("late".to_owned()) },
        pair.now,
    );
    let late = pair.room.poll_output();
    let refused = Err(RoomError::NotConnected);
    assert_eq!(late, Some(agent_room::Output::CommandDone { id: 2, result: refused }));
}

#[test]
fn waiting_commands_are_answered_when_the_room_ends() {
    let mut pair = connected();
    for id in 0..60 {
        pair.command(id, publish("bulk", vec![0; 20_000], true));
    }
    pair.command(60, RoomCommand::SetName("n".to_owned()));
    pair.server_sends(Response::Leave(proto::LeaveRequest {
        reason: proto::DisconnectReason::RoomDeleted as i32,
        ..Default::default()
    }));
    pair.lose = |_| true;
    pair.run_until("the end", |pair| pair.closed.is_some());
    assert_eq!(pair.closed, Some(DisconnectReason::RoomDeleted));
    assert_eq!(pair.done.len(), 61, "each is answered once");
    assert_eq!(pair.done[&59], Err(RoomError::NotConnected));
    assert_eq!(pair.done[&60], Err(RoomError::NotConnected));
}

#[test]
fn sections_for_media_are_offered_whenever_the_server_requests_them() {
    let mut pair = connected();
    let requirement = |num_audios, num_videos| {
        Response::MediaSectionsRequirement(proto::MediaSectionsRequirement { num_audios, num_videos })
    };
    let offers = |pair: &Pair| {
        let offers = pair.requests.iter().filter_map(|request| match request {
            Request::Offer(offer) => Some(offer.sdp.matches("m=").count()),
            _ => None,
        });
        offers.collect::<Vec<_>>()
    };
    // No more sections, but a new offer; then several requests before the answer to the first.
    for (audio, video) in [(0, 0), (1, 0), (0, 2)] {
        pair.server_sends(requirement(audio, video));
    }
    pair.run_for(Duration::from_millis(200));
    assert_eq!(offers(&pair), [2, 5], "data and one section, then all that was wanted meanwhile");
    pair.server_sends(requirement(0, 0));
    pair.run_for(Duration::from_millis(200));
    assert_eq!(offers(&pair), [2, 5, 5]);
    // Data still get through.
    pair.command(1, publish("t", "still here", true));
    pair.run_until("the packet", |pair| pair.received.len() == 1);
    assert_eq!(pair.room.violations(), 0);
}

#[test]
fn as_many_sections_as_are_allowed_are_negotiated() {
    let limit = 120;
    let mut pair = Pair::new(|config| config.limits.media_sections = limit);
    pair.connect();
    let requirement = |num_audios, num_videos| {
        Response::MediaSectionsRequirement(proto::MediaSectionsRequirement { num_audios, num_videos })
    };
    pair.server_sends(requirement(0, u32::try_from(limit).unwrap()));
    pair.run_until("the answer", |pair| {
        pair.descriptions.last().unwrap().matches("m=video").count() == limit
    });
    pair.command(1, publish("t", "still here", true));
    pair.run_until("the packet", |pair| pair.received.len() == 1);
    assert_eq!((pair.closed.as_ref(), pair.room.violations()), (None, 0));
    // One more, even if by itself, is too many.
    pair.server_sends(requirement(1, 0));
    pair.run_for(Duration::from_millis(200));
    assert_eq!((pair.closed.as_ref(), pair.room.violations()), (None, 1));
}

#[test]
fn a_join_without_a_path_fails_with_the_reason() {
    let mut pair = Pair::new(|_| {});
    pair.lose = |_| true;
    pair.join();
    pair.run_until("the end", |pair| pair.closed.is_some());
    let Some(DisconnectReason::JoinFailed(failure @ JoinFailure::MediaTimeout { .. })) = &pair.closed else {
        panic!("{:?}", pair.closed)
    };
    let text = failure.to_string();
    assert!(text.contains("no packet came back from 127.0.0.1:2000 (UDP): check that"), "{text}");
    assert!(pair.events.is_empty(), "there was an event: {:?}", pair.events);
}

#[test]
fn an_invalid_answer_fails_the_join() {
    let mut pair = Pair::new(|_| {});
    pair.answers = false;
    pair.join();
    pair.server_sends(Response::Answer(proto::SessionDescription {
        sdp: "nonsense".to_owned(),
        ..Default::default()
    }));
    pair.run_until("the end", |pair| pair.closed.is_some());
    let closed = pair.closed.unwrap();
    assert!(matches!(closed, DisconnectReason::JoinFailed(JoinFailure::Media { .. })), "{closed:?}");
}

#[test]
fn an_invalid_answer_is_refused_with_our_own_error_text() {
    let refused = |tamper: fn(String) -> String| {
        let mut pair = Pair::new(|_| {});
        pair.tamper = tamper;
        pair.join();
        pair.run_until("the end", |pair| pair.closed.is_some());
        let Some(DisconnectReason::JoinFailed(failure)) = pair.closed else { panic!("{:?}", pair.closed) };
        let text = failure.to_string();
        assert!(!text.contains("0x") && !text.contains("evil") && !text.contains(char::is_control), "{text}");
        text
    };
    // The library's parser reports a memory address, over several lines.
    let no_direction = refused(|sdp| format!("{sdp}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:evil\r\n"));
    assert_eq!(
        no_direction,
        "the media connection failed: the server's answer has 2 media sections, our offer 1"
    );
    let no_direction = refused(|sdp| {
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:evil\r\n";
        format!("{}{audio}", sdp.split_once("m=").unwrap().0)
    });
    assert_eq!(
        no_direction,
        "the media connection failed: media section 1 of the server's answer has no direction (`a=sendonly` or the like)"
    );
    for tamper in [
        (|sdp| sdp.replace("a=mid:", "a=mid:evil")) as fn(String) -> String,
        |sdp| sdp.replace("o=", "o=evil\x1b[31m "),
        |sdp| sdp.replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 evil"),
        |sdp| sdp.replace("a=ice-pwd:", "a=evil:"),
        |sdp| sdp.replace("t=0 0", "t=evil"),
        |_| String::new(),
        |_| "v=0\r\n".to_owned(),
    ] {
        let text = refused(tamper);
        assert!(text.starts_with("the media connection failed: the server's answer"), "{text}");
    }
}

#[test]
fn a_request_to_an_unknown_method_is_refused_at_once_and_reported_once() {
    let mut pair = connected();
    let from_ada = |value| proto::DataPacket {
        participant_identity: "ada".to_owned(),
        participant_sid: "PA_ada".to_owned(),
        value: Some(value),
        ..Default::default()
    };
    let request = |id: &str| proto::RpcRequest {
        id: id.to_owned(),
        method: "greet".to_owned(),
        version: 1,
        ..Default::default()
    };
    let start = pair.now;
    for id in ["r1", "r2"] {
        pair.send("_reliable", &from_ada(Value::RpcRequest(request(id))));
    }
    pair.run_until("two answers", |pair| pair.received.len() == 4);
    assert!(pair.now - start < Duration::from_millis(100), "{:?}", pair.now - start);
    let reported: Vec<_> = pair.unknown_methods.iter().map(|unknown| unknown.method.as_str()).collect();
    assert_eq!(reported, ["greet"]);
    for (pair_of, id) in pair.received.chunks(2).zip(["r1", "r2"]) {
        assert!(pair_of.iter().all(|(label, packet)| {
            label == "_reliable" && packet.destination_identities == ["ada"] && packet.sequence > 0
        }));
        let Some(Value::RpcAck(ack)) = &pair_of[0].1.value else { panic!("{pair_of:?}") };
        let Some(Value::RpcResponse(response)) = &pair_of[1].1.value else { panic!("{pair_of:?}") };
        assert_eq!((ack.request_id.as_str(), response.request_id.as_str()), (id, id));
        let Some(proto::rpc_response::Value::Error(error)) = &response.value else { panic!("{response:?}") };
        assert_eq!((error.code, error.message.as_str()), (1400, "Method not supported at destination"));
    }
    // And messages of ours keep their numbers.
    pair.command(1, publish("t", "x", true));
    pair.run_until("the message", |pair| pair.received.len() == 5);
    assert_eq!(pair.received[4].1.sequence, 5);
    assert_eq!(pair.room.violations(), 0);
}

#[test]
fn a_join_without_media_stays_in_the_room_until_it_is_retried_or_left() {
    let mut pair = Pair::new(|_| {});
    (pair.leaves_failed_join, pair.lose) = (false, |_| true);
    pair.join();
    pair.run_until("the failure", |pair| !pair.failed_joins.is_empty());
    assert!(matches!(&pair.failed_joins[..], [JoinFailure::MediaTimeout { .. }]), "{:?}", pair.failed_joins);
    // Until the user decides, the server gets no Leave, but our pings.
    pair.requests.clear();
    pair.server_sends(Response::PongResp(proto::Pong::default()));
    pair.run_for(Duration::from_secs(12));
    assert!(pair.requests.iter().any(|request| matches!(request, Request::PingReq(_))));
    let left = |pair: &Pair| pair.requests.iter().any(|request| matches!(request, Request::Leave(_)));
    assert!(!left(&pair) && pair.closed.is_none());
    // Now packets get through.
    pair.lose = |_| false;
    pair.input(agent_room::Input::JoinRetried { timeout: Duration::from_secs(10) });
    pair.run_until("the connection", |pair| {
        pair.events.iter().any(|event| matches!(event, RoomEvent::Connected(_)))
    });
    assert!(!left(&pair) && pair.failed_joins.len() == 1);

    let mut pair = Pair::new(|_| {});
    (pair.leaves_failed_join, pair.lose) = (false, |_| true);
    pair.join();
    pair.run_until("the failure", |pair| !pair.failed_joins.is_empty());
    pair.input(agent_room::Input::JoinRetried { timeout: Duration::from_secs(3) });
    pair.run_until("the second failure", |pair| pair.failed_joins.len() == 2);
    pair.command(1, RoomCommand::Leave);
    assert!(left(&pair) && pair.done[&1] == Ok(()));
    assert!(matches!(pair.closed, Some(DisconnectReason::JoinFailed(JoinFailure::MediaTimeout { .. }))));
    assert!(pair.events.is_empty(), "{:?}", pair.events);
}
