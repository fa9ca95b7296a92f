//! Text and byte streams of a handle.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;

use agent_room::{
    CommandId, IncomingStream, RoomCommand, RoomError, StreamError, StreamEvent, StreamInfo, StreamKind,
    StreamOptions,
};

use super::{Room, RoomBackend, RoomConnection, RoomRequest, room};
use crate::{FileError, TextWriter};

pub(super) fn opened(number: u64, topic: &str, kind: StreamKind) -> StreamEvent {
    let mut info = StreamInfo::new(format!("id-{number}"), topic, kind);
    info.sender = "ada".to_owned();
    info.attributes.insert("first".to_owned(), "header".to_owned());
    StreamEvent::Opened { stream: IncomingStream(number), info: Arc::new(info) }
}

pub(super) fn content(number: u64, content: &'static str) -> StreamEvent {
    StreamEvent::Content { stream: IncomingStream(number), content: Bytes::from_static(content.as_bytes()) }
}

pub(super) fn ended(number: u64, result: Result<BTreeMap<String, String>, StreamError>) -> StreamEvent {
    StreamEvent::Ended { stream: IncomingStream(number), result }
}

fn whole(backend: &mut RoomBackend, number: u64, topic: &str, text: &'static str) {
    backend.stream(opened(number, topic, StreamKind::text()));
    backend.stream(content(number, text));
    backend.stream(ended(number, Ok(BTreeMap::new())));
}

/// Accepts the next command, and returns it.
pub(super) async fn accept(backend: &mut RoomBackend) -> RoomCommand {
    match backend.next_request().await.unwrap() {
        RoomRequest::Command { command, reply, .. } => {
            reply.send(Ok(()));
            command
        }
        other => panic!("a command, not {other:?}"),
    }
}

#[tokio::test]
async fn a_text_is_read_in_pieces_with_the_attributes_of_its_end() {
    let (room, mut backend) = room();
    let mut texts = room.text_streams("chat");
    backend.stream(opened(1, "chat", StreamKind::text()));
    let mut text = texts.next().await.unwrap().unwrap();
    assert_eq!((text.info().sender.as_str(), text.info().id.as_str()), ("ada", "id-1"));
    let reading = tokio::spawn(async move {
        let mut pieces = Vec::new();
        while let Some(piece) = text.next().await {
            pieces.push(piece.unwrap());
        }
        (pieces, text.attributes(), text.progress().read)
    });
    backend.stream(content(1, "one "));
    backend.stream(content(1, "two"));
    let last = BTreeMap::from([("first".to_owned(), "trailer".to_owned())]);
    backend.stream(ended(1, Ok(last.clone())));
    assert_eq!(reading.await.unwrap(), (vec!["one ".to_owned(), "two".to_owned()], last, 7));
}

#[tokio::test]
async fn streams_wait_for_a_receiver_of_their_topic_and_kind() {
    let (room, mut backend) = room();
    whole(&mut backend, 1, "chat", "early");
    whole(&mut backend, 2, "other", "not for the chat");
    backend.stream(opened(3, "chat", StreamKind::bytes()));
    let mut texts = room.text_streams("chat");
    assert_eq!(texts.next().await.unwrap().unwrap().read_all().await.unwrap(), "early");
    let waiting = tokio::spawn(async move { texts.next().await.unwrap().unwrap().read_all().await });
    whole(&mut backend, 4, "chat", "later");
    assert_eq!(waiting.await.unwrap().unwrap(), "later");
    let mut bytes = room.byte_streams("chat");
    assert_eq!(bytes.next().await.unwrap().unwrap().info().id, "id-3");
}

#[tokio::test]
async fn an_incomplete_stream_ends_in_an_error_after_the_received_content() {
    let (room, mut backend) = room();
    let mut texts = room.text_streams("chat");
    for number in [1, 2] {
        backend.stream(opened(number, "chat", StreamKind::text()));
        backend.stream(content(number, "half"));
        backend.stream(ended(number, Err(StreamError::SenderLeft)));
    }
    let mut first = texts.next().await.unwrap().unwrap();
    assert_eq!(first.next().await, Some(Ok("half".to_owned())));
    assert_eq!(first.next().await, Some(Err(StreamError::SenderLeft)));
    assert_eq!(first.next().await, None);
    let second = texts.next().await.unwrap().unwrap();
    assert_eq!(second.read_all().await, Err(StreamError::SenderLeft));
}

