//! Frames from a backend to the readers of tracks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};

use agent_room::{
    Connected, ConnectionQuality, DisconnectReason, EncodedFrame, Participant, RoomCommand, RoomError,
    RoomEvent, RoomInfo, Speaker, SubscriptionChange, Track, TrackKind,
};

use crate::{EncodedAudioStream, FrameSender, Room, RoomBackend, RoomConnection, RoomRequest, TrackError};

/// With audio tracks `TR_<identity>` and `TR_<identity>2`, and a camera.
fn publisher(identity: &str) -> Participant {
    let mut participant = Participant::new(format!("PA_{identity}"), identity);
    for (sid, kind) in [("", TrackKind::Audio), ("2", TrackKind::Audio), ("_camera", TrackKind::Video)] {
        let sid = format!("TR_{identity}{sid}");
        participant.tracks.insert(sid.clone(), Track::new(sid, kind));
    }
    participant
}

/// A room with ada and bob.
fn room() -> (Room, RoomBackend, FrameSender) {
    let mut connected = Connected::new(RoomInfo::new("RM_1", "lobby"), Participant::new("PA_me", "me"));
    connected.participants = ["ada", "bob"].map(|who| Arc::new(publisher(who))).to_vec();
    let (room, backend) = RoomBackend::new(connected);
    let frames = backend.frames();
    (room, backend, frames)
}

fn frame(number: u64) -> EncodedFrame {
    EncodedFrame::new(number.to_string(), number, 0)
}

/// The numbers of all frames of a stream that has ended.
async fn numbers(stream: EncodedAudioStream) -> Vec<u64> {
    stream.map(|frame| frame.sequence).collect().await
}

#[tokio::test]
async fn each_reader_has_the_frames_of_its_track_and_unread_tracks_are_not_kept() {
    let (room, backend, mut frames) = room();
    frames.send("TR_ada", frame(0));
    let ada = room.encoded_audio("TR_ada").unwrap();
    frames.send("TR_bob", frame(10));
    let bob = room.encoded_audio("TR_bob").unwrap();
    for n in 1..4 {
        frames.send("TR_ada", frame(n));
        frames.send("TR_bob", frame(n + 10));
        frames.send("TR_bob2", frame(n + 100));
        frames.send("TR_nobody", frame(n + 1000));
    }
    let late = room.encoded_audio("TR_bob2").unwrap();
    assert_eq!(ada.track_sid(), "TR_ada");
    drop(backend);
    assert_eq!((numbers(ada).await, numbers(bob).await), (vec![1, 2, 3], vec![11, 12, 13]));
    assert!(numbers(late).await.is_empty());
}

#[tokio::test]
async fn a_slow_reader_has_the_newest_frames_and_the_number_of_those_that_it_lost() {
    let (room, backend, mut frames) = room();
    let connection = RoomConnection::new(room);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    connection.on_dropped(move |dropped| sender.send(dropped.frames).unwrap());
    let room = connection.begin_attempt();
    let slow = room.encoded_audio("TR_ada").unwrap();
    let smaller = room.encoded_audio("TR_bob").unwrap().capacity(3);
    let mut none = room.encoded_audio("TR_bob2").unwrap().capacity(0);
    for n in 0..5000 {
        frames.send("TR_ada", frame(n));
        frames.send("TR_bob", frame(n));
    }
    frames.send("TR_bob2", frame(0));
    frames.send("TR_bob2", frame(1));
    assert_eq!((slow.dropped(), smaller.dropped(), none.dropped()), (4950, 4997, 1));
    assert_eq!(
        format!("{smaller:?}"),
        r#"EncodedAudioStream { track_sid: "TR_bob", waiting: 3, dropped: 4997, .. }"#
    );
    assert_eq!(none.next().await.unwrap().sequence, 1, "one frame always waits");
    // Fewer from now on.
    let slow = slow.capacity(2);
    assert_eq!(slow.dropped(), 4998);
    drop(backend);
    assert_eq!((numbers(slow).await, numbers(smaller).await), (vec![4998, 4999], vec![4997, 4998, 4999]));
    let mut reported = 0;
    while let Ok(frames) = receiver.try_recv() {
        reported += frames;
    }
    assert_eq!(reported, 4998 + 4997 + 1);
}

#[tokio::test]
async fn frames_that_are_larger_than_packets_are_bounded_in_bytes() {
    let (room, backend, mut frames) = room();
    let stream = room.encoded_audio("TR_ada").unwrap().capacity(10);
    for n in 0..100 {
        frames.send("TR_ada", EncodedFrame::new(vec![0; 7000], n, 0));
    }
    drop(backend);
    assert_eq!(stream.dropped(), 98);
    assert_eq!(numbers(stream).await, [98, 99]);
}

