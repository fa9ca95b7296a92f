//! Events of a job's room that were dropped before they were read: logged once for each job, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent_core::Job;
use agent_rtc::Dropped;

use super::log;
use crate::telemetry::Meter;

/// Returns the callback that reports the losses of one job, through all its attempts.
pub(super) fn reporter(
    agent: &str,
    job: &Job,
    meter: Arc<Meter>,
) -> impl Fn(Dropped) + Send + Sync + 'static {
    let (span, warned) = (log::job_span(agent, job, None), AtomicBool::new(false));
    move |dropped| {
        meter.room_events_dropped(dropped);
        // Once per job: a room that floods its handler must not flood the log, too.
        if !warned.swap(true, Ordering::Relaxed) {
            let Dropped { events, messages, frames, streams } = dropped;
            span.in_scope(|| {
                tracing::warn!(
                    events,
                    messages,
                    frames,
                    streams,
                    "room events were dropped before the handler read them: its streams are read too slowly (1,024 events and 4 MiB wait \
                     in each, a second of frames in one of a track): read them in a separate task, and data by topic (`Room::data`). Further losses of this job are only \
                     counted, as `lk_agents_room_events_dropped_total`"
                );
            });
        }
    }
}
