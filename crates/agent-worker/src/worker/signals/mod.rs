//! Signals to stop, and to be quiet. They are received on their own thread, since blocking code of jobs may
//! occupy every thread of the program's runtime. agent-core's `Shutdown` decides what each signal to stop
//! means.

mod log;
mod os;

pub(crate) use log::exit;

use std::collections::BTreeMap;
use std::future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::{LOG_TIME, Log};
use tokio::runtime;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use agent_core::{
    FORCED_EXIT_CODE, Shutdown, ShutdownAction, ShutdownInput, ShutdownLimits, SignalFilter, Time,
};

use crate::worker::handle::WorkerHandle;
use os::{OsSignal, OsSignals};

/// The process's only listener, once started, as a signal is for the whole process.
static LISTENER: Mutex<Option<Arc<Listener>>> = Mutex::new(None);

/// Interval at which a runtime with stopping workers gets a task. A blocked thread may be the one that polled
/// timers and sockets, and no other thread takes over before it is woken.
const WAKE_INTERVAL: Duration = Duration::from_millis(250);

/// The signals of a group of workers. Dropped when they have ended.
pub(crate) struct Signals {
    listener: Arc<Listener>,
    id: u64,
    first: oneshot::Receiver<()>,
    forced: Arc<AtomicBool>,
}

struct Listener {
    state: Mutex<State>,
    /// The state has changed.
    changed: Notify,
    started: Instant,
    /// The runtime of the listener's thread.
    runtime: runtime::Handle,
}

#[derive(Default)]
struct State {
    filter: SignalFilter,
    /// Runs that have not ended, by number.
    runs: BTreeMap<u64, Run>,
    last_run: u64,
    log: Option<Log>,
}

/// A group of workers that stop together.
struct Run {
    shutdown: Shutdown,
    workers: Vec<(WorkerHandle, Duration)>,
    first: Option<oneshot::Sender<()>>,
    forced: Arc<AtomicBool>,
    /// The log line about the second signal, while it is written.
    abort_logged: Option<Receiver<()>>,
    /// The program's runtime, which runs them.
    runtime: runtime::Handle,
}

impl Signals {
    /// Handles signals for these workers, each with its drain timeout, from now on.
    pub(crate) fn listen(workers: Vec<(WorkerHandle, Duration)>, limits: ShutdownLimits) -> io::Result<Self> {
        let listener = Listener::of_process()?;
        let (first, first_signal) = oneshot::channel();
        let forced = Arc::new(AtomicBool::new(false));
        let handles: Vec<WorkerHandle> = workers.iter().map(|(handle, _)| handle.clone()).collect();
        let run = Run {
            shutdown: Shutdown::new(limits),
            workers,
            first: Some(first),
            forced: Arc::clone(&forced),
            abort_logged: None,
            runtime: runtime::Handle::current(),
        };
        let mut state = listener.lock();
        state.log = Some(Log::here());
        state.last_run += 1;
        let id = state.last_run;
        state.runs.insert(id, run);
        drop(state);
        let watching = Arc::clone(&listener);
        listener.runtime.spawn(async move {
            for handle in handles {
                handle.closing().await;
            }
            watching.stopped(id);
        });
        Ok(Self { listener, id, first: first_signal, forced })
    }

    /// Waits for the first signal.
    pub(crate) async fn first(&mut self) {
        if (&mut self.first).await.is_err() {
            future::pending().await
        }
    }

    /// Whether there was a second signal.
    pub(crate) fn forced(&self) -> bool {
        self.forced.load(Ordering::Acquire)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let run = self.listener.lock().runs.remove(&self.id);
        // `main` may return next, and end the process before the line is written.
        if let Some(written) = run.and_then(|run| run.abort_logged) {
            let _ = written.recv_timeout(LOG_TIME);
        }
    }
}

impl Listener {
    fn of_process() -> io::Result<Arc<Self>> {
        let mut listener = LISTENER.lock().unwrap_or_else(PoisonError::into_inner);
        match &*listener {
            Some(listener) => Ok(Arc::clone(listener)),
            None => Ok(Arc::clone(listener.insert(Self::start()?))),
        }
    }

