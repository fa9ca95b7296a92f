//! A room whose connection is lost, against str0m as the server, over an in-memory network with a virtual
//! clock.

use std::net::Ipv4Addr;
use std::time::Duration;

use agent_proto::livekit as proto;
use agent_room::{DisconnectReason, Input, Publish, Reconnected, RoomCommand, RoomEvent};

use crate::support::{Pair, join_request};
use proto::data_packet::Value;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

fn connected() -> Pair {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    pair
}

fn publish(payload: &str) -> RoomCommand {
    RoomCommand::Publish(Publish::new("n", payload.to_owned()))
}

fn lose_signal(pair: &mut Pair) {
    pair.url = None;
    pair.input(Input::SignalClosed { reason: "reset".to_owned() });
}

/// Opens the requested WebSocket, and reports that the session is known.
fn resume(pair: &mut Pair, last_message_seq: u32) {
    pair.run_until("another WebSocket", |pair| pair.url.is_some());
    let request = join_request(pair.url.as_ref().unwrap());
    assert!(request.reconnect && request.participant_sid == "PA_me", "{request:?}");
    pair.input(Input::SignalOpened);
    pair.server_sends(Response::Reconnect(proto::ReconnectResponse {
        last_message_seq,
        ..Default::default()
    }));
}

fn is_reconnected(pair: &Pair) -> bool {
    pair.events.iter().any(|event| matches!(event, RoomEvent::Reconnected(_)))
}

fn reconnected(pair: &mut Pair) -> Reconnected {
    pair.run_until("the connection", is_reconnected);
    let again = pair.events.iter().find_map(|event| match event {
        RoomEvent::Reconnected(again) => Some((**again).clone()),
        _ => None,
    });
    again.unwrap()
}

