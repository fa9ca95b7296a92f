//! Each combination of a cancel reason and what the handler does then, with the outcome that is reported to
//! the server.

use std::time::Duration;

use agent_testkit::{MockJob, RecordedStatus, ServerEvent};
use agent_worker::{CancelReason, JobContext, JobError, JobResult};

use super::stage::{LONG, Stage, text};

/// What a handler does when it is cancelled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Returns {
    Ok,
    Cancelled,
    Error,
    Panic,
    /// It does not return, and has to be aborted.
    Never,
}

const RETURNS: [Returns; 5] =
    [Returns::Ok, Returns::Cancelled, Returns::Error, Returns::Panic, Returns::Never];

/// What is reported to the server for each of these.
type Row = [&'static str; 5];

async fn handler(ctx: JobContext, returns: Returns) -> JobResult {
    if ctx.job().raw_metadata == "shutdown" {
        ctx.shutdown("enough");
    }
    ctx.cancelled().await;
    match returns {
        Returns::Ok => Ok(()),
        Returns::Cancelled => Err(JobError::cancelled()),
        // Retryable, if the job were not cancelled.
        Returns::Error => Err(JobError::retryable("its text", Duration::ZERO)),
        Returns::Panic => panic!("its text"),
        Returns::Never => std::future::pending().await,
    }
}

/// Makes the job stop for a reason.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cause {
    Deadline,
    Drained,
    Shutdown,
    RoomClosed,
    Terminated,
    Kicked,
    DuplicateIdentity,
    RoomGone,
}

impl Cause {
    fn reason(self) -> CancelReason {
        match self {
            Self::Deadline => CancelReason::Deadline,
            Self::Drained => CancelReason::Drained,
            Self::Shutdown => CancelReason::Shutdown("enough".into()),
            Self::RoomClosed => CancelReason::RoomClosed,
            Self::Terminated => CancelReason::Terminated,
            Self::Kicked => CancelReason::Kicked,
            Self::DuplicateIdentity => CancelReason::DuplicateIdentity,
            Self::RoomGone => CancelReason::RoomGone,
        }
    }

    async fn happens(self, stage: &Stage, job: &MockJob) {
        let agent = job.room().wait_for_agent().await;
        // The outcome is settled: the server knows the job.
        tokio::time::sleep(Duration::from_secs(1)).await;
        match self {
            // It happens by itself.
            Self::Deadline | Self::Shutdown => {}
            Self::Drained => stage.worker.start_drain(Duration::ZERO),
            Self::RoomClosed => job.room().delete(),
            Self::Terminated => job.terminate(),
            Self::Kicked => job.room().remove(&agent.identity),
            Self::DuplicateIdentity => drop(job.room().join(agent.identity.clone())),
            Self::RoomGone => job.room().lose(&agent.identity),
        }
    }

    /// What the server records if it has an outcome before ours is reported.
    fn recorded_before(self) -> Option<(RecordedStatus, &'static str)> {
        match self {
            Self::Deadline | Self::Drained | Self::Shutdown => None,
            Self::Terminated => Some((RecordedStatus::Success, "")),
            Self::RoomClosed | Self::Kicked | Self::DuplicateIdentity | Self::RoomGone => {
                Some((RecordedStatus::Failed, "agent worker left the room"))
            }
        }
    }
}

