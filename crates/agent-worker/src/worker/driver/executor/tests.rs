//! Other executors: the driver depends only on the executor's interface, and an attempt only on its
//! description.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod lifecycle;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use agent_testkit::{JobSpec, MockServer};

use super::{Executor, RunningAttempt, Tasks};
use crate::job::spec::AttemptSpec;
use crate::worker::Worker;
use crate::worker::driver::attempt::Attempt;
use crate::{JobContext, JobError, JobResult, Outcome, RetryPolicy};

/// Sends a serialised description to a task, as to another process, and drives attempts within that task.
struct Described {
    orders: mpsc::UnboundedSender<Order>,
}

struct Order {
    description: Vec<u8>,
    attempt: Attempt,
    /// Aborts the attempt on drop.
    abort: oneshot::Receiver<()>,
}

impl Described {
    fn new() -> Self {
        let (orders, mut received) = mpsc::unbounded_channel::<Order>();
        tokio::spawn(async move {
            let mut running = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    biased;
                    order = received.recv() => {
                        let Some(Order { description, attempt, abort }) = order else { break };
                        let spec = serde_json::from_slice(&description).expect("what was written can be read");
                        running.spawn(async move {
                            tokio::select! {
                                biased;
                                _ = abort => {}
                                () = attempt.run(spec) => {}
                            }
                        });
                    }
                    Some(ended) = running.join_next() => ended.expect("an attempt contains its panics"),
                }
            }
        });
        Self { orders }
    }
}

impl Executor for Described {
    fn start(&self, spec: AttemptSpec, attempt: Attempt) -> RunningAttempt {
        let description = serde_json::to_vec(&spec).expect("it can be written");
        let (sender, abort) = oneshot::channel();
        // Without a receiver the attempt is dropped, and reports that itself.
        let _ = self.orders.send(Order { description, attempt, abort });
        let sender = std::sync::Mutex::new(Some(sender));
        RunningAttempt::new(move || drop(sender.lock().unwrap().take()))
    }
}

/// Separate threads with their own runtime.
struct Threads(Option<Runtime>);

impl Threads {
    fn new() -> Self {
        Self(Some(Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()))
    }
}

impl Executor for Threads {
    fn start(&self, spec: AttemptSpec, attempt: Attempt) -> RunningAttempt {
        let task = self.0.as_ref().unwrap().spawn(attempt.run(spec)).abort_handle();
        RunningAttempt::new(move || task.abort())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime must not be dropped within another one.
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// Drops every attempt immediately.
struct Nobody;

impl Executor for Nobody {
    fn start(&self, _: AttemptSpec, _: Attempt) -> RunningAttempt {
        RunningAttempt::new(|| {})
    }
}

async fn outcome_of(executor: Arc<dyn Executor>, metadata: &str) -> Outcome {
    let agent = |ctx: JobContext| async move {
        let what = ctx.job().raw_metadata.clone();
        match what.as_str() {
            "error" => return Err(JobError::fatal("planted")),
            "panic" => panic!("planted"),
            "retry" if ctx.attempt() < 3 => return Err(JobError::retryable("again", Duration::ZERO)),
            "fail" => {
                ctx.fail(JobError::fatal("from outside"));
                std::future::pending::<()>().await;
            }
            "stop" | "deaf" => ctx.shutdown("enough"),
            _ => {}
        }
        if what == "deaf" {
            std::future::pending::<()>().await;
        }
        if what == "stop" {
            ctx.cancelled().await;
        }
        ctx.room().publish_data("status", what).await?;
        JobResult::Ok(())
    };
    let server = MockServer::start().await.unwrap();
    let worker = Worker::builder(agent)
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .connector(server.connector())
        .agent_name("tester")
        .grace(Duration::from_millis(200))
        .settling(Duration::ZERO)
        .retry(RetryPolicy::attempts(3).backoff(Duration::from_millis(1), Duration::from_millis(1)))
        .executor(executor)
        .build()
        .unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(handle.registered().await);
    let job = server.dispatch(JobSpec::room("room").agent_name("tester").metadata(metadata)).await.unwrap();
    let outcome = job.outcome().await.unwrap();
    handle.drain(Duration::ZERO).await;
    running.await.unwrap().unwrap();
    outcome
}

/// Every kind of end is reported in the same way by all executors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_end_in_the_same_way_on_all_executors() {
    for what in ["ok", "error", "panic", "retry", "fail", "stop", "deaf"] {
        let expected = outcome_of(Arc::new(Tasks), what).await;
        assert_eq!(outcome_of(Arc::new(Described::new()), what).await, expected, "{what}");
        assert_eq!(outcome_of(Arc::new(Threads::new()), what).await, expected, "{what}");
    }
}

/// A job does not wait for an attempt that its executor has dropped.
#[tokio::test]
async fn an_attempt_that_never_started_has_ended() {
    let outcome = outcome_of(Arc::new(Nobody), "ok").await;
    assert!(matches!(&outcome, Outcome::Failed { error } if error.contains("aborted")), "{outcome:?}");
}
