//! Joins that were given up, at a server that accepts every join and has no media.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use agent_net::NetOptions;
use agent_proto::{MAX_FRAME_LEN, decode, encode, livekit as proto};
use agent_rtc::{JoinRequest, JoinSession, RoomConnector, WebRtc};

use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

const SOON: Duration = Duration::from_secs(30);

/// What the server receives, one connection after the other.
type Received = mpsc::UnboundedReceiver<Request>;

async fn server() -> (JoinRequest, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(let_in(tcp, sender.clone()));
        }
    });
    let mut request = JoinRequest::new(url, "token");
    request.timeout = SOON;
    (request, received)
}

/// Admits a participant, and has it ping once a second.
async fn let_in(tcp: TcpStream, sender: mpsc::UnboundedSender<Request>) {
    let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
    let join = Response::Join(proto::JoinResponse {
        participant: Some(proto::ParticipantInfo { sid: "PA_me".to_owned(), ..Default::default() }),
        ping_interval: 1,
        ping_timeout: 60,
        ..Default::default()
    });
    let frame = encode(&proto::SignalResponse { message: Some(join) });
    socket.send(Message::Binary(frame)).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Binary(frame) = message {
            let request: proto::SignalRequest = decode(&frame, MAX_FRAME_LEN).unwrap();
            sender.send(request.message.unwrap()).unwrap();
        }
    }
}

async fn next(received: &mut Received) -> Request {
    tokio::time::timeout(SOON, received.recv()).await.unwrap().unwrap()
}

/// Joins until the server has let us in, and gives up then.
async fn give_up(request: &JoinRequest, received: &mut Received) {
    let connector = WebRtc::new(NetOptions::default());
    tokio::select! {
        joined = connector.connect(request.clone()) => panic!("{joined:?}"),
        request = next(received) => assert!(matches!(request, Request::PingReq(_)), "{request:?}"),
    }
}

async fn leave(received: &mut Received) {
    loop {
        match next(received).await {
            Request::PingReq(_) => {}
            Request::Leave(_) => return,
            request => panic!("{request:?}"),
        }
    }
}

#[tokio::test]
async fn a_join_that_is_given_up_leaves_when_its_session_does() {
    let (mut request, mut received) = server().await;
    let session = JoinSession::new();
    request.session = Some(session.clone());
    give_up(&request, &mut received).await;
    let request = next(&mut received).await;
    assert!(matches!(request, Request::PingReq(_)), "it is still in the room: {request:?}");
    assert!(session.is_held());
    session.leave().await;
    leave(&mut received).await;
}

#[tokio::test]
async fn a_join_that_is_given_up_is_retried_where_it_is() {
    let (mut request, mut received) = server().await;
    request.session = Some(JoinSession::new());
    for _ in 0..2 {
        give_up(&request, &mut received).await;
        let request = next(&mut received).await;
        assert!(matches!(request, Request::PingReq(_)), "it is still in the room: {request:?}");
    }
    // With the last of the session.
    drop(request);
    leave(&mut received).await;
}

#[tokio::test]
async fn a_join_without_a_session_leaves_when_it_is_given_up() {
    let (request, mut received) = server().await;
    give_up(&request, &mut received).await;
    leave(&mut received).await;
}
