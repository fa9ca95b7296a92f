//! Looks from a thread of its own at the tasks that run the user's code, and names those that block their
//! threads while they do. What counts is agent-core's `blocking`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing::dispatcher;

use agent_core::{BlockingReport, BlockingWatch, Time};
use agent_proto::error_text::chain;
use agent_proto::text::line;

use crate::job::user_tasks::{UserTasks, WatchedTask};
use crate::telemetry::Meter;

/// The shortest limit: there are two looks in it.
const MIN_LIMIT: Duration = Duration::from_millis(10);

/// A thread that looks. Dropping this ends it.
pub(super) struct BlockingThread {
    _running: Sender<()>,
}

impl BlockingThread {
    /// Reports tasks that block for this long.
    pub(super) fn start(tasks: UserTasks, limit: Duration, meter: Arc<Meter>) -> Self {
        let (running, ended) = channel();
        let log = dispatcher::get_default(Clone::clone);
        let mut watch = BlockingWatch::new(limit.max(MIN_LIMIT));
        let look = move || {
            let started = Instant::now();
            let mut reported = BTreeMap::new();
            while ended.recv_timeout(watch.interval()) == Err(RecvTimeoutError::Timeout) {
                for report in watch.look(tasks.runs(), Time::ZERO + started.elapsed()) {
                    dispatcher::with_default(&log, || write(&report, &tasks, &mut reported, &meter));
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("blocking-watch".to_owned()).spawn(look) {
            let error = line(chain(&error));
            tracing::warn!("blocking code of jobs is not looked for, as there is no thread for it: {error}");
        }
        Self { _running: running }
    }
}

/// The tasks that were reported may be gone when they have ended.
fn write(
    report: &BlockingReport,
    tasks: &UserTasks,
    reported: &mut BTreeMap<u64, WatchedTask>,
    meter: &Meter,
) {
    let BlockingReport { task: number, lasted, ended } = *report;
    if ended {
        let Some(WatchedTask { what, span, .. }) = reported.remove(&number) else { return };
        return span.in_scope(|| tracing::info!(?lasted, "{} no longer blocks its thread", line(&what)));
    }
    let WatchedTask { what, span, .. } = match reported.entry(number) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => {
            let Some(task) = tasks.task(number) else { return };
            meter.blocking();
            new.insert(task)
        }
    };
    span.in_scope(|| {
        tracing::warn!(
            ?lasted,
            "{} blocks a thread of the runtime: other jobs wait for it; move blocking code to `tokio::task::spawn_blocking`, or let it \
             await from time to time",
            line(what)
        );
    });
}
