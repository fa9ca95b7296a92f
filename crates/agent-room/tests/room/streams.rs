//! Text and byte streams, and calls, over data channels.

use std::collections::BTreeMap;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::livekit as proto;
use agent_room::{
    IncomingStream, Input, Publish, RoomCommand, RoomError, RoomEvent, RpcCall, RpcRequestId, StreamError,
    StreamEvent, StreamInfo, StreamKind, StreamLimits, StreamOptions, StreamReaders,
};

use crate::support::Pair;
use proto::data_packet::Value;
use proto::signal_response::Message as Response;

fn connected() -> Pair {
    let mut pair = Pair::new(|config| config.created_at_ms = 1_000_000);
    pair.connect();
    pair
}

/// A participant in the room, with what their client can read.
fn joins(pair: &mut Pair, identity: &str, client_protocol: i32, capabilities: &[i32]) {
    let participant = proto::ParticipantInfo {
        sid: format!("PA_{identity}"),
        identity: identity.to_owned(),
        state: proto::participant_info::State::Active as i32,
        client_protocol,
        capabilities: capabilities.to_vec(),
        ..Default::default()
    };
    pair.server_sends(Response::Update(proto::ParticipantUpdate {
        participants: vec![participant],
        ..Default::default()
    }));
    pair.run_for(Duration::from_millis(20));
}

fn ada_leaves(pair: &mut Pair) {
    let gone = proto::ParticipantInfo {
        sid: "PA_ada".to_owned(),
        identity: "ada".to_owned(),
        state: proto::participant_info::State::Disconnected as i32,
        ..Default::default()
    };
    pair.server_sends(Response::Update(proto::ParticipantUpdate {
        participants: vec![gone],
        ..Default::default()
    }));
}

fn from_ada(value: Value) -> proto::DataPacket {
    proto::DataPacket {
        participant_identity: "ada".to_owned(),
        participant_sid: "PA_ada".to_owned(),
        value: Some(value),
        ..Default::default()
    }
}

fn send(options: StreamOptions, content: impl Into<Bytes>) -> RoomCommand {
    RoomCommand::SendStream { options: Box::new(options), content: content.into() }
}

fn text(id: &str) -> StreamOptions {
    StreamOptions::new(id, "chat", StreamKind::text())
}

fn is_done(id: u64) -> impl Fn(&Pair) -> bool {
    move |pair| pair.done.contains_key(&id)
}

/// The packets that the server has received of one stream.
fn values(pair: &Pair) -> Vec<&Value> {
    pair.received.iter().filter_map(|(_, packet)| packet.value.as_ref()).collect()
}

/// Sends what we have sent back to us, as ada's; returns what a reader gets.
fn read_back(pair: &mut Pair) -> Vec<u8> {
    let values: Vec<Value> = values(pair).into_iter().cloned().collect();
    // Not more at a time than the channel accepts.
    for some in values.chunks(4) {
        some.iter().for_each(|value| pair.send("_reliable", &from_ada(value.clone())));
        pair.run_for(Duration::from_millis(20));
    }
    pair.run_until("the end", |pair| matches!(pair.streams.last(), Some(StreamEvent::Ended { .. })));
    let mut readers = StreamReaders::new(StreamLimits::default());
    readers.open_topic(false, "file");
    pair.streams.drain(..).for_each(|event| drop(readers.push(event)));
    let mut content = Vec::new();
    while let Poll::Ready(Some(piece)) = readers.read(IncomingStream(1)) {
        content.extend_from_slice(&piece.unwrap());
    }
    content
}

#[test]
fn the_form_follows_from_what_the_recipients_can_read() {
    let long = "long ".repeat(10_000);
    for (protocol, capabilities, packets) in [(0, &[][..], 6), (2, &[], 6), (2, &[2], 1), (1, &[2], 6)] {
        let mut pair = connected();
        joins(&mut pair, "ada", 2, &[1, 2]);
        joins(&mut pair, "bob", protocol, capabilities);
        pair.command(1, send(text("s"), long.clone()));
        pair.run_until("the send", is_done(1));
        pair.run_until("the packets", |pair| pair.received.len() == packets);
        assert_eq!(pair.done[&1], Ok(()));
        let Value::StreamHeader(header) = values(&pair)[0] else { panic!("{:?}", values(&pair)) };
        assert!((1_000_000..1_010_000).contains(&header.timestamp), "{}", header.timestamp);
        assert_eq!(header.compression, i32::from(packets == 1));
        assert_eq!(read_back(&mut pair), long.as_bytes());
    }
    // Only to ada, who can read everything, and to an empty room.
    for destinations in [vec!["ada".to_owned()], Vec::new()] {
        let mut pair = connected();
        if !destinations.is_empty() {
            joins(&mut pair, "ada", 2, &[2]);
            joins(&mut pair, "bob", 0, &[]);
        }
        let mut options = text("s");
        options.destinations = destinations;
        pair.command(1, send(options, "short"));
        pair.run_until("the packet", |pair| pair.received.len() == 1);
        let Value::StreamHeader(header) = values(&pair)[0] else { panic!("{:?}", values(&pair)) };
        assert_eq!(header.inline_content.as_deref(), Some(&b"short"[..]));
    }
}