fn payloads(pair: &Pair) -> Vec<String> {
    let text = |packet: &proto::DataPacket| match &packet.value {
        Some(Value::User(user)) => String::from_utf8(user.payload.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    pair.received.iter().map(|(_, packet)| text(packet)).collect()
}

/// The sequence numbers that a server would accept: it drops those it has received.
fn fresh(pair: &Pair) -> Vec<u32> {
    let mut fresh: Vec<u32> = Vec::new();
    for (_, packet) in &pair.received {
        if fresh.last().is_none_or(|last| *last < packet.sequence) {
            fresh.push(packet.sequence);
        }
    }
    fresh
}

#[test]
fn data_continue_while_the_signal_is_resumed() {
    let mut pair = connected();
    lose_signal(&mut pair);
    pair.command(1, publish("meanwhile"));
    pair.run_until("the packet", |pair| pair.received.len() == 1);
    resume(&mut pair, 1);
    let again = reconnected(&mut pair);
    assert!(again.resumed && again.unconfirmed == 0 && !again.room_changed, "{again:?}");
    pair.command(2, publish("after"));
    pair.run_until("the packet", |pair| pair.received.len() == 2);
    assert_eq!(payloads(&pair), ["meanwhile", "after"]);
    let sync = pair.requests.iter().find_map(|request| match request {
        Request::SyncState(sync) => Some(sync),
        _ => None,
    });
    let sync = sync.expect("a sync is sent");
    let labels: Vec<&str> = sync.data_channels.iter().map(|channel| channel.label.as_str()).collect();
    assert_eq!(labels, ["_reliable", "_lossy", "_data_track"]);
    assert!(sync.answer.as_ref().unwrap().sdp.starts_with("v=0") && sync.offer.is_some());
    assert_eq!(pair.room.violations(), 0);
}

#[test]
fn packets_that_the_server_has_not_received_are_repeated_in_order() {
    let mut pair = connected();
    pair.command(1, publish("seen"));
    pair.run_until("the packet", |pair| pair.received.len() == 1);
    pair.lose = |_| true;
    for id in 2..5 {
        pair.command(id, publish(&id.to_string()));
    }
    lose_signal(&mut pair);
    pair.lose = |_| false;
    resume(&mut pair, 1);
    reconnected(&mut pair);
    pair.command(9, publish("last"));
    pair.run_until("the last", |pair| payloads(pair).last().is_some_and(|last| last == "last"));
    assert_eq!(fresh(&pair), [1, 2, 3, 4, 5]);
    assert!(pair.received.len() > 5, "they were sent again");
}

#[test]
fn a_dead_network_is_noticed_in_time_and_recovered_from() {
    let mut pair = connected();
    let start = pair.now;
    pair.lose = |_| true;
    // The signalling continues.
    while !pair.events.iter().any(|event| matches!(event, RoomEvent::Reconnecting { .. })) {
        pair.server_sends(Response::Pong(1));
        pair.run_for(Duration::from_secs(1));
        assert!(pair.now - start < Duration::from_secs(15), "not noticed in time");
    }
    pair.command(1, publish("while it was dead"));
    pair.lose = |_| false;
    resume(&mut pair, 0);
    assert!(reconnected(&mut pair).resumed);
    pair.run_until("the packet", |pair| !pair.received.is_empty());
    assert_eq!(fresh(&pair), [1]);
}

/// The checks of the other one are answered all along.
#[test]
fn one_of_two_interfaces_that_is_dead_is_noticed_in_time_and_replaced() {
    let mut pair = Pair::new(|_| {});
    pair.routes = |remote| {
        Some(if remote.ip().is_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(10, 0, 0, 2) }.into())
    };
    pair.add_interface("10.0.0.2:1000", "10.0.0.9:2000");
    pair.connect();
    let quiet = |pair: &mut Pair| {
        for _ in 0..60 {
            pair.server_sends(Response::Pong(1));
            pair.run_for(Duration::from_secs(1));
        }
    };
    quiet(&mut pair);
    let used = pair.paths.last().unwrap().remote;
    let start = pair.now;
    pair.dead = Some(used);
    while !pair.events.iter().any(|event| matches!(event, RoomEvent::Reconnecting { .. })) {
        pair.server_sends(Response::Pong(1));
        pair.run_for(Duration::from_secs(1));
        assert!(pair.now - start < Duration::from_secs(12), "not noticed in time");
    }
    pair.command(1, publish("while it was dead"));
    resume(&mut pair, 0);
    assert!(reconnected(&mut pair).resumed);
    pair.run_until("the packet", |pair| !pair.received.is_empty());
    assert_ne!(pair.paths.last().unwrap().remote, used);
    assert!(pair.now - start < Duration::from_secs(20), "{:?}", pair.now - start);
    // What is quiet is not taken for dead.
    pair.events.clear();
    quiet(&mut pair);
    assert!(pair.events.is_empty(), "{:?}", pair.events);
}

#[test]
fn a_network_that_stays_dead_ends_the_room() {
    let mut pair = connected();
    let start = pair.now;
    pair.lose = |_| true;
    pair.run_until("the end", |pair| pair.closed.is_some());
    assert!(matches!(pair.closed, Some(DisconnectReason::ReconnectFailed { .. })), "{:?}", pair.closed);
    assert!(pair.now - start < Duration::from_secs(80), "{:?}", pair.now - start);
    assert!(matches!(pair.events.last(), Some(RoomEvent::Disconnected { .. })));
}

#[test]
fn a_media_connection_that_the_server_closed_is_reestablished() {
    let mut pair = connected();
    pair.command(1, publish("arrives"));
    pair.run_until("the packet", |pair| pair.received.len() == 1);
    pair.rtc.close().unwrap();
    pair.run_until("the loss", |pair| pair.bind_asked);
    pair.command(2, publish("queued"));
    pair.rejoin();
    let again = reconnected(&mut pair);
    assert!(!again.resumed && again.unconfirmed == 0, "{again:?}");
    assert_eq!(again.local.sid, "PA_me2");
    pair.run_until("the queued packet", |pair| pair.received.len() == 2);
    assert_eq!(payloads(&pair), ["arrives", "queued"]);
    assert_eq!(pair.done[&2], Ok(()));
}

#[test]
fn messages_lost_by_a_new_session_are_reported() {
    let mut pair = connected();
    let packet = |sequence| proto::DataPacket {
        participant_identity: "ada".to_owned(),
        participant_sid: "PA_ada".to_owned(),
        sequence,
        value: Some(Value::User(proto::UserPacket { payload: "x".into(), ..Default::default() })),
        ..Default::default()
    };
    // Of others there are no messages to be missed, but packets of calls and streams.
    let ack = |sequence| proto::DataPacket {
        participant_identity: "bob".to_owned(),
        participant_sid: "PA_bob".to_owned(),
        sequence,
        value: Some(Value::RpcAck(proto::RpcAck::default())),
        ..Default::default()
    };
    pair.send("_reliable", &ack(4));
    pair.send("_reliable", &packet(4));
    pair.run_until("the packet", |pair| matches!(pair.events.last(), Some(RoomEvent::DataReceived(_))));
    // Neither of these arrives.
    pair.lose = |_| true;
    pair.command(1, publish("lost"));
    pair.command(2, publish("lost too"));
    pair.server_sends(Response::Leave(proto::LeaveRequest {
        action: proto::leave_request::Action::Reconnect as i32,
        ..Default::default()
    }));
    pair.run_until("the loss", |pair| pair.bind_asked);
    pair.lose = |_| false;
    pair.rejoin();
    let again = reconnected(&mut pair);
    assert_eq!((again.resumed, again.unconfirmed), (false, 2));
    pair.send("_reliable", &ack(7));
    pair.send("_reliable", &packet(9));
    pair.send("_reliable", &packet(12));
    let received = |pair: &Pair| {
        let received = pair.events.iter().filter(|event| matches!(event, RoomEvent::DataReceived(_)));
        received.count() == 3
    };
    pair.run_until("the next packets", received);
    let missed: Vec<_> =
        pair.events.iter().filter(|event| matches!(event, RoomEvent::DataMissed { .. })).collect();
    let missing = |sender: &str, up_to| RoomEvent::DataMissed { sender: sender.to_owned(), up_to };
    assert_eq!(missed, [&missing("bob", 2), &missing("ada", 4)]);
    assert!(pair.received.is_empty(), "nothing is sent twice: {:?}", pair.received);
}

#[test]
fn an_offer_that_was_not_answered_is_made_again_by_a_resume() {
    let mut pair = connected();
    pair.answers = false;
    pair.server_sends(Response::MediaSectionsRequirement(proto::MediaSectionsRequirement {
        num_audios: 1,
        num_videos: 0,
    }));
    let offers =
        |pair: &Pair| pair.requests.iter().filter(|request| matches!(request, Request::Offer(_))).count();
    pair.run_until("the offer", |pair| offers(pair) == 1);
    lose_signal(&mut pair);
    pair.answers = true;
    resume(&mut pair, 0);
    assert!(reconnected(&mut pair).resumed);
    // The same again, and then the one that looks for another path.
    assert_eq!(offers(&pair), 3);
    assert_eq!(pair.room.violations(), 0);
}

#[test]
fn tcp_is_used_when_datagrams_do_not_get_through() {
    let mut pair = Pair::new(|_| {});
    pair.tcp = true;
    let start = pair.now;
    pair.join();
    let remote = pair.listen_on_tcp();
    pair.run_until("a TCP connection", |pair| !pair.tcp_asked.is_empty());
    assert_eq!(pair.tcp_asked, [remote]);
    assert!(pair.now - start >= Duration::from_secs(1), "datagrams had their time");
    pair.connect_tcp(remote);
    pair.run_until("connected", |pair| {
        pair.events.iter().any(|event| matches!(event, RoomEvent::Connected(_)))
    });
    pair.command(1, publish("over TCP"));
    pair.run_until("the packet", |pair| pair.received.len() == 1);
    // Its end is noticed immediately.
    pair.input(Input::TcpClosed { remote });
    assert!(matches!(pair.events.last(), Some(RoomEvent::Reconnecting { .. })), "{:?}", pair.events.last());
}

#[test]
fn messages_in_flight_when_the_server_closes_may_be_lost() {
    let mut pair = connected();
    pair.lose_ours = true;
    pair.command(1, publish("lost"));
    pair.command(2, publish("lost too"));
    pair.run_for(Duration::from_millis(50));
    pair.rtc.close().unwrap();
    pair.run_until("the loss", |pair| pair.bind_asked);
    pair.lose_ours = false;
    pair.rejoin();
    let again = reconnected(&mut pair);
    assert_eq!((again.resumed, again.unconfirmed), (false, 2));
}

/// The unacknowledged bytes may be those of an early message, while later ones have arrived.
#[test]
fn a_gap_in_the_received_numbers_hides_no_message() {
    let mut pair = connected();
    pair.lose_ours = true;
    pair.command(1, publish("the hole"));
    pair.run_for(Duration::from_millis(10));
    pair.lose_ours = false;
    for id in 2..4 {
        pair.command(id, publish("behind it"));
    }
    // Before the first is retransmitted.
    pair.run_for(Duration::from_millis(20));
    pair.lose = |_| true;
    pair.server_sends(Response::Leave(proto::LeaveRequest {
        action: proto::leave_request::Action::Reconnect as i32,
        ..Default::default()
    }));
    pair.run_until("the loss", |pair| pair.bind_asked);
    pair.lose = |_| false;
    assert!(pair.received.is_empty(), "an ordered channel holds them back");
    pair.rejoin();
    assert_eq!(reconnected(&mut pair).unconfirmed, 3);
}

#[test]
fn messages_published_without_a_path_wait_for_the_next_session() {
    let mut pair = connected();
    pair.lose = |_| true;
    while !pair.events.iter().any(|event| matches!(event, RoomEvent::Reconnecting { .. })) {
        pair.server_sends(Response::Pong(1));
        pair.run_for(Duration::from_secs(1));
    }
    pair.command(1, publish("waits"));
    assert!(!pair.done.contains_key(&1), "it is not on its way");
    // The server no longer knows the session.
    pair.run_until("another WebSocket", |pair| pair.url.is_some());
    pair.input(Input::SignalOpened);
    pair.server_sends(Response::Leave(proto::LeaveRequest {
        action: proto::leave_request::Action::Reconnect as i32,
        ..Default::default()
    }));
    pair.run_until("another socket", |pair| pair.bind_asked);
    pair.lose = |_| false;
    pair.rejoin();
    assert_eq!(reconnected(&mut pair).unconfirmed, 0);
    pair.run_until("the packet", |pair| !pair.received.is_empty());
    assert_eq!(payloads(&pair), ["waits"]);
    assert_eq!(pair.done[&1], Ok(()));
}

#[test]
fn a_leave_without_signalling_still_sends_published_messages() {
    let mut pair = connected();
    lose_signal(&mut pair);
    pair.command(1, publish("last message"));
    pair.command(2, RoomCommand::Leave);
    pair.run_until("the end", |pair| pair.closed.is_some());
    assert_eq!(payloads(&pair), ["last message"]);
    assert_eq!(pair.closed, Some(DisconnectReason::ClientInitiated));
    assert_eq!(pair.done[&2], Ok(()));
}

#[test]
fn a_leave_on_a_dead_network_is_bounded() {
    let mut pair = connected();
    pair.lose = |_| true;
    lose_signal(&mut pair);
    pair.command(1, publish("last message"));
    let start = pair.now;
    pair.command(2, RoomCommand::Leave);
    pair.run_until("the end", |pair| pair.closed.is_some());
    assert!(pair.now - start <= Duration::from_secs(1), "{:?}", pair.now - start);
}

#[test]
fn an_idle_tcp_connection_that_ends_is_no_loss() {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    let remote = pair.listen_on_tcp();
    pair.run_for(Duration::from_secs(2));
    pair.input(Input::TcpConnected { local: "127.0.0.1:1500".parse().unwrap(), remote });
    pair.run_for(Duration::from_millis(100));
    pair.input(Input::TcpClosed { remote });
    assert!(
        !pair.events.iter().any(|event| matches!(event, RoomEvent::Reconnecting { .. })),
        "{:?}",
        pair.events
    );
}

#[test]
fn a_failed_tcp_connection_is_retried_while_there_is_no_path() {
    let mut pair = Pair::new(|config| config.join_timeout = Duration::from_secs(30));
    pair.tcp = true;
    pair.join();
    let remote = pair.listen_on_tcp();
    for n in 1..4 {
        pair.run_until("a TCP connection", |pair| pair.tcp_asked.len() == n);
        let asked = pair.now;
        pair.input(Input::TcpClosed { remote });
        pair.run_for(Duration::from_millis(500));
        assert_eq!(pair.tcp_asked.len(), n, "not at once");
        assert_eq!(pair.now - asked, Duration::from_millis(500));
    }
    pair.run_until("a TCP connection", |pair| pair.tcp_asked.len() == 4);
    pair.connect_tcp(remote);
    pair.run_until("connected", |pair| {
        pair.events.iter().any(|event| matches!(event, RoomEvent::Connected(_)))
    });
}

#[test]
fn no_setting_is_too_long() {
    let mut pair = Pair::new(|config| {
        config.reconnect_timeout = Duration::MAX;
        config.join_timeout = Duration::MAX;
        config.request_timeout = Duration::MAX;
        config.leave_timeout = Duration::MAX;
    });
    pair.connect();
    pair.command(1, RoomCommand::SetName("Agent".to_owned()));
    lose_signal(&mut pair);
    resume(&mut pair, 0);
    assert!(reconnected(&mut pair).resumed);
    pair.command(2, RoomCommand::Leave);
    pair.run_until("the end", |pair| pair.closed.is_some());
}

#[test]
fn a_participant_who_left_before_a_failed_join_is_still_reported() {
    let mut pair = connected();
    let ada = |state| proto::ParticipantInfo {
        sid: "PA_ada".to_owned(),
        identity: "ada".to_owned(),
        state,
        ..Default::default()
    };
    let participants = vec![ada(proto::participant_info::State::Joined as i32)];
    pair.server_sends(Response::Update(proto::ParticipantUpdate { participants, ..Default::default() }));
    pair.run_for(Duration::from_millis(10));
    pair.server_sends(Response::Leave(proto::LeaveRequest {
        action: proto::leave_request::Action::Reconnect as i32,
        ..Default::default()
    }));
    pair.run_until("another socket", |pair| pair.bind_asked);
    // The server admits us, without Ada, and there are no media.
    pair.answers = false;
    pair.rejoin();
    pair.run_until("a third socket", |pair| pair.bind_asked);
    pair.answers = true;
    pair.rejoin();
    reconnected(&mut pair);
    let left = pair.events.iter().filter(|event| matches!(event, RoomEvent::ParticipantLeft { .. })).count();
    assert_eq!(left, 1, "{:?}", pair.events);
    assert!(matches!(pair.events.last(), Some(RoomEvent::ParticipantLeft { .. })), "{:?}", pair.events);
}
