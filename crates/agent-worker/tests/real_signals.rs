//! Signals: the first drains, the second forces. A program of its own, since a signal is for the whole
//! process.
#![cfg(unix)]
#![allow(clippy::expect_used, reason = "a test may fail")]

use std::process::Command;
use std::time::Duration;

use agent_testkit::{DispatchRequest, JobEndStatus};
use agent_worker::{JobContext, JobResult, Worker, WorkerError};

const SOON: Duration = Duration::from_secs(30);

/// Does not listen to being cancelled.
async fn deaf(_: JobContext) -> JobResult {
    std::future::pending().await
}

fn send_sigterm() {
    let pid = std::process::id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("there is a kill command").success());
}

#[tokio::test]
async fn the_first_signal_drains_and_the_second_forces() {
    let Some(server) = agent_testkit::real_server().await else { return };
    // Two agents in one process: both get the signal.
    let workers: Vec<Worker> = ["first", "second"]
        .map(|name| {
            Worker::builder(deaf)
                .url(server.url())
                .credentials(server.api_key(), server.api_secret().clone())
                .agent_name(name)
                .build()
                .expect("the settings are complete")
        })
        .into();
    let handles: Vec<_> = workers.iter().map(Worker::handle).collect();
    let running = tokio::spawn(Worker::run_all_until_signal(workers));
    for handle in &handles {
        assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
    }
    for name in ["first", "second"] {
        let request = DispatchRequest::new(name, format!("room-of-{name}"));
        server.api().create_dispatch(request).await.expect("the server takes the dispatch");
    }
    for handle in &handles {
        until(|| async { handle.status().await.is_some_and(|status| status.slots.running == 1) }).await;
    }

    send_sigterm();
    for handle in &handles {
        until(|| async { handle.status().await.is_some_and(|status| status.draining) }).await;
        let slots = handle.status().await.expect("it drains").slots;
        assert_eq!(slots.running, 1, "a drain lets jobs continue");
    }
    assert!(!running.is_finished());

    // One that comes sooner counts as the same.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    send_sigterm();
    let ended = tokio::time::timeout(SOON, running).await.expect("forced").expect("no panic");
    let Err(WorkerError::Forced(report)) = ended else {
        unreachable!("a second signal is an error: {ended:?}")
    };
    assert_eq!((report.succeeded, report.failed, report.unsent), (0, 2, 0));
    let ends = server.log().wait_for_outcomes(2, SOON).await.expect("the ends of both jobs");
    for end in ends.values() {
        assert_eq!(
            (&end.status, end.error.as_str()),
            (&JobEndStatus::Failed, "aborted: stopped at once (a second signal or `WorkerHandle::stop`)")
        );
    }
}

async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let wait = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("in time");
}