#[tokio::test]
async fn a_stream_ends_with_its_track_publisher_or_room_after_its_queued_frames() {
    let (room, mut backend, mut frames) = room();
    let open = |sid| room.encoded_audio(sid).unwrap();
    let (ada, ada2, bob, bob2) = (open("TR_ada"), open("TR_ada2"), open("TR_bob"), open("TR_bob2"));
    let all = ["TR_ada", "TR_ada2", "TR_bob", "TR_bob2"];
    let mut send = |n| all.into_iter().for_each(|sid| frames.send(sid, frame(n)));
    send(1);
    let mut less = publisher("ada");
    let track = less.tracks.remove("TR_ada").unwrap();
    backend.emit(RoomEvent::TrackUnpublished { participant: less.into(), track });
    send(2);
    assert_eq!(numbers(ada).await, [1]);
    // Neither of these ends a stream.
    backend.emit(RoomEvent::TrackUnsubscribed { track_sid: "TR_bob".to_owned() });
    backend.emit(RoomEvent::Reconnected(Box::default()));
    send(3);
    let reason = DisconnectReason::ClientInitiated;
    backend.emit(RoomEvent::ParticipantLeft { participant: publisher("ada").into(), reason });
    send(4);
    assert_eq!(numbers(ada2).await, [1, 2, 3]);
    // A reader that waits.
    let waiting = tokio::spawn(numbers(bob));
    tokio::task::yield_now().await;
    backend.emit(RoomEvent::Disconnected { reason: DisconnectReason::RoomClosed });
    send(5);
    assert_eq!(waiting.await.unwrap(), [1, 2, 3, 4]);
    assert_eq!(numbers(bob2).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn the_streams_of_an_attempt_end_with_it_and_the_next_attempt_opens_its_own() {
    let (room, _backend, mut frames) = room();
    let connection = RoomConnection::new(room);
    let first = connection.begin_attempt();
    let stream = first.encoded_audio("TR_ada").unwrap();
    frames.send("TR_ada", frame(1));
    let waiting = tokio::spawn(numbers(first.encoded_audio("TR_bob").unwrap()));
    tokio::task::yield_now().await;
    connection.end_attempt();
    assert!(waiting.await.unwrap().is_empty());
    frames.send("TR_ada", frame(2));
    let over = first.encoded_audio("TR_ada").unwrap_err();
    assert_eq!(over, TrackError::Room(RoomError::AttemptOver));

    let second = connection.begin_attempt();
    // The one before is not dropped yet, and takes nothing away.
    let again = second.encoded_audio("TR_ada").unwrap();
    frames.send("TR_ada", frame(3));
    assert_eq!(numbers(stream).await, [1]);
    frames.send("TR_ada", frame(4));
    let third = connection.begin_attempt();
    frames.send("TR_ada", frame(5));
    assert_eq!(numbers(again).await, [3, 4]);
    assert!(third.encoded_audio("TR_ada").is_ok());
}

#[tokio::test]
async fn a_track_that_cannot_be_read_has_a_reason() {
    let (room, backend, mut frames) = room();
    let refused = |sid: &str| room.encoded_audio(sid).unwrap_err();
    let sid = "TR_other".to_owned();
    assert_eq!(refused("TR_other"), TrackError::NotPublished { sid });
    let (sid, kind) = ("TR_ada_camera".to_owned(), TrackKind::Video);
    assert_eq!(refused("TR_ada_camera"), TrackError::NotAudio { sid, kind });
    let first = room.encoded_audio("TR_ada").unwrap();
    assert_eq!(refused("TR_ada"), TrackError::AlreadyRead { sid: "TR_ada".to_owned() });
    frames.send("TR_ada", frame(1));
    drop(first);
    frames.send("TR_ada", frame(2));
    let second = room.encoded_audio("TR_ada").unwrap();
    frames.send("TR_ada", frame(3));
    drop(backend);
    assert_eq!(numbers(second).await, [3]);
    assert_eq!(refused("TR_ada"), TrackError::Room(RoomError::NotConnected));
    let text = refused("TR_ada\n").to_string();
    assert!(!text.contains('\n'), "{text}");
}

#[tokio::test]
async fn a_waiting_reader_is_woken_and_a_dropped_read_loses_nothing() {
    let (room, _backend, mut frames) = room();
    let mut stream = room.encoded_audio("TR_ada").unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, stream.next()).await.is_err());
    let reading = tokio::spawn(async move { stream.next().await });
    tokio::task::yield_now().await;
    frames.send("TR_ada", frame(7));
    assert_eq!(reading.await.unwrap().unwrap().sequence, 7);
}

