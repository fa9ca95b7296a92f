//! What `start` reports to systemd, if it is a service with `Type=notify`: that it is ready once it is
//! registered, that it stops once it drains, its state in a line, and that it still runs if the unit has a
//! `WatchdogSec=`.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior, interval};

use agent_proto::text::line;

use crate::worker::handle::{WorkerHandle, WorkerStatus};

/// The variable with the socket of systemd.
const SOCKET: &str = "NOTIFY_SOCKET";
const MIN_WATCHDOG: Duration = Duration::from_millis(1);
/// How often the worker's state is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Reports a worker to systemd until it has stopped; does nothing if systemd does not listen.
pub(super) async fn report(worker: WorkerHandle) {
    if std::env::var_os(SOCKET).is_none() {
        return;
    }
    // A period of 0 is none.
    let watchdog = sd_notify::watchdog_enabled().filter(|watchdog| *watchdog >= MIN_WATCHDOG);
    // As systemd advises, twice in each period of its watchdog.
    let mut pace = interval(watchdog.map_or(PERIOD, |watchdog| PERIOD.min(watchdog / 2)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut service = Service::default();
    let mut looked_at: Option<Instant> = None;
    let stopped = worker.stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            _ = pace.tick() => {}
        }
        if watchdog.is_some() {
            send(&[NotifyState::Watchdog]);
        }
        if looked_at.is_none_or(|at| at.elapsed() >= PERIOD) {
            looked_at = Some(Instant::now());
            let Some(status) = worker.status().await else { return };
            let (changes, text) = service.changes(&status);
            if let Some(text) = &text {
                let changes: Vec<_> = changes.into_iter().chain([NotifyState::Status(text)]).collect();
                send(&changes);
            }
        }
    }
}

fn send(states: &[NotifyState<'_>]) {
    match sd_notify::notify(states) {
        Ok(()) => {}
        // It is restarting, or its queue is full: the next message says the same.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => tracing::debug!("systemd was not notified: {}", line(error)),
    }
}

/// What systemd knows of the worker.
#[derive(Default)]
struct Service {
    ready: bool,
    stopping: bool,
    text: String,
}

impl Service {
    /// What is new for systemd: changes of the service, and its state in a line if that has changed.
    fn changes(&mut self, status: &WorkerStatus) -> (Vec<NotifyState<'static>>, Option<String>) {
        let mut changes = Vec::new();
        if status.registered && !self.ready {
            self.ready = true;
            changes.push(NotifyState::Ready);
        }
        if status.draining && !self.stopping {
            self.stopping = true;
            changes.push(NotifyState::Stopping);
        }
        let state = match (status.draining, status.registered) {
            (true, _) => "draining",
            (false, true) => "registered",
            (false, false) => "not connected",
        };
        let quiet = if status.quiet { ", quiet" } else { "" };
        let text = format!("{state}{quiet}, {} jobs run", status.slots.running);
        let is_new = text != self.text;
        self.text.clone_from(&text);
        (changes, is_new.then_some(text))
    }
}

#[cfg(test)]
mod tests {
    use agent_core::SlotCounts;

    use super::*;

    fn status(registered: bool, draining: bool, running: usize) -> WorkerStatus {
        let mut slots = SlotCounts::default();
        slots.running = running;
        WorkerStatus { registered, draining, quiet: false, slots }
    }

    #[test]
    fn each_change_is_reported_once() {
        let mut service = Service::default();
        let mut next = |status| {
            let (changes, text) = service.changes(&status);
            (format!("{changes:?}"), text)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(next(status(false, false, 0)), ("[]".into(), text("not connected, 0 jobs run")));
        assert_eq!(next(status(true, false, 0)), ("[Ready]".into(), text("registered, 0 jobs run")));
        assert_eq!(next(status(true, false, 0)), ("[]".into(), None));
        assert_eq!(next(status(true, false, 2)), ("[]".into(), text("registered, 2 jobs run")));
        // A worker that has lost its connection is still a service that runs.
        assert_eq!(next(status(false, false, 2)), ("[]".into(), text("not connected, 2 jobs run")));
        assert_eq!(next(status(true, false, 2)), ("[]".into(), text("registered, 2 jobs run")));
        let quiet = WorkerStatus { quiet: true, ..status(true, false, 2) };
        assert_eq!(next(quiet), ("[]".into(), text("registered, quiet, 2 jobs run")));
        assert_eq!(next(status(true, true, 1)), ("[Stopping]".into(), text("draining, 1 jobs run")));
        assert_eq!(next(status(true, true, 1)), ("[]".into(), None));
    }
}
