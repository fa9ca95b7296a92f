//! Methods and calls of a handle.

use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::oneshot;

use agent_room::{RoomCommand, RpcError, RpcErrorCode, RpcRequest, RpcRequestId};

use super::{Room, RoomBackend, RoomConnection, RoomRequest, room};

fn request(number: u64, method: &str, payload: &str) -> RpcRequest {
    RpcRequest::new(RpcRequestId(number), "ada", method, payload)
}

/// Registers methods with a backend that accepts commands.
async fn registered(room: &Room, backend: &mut RoomBackend, register: impl AsyncFnOnce(&Room)) {
    tokio::select! {
        biased;
        () = register(room) => {}
        () = async {
            loop {
                match backend.next_request().await {
                    Some(RoomRequest::Command { reply, .. }) => reply.send(Ok(())),
                    other => panic!("a command, not {other:?}"),
                }
            }
        } => {}
    }
}

/// The next response.
async fn response(backend: &mut RoomBackend) -> (u64, Result<String, RpcError>) {
    match backend.next_request().await {
        Some(RoomRequest::Command { command: RoomCommand::Respond { request, result }, .. }) => {
            (request.0, result)
        }
        other => panic!("a response, not {other:?}"),
    }
}

#[tokio::test]
async fn a_method_returns_texts_or_errors() {
    let (room, mut backend) = room();
    registered(&room, &mut backend, async |room| {
        room.register_rpc_method("nothing", |_| async {}).await.unwrap();
        let shout = |request: RpcRequest| async move { request.payload.to_uppercase() };
        room.register_rpc_method("shout", shout).await.unwrap();
        let own = |_| async { Err::<(), _>(RpcError::new(7, "no", "data")) };
        room.register_rpc_method("own", own).await.unwrap();
        let other = |request: RpcRequest| async move { request.payload.parse::<u8>().map(|_| ()) };
        room.register_rpc_method("other", other).await.unwrap();
        let panics = |_| async { panic!("a fault of the method") };
        room.register_rpc_method::<_, ()>("panics", panics).await.unwrap();
    })
    .await;
    let failed = || Err(RpcErrorCode::ApplicationError.into());
    for (number, (method, expected)) in [
        ("nothing", Ok(String::new())),
        ("shout", Ok("HI".to_owned())),
        ("own", Err(RpcError::new(7, "no", "data"))),
        ("other", failed()),
        ("panics", failed()),
        ("unknown", Err(RpcErrorCode::UnsupportedMethod.into())),
    ]
    .into_iter()
    .enumerate()
    {
        backend.request(request(number as u64, method, "hi"));
        assert_eq!(response(&mut backend).await, (number as u64, expected), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_is_stopped_when_its_caller_waits_no_longer() {
    let (room, mut backend) = room();
    let (dropped, gone) = oneshot::channel::<()>();
    registered(&room, &mut backend, async |room| {
        let guard = Mutex::new(Some(dropped));
        let hang = move |_| {
            let guard = guard.lock().unwrap().take();
            async move {
                let _guard = guard;
                pending::<()>().await;
            }
        };
        room.register_rpc_method("hang", hang).await.unwrap();
    })
    .await;
    backend.request(request(1, "hang", ""));
    assert_eq!(response(&mut backend).await, (1, Err(RpcErrorCode::ResponseTimeout.into())));
    assert!(gone.await.is_err(), "the future was dropped");
}

#[tokio::test]
async fn the_end_of_an_attempt_ends_its_methods_and_answers_their_callers() {
    let (first, mut backend) = room();
    let connection = RoomConnection::new(first);
    let room = connection.begin_attempt();
    registered(&room, &mut backend, async |room| {
        room.register_rpc_method("hang", |_| pending::<()>()).await.unwrap();
    })
    .await;
    backend.request(request(1, "hang", ""));
    tokio::task::yield_now().await;
    connection.end_attempt();
    assert_eq!(response(&mut backend).await, (1, Err(RpcErrorCode::ApplicationError.into())));
    let _second = connection.begin_attempt();
    backend.request(request(2, "hang", ""));
    assert_eq!(response(&mut backend).await, (2, Err(RpcErrorCode::UnsupportedMethod.into())));
}

#[tokio::test]
async fn a_call_returns_its_response_or_the_reason_why_there_is_none() {
    let (room, mut backend) = room();
    let caller = room.clone();
    let calling = tokio::spawn(async move {
        caller.perform_rpc("ada", "greet", "payload").timeout(Duration::from_secs(3)).await
    });
    match backend.next_request().await {
        Some(RoomRequest::Call { call, reply, .. }) => {
            assert_eq!((call.destination.as_str(), call.method.as_str()), ("ada", "greet"));
            assert_eq!((call.payload.as_str(), call.response_timeout), ("payload", Duration::from_secs(3)));
            reply.send(Ok("hello".to_owned()));
        }
        other => panic!("a call, not {other:?}"),
    }
    assert_eq!(calling.await.unwrap(), Ok("hello".to_owned()));
    drop(backend);
    let late = room.perform_rpc("ada", "greet", "").await.unwrap_err();
    assert!(late.is(RpcErrorCode::SendFailed) && late.data.contains("not in the room"), "{late:?}");
}
