//! Jobs that the server ends: the handler's cancel reason, and what the server then records.

use std::time::Duration;

use tokio::sync::mpsc;

use agent_testkit::{DispatchRequest, JobEnd, JobEndStatus, RealServer};
use agent_worker::{CancelReason, JobContext, JobResult, Worker, WorkerHandle};

const AGENT: &str = "ender";
const SOON: Duration = Duration::from_secs(30);

/// A worker whose handlers report when they were called and why they were cancelled.
struct Stage {
    server: RealServer,
    worker: WorkerHandle,
    called: mpsc::UnboundedReceiver<String>,
    cancelled: mpsc::UnboundedReceiver<CancelReason>,
}

impl Stage {
    async fn new() -> Option<Self> {
        let server = agent_testkit::real_server().await?;
        let (tell_called, called) = mpsc::unbounded_channel();
        let (tell_cancelled, cancelled) = mpsc::unbounded_channel();
        let agent = move |ctx: JobContext| {
            let (tell_called, tell_cancelled) = (tell_called.clone(), tell_cancelled.clone());
            async move {
                tell_called.send(ctx.room().local_participant().identity.clone())?;
                tell_cancelled.send(ctx.cancelled().await)?;
                JobResult::Ok(())
            }
        };
        let worker = Worker::builder(agent)
            .url(server.url())
            .credentials(server.api_key(), server.api_secret().clone())
            .agent_name(AGENT)
            .build()
            .expect("the settings are complete");
        let handle = worker.handle();
        tokio::spawn(worker.run());
        assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
        Some(Self { server, worker: handle, called, cancelled })
    }

    /// Dispatches a job and waits for its handler; gives the dispatch and the agent's identity.
    async fn run_job(&mut self, room: &str) -> (String, String) {
        let dispatch = self.server.api().create_dispatch(DispatchRequest::new(AGENT, room)).await;
        let identity = tokio::time::timeout(SOON, self.called.recv()).await.expect("the handler is called");
        (dispatch.expect("the server takes the dispatch").id, identity.expect("the worker runs"))
    }

    async fn reason(&mut self) -> CancelReason {
        tokio::time::timeout(SOON, self.cancelled.recv()).await.expect("in time").expect("the worker runs")
    }

    async fn end_in(&self, room: &str) -> JobEnd {
        let job = self.server.log().assigned_in(room, SOON).await.expect("a job for the room").job_id;
        self.server.log().outcome(&job, SOON).await.expect("the end of the job")
    }

    async fn stop(self) {
        self.worker.drain(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_deleted_dispatch_terminates_its_job_as_a_success() {
    let Some(mut stage) = Stage::new().await else { return };
    let (dispatch, _) = stage.run_job("dispatched").await;
    stage.server.api().delete_dispatch("dispatched", &dispatch).await.expect("deleted");
    assert_eq!(stage.reason().await, CancelReason::Terminated);
    assert_eq!(stage.end_in("dispatched").await.status, JobEndStatus::Success);
    stage.stop().await;
}

#[tokio::test]
async fn a_deleted_room_closes_its_jobs() {
    let Some(mut stage) = Stage::new().await else { return };
    stage.run_job("deleted").await;
    stage.server.api().delete_room("deleted").await.expect("deleted");
    // The server reports it in two ways, and either may be the first to arrive.
    let reason = stage.reason().await;
    assert!(matches!(reason, CancelReason::RoomClosed | CancelReason::Terminated), "{reason}");
    stage.stop().await;
}

#[tokio::test]
async fn a_removed_agent_is_cancelled_as_kicked() {
    let Some(mut stage) = Stage::new().await else { return };
    let (_, identity) = stage.run_job("removed").await;
    stage.server.api().remove_participant("removed", &identity).await.expect("removed");
    let reason = stage.reason().await;
    assert!(matches!(reason, CancelReason::Kicked | CancelReason::Terminated), "{reason}");
    // The server records the end of the participant itself; our status may come first.
    let end = stage.end_in("removed").await;
    assert_eq!(end.status, JobEndStatus::Failed);
    assert!(["agent worker left the room", "kicked"].contains(&end.error.as_str()), "{end:?}");
    stage.stop().await;
}
