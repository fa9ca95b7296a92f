//! Joins that were given up, at a server that accepts every join and has no media.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;

use agent_net::NetOptions;
use agent_proto::{MAX_FRAME_LEN, decode, encode, livekit as proto};
use agent_rtc::{JoinRequest, JoinSession, RoomConnector, WebRtc};

use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

const SOON: Duration = Duration::from_secs(30);

/// What the server receives.
struct Received {
    /// Of all connections.
    requests: mpsc::UnboundedReceiver<Request>,
    /// Number of connections.
    connections: watch::Receiver<usize>,
    /// While `false`, connections are not answered.
    answers: watch::Sender<bool>,
    /// Set: participants are removed, and their connections are left open.
    removes: watch::Sender<bool>,
    /// Number of connections that we have closed.
    closed: watch::Receiver<usize>,
}

/// The server's end of these.
#[derive(Clone)]
struct Controls {
    requests: mpsc::UnboundedSender<Request>,
    answers: watch::Receiver<bool>,
    removes: watch::Receiver<bool>,
    closed: watch::Sender<usize>,
}

async fn server() -> (JoinRequest, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::unbounded_channel();
    let (accepted, connections) = watch::channel(0);
    let (answers, removes) = (watch::Sender::new(true), watch::Sender::new(false));
    let (closes, closed) = watch::channel(0);
    let controls = Controls {
        requests: sender,
        answers: answers.subscribe(),
        removes: removes.subscribe(),
        closed: closes,
    };
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(let_in(tcp, controls.clone()));
            accepted.send_modify(|accepted| *accepted += 1);
        }
    });
    let mut request = JoinRequest::new(url, "token");
    request.timeout = SOON;
    (request, Received { requests, connections, answers, removes, closed })
}

/// Admits a participant, and has it ping once a second.
async fn let_in(tcp: TcpStream, mut controls: Controls) {
    controls.answers.wait_for(|answers| *answers).await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
    let join = Response::Join(proto::JoinResponse {
        participant: Some(proto::ParticipantInfo { sid: "PA_me".to_owned(), ..Default::default() }),
        ping_interval: 1,
        ping_timeout: 60,
        ..Default::default()
    });
    let frame = encode(&proto::SignalResponse { message: Some(join) });
    socket.send(Message::Binary(frame)).await.unwrap();
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            removed = controls.removes.wait_for(|removes| *removes) => {
                drop(removed.unwrap());
                break;
            }
        };
        match message {
            Some(Ok(Message::Binary(frame))) => {
                let request: proto::SignalRequest = decode(&frame, MAX_FRAME_LEN).unwrap();
                // The test may be over.
                let _ = controls.requests.send(request.message.unwrap());
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
    let leave = proto::LeaveRequest {
        reason: proto::DisconnectReason::ParticipantRemoved as i32,
        action: proto::leave_request::Action::Disconnect as i32,
        ..Default::default()
    };
    let frame = encode(&proto::SignalResponse { message: Some(Response::Leave(leave)) });
    socket.send(Message::Binary(frame)).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() {
            // The answer would be sent with the next read.
            controls.closed.send_modify(|closed| *closed += 1);
            std::future::pending().await
        }
    }
}

async fn next(received: &mut Received) -> Request {
    tokio::time::timeout(SOON, received.requests.recv()).await.unwrap().unwrap()
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

#[tokio::test]
async fn a_session_is_left_when_the_server_has_read_it() {
    let (mut request, mut received) = server().await;
    let session = JoinSession::new();
    request.session = Some(session.clone());
    give_up(&request, &mut received).await;
    session.leave().await;
    let left = std::iter::from_fn(|| received.requests.try_recv().ok());
    assert!(left.into_iter().any(|request| matches!(request, Request::Leave(_))));
}

/// Without a pause for the first join to notice that it was given up.
#[tokio::test]
async fn a_join_that_is_retried_at_once_has_one_connection() {
    let (mut request, mut received) = server().await;
    request.session = Some(JoinSession::new());
    let connector = WebRtc::default();
    // The server has not answered yet.
    received.answers.send_replace(false);
    for _ in 0..2 {
        tokio::select! {
            joined = connector.connect(request.clone()) => panic!("{joined:?}"),
            connected = received.connections.wait_for(|connections| *connections > 0) => {
                connected.unwrap();
            }
        }
    }
    received.answers.send_replace(true);
    for _ in 0..3 {
        give_up(&request, &mut received).await;
    }
    assert_eq!(*received.connections.borrow(), 1);
    assert!(request.session.as_ref().unwrap().is_held());
    request.session.unwrap().leave().await;
    leave(&mut received).await;
    assert_eq!(*received.connections.borrow(), 1);
}

/// The timeout of the first call does not limit the second one.
#[tokio::test]
async fn a_join_that_is_retried_before_the_server_answers_has_the_time_of_the_retry() {
    let (mut request, mut received) = server().await;
    request.session = Some(JoinSession::new());
    request.timeout = Duration::from_millis(500);
    let connector = WebRtc::default();
    received.answers.send_replace(false);
    tokio::select! {
        joined = connector.connect(request.clone()) => panic!("{joined:?}"),
        connected = received.connections.wait_for(|connections| *connections > 0) => {
            connected.unwrap();
        }
    }
    let first_timeout = tokio::time::sleep(request.timeout * 2);
    request.timeout = SOON;
    tokio::select! {
        joined = connector.connect(request.clone()) => panic!("{joined:?}"),
        () = first_timeout => {}
    }
    received.answers.send_replace(true);
    give_up(&request, &mut received).await;
}

/// A retry while an earlier call still waits does not take its result, nor makes it fail.
#[tokio::test]
async fn a_second_call_waits_for_the_first() {
    let (mut request, mut received) = server().await;
    request.session = Some(JoinSession::new());
    let connector = WebRtc::default();
    let second = connector.connect(request.clone());
    {
        let first = connector.connect(request.clone());
        tokio::pin!(first, second);
        tokio::select! {
            biased;
            joined = &mut first => panic!("{joined:?}"),
            joined = &mut second => panic!("{joined:?}"),
            request = next(&mut received) => assert!(matches!(request, Request::PingReq(_)), "{request:?}"),
        }
    }
    assert!(request.session.as_ref().unwrap().is_held());
    assert_eq!(*received.connections.borrow(), 1);
}

/// While the connection to the server is still being closed.
#[tokio::test]
async fn a_retry_after_the_server_has_removed_us_joins_again() {
    let (mut request, mut received) = server().await;
    let session = JoinSession::new();
    request.session = Some(session.clone());
    give_up(&request, &mut received).await;
    received.removes.send_replace(true);
    tokio::time::timeout(SOON, received.closed.wait_for(|closed| *closed > 0)).await.unwrap().unwrap();
    received.removes.send_replace(false);
    assert!(!session.is_held());
    give_up(&request, &mut received).await;
    assert_eq!(*received.connections.borrow(), 2);
}