#[test]
fn a_long_stream_does_not_hold_up_messages() {
    let mut pair = connected();
    joins(&mut pair, "ada", 0, &[]);
    let content: Vec<u8> = (0..2_000_000_u32).map(|n| n.to_le_bytes()[1] ^ n.to_le_bytes()[0]).collect();
    pair.command(1, send(StreamOptions::new("s", "file", StreamKind::bytes()), content.clone()));
    pair.command(2, RoomCommand::Publish(Publish::new("t", "now")));
    pair.run_until("the message", is_done(2));
    assert!(!pair.done.contains_key(&1), "the stream is still being sent");
    pair.run_until("the stream", is_done(1));
    pair.run_until("the trailer", |pair| matches!(values(pair).last(), Some(Value::StreamTrailer(_))));
    pair.received.retain(|(_, packet)| !matches!(packet.value, Some(Value::User(_))));
    assert!(read_back(&mut pair) == content);
}

#[test]
fn a_stream_in_parts_and_its_end() {
    let mut pair = connected();
    joins(&mut pair, "ada", 2, &[2]);
    pair.command(1, RoomCommand::OpenStream(Box::new(text("s"))));
    pair.command(2, RoomCommand::WriteStream { stream: 1, content: "one ".into() });
    pair.command(3, RoomCommand::WriteStream { stream: 1, content: "two".into() });
    let attributes = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    pair.command(4, RoomCommand::CloseStream { stream: 1, reason: String::new(), attributes });
    pair.run_until("the end", |pair| pair.received.len() == 4);
    assert!((1..=4).all(|id| pair.done[&id] == Ok(())), "{:?}", pair.done);
    pair.command(5, RoomCommand::WriteStream { stream: 1, content: "late".into() });
    assert_eq!(pair.done[&5], Err(RoomError::StreamClosed));
    assert_eq!(read_back(&mut pair), b"one two");
}

#[test]
fn without_the_permission_nothing_is_sent() {
    let mut pair = connected();
    let me = proto::ParticipantInfo {
        sid: "PA_me".to_owned(),
        identity: "me".to_owned(),
        permission: Some(proto::ParticipantPermission::default()),
        version: 9,
        ..Default::default()
    };
    pair.server_sends(Response::Update(proto::ParticipantUpdate {
        participants: vec![me],
        ..Default::default()
    }));
    pair.run_for(Duration::from_millis(20));
    pair.command(1, send(text("s"), "x"));
    pair.command(2, RoomCommand::OpenStream(Box::new(text("s"))));
    assert!([1, 2].iter().all(|id| matches!(pair.done[id], Err(RoomError::NotAllowed { .. }))));
    pair.input(Input::Called { id: 3, call: RpcCall::new("r", "ada", "m", "") });
    assert_eq!(pair.calls[0].1.as_ref().unwrap_err().code, 1505);
}

#[test]
fn a_leave_waits_for_sent_packets() {
    let mut pair = connected();
    joins(&mut pair, "ada", 0, &[]);
    pair.command(1, send(text("s"), "x".repeat(400_000)));
    pair.command(2, RoomCommand::Leave);
    pair.run_until("the end", |pair| pair.closed.is_some());
    assert_eq!((&pair.done[&1], &pair.done[&2]), (&Ok(()), &Ok(())));
    assert!(matches!(values(&pair).last(), Some(Value::StreamTrailer(_))));
}

