//! A room whose connection breaks, against str0m as the server, over a network in memory and a clock that jumps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod common;

use agent_proto::livekit as proto;
use agent_room::{Command, DisconnectReason, Input, Publish, Reconnected, RoomEvent};
use common::{Pair, join_request};
use proto::{data_packet::Value, signal_request::Message as Request, signal_response::Message as Response};
use std::time::Duration;

fn connected() -> Pair {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    pair
}

fn publish(payload: &str) -> Command {
    Command::Publish(Publish::new("n", payload.to_owned()))
}

fn lose_signal(pair: &mut Pair) {
    pair.url = None;
    pair.input(Input::SignalClosed { reason: "reset".to_owned() });
}

/// Opens the WebSocket that was asked for, and says that the session is known.
fn resume(pair: &mut Pair, last_message_seq: u32) {
    pair.run_until("another WebSocket", |pair| pair.url.is_some());
    let request = join_request(pair.url.as_ref().unwrap());
    assert!(request.reconnect && request.participant_sid == "PA_me", "{request:?}");
    pair.input(Input::SignalOpened);
    pair.say(Response::Reconnect(proto::ReconnectResponse { last_message_seq, ..Default::default() }));
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

/// The sequence numbers that a server would take: it drops what it has seen.
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
fn data_goes_on_while_the_signal_is_resumed() {
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
    let sync = sync.expect("the server is told what we have");
    let labels: Vec<&str> = sync.data_channels.iter().map(|channel| channel.label.as_str()).collect();
    assert_eq!(labels, ["_reliable", "_lossy"]);
    assert!(sync.answer.as_ref().unwrap().sdp.starts_with("v=0") && sync.offer.is_some());
    assert_eq!(pair.room.violations(), 0);
}

#[test]
fn what_the_server_has_not_seen_is_sent_again_in_order() {
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
fn a_dead_network_is_noticed_in_time_and_found_again() {
    let mut pair = connected();
    let start = pair.now;
    pair.lose = |_| true;
    // The signalling goes on.
    while !pair.events.iter().any(|event| matches!(event, RoomEvent::Reconnecting { .. })) {
        pair.say(Response::Pong(1));
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
fn a_media_connection_that_the_server_closed_is_made_anew() {
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
fn what_another_session_loses_is_told() {
    let mut pair = connected();
    let packet = |sequence| proto::DataPacket {
        participant_identity: "ada".to_owned(),
        participant_sid: "PA_ada".to_owned(),
        sequence,
        value: Some(Value::User(proto::UserPacket { payload: "x".into(), ..Default::default() })),
        ..Default::default()
    };
    pair.send("_reliable", &packet(4));
    pair.run_until("the packet", |pair| matches!(pair.events.last(), Some(RoomEvent::DataReceived(_))));
    // Neither of these arrives.
    pair.lose = |_| true;
    pair.command(1, publish("lost"));
    pair.command(2, publish("lost too"));
    pair.say(Response::Leave(proto::LeaveRequest {
        action: proto::leave_request::Action::Reconnect as i32,
        ..Default::default()
    }));
    pair.run_until("the loss", |pair| pair.bind_asked);
    pair.lose = |_| false;
    pair.rejoin();
    let again = reconnected(&mut pair);
    assert_eq!((again.resumed, again.unconfirmed), (false, 2));
    pair.send("_reliable", &packet(9));
    pair.send("_reliable", &packet(12));
    let heard = |pair: &Pair| {
        let heard = pair.events.iter().filter(|event| matches!(event, RoomEvent::DataReceived(_)));
        heard.count() == 3
    };
    pair.run_until("the next packets", heard);
    let missed: Vec<_> =
        pair.events.iter().filter(|event| matches!(event, RoomEvent::DataMissed { .. })).collect();
    assert_eq!(missed, [&RoomEvent::DataMissed { sender: "ada".to_owned(), up_to: 4 }]);
    assert!(pair.received.is_empty(), "nothing is sent twice: {:?}", pair.received);
}

#[test]
fn an_offer_that_was_not_answered_is_made_again_by_a_resume() {
    let mut pair = connected();
    pair.answers = false;
    pair.say(Response::MediaSectionsRequirement(proto::MediaSectionsRequirement {
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
    // The same once more, and then the one that looks for another way.
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
    // Its end is noticed at once.
    pair.input(Input::TcpClosed { remote });
    assert!(matches!(pair.events.last(), Some(RoomEvent::Reconnecting { .. })), "{:?}", pair.events.last());
}