#[tokio::test]
async fn a_whole_content_has_a_limit() {
    let (room, mut backend) = room();
    whole(&mut backend, 1, "chat", "five5");
    whole(&mut backend, 2, "chat", "five5");
    let mut texts = room.text_streams("chat");
    let first = texts.next().await.unwrap().unwrap();
    assert_eq!(first.read_all_within(4).await, Err(StreamError::PayloadTooLarge { limit: 4 }));
    let second = texts.next().await.unwrap().unwrap();
    assert_eq!(second.read_all_within(5).await.unwrap(), "five5");
}

#[tokio::test]
async fn an_attempt_ends_its_readers_and_leaves_the_rest_to_the_next() {
    let (first, mut backend) = room();
    let connection = RoomConnection::new(first);
    let room = connection.begin_attempt();
    let mut texts = room.text_streams("chat");
    backend.stream(opened(1, "chat", StreamKind::text()));
    let mut taken = texts.next().await.unwrap().unwrap();
    whole(&mut backend, 2, "chat", "not taken");
    let reading = tokio::spawn(async move { taken.next().await });
    tokio::task::yield_now().await;
    connection.end_attempt();
    assert_eq!(reading.await.unwrap(), Some(Err(StreamError::AttemptOver)));
    assert!(texts.next().await.is_none());
    assert!(room.text_streams("chat").next().await.is_none());

    let room = connection.begin_attempt();
    let mut texts = room.text_streams("chat");
    assert_eq!(texts.next().await.unwrap().unwrap().read_all().await.unwrap(), "not taken");
}

#[tokio::test]
async fn receivers_end_with_the_room() {
    let (room, backend) = room();
    let mut texts = room.text_streams("chat");
    let waiting = tokio::spawn(async move { texts.next().await.is_none() });
    tokio::task::yield_now().await;
    drop(backend);
    assert!(waiting.await.unwrap());
}

#[tokio::test]
async fn a_text_is_sent_with_its_options() {
    let (room, mut backend) = room();
    let sending = tokio::spawn(async move {
        let text = room.send_text("chat", "hello").to(["ada"]).attributes([("k", "v")]).id("own");
        text.reply_to("other").on_behalf_of("bob").mime_type("text/markdown").compress(false).await
    });
    let RoomCommand::SendStream { options, content } = accept(&mut backend).await else { panic!() };
    assert_eq!(sending.await.unwrap().unwrap(), "own");
    let mut kind = agent_room::TextStreamInfo::default();
    kind.reply_to = "other".to_owned();
    let mut expected = StreamOptions::new("own", "chat", StreamKind::Text(kind));
    expected.destinations = vec!["ada".to_owned()];
    expected.attributes.insert("k".to_owned(), "v".to_owned());
    expected.mime_type = Some("text/markdown".to_owned());
    expected.sender = Some("bob".to_owned());
    expected.compress = false;
    assert_eq!((*options, content), (expected, Bytes::from_static(b"hello")));
}

#[tokio::test]
async fn a_writer_names_the_command_that_opened_it_and_is_closed_when_dropped() {
    let (room, mut backend) = room();
    let writing = tokio::spawn(async move {
        let mut text = room.stream_text("chat").await.unwrap();
        text.write("part").await.unwrap();
        // Dropped without an end.
        drop(text);
        room
    });
    let RoomRequest::Command { id, command: RoomCommand::OpenStream(_), reply } =
        backend.next_request().await.unwrap()
    else {
        panic!()
    };
    reply.send(Ok(()));
    let written = RoomCommand::WriteStream { stream: id, content: Bytes::from_static(b"part") };
    assert_eq!(accept(&mut backend).await, written);
    let reason = "the writer was dropped".to_owned();
    let closed = RoomCommand::CloseStream { stream: id, reason, attributes: BTreeMap::new() };
    assert_eq!(accept(&mut backend).await, closed);
    drop(writing.await.unwrap());
    assert!(backend.next_request().await.is_none());
}

/// The command of a writer that is dropped without an end.
fn dropped(stream: CommandId) -> RoomCommand {
    let reason = "the writer was dropped".to_owned();
    RoomCommand::CloseStream { stream, reason, attributes: BTreeMap::new() }
}

/// A writer, and the command that opened it.
async fn writer(room: &Room, backend: &mut RoomBackend) -> (TextWriter, CommandId) {
    let opening = tokio::spawn(room.stream_text("chat").into_future());
    let RoomRequest::Command { id, command: RoomCommand::OpenStream(_), reply } =
        backend.next_request().await.unwrap()
    else {
        panic!("a stream is opened")
    };
    reply.send(Ok(()));
    (opening.await.unwrap().unwrap(), id)
}