#[test]
fn a_sender_that_leaves_ends_its_streams() {
    let mut pair = connected();
    joins(&mut pair, "ada", 2, &[]);
    let header = proto::data_stream::Header {
        stream_id: "s".to_owned(),
        content_header: Some(proto::data_stream::header::ContentHeader::TextHeader(Default::default())),
        ..Default::default()
    };
    pair.send("_reliable", &from_ada(Value::StreamHeader(header)));
    pair.run_until("the stream", |pair| !pair.streams.is_empty());
    ada_leaves(&mut pair);
    pair.run_for(Duration::from_millis(1900));
    assert_eq!(pair.streams.len(), 1);
    pair.run_until("the end", |pair| pair.streams.len() == 2);
    let StreamEvent::Ended { result: Err(error), .. } = &pair.streams[1] else {
        panic!("{:?}", pair.streams)
    };
    assert_eq!(error.to_string(), "the sender left the room before the end of the stream");
}

/// Updates of participants may come later than their data, or only report that they left.
#[test]
fn a_stream_of_an_unannounced_participant_ends_when_they_leave() {
    let mut pair = connected();
    let header = |id: &str| {
        let header = StreamInfo::new(id, "chat", StreamKind::text());
        Value::StreamHeader(proto::data_stream::Header {
            stream_id: header.id,
            topic: header.topic,
            content_header: Some(proto::data_stream::header::ContentHeader::TextHeader(Default::default())),
            ..Default::default()
        })
    };
    pair.send("_reliable", &from_ada(header("before")));
    pair.run_until("the stream", |pair| pair.streams.len() == 1);
    ada_leaves(&mut pair);
    pair.run_for(Duration::from_millis(1000));
    pair.send("_reliable", &from_ada(header("late")));
    pair.run_until("the late stream", |pair| pair.streams.len() == 2);
    pair.run_until("both ends", |pair| pair.streams.len() == 4);
    let left = pair
        .streams
        .iter()
        .filter(|event| matches!(event, StreamEvent::Ended { result: Err(StreamError::SenderLeft), .. }));
    assert_eq!(left.count(), 2);
    assert!(pair.events.iter().all(|event| !matches!(event, RoomEvent::ParticipantLeft { .. })));
}

#[test]
fn calls_in_both_directions() {
    let mut pair = connected();
    joins(&mut pair, "ada", 0, &[]);
    joins(&mut pair, "bob", 1, &[]);
    pair.input(Input::Called { id: 1, call: RpcCall::new("r1", "ada", "greet", "hi") });
    pair.input(Input::Called { id: 2, call: RpcCall::new("r2", "bob", "greet", "hi") });
    pair.run_until("the requests", |pair| pair.received.len() == 4);
    assert!(matches!(values(&pair)[0], Value::RpcRequest(request) if request.id == "r1"));
    let Value::StreamHeader(header) = values(&pair)[1] else { panic!("{:?}", values(&pair)) };
    assert_eq!(
        (header.topic.as_str(), header.attributes["lk.rpc_request_id"].as_str()),
        ("lk.rpc_request", "r2")
    );
    let answer = proto::RpcResponse {
        request_id: "r1".to_owned(),
        value: Some(proto::rpc_response::Value::Payload("hello".to_owned())),
    };
    pair.send("_reliable", &from_ada(Value::RpcAck(proto::RpcAck { request_id: "r1".to_owned() })));
    pair.send("_reliable", &from_ada(Value::RpcResponse(answer)));
    pair.run_until("the answer", |pair| !pair.calls.is_empty());
    assert_eq!(pair.calls, [(1, Ok("hello".to_owned()))]);
    // Bob does not answer.
    pair.run_until("the timeout", |pair| pair.calls.len() == 2);
    assert_eq!(pair.calls[1].1.as_ref().unwrap_err().code, 1501);

    pair.received.clear();
    pair.command(3, RoomCommand::RegisterMethod("greet".to_owned()));
    let request = proto::RpcRequest {
        id: "r3".to_owned(),
        method: "greet".to_owned(),
        payload: "hi".to_owned(),
        version: 1,
        ..Default::default()
    };
    pair.send("_reliable", &from_ada(Value::RpcRequest(request)));
    pair.run_until("the request", |pair| !pair.rpc_requests.is_empty());
    assert_eq!((pair.rpc_requests[0].caller.as_str(), pair.rpc_requests[0].payload.as_str()), ("ada", "hi"));
    pair.command(4, RoomCommand::Respond { request: RpcRequestId(1), result: Ok("hello".to_owned()) });
    pair.run_until("both answers", |pair| pair.received.len() == 2);
    assert!(matches!(values(&pair)[1], Value::RpcResponse(response) if response.request_id == "r3"));
    assert!(pair.unknown_methods.is_empty() && pair.room.violations() == 0);
}
