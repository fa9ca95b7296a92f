//! Workers' sockets.

use futures_util::{SinkExt, StreamExt};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use agent_proto::{encode, livekit as wire};

use super::fake::{Event, Events, ping, pong};
use super::*;
use crate::front::ToWorker;

type Socket<IO> = WebSocketStream<IO>;

/// The next message other than a ping.
async fn next<IO: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<IO>) -> Option<Result<Message, Error>> {
    loop {
        match timeout(Duration::from_secs(60), socket.next()).await.expect("a message") {
            Some(Ok(Message::Ping(_))) => {}
            other => return other,
        }
    }
}

/// Expects a close frame and then the end of the stream.
async fn closed<IO: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<IO>) -> (u16, String) {
    let Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) = next(socket).await else {
        panic!("no close frame")
    };
    assert!(next(socket).await.is_none());
    (code.into(), reason.to_string())
}

async fn quiet<IO: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<IO>) {
    let message = timeout(Duration::from_millis(100), socket.next()).await;
    assert!(message.is_err(), "{message:?}");
}

fn binary(message: &wire::WorkerMessage) -> Message {
    Message::Binary(encode(message))
}

async fn connected() -> (Arc<Fake>, Events, Socket<DuplexStream>) {
    let (fake, mut events) = Fake::new();
    let socket = worker(in_memory(&fake)).await;
    assert_eq!(events.next().await, Event::Connected(1));
    (fake, events, socket)
}

/// Sends messages in both forms; the answer is in the form of the last.
async fn speak<IO>(fake: &Arc<Fake>, events: &mut Events, mut socket: Socket<IO>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    assert_eq!(events.next().await, Event::Connected(1));
    let in_binary = |n| {
        encode(&wire::ServerMessage {
            message: Some(wire::server_message::Message::Pong(wire::WorkerPong {
                last_timestamp: n,
                timestamp: n,
            })),
        })
    };
    fake.send(1, pong(1));
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::Binary(in_binary(1)));
    socket.send(text(r#"{"ping":{"timestamp":2,"what":{}}}"#)).await.unwrap();
    assert_eq!(events.next().await, Event::Message(1, ping(2)));
    fake.send(1, pong(2));
    let json = r#"{"pong":{"lastTimestamp":"2","timestamp":"2"}}"#;
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), text(json));
    fake.send(1, ToWorker::Raw(b"raw"[..].into()));
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::Binary(b"raw"[..].into()));
    socket.send(binary(&ping(3))).await.unwrap();
    assert_eq!(events.next().await, Event::Message(1, ping(3)));
    fake.send(1, pong(3));
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::Binary(in_binary(3)));
    socket.send(Message::Binary(b""[..].into())).await.unwrap();
    assert_eq!(events.next().await, Event::Message(1, wire::WorkerMessage { message: None }));

    socket.close(None).await.unwrap();
    assert!(matches!(next(&mut socket).await, Some(Ok(Message::Close(_)))), "the close frame is answered");
    assert_eq!(events.next().await, Event::Gone(1));
    events.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn both_forms_in_memory() {
    let (fake, mut events) = Fake::new();
    let socket = worker(in_memory(&fake)).await;
    speak(&fake, &mut events, socket).await;
}

#[tokio::test]
async fn both_forms_on_loopback() {
    let (fake, mut events) = Fake::new();
    let socket = worker(connect(&on_loopback(&fake).await).await).await;
    speak(&fake, &mut events, socket).await;
}