async fn check(cause: Cause, expected: Row) {
    for (returns, expected) in RETURNS.into_iter().zip(expected) {
        let (sender, mut reported) = tokio::sync::mpsc::unbounded_channel();
        let agent = move |ctx: JobContext| {
            let sender = sender.clone();
            async move {
                let _sender = sender.clone();
                ctx.on_cleanup(async move |ctx| {
                    drop(sender.send((ctx.cancel_reason(), ctx.is_in_room())));
                });
                handler(ctx, returns).await
            }
        };
        let mut stage = Stage::new(agent, |builder| match cause {
            Cause::Deadline => builder.job_timeout(Duration::from_secs(5)),
            _ => builder,
        });
        let metadata = if cause == Cause::Shutdown { "shutdown" } else { "" };
        let job = stage.dispatch_with(agent_testkit::JobSpec::room("room").metadata(metadata)).await;
        cause.happens(&stage, &job).await;
        let ended = stage.ended().await;
        let case = format!("{cause:?}, {returns:?}\n{}", stage.server.timeline());
        assert_eq!(text(&ended.outcome), expected, "{case}");
        assert_eq!(ended.outcome.is_success(), ended.kind.is_none(), "{case}");
        assert_eq!(ended.attempts, 1, "no other attempt: {case}");
        assert_eq!(stage.worker.stats().retries, 0);

        // There was exactly one cleanup, which could read the reason.
        let (reason, in_room) = reported.recv().await.expect("the callback ran");
        assert_eq!(reason, Some(cause.reason()), "{case}");
        assert!(reported.try_recv().is_err(), "{case}");
        let room_stays = matches!(cause, Cause::Deadline | Cause::Drained | Cause::Shutdown)
            || cause == Cause::Terminated && returns != Returns::Never;
        assert_eq!(in_room, room_stays, "{case}");

        let recorded = |event: &ServerEvent| match event {
            ServerEvent::Ended { status, error, .. } => Some((*status, error.clone())),
            _ => None,
        };
        let end = stage.server.events().iter().find_map(recorded).expect("the server recorded an end");
        let reported = match cause.recorded_before() {
            Some((status, error)) => (status, error.to_owned()),
            None if ended.outcome.is_success() => (RecordedStatus::Success, String::new()),
            None => (RecordedStatus::Failed, expected.to_owned()),
        };
        assert_eq!(end, reported, "{case}");
        let server = stage.server.events();
        let violation = server.iter().find(|event| matches!(event, ServerEvent::Violation { .. }));
        assert_eq!(violation, None, "{case}");
        stage.drain(LONG).await;
    }
}

#[tokio::test(start_paused = true)]
async fn deadline() {
    check(Cause::Deadline, ["job_timeout"; 5]).await;
}

#[tokio::test(start_paused = true)]
async fn drained() {
    let row = ["SUCCESS", "SUCCESS", "its text", "panicked: its text", "aborted: drained"];
    check(Cause::Drained, row).await;
}

#[tokio::test(start_paused = true)]
async fn shutdown() {
    let row = ["SUCCESS", "SUCCESS", "its text", "panicked: its text", "aborted: shutdown: enough"];
    check(Cause::Shutdown, row).await;
}

#[tokio::test(start_paused = true)]
async fn room_closed() {
    let row = ["SUCCESS", "SUCCESS", "its text", "panicked: its text", "aborted: room_closed"];
    check(Cause::RoomClosed, row).await;
}

#[tokio::test(start_paused = true)]
async fn terminated() {
    let row = ["SUCCESS", "SUCCESS", "its text", "panicked: its text", "aborted: terminated"];
    check(Cause::Terminated, row).await;
}

#[tokio::test(start_paused = true)]
async fn kicked() {
    check(Cause::Kicked, ["kicked", "kicked", "its text", "panicked: its text", "aborted: kicked"]).await;
}

#[tokio::test(start_paused = true)]
async fn duplicate_identity() {
    let reason = "duplicate_identity";
    let row = [reason, reason, "its text", "panicked: its text", "aborted: duplicate_identity"];
    check(Cause::DuplicateIdentity, row).await;
}

#[tokio::test(start_paused = true)]
async fn room_gone() {
    let row = ["room_gone", "room_gone", "its text", "panicked: its text", "aborted: room_gone"];
    check(Cause::RoomGone, row).await;
}

/// A handler that was not cancelled.
#[tokio::test(start_paused = true)]
async fn by_itself() {
    let returns = |returns: Returns| {
        move |_: JobContext| async move {
            match returns {
                Returns::Ok => JobResult::Ok(()),
                Returns::Cancelled => Err(JobError::cancelled()),
                Returns::Error => Err("its text".into()),
                Returns::Panic => panic!("its text"),
                Returns::Never => std::future::pending().await,
            }
        }
    };
    for (what, expected) in [
        (Returns::Ok, "SUCCESS"),
        (Returns::Cancelled, "the handler returned the error kind Cancelled, but the job was not cancelled"),
        (Returns::Error, "its text"),
        (Returns::Panic, "panicked: its text"),
    ] {
        let mut stage = Stage::new(returns(what), |builder| builder);
        let ended = stage.run().await;
        assert_eq!(text(&ended.outcome), expected);
        stage.drain(Duration::ZERO).await;
    }
}