    fn start() -> io::Result<Arc<Self>> {
        let (ready, started) = sync_channel(1);
        let listen = move || {
            let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async {
                let mut signals = match OsSignals::listen() {
                    Ok(signals) => signals,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let listener = Arc::new(Self {
                    state: Mutex::default(),
                    changed: Notify::new(),
                    started: Instant::now(),
                    runtime: runtime::Handle::current(),
                });
                let _ = ready.send(Ok(Arc::clone(&listener)));
                listener.run(&mut signals).await
            });
        };
        thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
        started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that listens for signals has ended")))
    }

    /// Runs until the process ends.
    async fn run(&self, signals: &mut OsSignals) {
        loop {
            let due = self.lock().runs.values().filter_map(|run| run.shutdown.poll_timeout()).min();
            let wakes = self.lock().runs.values().any(|run| run.first.is_none());
            let due = due.and_then(|due| self.started.checked_add(due - Time::ZERO));
            tokio::select! {
                signal = signals.next() => match signal {
                    OsSignal::Stop => self.signalled(),
                    OsSignal::Quiet => self.of_all(WorkerHandle::quiet),
                    OsSignal::Undrain => self.of_all(WorkerHandle::undrain),
                },
                () = tokio::time::sleep_until(due.unwrap_or(self.started)), if due.is_some() => self.timed_out(),
                () = tokio::time::sleep(WAKE_INTERVAL), if wakes => self.wake(),
                () = self.changed.notified() => {}
            }
        }
    }

    /// Wakes a thread of each runtime with stopping workers.
    fn wake(&self) {
        for run in self.lock().runs.values().filter(|run| run.first.is_none()) {
            drop(run.runtime.spawn(future::ready(())));
        }
    }

    fn of_all(&self, command: fn(&WorkerHandle)) {
        for run in self.lock().runs.values() {
            run.workers.iter().for_each(|(worker, _)| command(worker));
        }
    }

    fn signalled(&self) {
        let now = self.now();
        let mut state = self.lock();
        let Some(log) = state.log.clone() else { return };
        if !state.filter.counts(now) {
            drop(log.info("a signal to stop within a second of the one before counts as the same"));
            return;
        }
        if state.runs.is_empty() {
            log.exit(FORCED_EXIT_CODE, "another signal to stop: the process ends now".to_owned());
        }
        for run in state.runs.values_mut() {
            run.shutdown.handle_input(ShutdownInput::Signalled, now);
            run.carry_out(&log);
        }
    }

    fn timed_out(&self) {
        let now = self.now();
        let mut state = self.lock();
        let Some(log) = state.log.clone() else { return };
        for run in state.runs.values_mut() {
            run.shutdown.handle_timeout(now);
            run.carry_out(&log);
        }
    }

    /// The workers of this run have stopped.
    fn stopped(&self, id: u64) {
        let now = self.now();
        let mut state = self.lock();
        let log = state.log.clone();
        if let (Some(run), Some(log)) = (state.runs.get_mut(&id), log) {
            run.shutdown.handle_input(ShutdownInput::WorkersStopped, now);
            run.carry_out(&log);
        }
        drop(state);
        self.changed.notify_one();
    }

    fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn carry_out(&mut self, log: &Log) {
        while let Some(action) = self.shutdown.poll_output() {
            self.do_one(action, log);
        }
    }

    fn do_one(&mut self, action: ShutdownAction, log: &Log) {
        match action {
            ShutdownAction::Drain => {
                drop(log.info("signal to stop: draining"));
                self.workers.iter().for_each(|(worker, within)| worker.start_drain(*within));
                let _ = self.first.take().map(|first| first.send(()));
            }
            ShutdownAction::Abort => {
                self.abort_logged = Some(log.info("second signal to stop: aborting what still runs"));
                self.forced.store(true, Ordering::Release);
                self.workers.iter().for_each(|(worker, _)| worker.stop());
            }
            ShutdownAction::Exit { code } => {
                log.exit(code, "another signal to stop: the process ends now".to_owned())
            }
            ShutdownAction::ExitBlocked { code } => log.exit(
                code,
                "the worker does not stop, as its threads are blocked (blocking code in a handler? move it to \
                 `tokio::task::spawn_blocking`): the process ends now"
                    .to_owned(),
            ),
        }
    }
}