/// Streams are opened and closed while another thread sends: none gets a frame of another track, and each is
/// in order.
#[test]
fn streams_are_opened_and_closed_while_frames_come() {
    let (room, backend, mut frames) = room();
    let sending = std::thread::spawn(move || {
        for n in 0..20_000 {
            frames.send("TR_ada", EncodedFrame::new("ada", n, 0));
            frames.send("TR_bob", EncodedFrame::new("bob", n, 0));
        }
        drop(backend);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut last = 0;
        'room: loop {
            for (sid, payload) in [("TR_ada", "ada"), ("TR_bob", "bob")] {
                let Ok(mut stream) = room.encoded_audio(sid) else { break 'room };
                for _ in 0..3 {
                    let Some(frame) = stream.next().await else { break };
                    assert_eq!(frame.payload, payload);
                    assert!(frame.sequence >= last, "{} after {last}", frame.sequence);
                    last = frame.sequence;
                }
            }
        }
    });
    sending.join().unwrap();
}

#[tokio::test]
async fn a_sender_can_wait_for_a_reader() {
    let (room, backend, mut frames) = room();
    let waits = tokio::spawn(frames.reader("TR_ada"));
    let _other = room.encoded_audio("TR_bob").unwrap();
    assert!(frames.reader("TR_ada").now_or_never().is_none(), "that is another track");
    let ada = room.encoded_audio("TR_ada").unwrap();
    waits.await.unwrap();
    assert!(frames.reader("TR_ada").now_or_never().is_some(), "there is one already");
    frames.send("TR_ada", frame(1));
    drop(backend);
    assert_eq!(numbers(ada).await, [1]);
}

/// The next command that the backend gets.
async fn command(backend: &mut RoomBackend) -> RoomCommand {
    match backend.next_request().await.unwrap() {
        RoomRequest::Command { command, reply, .. } => {
            reply.send(Ok(()));
            command
        }
        RoomRequest::Call { .. } => panic!("nothing is called"),
    }
}

fn change(sid: &str, change: SubscriptionChange) -> RoomCommand {
    RoomCommand::ChangeSubscription { track_sid: sid.to_owned(), change }
}

#[tokio::test]
async fn the_backend_knows_what_is_read_and_chosen_by_hand() {
    let (room, mut backend, _frames) = room();
    let connection = RoomConnection::new(room);
    let room = connection.begin_attempt();
    let stream = room.encoded_audio("TR_ada").unwrap();
    let RoomCommand::ChangeSubscription { track_sid, change: SubscriptionChange::Read(reader) } =
        command(&mut backend).await
    else {
        panic!("the track is read")
    };
    assert_eq!(track_sid, "TR_ada");
    let room2 = room.clone();
    let chosen = tokio::spawn(async move {
        room2.set_subscribed("TR_bob", false).await?;
        room2.set_track_enabled("TR_ada", false).await
    });
    assert_eq!(command(&mut backend).await, change("TR_bob", SubscriptionChange::Subscribe(false)));
    assert_eq!(command(&mut backend).await, change("TR_ada", SubscriptionChange::Enable(false)));
    chosen.await.unwrap().unwrap();
    connection.end_attempt();
    assert_eq!(room.set_subscribed("TR_bob", true).await, Err(RoomError::AttemptOver));
    // The stream of an attempt that is over is dropped in the next one.
    let again = connection.begin_attempt();
    let second = again.encoded_audio("TR_ada").unwrap();
    drop(stream);
    assert!(matches!(command(&mut backend).await, RoomCommand::ResetSubscriptions { .. }));
    let read = command(&mut backend).await;
    assert!(
        matches!(&read, RoomCommand::ChangeSubscription { change: SubscriptionChange::Read(other), .. } if *other != reader),
        "{read:?}"
    );
    assert_eq!(command(&mut backend).await, change("TR_ada", SubscriptionChange::StopReading(reader)));
    drop(second);
    command(&mut backend).await;
    // Without a choice there is nothing to reset.
    let _third = connection.begin_attempt();
    assert!(backend.next_request().now_or_never().is_none());
}

#[tokio::test]
async fn a_handle_shows_subscriptions_speakers_and_connection_qualities() {
    let (room, mut backend, _frames) = room();
    let (participant, track) = (Arc::new(publisher("ada")), Track::new("TR_ada", TrackKind::Audio));
    backend.emit(RoomEvent::TrackSubscribed { participant, track });
    backend.emit(RoomEvent::SpeakersChanged(vec![Speaker::new("ada", 0.5)]));
    let (identity, quality) = ("bob".to_owned(), ConnectionQuality::Poor);
    backend.emit(RoomEvent::ConnectionQualityChanged { identity, quality });
    assert!(room.is_subscribed("TR_ada") && !room.is_subscribed("TR_bob"));
    assert_eq!(room.active_speakers(), [Speaker::new("ada", 0.5)]);
    assert_eq!(room.connection_quality("bob"), Some(ConnectionQuality::Poor));
    assert_eq!(room.connection_quality("ada"), None);
}
