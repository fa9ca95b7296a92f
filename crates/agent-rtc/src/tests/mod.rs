//! The handle over a backend of the test: the behaviour that mock rooms rely on.

mod descriptors;
mod files;
mod joins;
#[cfg(feature = "media")]
mod pcm;
mod rpc;
mod streams;
mod tracks;
mod transcripts;
mod video;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use agent_room::{
    Connected, DataReceived, DisconnectReason, Missed, MissedCause, Participant, RoomCommand, RoomError,
    RoomEvent, RoomInfo, Track, TrackKind,
};

use super::{Room, RoomBackend, RoomConnection, RoomRequest};

fn participant(identity: &str) -> Participant {
    let mut participant = Participant::new(format!("PA_{identity}"), identity);
    participant.active = true;
    participant
}

fn room() -> (Room, RoomBackend) {
    let mut connected = Connected::new(RoomInfo::new("RM_1", "lobby"), participant("me"));
    connected.participants = vec![Arc::new(participant("ada"))];
    RoomBackend::new(connected)
}

fn data(text: &'static str) -> RoomEvent {
    RoomEvent::DataReceived(DataReceived::new("t", text, Some("ada".to_owned())))
}

/// A short text for an event.
fn summary(event: &RoomEvent) -> String {
    match event {
        RoomEvent::ParticipantJoined(p) => format!("joined {}", p.identity),
        RoomEvent::ParticipantActive(p) => format!("active {}", p.identity),
        RoomEvent::ParticipantLeft { participant, .. } => format!("left {}", participant.identity),
        RoomEvent::TrackPublished { track, .. } => format!("track {}", track.sid),
        RoomEvent::DataReceived(m) => format!("data {}", String::from_utf8_lossy(&m.payload)),
        RoomEvent::Disconnected { reason } => format!("disconnected: {reason}"),
        other => format!("{other:?}"),
    }
}

/// The queued events of a stream that has ended, as short texts.
async fn summaries(room: &Room) -> Vec<String> {
    let mut events = room.events();
    let mut summaries = Vec::new();
    while let Some(event) = events.next().await {
        summaries.push(summary(&event));
    }
    summaries
}

#[tokio::test]
async fn the_first_stream_has_everything_since_the_join_and_later_ones_the_present_participants() {
    let (room, mut backend) = room();
    backend.emit(data("before anybody listened"));
    let mut bob = participant("bob");
    backend.emit(RoomEvent::ParticipantJoined(Arc::new(bob.clone())));
    let mut first = room.events();
    bob.tracks.insert("TR_1".to_owned(), Track::new("TR_1", TrackKind::Audio));
    let bob = Arc::new(bob);
    let track = Track::new("TR_1", TrackKind::Audio);
    backend.emit(RoomEvent::TrackPublished { participant: bob.clone(), track });
    let mut second = room.events();
    backend.emit(RoomEvent::ParticipantLeft { participant: bob, reason: DisconnectReason::ClientInitiated });
    backend.emit(RoomEvent::Disconnected { reason: DisconnectReason::RoomClosed });

    let mut received = Vec::new();
    while let Some(event) = first.next().await {
        received.push(summary(&event));
    }
    let end = "disconnected: the room closed";
    assert_eq!(
        received,
        [
            "joined ada",
            "active ada",
            "data before anybody listened",
            "joined bob",
            "track TR_1",
            "left bob",
            end
        ]
    );
    let mut received = Vec::new();
    while let Some(event) = second.next().await {
        received.push(summary(&event));
    }
    assert_eq!(
        received,
        ["joined ada", "active ada", "joined bob", "active bob", "track TR_1", "left bob", end]
    );
    // After the end: the last participants, and no waiting.
    assert_eq!(summaries(&room).await, ["joined ada", "active ada"]);
}

