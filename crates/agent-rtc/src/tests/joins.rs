//! What a session keeps of joins that were given up.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use agent_room::{JoinFailure, RoomCommand};

use super::streams::accept;
use super::{RoomBackend, room};
use crate::join_session::{HeldRequest, JoinCall, JoinStep, Joined};
use crate::{JoinError, JoinSession};

type Held = mpsc::Receiver<HeldRequest>;

/// Begins a join with a driver of its own.
fn drive(session: &JoinSession) -> (Held, Joined, JoinCall) {
    match session.begin() {
        JoinStep::Drive { held, joined, call } => (held, joined, call),
        JoinStep::Retry(_) | JoinStep::Joined(_) => panic!("there was a join already"),
    }
}

/// A join whose result was sent, and whose call was dropped before it took it.
fn joined_and_given_up(session: &JoinSession) -> RoomBackend {
    let (room, backend) = room();
    let (held, joined, call) = drive(session);
    assert!(!session.is_held());
    assert!(joined.send(Ok(room)).is_ok());
    drop(call);
    drop(held);
    backend
}

#[tokio::test]
async fn a_room_whose_call_was_given_up_before_it_took_it_is_kept_for_the_next_call() {
    let session = JoinSession::new();
    let mut backend = joined_and_given_up(&session);
    assert!(session.is_held());
    assert!(backend.next_request().now_or_never().is_none(), "it is in the room");
    let JoinStep::Joined(room) = session.begin() else { panic!("it is joined") };
    assert!(room.is_connected() && !session.is_held());
    drop(room);
    assert!(backend.next_request().await.is_none(), "it belongs to the second call");
}

#[tokio::test]
async fn a_kept_room_is_left_with_its_session_or_the_last_clone_of_it() {
    let session = JoinSession::new();
    let mut backend = joined_and_given_up(&session);
    drop(session);
    assert!(backend.next_request().await.is_none());

    let session = JoinSession::new();
    let mut backend = joined_and_given_up(&session);
    let leaving = tokio::spawn({
        let session = session.clone();
        async move { session.leave().await }
    });
    assert_eq!(accept(&mut backend).await, RoomCommand::Leave);
    drop(backend);
    leaving.await.unwrap();
    // It keeps no more joins.
    let mut backend = joined_and_given_up(&session);
    assert!(!session.is_held() && backend.next_request().await.is_none());
}

#[tokio::test]
async fn a_kept_room_that_has_ended_is_joined_again() {
    let session = JoinSession::new();
    drop(joined_and_given_up(&session));
    assert!(!session.is_held());
    let (_held, _joined, _call) = drive(&session);
}

#[tokio::test]
async fn a_call_that_was_not_given_up_is_not_kept() {
    let session = JoinSession::new();
    let (room, mut backend) = room();
    let (_held, joined, call) = drive(&session);
    assert!(joined.send(Ok(room)).is_ok());
    let Some(Ok(room)) = call.result().await else { panic!("joined") };
    assert!(!session.is_held());
    drop(room);
    assert!(backend.next_request().await.is_none());
}

#[tokio::test]
async fn calls_with_one_session_have_one_driver() {
    let session = JoinSession::new();
    let (mut held, joined, first) = drive(&session);
    let JoinStep::Retry(second) = session.begin() else { panic!("a second driver") };
    // The first one fails: the join is kept once no call waits for it.
    assert!(joined.send(Err(JoinError::Failed(JoinFailure::Cancelled))).is_ok());
    assert!(matches!(first.result().await, Some(Err(_))));
    assert!(!session.is_held());
    let second = tokio::spawn(second.retry(Duration::from_secs(7)));
    let Some(HeldRequest::Retry { joined, timeout }) = held.recv().await else { panic!("a retry") };
    assert_eq!(timeout, Duration::from_secs(7));
    drop(joined);
    assert!(second.await.unwrap().is_none());
    assert!(session.is_held());
    // The end of the driver, with a request that it does not read.
    let JoinStep::Retry(third) = session.begin() else { panic!("a second driver") };
    let mut third = Box::pin(third.retry(Duration::from_secs(7)));
    assert!((&mut third).now_or_never().is_none());
    drop(held);
    assert!(third.await.is_none());
    assert!(!session.is_held());
    let (_held, _joined, _call) = drive(&session);
}
