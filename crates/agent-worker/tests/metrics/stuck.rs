//! Code that blocks its thread: virtual time would wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::{JobContext, JobResult, WorkerHandle};

use crate::recorder::Recorded;

const LIMIT: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(20);

/// Blocks its thread until it is opened, or the test is over.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn block(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(open, SOON, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

async fn until(worker: &WorkerHandle, done: impl Fn(&WorkerHandle) -> bool) {
    let waiting = async {
        while !done(worker) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect("in time");
}

/// An attempt, a cleanup and a task that cannot be dropped.
pub(crate) async fn blocks(recorded: &mut Recorded) {
    let gate = Gate::default();
    let blocking = gate.clone();
    let agent = move |ctx: JobContext| {
        let gate = blocking.clone();
        async move {
            match ctx.job().room.name.as_str() {
                "attempt" => gate.block(),
                "cleanup" => ctx.on_cleanup(async move |_| gate.block()),
                _ => {
                    let blocked = Arc::new(AtomicBool::new(false));
                    let blocks = Arc::clone(&blocked);
                    drop(ctx.spawn(async move {
                        blocks.store(true, Ordering::SeqCst);
                        gate.block();
                    }));
                    // Woken by the task, the handler would be bound to the thread that blocks.
                    while !blocked.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            }
            JobResult::Ok(())
        }
    };
    let server = MockServer::builder().start_in_process();
    let builder = server.worker(agent).agent_name("blocker").grace(LIMIT).job_timeout(LIMIT);
    let worker = builder.cleanup_timeout(LIMIT).build().unwrap();
    let (handle, running) = (worker.handle(), tokio::spawn(worker.run()));
    server.dispatch(JobSpec::room("attempt").agent_name("blocker")).await.unwrap();
    until(&handle, |worker| worker.stats().stuck == 1).await;
    server.dispatch(JobSpec::room("cleanup").agent_name("blocker")).await.unwrap();
    until(&handle, |worker| worker.stats().stuck_cleanups == 1).await;
    server.dispatch(JobSpec::room("task").agent_name("blocker")).await.unwrap();
    until(&handle, |worker| worker.stats().leftover_tasks == 1).await;
    recorded.look();
    assert_eq!(recorded.gauge("active_job_count blocker"), 0.0, "all have their outcome");
    assert_eq!(recorded.gauge("slots_used blocker"), 1.0, "what is stuck keeps its slot");
    gate.open();
    handle.drain(SOON).await;
    running.await.unwrap().unwrap();
    recorded.look();
    let counted = recorded.counted("blocker");
    for line in [
        "stuck_attempts_total: 1",
        "stuck_cleanups_total: 1",
        "jobs_total failed: 1",
        "jobs_total success: 2",
        "leftover_tasks_total: 1",
    ] {
        assert!(counted.iter().any(|counted| counted == line), "{line} is not in {counted:?}");
    }
}