#[tokio::test(start_paused = true)]
async fn garbage_is_the_backends_to_judge() {
    let (fake, mut events, mut socket) = connected().await;
    for garbage in [Message::Binary(b"\xff\xff"[..].into()), text("{"), text("null"), text(r#"{"ping":7}"#)] {
        socket.send(garbage.clone()).await.unwrap();
        assert!(matches!(events.next().await, Event::Garbage(1, _)), "{garbage:?}");
    }
    socket.send(binary(&ping(1))).await.unwrap();
    assert_eq!(events.next().await, Event::Message(1, ping(1)));
    fake.send(1, ToWorker::Close { code: 1008, reason: "no more".into() });
    assert_eq!(closed(&mut socket).await, (1008, "no more".into()));
    assert_eq!(events.next().await, Event::Gone(1));
}

#[tokio::test]
async fn a_breach_of_the_protocol_closes() {
    let (fake, mut events) = Fake::new();
    let address = on_loopback(&fake).await;
    let bad_utf8 = Message::Frame(Frame::message(b"\xff"[..].to_vec(), OpCode::Data(Data::Text), true));
    let bad_opcode = Message::Frame(Frame::message(vec![], OpCode::Data(Data::Reserved(5)), true));
    let too_large = Message::Binary(vec![0; 3 << 20].into());
    for (worker_id, (breach, code)) in
        [(bad_utf8, 1007), (bad_opcode, 1002), (too_large, 1009)].into_iter().enumerate()
    {
        let worker_id = worker_id as u64 + 1;
        let mut socket = worker(connect(&address).await).await;
        assert_eq!(events.next().await, Event::Connected(worker_id));
        socket.send(breach).await.unwrap();
        assert!(matches!(events.next().await, Event::Garbage(id, _) if id == worker_id));
        let Some(Ok(Message::Close(Some(frame)))) = next(&mut socket).await else { panic!("no close frame") };
        assert_eq!(u16::from(frame.code), code);
        drop(socket);
        assert_eq!(events.next().await, Event::Gone(worker_id));
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_every_10_s() {
    let (_fake, _events, mut socket) = connected().await;
    let start = Instant::now();
    for n in 1..=3 {
        let message = socket.next().await.unwrap().unwrap();
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
        assert_eq!(start.elapsed().as_secs(), n * 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_socket_neither_reads_nor_writes() {
    let (fake, mut events, mut socket) = connected().await;
    for n in 0..2 {
        fake.freeze(1, true);
        fake.send(1, pong(n));
        socket.send(binary(&ping(n))).await.unwrap();
        socket.send(Message::Ping(b""[..].into())).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        quiet(&mut socket).await;
        events.quiet().await;
        fake.freeze(1, false);
        assert_eq!(events.next().await, Event::Message(1, ping(n)));
        let (mut binaries, mut pongs) = (0, 0);
        while let Ok(Some(message)) = timeout(Duration::from_millis(100), socket.next()).await {
            match message.unwrap() {
                Message::Binary(_) => binaries += 1,
                Message::Pong(_) => pongs += 1,
                // The ping that was due, and no others for the frozen time.
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((binaries, pongs), (1, 1));
    }
    // A frozen socket whose backend is gone continues.
    fake.freeze(1, true);
    fake.send(1, pong(9));
    fake.forget(1);
    assert!(matches!(next(&mut socket).await, Some(Ok(Message::Binary(_)))));
    assert_eq!(events.next().await, Event::Gone(1));
}

#[tokio::test(start_paused = true)]
async fn a_cut_comes_in_order_and_without_a_close_frame() {
    let (fake, mut events, mut socket) = connected().await;
    fake.send(1, pong(1));
    fake.send(1, ToWorker::Cut);
    assert!(matches!(next(&mut socket).await, Some(Ok(Message::Binary(_)))));
    assert!(matches!(next(&mut socket).await, Some(Err(Error::Protocol(_)))));
    assert_eq!(events.next().await, Event::Gone(1));
    events.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn messages_wait_until_they_are_due_and_stay_in_order() {
    let (fake, mut events, mut socket) = connected().await;
    let start = Instant::now();
    for (n, seconds) in [(1, 3), (2, 1)] {
        let ToWorker::Message { message, .. } = pong(n) else { panic!("no message") };
        fake.send(1, ToWorker::Message { message, due: start + Duration::from_secs(seconds) });
    }
    fake.send(1, ToWorker::Raw(b"raw"[..].into()));
    for _ in 0..2 {
        assert!(matches!(next(&mut socket).await, Some(Ok(Message::Binary(_)))));
        assert_eq!(start.elapsed().as_secs(), 3);
    }
    let Some(Ok(Message::Binary(raw))) = next(&mut socket).await else { panic!("no raw frame") };
    assert_eq!((&raw[..], start.elapsed().as_secs()), (&b"raw"[..], 3));

    // A cut does not wait for a message that is not due.
    let ToWorker::Message { message, .. } = pong(3) else { panic!("no message") };
    fake.send(1, ToWorker::Message { message, due: start + Duration::from_secs(3600) });
    fake.send(1, ToWorker::Cut);
    assert!(matches!(next(&mut socket).await, Some(Err(Error::Protocol(_)))));
    assert_eq!((events.next().await, start.elapsed().as_secs()), (Event::Gone(1), 3));
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_the_workers_to_give_up() {
    let (fake, mut events, mut socket) = connected().await;
    fake.send(1, pong(1));
    fake.send(1, ToWorker::HalfOpen);
    assert!(
        matches!(next(&mut socket).await, Some(Ok(Message::Binary(_)))),
        "what was sent before it arrives"
    );
    fake.send(1, pong(2));
    socket.send(binary(&ping(1))).await.unwrap();
    socket.send(Message::Ping(b""[..].into())).await.unwrap();
    // No response, no ping, no close frame.
    assert!(timeout(Duration::from_secs(3600), socket.next()).await.is_err());
    events.quiet().await;
    drop(socket);
    assert_eq!(events.next().await, Event::Gone(1));
    events.quiet().await;

    let (fake, mut events, mut socket) = connected().await;
    fake.send(1, ToWorker::HalfOpen);
    fake.send(1, ToWorker::Cut);
    assert!(matches!(next(&mut socket).await, Some(Err(_))));
    assert_eq!(events.next().await, Event::Gone(1));
}

#[tokio::test(start_paused = true)]
async fn closing_waits_2_s_and_ignores_messages() {
    let (fake, mut events, mut socket) = connected().await;
    let reason = "ä".repeat(100);
    fake.send(1, ToWorker::Close { code: 1001, reason });
    let start = Instant::now();
    // A worker that does not read does not answer the close frame either.
    tokio::time::sleep(Duration::from_secs(1)).await;
    socket.send(binary(&ping(1))).await.unwrap();
    assert_eq!(events.next().await, Event::Gone(1));
    assert_eq!(start.elapsed().as_secs(), 2);
    let Some(Ok(Message::Close(Some(frame)))) = next(&mut socket).await else { panic!("no close frame") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "ä".repeat(61).as_str()));
    events.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_reads_nothing_can_still_send_and_blocks_no_other() {
    let (fake, mut events, mut slow) = connected().await;
    let mut other = worker(in_memory(&fake)).await;
    assert_eq!(events.next().await, Event::Connected(2));
    let start = Instant::now();
    fake.send(1, ToWorker::Raw(vec![0; 1 << 20].into()));
    slow.send(binary(&ping(1))).await.unwrap();
    assert_eq!(events.next().await, Event::Message(1, ping(1)));
    fake.send(2, pong(1));
    assert!(matches!(next(&mut other).await, Some(Ok(Message::Binary(_)))));
    assert_eq!(start.elapsed().as_secs(), 0);
    assert_eq!(events.next().await, Event::Gone(1));
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn gone_exactly_once_however_it_ends() {
    // The worker disappears.
    let (_fake, mut events, socket) = connected().await;
    drop(socket);
    assert_eq!(events.next().await, Event::Gone(1));
    events.quiet().await;

    // The backend drops its end.
    let (fake, mut events, mut socket) = connected().await;
    fake.forget(1);
    assert_eq!(events.next().await, Event::Gone(1));
    assert!(!matches!(next(&mut socket).await, Some(Ok(_))));
    events.quiet().await;

    // The backend panics.
    let (_fake, mut events, mut socket) = connected().await;
    socket.send(binary(&ping(13))).await.unwrap();
    assert_eq!(events.next().await, Event::Gone(1));
    events.quiet().await;

    // The connection's task is dropped, here while frozen.
    let (fake, mut events) = Fake::new();
    let (near, far) = duplex(1024);
    let task = tokio::spawn(serve(far, fake.clone()));
    let _socket = worker(near).await;
    assert_eq!(events.next().await, Event::Connected(1));
    fake.freeze(1, true);
    events.quiet().await;
    task.abort();
    assert_eq!(events.next().await, Event::Gone(1));
    events.quiet().await;
}