#[tokio::test]
async fn another_attempt_begins_with_the_present_participants_and_unread_events() {
    let (room, mut backend) = room();
    let connection = RoomConnection::new(room);
    let room = connection.begin_attempt();
    let mut first = room.events();
    let mut stray = room.data("t");
    backend.emit(data("read"));
    backend.emit(data("unread"));
    for expected in ["joined ada", "active ada", "data read"] {
        assert_eq!(summary(&first.next().await.unwrap()), expected);
    }
    drop(first);
    backend.emit(data("in between"));
    let waiting = tokio::spawn(async move {
        let mut read = Vec::new();
        while let Some(Ok(message)) = stray.next().await {
            read.push(message.payload);
        }
        read
    });
    tokio::task::yield_now().await;
    connection.end_attempt();
    // A task that outlives its attempt gets no events of the next one.
    assert_eq!(waiting.await.unwrap(), ["read", "unread", "in between"]);
    backend.emit(data("between the attempts"));
    let room = connection.begin_attempt();
    backend.emit(data("for the second"));
    drop(backend);
    let end = "disconnected: the signalling connection was lost: the room's task ended";
    let unread = ["data unread", "data in between", "data between the attempts", "data for the second"];
    assert_eq!(summaries(&room).await, [&["joined ada", "active ada"], &unread[..], &[end]].concat());
    let data: Vec<_> = room.data("t").map(|message| message.unwrap().payload).collect().await;
    assert_eq!(data, ["between the attempts", "for the second"]);
}

#[tokio::test]
async fn a_handle_of_an_attempt_that_is_over_reports_it() {
    let (room, mut backend) = room();
    let kept = room.clone();
    let connection = RoomConnection::new(room);
    let first = connection.begin_attempt();
    let (mut streams, mut beside) = (first.events(), kept.observe());
    assert!(first.is_connected() && kept.is_connected(), "both are of the first attempt");
    connection.end_attempt();
    for over in [&first, &kept] {
        assert!(!over.is_connected());
        assert_eq!(over.publish_data("t", "late").await, Err(RoomError::AttemptOver));
        assert_eq!(over.set_name("late").await, Err(RoomError::AttemptOver));
        assert!(summaries(over).await.is_empty() && over.all_data().next().await.is_none());
        assert!(over.observe().next().await.is_none());
        // An attempt that is over cannot leave the room.
        over.leave().await;
    }
    assert_eq!((streams.next().await, beside.next().await), (None, None));
    // The room itself stays joined.
    assert!(connection.is_connected());
    assert_eq!(connection.view(|view| view.participants().len()), 1);
    let second = connection.begin_attempt();
    drop((first, kept));
    let renamed = tokio::spawn(async move { second.set_name("n").await });
    let RoomRequest::Command { reply, .. } = backend.next_request().await.unwrap() else { panic!() };
    reply.send(Ok(()));
    assert_eq!(renamed.await.unwrap(), Ok(()));
    drop(connection);
    assert!(backend.next_request().await.is_none(), "no handle of the room is left");
}

#[tokio::test]
async fn a_slow_reader_of_one_topic_gets_messages_in_order_and_the_loss_is_reported() {
    let (room, mut backend) = room();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let connection = RoomConnection::new(room);
    connection.on_dropped(move |dropped| sender.send(dropped).unwrap());
    let room = connection.begin_attempt();
    let (mut slow, mut other) = (room.data("t"), room.data("other"));
    for n in 0..5000_u32 {
        backend.emit(RoomEvent::DataReceived(DataReceived::new("t", n.to_string(), None)));
    }
    backend.emit(RoomEvent::DataReceived(DataReceived::new("other", "only one", None)));
    drop(backend);
    let missed = slow.next().await.unwrap().unwrap_err();
    assert_eq!(missed, Missed::new(3976, MissedCause::QueueFull));
    assert_eq!(slow.next().await.unwrap().unwrap().payload, "3976");
    assert_eq!(slow.by_ref().count().await, 1023);
    assert_eq!(other.next().await.unwrap().unwrap().payload, "only one");
    assert_eq!(other.next().await, None);
    let mut reported = 0;
    while let Ok(dropped) = receiver.try_recv() {
        reported += dropped.messages;
        assert_eq!(dropped.events, 0, "events have no reader");
    }
    assert_eq!(reported, 3976);
}

