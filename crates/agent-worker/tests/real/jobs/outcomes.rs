//! Many jobs on a real livekit-server, and jobs that end at once: what the server records. How a single job
//! ends is part of the conformance tests of agent-testkit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use agent_testkit::{DispatchRequest, JobEnd, JobEndStatus, RealServer};
use agent_worker::job::Lifecycle;
use agent_worker::{JobContext, JobResult, Worker, WorkerBuilder, WorkerHandle};

use crate::support::long;

const AGENT: &str = "tester";
const SOON: Duration = Duration::from_secs(30);

/// A worker that runs beside the test, and is drained at its end.
struct Running {
    handle: WorkerHandle,
    task: JoinHandle<Result<agent_worker::stats::DrainReport, agent_worker::WorkerError>>,
    /// Handlers that were called.
    called: watch::Receiver<usize>,
}

async fn start(server: &RealServer, builder: WorkerBuilder) -> Running {
    let (count, called) = watch::channel(0);
    let worker = builder
        .on_lifecycle(move |_, state| {
            count.send_modify(|count| *count += usize::from(state == Lifecycle::Running));
        })
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .build()
        .expect("the settings are complete");
    let handle = worker.handle();
    let task = tokio::spawn(worker.run());
    assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
    Running { handle, task, called }
}

impl Running {
    /// Waits until this many handlers were called.
    async fn called(&mut self, count: usize) {
        let enough = self.called.wait_for(|called| *called >= count);
        tokio::time::timeout(SOON, enough).await.expect("the handlers are called").expect("the worker runs");
    }

    async fn stop(self) {
        self.handle.drain(Duration::from_secs(5)).await;
        self.task.await.expect("the worker does not panic").expect("the worker ends well");
    }
}

/// Stays until it is cancelled.
async fn stay(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

async fn dispatch(server: &RealServer, room: &str) {
    let dispatched = server.api().create_dispatch(DispatchRequest::new(AGENT, room)).await;
    dispatched.expect("the server takes the dispatch");
}

fn succeeded(ends: &BTreeMap<String, JobEnd>) -> usize {
    ends.values().filter(|end| end.status == JobEndStatus::Success).count()
}

#[tokio::test]
async fn a_burst_of_50_into_50_slots_is_taken_whole() {
    let Some(server) = agent_testkit::real_server().await else { return };
    let mut worker = start(&server, Worker::builder(stay).agent_name(AGENT).max_jobs(50)).await;
    let dispatches = (0..50).map(|n| {
        let request = DispatchRequest::new(AGENT, format!("burst-{n}"));
        server.api().create_dispatch(request)
    });
    for dispatched in futures_util::future::join_all(dispatches).await {
        dispatched.expect("the server takes the dispatch");
    }
    worker.called(50).await;
    let slots = worker.handle.status().await.expect("it runs").slots;
    assert_eq!(slots.used(), 50, "{slots:?}");
    let report = worker.handle.drain(Duration::ZERO).await;
    assert_eq!((report.succeeded, report.failed, report.unsent), (50, 0, 0));
    let ends = server.log().wait_for_outcomes(50, SOON).await.expect("50 ends");
    assert_eq!(succeeded(&ends), 50, "{:?}", ends.values().find(|end| end.status != JobEndStatus::Success));
}

#[tokio::test]
async fn two_jobs_in_one_room_both_stay() {
    let Some(server) = agent_testkit::real_server().await else { return };
    let mut worker = start(&server, Worker::builder(stay).agent_name(AGENT)).await;
    dispatch(&server, "shared").await;
    dispatch(&server, "shared").await;
    worker.called(2).await;
    // The server's list may be older than what the agents know.
    let both = async {
        loop {
            let there = server.api().list_participants("shared").await.expect("the room is there");
            if there.len() == 2 {
                return there;
            }
        }
    };
    let there = tokio::time::timeout(SOON, both).await.expect("two participants are listed");
    assert!(there.iter().all(|p| p.identity.starts_with("agent-AJ_")), "{there:?}");
    let report = worker.handle.drain(Duration::ZERO).await;
    assert_eq!((report.succeeded, report.failed), (2, 0));
}

/// A fact of the server: a final status that arrives before it has recorded the assignment is dropped. The
/// repetition corrects that.
#[tokio::test]
async fn no_final_status_of_jobs_that_end_at_once_is_lost() {
    let Some(server) = agent_testkit::real_server().await else { return };
    let jobs = long::times("jobs that end at once", 300, 1000);
    let ran = Arc::new(AtomicUsize::new(0));
    let agent = {
        let ran = Arc::clone(&ran);
        move |_: JobContext| {
            ran.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok(()))
        }
    };
    // The jobs end at once because they do not join the room.
    let worker = start(&server, Worker::builder(agent).agent_name(AGENT).join_room(false)).await;
    let mut dispatched = 0;
    while dispatched < jobs {
        // A handful of rooms, since each new one costs the server a second.
        let batch = (0..50).map(|n| {
            let request = DispatchRequest::new(AGENT, format!("quick-{}", n % 10));
            server.api().create_dispatch(request)
        });
        for dispatch in futures_util::future::join_all(batch).await {
            dispatch.expect("the server takes the dispatch");
            dispatched += 1;
        }
        server.log().wait_for_outcomes(dispatched, SOON).await.expect("every job ends");
    }
    let ends = server.log().outcomes();
    let early = server.log().count("received job update for unknown job");
    println!(
        "{} jobs ran, {} recorded; {early} updates came before the server knew the job, or after it had ended",
        ran.load(Ordering::Relaxed),
        ends.len()
    );
    assert_eq!((ran.load(Ordering::Relaxed), succeeded(&ends)), (jobs, jobs));
    worker.stop().await;
}

#[tokio::test]
async fn a_wrong_secret_is_a_plain_error() {
    let Some(server) = agent_testkit::real_server().await else { return };
    let worker = Worker::builder(stay)
        .agent_name(AGENT)
        .url(server.url())
        .credentials(server.api_key(), "not the secret, but as long as one has to be")
        .build()
        .expect("the settings are complete");
    let error =
        tokio::time::timeout(SOON, worker.run()).await.expect("at once").expect_err("refused").to_string();
    assert!(error.contains("401") && error.contains("LIVEKIT_API_SECRET"), "{error}");
}
