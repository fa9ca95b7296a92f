//! Every reason to stop, with everything that a handler can do then.

use std::time::Duration;

use agent_testkit::JobEndStatus;
use agent_worker::{CancelReason, JobContext, JobError, JobResult, WorkerBuilder};

use super::{Report, Reports, Stage, text};

const RETURNS: [&str; 5] = ["ok", "cancelled", "error", "panic", "never"];

/// Waits until it is cancelled, and then does what its metadata asks for.
async fn obedient(ctx: JobContext, reports: Reports) -> JobResult {
    let metadata = ctx.job().raw_metadata.clone();
    let returns = metadata.strip_prefix("shutdown ").unwrap_or(&metadata);
    if metadata != returns {
        ctx.shutdown("enough");
    }
    let reason = ctx.cancelled().await;
    reports.send((ctx.job().room.name.clone(), Report::Cancelled(reason)))?;
    match returns {
        "ok" => Ok(()),
        "cancelled" => Err(JobError::cancelled()),
        "error" => Err(JobError::retryable("its text", Duration::ZERO)),
        "panic" => panic!("its text"),
        _ => std::future::pending().await,
    }
}

/// The expected outcome of each combination.
fn expected(reason: &CancelReason, returns: &str) -> String {
    match (reason, returns) {
        (CancelReason::Deadline, _) => "job_timeout".to_owned(),
        (_, "error") => "its text".to_owned(),
        (_, "panic") => "panicked: its text".to_owned(),
        (_, "never") => format!("aborted: {reason}"),
        (CancelReason::Kicked | CancelReason::DuplicateIdentity | CancelReason::RoomGone, _) => {
            reason.to_string()
        }
        _ => "SUCCESS".to_owned(),
    }
}

/// The reasons for which a job stops.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cause {
    Deadline,
    Shutdown,
    Drained,
    DispatchDeleted,
    RoomDeleted,
    AgentRemoved,
    SameIdentity,
}

impl Cause {
    /// The server reports some ends in two ways, the room's and the job's, and either may be the first to
    /// arrive.
    fn may_be(self, reason: &CancelReason) -> bool {
        match self {
            Self::Deadline => *reason == CancelReason::Deadline,
            Self::Shutdown => *reason == CancelReason::Shutdown("enough".into()),
            Self::Drained => *reason == CancelReason::Drained,
            Self::DispatchDeleted => *reason == CancelReason::Terminated,
            Self::RoomDeleted => matches!(reason, CancelReason::RoomClosed | CancelReason::Terminated),
            Self::AgentRemoved => matches!(reason, CancelReason::Kicked | CancelReason::Terminated),
            Self::SameIdentity => {
                matches!(reason, CancelReason::DuplicateIdentity | CancelReason::Terminated)
            }
        }
    }

    async fn happens(self, stage: &mut Stage, room: &str, dispatch: &str, agent: &str) {
        let api = stage.server.api();
        match self {
            // By itself.
            Self::Deadline | Self::Shutdown => {}
            // All jobs together, later.
            Self::Drained => {}
            Self::DispatchDeleted => drop(api.delete_dispatch(room, dispatch).await.expect("deleted")),
            Self::RoomDeleted => api.delete_room(room).await.expect("deleted"),
            Self::AgentRemoved => api.remove_participant(room, agent).await.expect("removed"),
            Self::SameIdentity => {
                let twin = stage.join(room, agent).await;
                stage.guests.push(twin);
            }
        }
    }
}

/// One reason: a job for each behaviour of a handler.
async fn row(cause: Cause) {
    let change = |builder: WorkerBuilder| match cause {
        Cause::Deadline => builder.job_timeout(Duration::from_secs(1)),
        _ => builder,
    };
    let Some(mut stage) = Stage::new(obedient, change).await else { return };
    let room = |returns: &str| format!("room-{returns}");
    for returns in RETURNS {
        let shutdown = if cause == Cause::Shutdown { "shutdown " } else { "" };
        let dispatch = stage.dispatch(&room(returns), &format!("{shutdown}{returns}")).await;
        let agent = stage.called(&room(returns)).await;
        cause.happens(&mut stage, &room(returns), &dispatch, &agent).await;
    }
    if cause == Cause::Drained {
        stage.worker.start_drain(Duration::ZERO);
    }
    for returns in RETURNS {
        let (reason, in_room, ended) = stage.rest(&room(returns)).await;
        let reason = reason.expect("it was cancelled");
        let case = format!("{cause:?}, {returns}, {reason}");
        assert!(cause.may_be(&reason), "{case}");
        assert_eq!(text(&ended.outcome), expected(&reason, returns), "{case}");
        assert_eq!(ended.attempts, 1, "{case}");
        let end = stage.recorded(&room(returns)).await;
        let end = (end.status, end.error);
        let by_us = match ended.outcome.error() {
            None => (JobEndStatus::Success, String::new()),
            Some(error) => (JobEndStatus::Failed, error.to_owned()),
        };
        match cause {
            Cause::Deadline | Cause::Shutdown | Cause::Drained => {
                assert_eq!(end, by_us, "{case}");
                assert!(in_room, "{case}");
            }
            Cause::DispatchDeleted => {
                // The server sends the termination before it records this success: our outcome may be
                // between.
                let by_server = (JobEndStatus::Success, String::new());
                assert!(end == by_us || end == by_server, "{case}: {end:?}");
                assert!(in_room, "three seconds are left: {case}");
            }
            Cause::RoomDeleted | Cause::AgentRemoved | Cause::SameIdentity => {
                // The server may have recorded an outcome before it received ours.
                let by_server = (JobEndStatus::Failed, "agent worker left the room".to_owned());
                assert!(end == by_us || end == by_server, "{case}: {end:?}");
            }
        }
    }
    stage.stop().await;
}

#[tokio::test]
async fn over_its_time() {
    row(Cause::Deadline).await;
}

#[tokio::test]
async fn by_the_handlers_own_request() {
    row(Cause::Shutdown).await;
}

#[tokio::test]
async fn drained() {
    row(Cause::Drained).await;
}

#[tokio::test]
async fn dispatch_deleted() {
    row(Cause::DispatchDeleted).await;
}

#[tokio::test]
async fn room_deleted() {
    row(Cause::RoomDeleted).await;
}

#[tokio::test]
async fn agent_removed() {
    row(Cause::AgentRemoved).await;
}

#[tokio::test]
async fn same_identity() {
    row(Cause::SameIdentity).await;
}