#[tokio::test]
async fn a_waiting_reader_is_woken_and_a_dropped_read_loses_nothing() {
    let (room, mut backend) = room();
    let mut chat = room.data("t");
    assert!(tokio::time::timeout(Duration::ZERO, chat.next()).await.is_err());
    let reading = tokio::spawn(async move { chat.next().await });
    tokio::task::yield_now().await;
    backend.emit(data("hello"));
    assert_eq!(reading.await.unwrap().unwrap().unwrap().payload, "hello");
    assert_eq!(format!("{:?}", room.data("t")), "RoomData { waiting: 0, .. }");
}

#[tokio::test]
async fn the_list_of_participants_follows_the_events() {
    let (room, mut backend) = room();
    assert_eq!((room.name(), room.sid().as_str()), ("lobby", "RM_1"));
    assert_eq!(room.participants().len(), 1);
    let mut ada = participant("ada");
    ada.metadata = "tall".to_owned();
    backend.emit(RoomEvent::MetadataChanged(Arc::new(ada.clone())));
    assert_eq!(room.participant("ada").unwrap().metadata, "tall");
    let mut me = participant("me");
    me.name = "Me".to_owned();
    backend.emit(RoomEvent::NameChanged(Arc::new(me)));
    assert_eq!(room.local_participant().name, "Me");
    assert!(room.participant("me").is_none());
    let mut info = RoomInfo::new("RM_1", "lobby");
    info.metadata = "blue".to_owned();
    backend.emit(RoomEvent::RoomMetadataChanged(info));
    assert_eq!(room.metadata(), "blue");
    let reason = DisconnectReason::Removed;
    backend.emit(RoomEvent::ParticipantLeft { participant: Arc::new(ada), reason });
    assert!(room.participants().is_empty());
}

#[tokio::test]
async fn commands_reach_the_backend_and_its_answers_the_caller() {
    let (room, mut backend) = room();
    let task = tokio::spawn(async move {
        let sent = room.publish_data("t", "hello").lossy().to(["ada"]).await;
        let refused = room.set_attributes([("k", "v")]).await;
        let dropped = room.set_name("n").await;
        (sent, refused, dropped)
    });
    let RoomRequest::Command { command: RoomCommand::Publish(message), reply, .. } =
        backend.next_request().await.unwrap()
    else {
        panic!("not published")
    };
    assert_eq!((&message.payload[..], message.topic.as_str(), message.reliable), (&b"hello"[..], "t", false));
    assert_eq!(message.destinations, ["ada"]);
    reply.send(Ok(()));
    let RoomRequest::Command { command, reply, .. } = backend.next_request().await.unwrap() else { panic!() };
    assert!(matches!(command, RoomCommand::SetAttributes(attributes) if attributes["k"] == "v"));
    reply.send(Err(RoomError::QueueFull));
    drop(backend.next_request().await.unwrap());
    let (sent, refused, dropped) = task.await.unwrap();
    assert_eq!(sent, Ok(()));
    assert_eq!(refused, Err(RoomError::QueueFull));
    assert_eq!(dropped, Err(RoomError::NotConnected));
    assert!(backend.next_request().await.is_none(), "the last handle is gone");
}

#[tokio::test]
async fn dropping_the_backend_ends_the_room() {
    let (room, backend) = room();
    assert!(room.is_connected());
    let waiting = tokio::spawn({
        let room = room.clone();
        async move { room.set_metadata("m").await }
    });
    tokio::task::yield_now().await;
    drop(backend);
    assert!(matches!(room.closed().await, DisconnectReason::SignalLost { .. }));
    assert!(!room.is_connected());
    assert_eq!(waiting.await.unwrap(), Err(RoomError::NotConnected));
    assert_eq!(room.publish_data("t", "x").await, Err(RoomError::NotConnected));
    room.leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_leave_never_hangs() {
    let (room, backend) = room();
    let start = tokio::time::Instant::now();
    room.leave().await;
    assert_eq!(start.elapsed(), Duration::from_secs(3), "the backend does nothing");
    drop(backend);
}
