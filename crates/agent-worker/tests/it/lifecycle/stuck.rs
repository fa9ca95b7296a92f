//! Code that cannot be aborted, as it blocks its thread: in real time, since virtual time would wait for it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::{
    EndedJob, FailedJob, JobContext, JobResult, Outcome, WorkerBuilder, WorkerError, WorkerHandle,
};

use super::stage::{self, text};

const SOON: Duration = Duration::from_secs(20);

/// Blocks its thread until the test opens the gate.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn block(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// Opens the gate also when the test fails, so that the runtime can end.
impl Drop for OpensAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}

struct OpensAtLast(Gate);

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("in time")
}

/// Waits until the worker reports it.
async fn until(worker: &WorkerHandle, what: impl Fn(agent_worker::stats::SlotCounts) -> bool) {
    within(async {
        while !what(worker.status().await.expect("it runs").slots) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn worker(
    server: &MockServer,
    agent: impl agent_worker::Agent,
    change: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
) -> (WorkerHandle, tokio::task::JoinHandle<agent_worker::stats::DrainReport>) {
    let builder = stage::worker(server, agent).agent_name("tester").grace(Duration::from_millis(50));
    let worker = change(builder).build().unwrap();
    let handle = worker.handle();
    (handle, tokio::spawn(async { worker.run().await.expect("it ends well") }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_stuck_attempt_is_cleaned_up_after_reported_and_not_waited_for() {
    let gate = Gate::default();
    let _open = OpensAtLast(gate.clone());
    let (sender, mut receiver) = mpsc::unbounded_channel::<String>();
    let (tell_failed, mut failed) = mpsc::unbounded_channel::<FailedJob>();
    let blocks = gate.clone();
    let agent = move |ctx: JobContext| {
        let (gate, sender) = (blocks.clone(), sender.clone());
        async move {
            let callback = |text: &'static str| {
                let sender = sender.clone();
                async move |_| drop(sender.send(text.to_owned()))
            };
            ctx.on_cleanup(callback("cleanup"));
            gate.block();
            // The attempt returns long after its outcome was reported.
            ctx.on_cleanup(callback("late cleanup"));
            JobResult::Ok(())
        }
    };
    let server = MockServer::start().await.unwrap();
    let (worker, running) = worker(&server, agent, |builder| {
        builder.job_timeout(Duration::from_millis(100)).on_failure(move |failed| {
            let _ = tell_failed.send(failed);
            std::future::ready(())
        })
    });
    let job = server.dispatch(JobSpec::room("stuck").agent_name("tester")).await.unwrap();
    let outcome = within(job.outcome()).await.unwrap();
    assert_eq!(outcome, Outcome::Failed { error: "job_timeout".into() });
    assert_eq!(receiver.recv().await.as_deref(), Some("cleanup"), "before the outcome");
    assert_eq!(within(failed.recv()).await.unwrap().attempts, 1);
    until(&worker, |slots| slots.stuck == 1 && slots.used() == 1).await;
    assert_eq!(worker.stats().stuck, 1);

    gate.open();
    until(&worker, |slots| slots.used() == 0).await;
    assert_eq!(within(receiver.recv()).await.as_deref(), Some("late cleanup"));
    assert!(receiver.try_recv().is_err(), "each once");
    assert_eq!(worker.stats().failed(), 1, "one outcome");
    within(worker.drain(Duration::ZERO)).await;
    within(running).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_drain_does_not_wait_for_a_stuck_attempt() {
    let gate = Gate::default();
    let _open = OpensAtLast(gate.clone());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (tell_begun, mut begun) = mpsc::unbounded_channel();
    let agent = move |ctx: JobContext| {
        let (gate, sender, tell_begun) = (gate.clone(), sender.clone(), tell_begun.clone());
        async move {
            ctx.on_cleanup(async move |_| sender.send(()).unwrap());
            let _ = tell_begun.send(());
            gate.block();
            JobResult::Ok(())
        }
    };
    let server = MockServer::start().await.unwrap();
    let (worker, running) = worker(&server, agent, |builder| builder);
    let job = server.dispatch(JobSpec::room("stuck").agent_name("tester")).await.unwrap();
    within(begun.recv()).await.unwrap();
    let started = Instant::now();
    let report = within(worker.drain(Duration::from_millis(100))).await;
    within(running).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!((report.succeeded, report.failed, report.stuck), (0, 1, 1));
    assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Failed { error: "aborted: drained".into() });
    assert_eq!(within(receiver.recv()).await, Some(()), "cleaned up after all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_cleanup_that_blocks_does_not_hold_the_job() {
    struct Agent {
        gate: Gate,
        sender: mpsc::UnboundedSender<EndedJob>,
    }
    impl agent_worker::Agent for Agent {
        async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
            ctx.on_cleanup(async move |_| self.gate.block());
            Err("no such voice".into())
        }

        async fn on_ended(&self, ended: &EndedJob) {
            let _ = self.sender.send(ended.clone());
        }
    }
    let gate = Gate::default();
    let _open = OpensAtLast(gate.clone());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let server = MockServer::start().await.unwrap();
    let (worker, running) = worker(&server, Agent { gate: gate.clone(), sender }, |builder| {
        builder.cleanup_timeout(Duration::from_millis(100))
    });
    server.dispatch(JobSpec::room("blocking").agent_name("tester")).await.unwrap();
    let ended = within(receiver.recv()).await.unwrap();
    assert_eq!(text(&ended.outcome), "no such voice", "it changes nothing");
    until(&worker, |slots| slots.used() == 0).await;
    assert_eq!(worker.stats().stuck_cleanups, 1);
    gate.open();
    within(worker.drain(Duration::ZERO)).await;
    within(running).await.unwrap();
}

/// It does not end the process: the program decides what to do about the blocked thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn run_until_reports_unfinished_work() {
    let gate = Gate::default();
    let _open = OpensAtLast(gate.clone());
    let (tell_begun, mut begun) = mpsc::unbounded_channel();
    let agent = move |_: JobContext| {
        let _ = tell_begun.send(());
        gate.block();
        std::future::ready(JobResult::Ok(()))
    };
    let server = MockServer::start().await.unwrap();
    let limit = Duration::from_millis(50);
    let builder = stage::worker(&server, agent).agent_name("tester").grace(limit).drain_timeout(limit);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(builder.build().unwrap().run_until(stopped));
    let job = server.dispatch(JobSpec::room("stuck").agent_name("tester")).await.unwrap();
    within(begun.recv()).await.unwrap();
    drop(stop);
    let error = within(running).await.unwrap().unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let WorkerError::Stuck(report) = error else { panic!("{error:?}") };
    assert_eq!((report.succeeded, report.failed, report.stuck), (0, 1, 1));
    assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Failed { error: "aborted: drained".into() });
}