#[tokio::test]
async fn a_close_that_is_dropped_before_its_request_is_queued_still_ends_the_stream() {
    let (room, mut backend) = room();
    let (text, stream) = writer(&room, &mut backend).await;
    let mut queued = 0;
    // Each is queued, until there is no place left.
    while room.publish_data("t", "x").into_future().now_or_never().is_none() && queued < 64 {
        queued += 1;
    }
    assert!(text.close().now_or_never().is_none());
    for _ in 0..queued {
        assert!(matches!(accept(&mut backend).await, RoomCommand::Publish(_)));
    }
    assert_eq!(backend.next_request().now_or_never().map(command), Some(dropped(stream)));
    assert!(backend.next_request().now_or_never().is_none());
}

#[tokio::test]
async fn a_close_whose_request_is_queued_ends_the_stream_once() {
    let (room, mut backend) = room();
    let (text, stream) = writer(&room, &mut backend).await;
    assert!(text.close().now_or_never().is_none());
    let closed = RoomCommand::CloseStream { stream, reason: String::new(), attributes: BTreeMap::new() };
    assert_eq!(backend.next_request().now_or_never().map(command), Some(closed));
    assert!(backend.next_request().now_or_never().is_none());
}

#[tokio::test]
async fn a_writer_that_is_dropped_after_its_attempt_ends_the_stream() {
    let (first, mut backend) = room();
    let connection = RoomConnection::new(first);
    let room = connection.begin_attempt();
    let (text, stream) = writer(&room, &mut backend).await;
    let (closed, second) = writer(&room, &mut backend).await;
    connection.end_attempt();
    drop(text);
    assert_eq!(backend.next_request().now_or_never().map(command), Some(dropped(stream)));
    assert_eq!(closed.close().await, Err(RoomError::AttemptOver));
    assert_eq!(backend.next_request().now_or_never().map(command), Some(dropped(second)));
}

fn command(request: Option<RoomRequest>) -> RoomCommand {
    match request {
        Some(RoomRequest::Command { command, .. }) => command,
        other => panic!("a command, not {other:?}"),
    }
}

#[tokio::test]
async fn files_are_sent_and_saved_as_they_are() {
    let folder = std::env::temp_dir().join(format!("agent-rtc-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (path, copy) = (folder.join("menu.pdf"), folder.join("copy"));
    let original: Vec<u8> = (0..150_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&path, &original).unwrap();
    let (room, mut backend) = room();

    let missing = room.send_file("documents", folder.join("missing")).await;
    assert!(matches!(&missing, Err(FileError::Io { path, .. }) if path.ends_with("missing")), "{missing:?}");
    let a_folder = room.send_file("documents", &folder).await;
    assert!(matches!(a_folder, Err(FileError::Io { .. })), "{a_folder:?}");

    let sender = room.clone();
    let sending = tokio::spawn(async move { sender.send_file("documents", path).await });
    let RoomCommand::OpenStream(options) = accept(&mut backend).await else { panic!() };
    assert_eq!(options.kind, StreamKind::Bytes { name: "menu.pdf".to_owned() });
    assert_eq!(options.total_length, Some(150_000));
    let mut info = StreamInfo::new("id-1", "documents", options.kind);
    info.total_length = options.total_length;
    backend.stream(StreamEvent::Opened { stream: IncomingStream(1), info: Arc::new(info) });
    let mut parts = 0;
    loop {
        match accept(&mut backend).await {
            RoomCommand::WriteStream { content, .. } => {
                parts += 1;
                backend.stream(StreamEvent::Content { stream: IncomingStream(1), content });
            }
            RoomCommand::CloseStream { reason, .. } => break assert_eq!(reason, ""),
            other => panic!("{other:?}"),
        }
    }
    sending.await.unwrap().unwrap();
    assert_eq!(parts, 3);
    backend.stream(ended(1, Ok(BTreeMap::new())));
    let mut files = room.byte_streams("documents");
    let file = files.next().await.unwrap().unwrap();
    assert_eq!(file.name(), "menu.pdf");
    assert_eq!(file.save(&copy).await.unwrap(), 150_000);
    assert_eq!(std::fs::read(&copy).unwrap(), original);

    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn nothing_is_sent_without_a_room() {
    let (room, backend) = room();
    drop(backend);
    assert_eq!(room.send_text("chat", "late").await, Err(RoomError::NotConnected));
    assert_eq!(room.stream_text("chat").await.unwrap_err(), RoomError::NotConnected);
}
