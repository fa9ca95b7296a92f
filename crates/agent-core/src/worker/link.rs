//! The connection to the server: opening, registering, keeping alive, losing, reconnecting.
//!
//! ```text
//!  (Preparing)
//!      │ prepared
//!      ▼
//!  Connecting ─open─► Registering ─answered─► Registered
//!      ▲  │failed, slow     │ closed, slow         │ closed, silent
//!      │  └────────────┬────┴──────────────────────┘
//!      └── backoff ── Waiting          (refused before the first registration, or configured to give up: Stopped)
//! ```
//! It never affects an attempt: a lost connection frees the slots of offers that can no longer be answered,
//! and stops no job.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;

use super::Worker;
use super::entries::Link;
use super::io::{LinkError, Notice, Output, StopError, Violation};
use super::timers::Timer;
use super::wire::{self, FromServer};
use crate::backoff::MAX_RETRY_AFTER;
use crate::config::Config;
use crate::job::JobId;
use crate::job::lifecycle::{JobInput, Phase};
use crate::text::shorten;

/// Upper bound on connects within the backoff's longest wait (10 s unless set), whatever the jitter.
const MAX_CONNECTS: usize = 10;
/// The longest reason of a lost connection that is kept, in characters.
const MAX_REASON: usize = 1000;

/// Whether a retry with the same settings would get the same answer: wrong credentials, an unknown path, or
/// an address that has moved permanently.
const fn is_final(status: u16) -> bool {
    matches!(status, 301 | 308 | 401 | 403 | 404)
}

impl Worker {
    /// Begins: with the preparation, if there is one.
    pub(super) fn start(&mut self, now: Time) {
        let Some(limit) = self.config.start_timeout else { return self.connect(now) };
        self.link = Link::Preparing;
        self.timers.set(Timer::Prepare, now + limit);
        self.out.push_back(Output::Prepare);
    }

    pub(super) fn on_prepared(&mut self, result: Result<(), String>, now: Time) {
        if self.link != Link::Preparing {
            return;
        }
        self.timers.clear(&Timer::Prepare);
        match result {
            Ok(()) => self.connect(now),
            Err(message) => self.not_prepared(&message, now),
        }
    }

    pub(super) fn on_prepare_timeout(&mut self, now: Time) {
        let limit = self.config.start_timeout.unwrap_or_default();
        let message = format!("its preparation took longer than {limit:?}: set a longer `start_timeout`");
        self.not_prepared(&message, now);
    }

    fn not_prepared(&mut self, message: &str, now: Time) {
        self.stop(Err(StopError::NotPrepared { message: shorten(message, MAX_REASON) }), now);
    }

    pub(super) fn connect(&mut self, now: Time) {
        self.link = Link::Connecting;
        if self.connects.len() == MAX_CONNECTS {
            self.connects.pop_front();
        }
        self.connects.push_back(now);
        self.timers.set(Timer::Connect, now + self.config.connect_timeout);
        self.out.push_back(Output::Connect);
    }

    pub(super) fn on_connected(&mut self, now: Time) {
        if self.link != Link::Connecting {
            return;
        }
        self.link = Link::Registering;
        self.timers.clear(&Timer::Connect);
        self.timers.set(Timer::Register, now + self.config.register_timeout);
        self.on_activity(now);
        self.out.push_back(Output::Send(wire::register(&self.config)));
    }

    pub(super) fn on_connect_failed(&mut self, error: LinkError, now: Time) {
        if self.link != Link::Connecting {
            return;
        }
        match error {
            LinkError::Refused { status, message, .. } if is_final(status) && self.epoch == 0 => {
                let message = shorten(&message, MAX_REASON);
                self.stop(Err(StopError::Refused { status, message }), now);
            }
            // The same settings have worked before: an ingress without endpoints, or a server that is being
            // replaced, answers 404 or 401 for a while, and a fleet of idle workers must survive that.
            LinkError::Refused { status, message, retry_after } if is_final(status) => {
                let reason =
                    format!("{message}; the worker was registered before, so this counts as temporary");
                self.wait_at_least(retry_after, reason, now);
            }
            LinkError::Refused { message, retry_after, .. } => {
                self.wait_at_least(retry_after, message, now);
            }
            LinkError::Failed { message } => self.wait(message, now),
        }
    }

    pub(super) fn on_disconnected(&mut self, reason: String, now: Time) {
        match self.link {
            Link::Registering | Link::Registered | Link::Connecting => self.wait(reason, now),
            Link::Preparing | Link::Waiting | Link::Stopped => {}
        }
    }

    /// Closes the connection from our side after a timeout.
    pub(super) fn lose(&mut self, what: &Timer, now: Time) {
        let Config { connect_timeout, register_timeout, silence_limit, .. } = &self.config;
        let reason = match what {
            Timer::Register => format!(
                "the server did not answer the registration within {register_timeout:?}: check that a LiveKit server is behind \
                 the server URL (`.url(…)` or LIVEKIT_URL), and its log"
            ),
            Timer::Silence => {
                format!(
                    "nothing received from the server for {silence_limit:?}: the connection counts as dead"
                )
            }
            _ => format!("the connection was not opened within {connect_timeout:?}"),
        };
        self.out.push_back(Output::Disconnect);
        self.wait(reason, now);
    }

    pub(super) fn on_frame(&mut self, frame: &Bytes, now: Time) {
        match self.link {
            Link::Registering | Link::Registered => self.on_activity(now),
            Link::Preparing | Link::Connecting | Link::Waiting | Link::Stopped => return,
        }
        match wire::read(frame) {
            None => self.violation(Violation::BadFrame),
            Some(FromServer::Unknown) => self.violation(Violation::UnknownMessage),
            Some(FromServer::Pong { stamp }) => self.on_pong(stamp, now),
            Some(FromServer::GoAway { reason }) => self.on_go_away(&reason, now),
            Some(FromServer::Registered { worker_id, server_version }) => {
                self.on_registered(worker_id, server_version, now);
            }
            Some(_) if self.link != Link::Registered => self.violation(Violation::Early),
            Some(FromServer::Offer { job }) => {
                self.registration_confirmed();
                self.on_offer(job, now);
            }
            Some(FromServer::Assignment { job: Ok(job), token, url }) => {
                self.on_assignment(job, token, url, now);
            }
            Some(FromServer::Assignment { job: Err(unusable), .. }) => self.on_unusable_assignment(unusable),
            Some(FromServer::Termination { job }) => self.on_termination(&job, now),
        }
    }

    /// The server stops, and wants the worker to register elsewhere. Its jobs continue.
    fn on_go_away(&mut self, reason: &str, now: Time) {
        self.out.push_back(Output::Disconnect);
        self.wait(format!("the server goes away: {reason}"), now);
    }

    /// Restarts the silence timer: something was received.
    pub(super) fn on_activity(&mut self, now: Time) {
        if matches!(self.link, Link::Registering | Link::Registered) {
            self.timers.set(Timer::Silence, now + self.config.silence_limit);
        }
    }

    fn on_registered(&mut self, worker_id: String, server_version: String, now: Time) {
        if self.link != Link::Registering {
            return self.violation(Violation::Registration);
        }
        self.link = Link::Registered;
        self.epoch += 1;
        self.timers.clear(&Timer::Register);
        self.timers.set(Timer::Stable, now + self.config.stable_after);
        let reregistered = self.epoch > 1;
        self.out.push_back(Output::Notice(Notice::Registered { worker_id, server_version, reregistered }));
        let running: Vec<_> = self
            .jobs
            .values()
            .filter(|entry| entry.state.phase().is_some_and(|phase| *phase != Phase::Stuck))
            .collect();
        self.out.extend(wire::migrate(&running).map(Output::Send));
        self.send_outbox(now);
        self.reported_load = None;
    }

    /// The connection was lost: retry after the backoff.
    fn wait(&mut self, reason: String, now: Time) {
        self.wait_at_least(None, reason, now);
    }

    /// Like [`wait`](Self::wait), but not before the time that the server asked for. The backoff is added to
    /// it, so that workers that were refused together do not return together.
    fn wait_at_least(&mut self, asked: Option<Duration>, reason: String, now: Time) {
        // The server chooses the text, and users print the error that it may become.
        let reason = shorten(&reason, MAX_REASON);
        if self.link == Link::Registered && self.backoff.failures() == 0 {
            self.lost_one = true;
        }
        self.cut(now);
        self.link = Link::Waiting;
        let too_many = self.connects.front().filter(|_| self.connects.len() == MAX_CONNECTS);
        let earliest = too_many.map_or(now, |first| *first + self.backoff.cap);
        let asked = asked.unwrap_or_default().min(MAX_RETRY_AFTER);
        let wait = self.backoff.next(&mut self.rng).saturating_add(asked).max(earliest - now);
        let failures = self.backoff.failures();
        let attempts = failures.saturating_sub(u32::from(self.lost_one));
        if self.config.max_connect_attempts.is_some_and(|limit| attempts >= limit) {
            return self.stop(Err(StopError::GaveUp { attempts, last: reason }), now);
        }
        self.timers.set(Timer::Reconnect, now + wait);
        self.out.push_back(Output::Notice(Notice::ConnectionLost { reason, wait, failures }));
    }

    fn cut(&mut self, now: Time) {
        for timer in [Timer::Connect, Timer::Register, Timer::Ping, Timer::Silence, Timer::Stable] {
            self.timers.clear(&timer);
        }
        let jobs: Vec<JobId> = self.jobs.keys().cloned().collect();
        for job in jobs {
            self.apply(&job, JobInput::Cut, now);
        }
        self.cut_closing();
    }

    pub(super) fn stop(&mut self, result: Result<(), StopError>, now: Time) {
        self.end_all(now);
        if !matches!(self.link, Link::Preparing | Link::Waiting) {
            self.out.push_back(Output::Disconnect);
        }
        self.link = Link::Stopped;
        self.timers.clear_all();
        let report = self.drain.as_ref().map(|drain| drain.report).unwrap_or_default();
        self.out.push_back(Output::Stopped(result.map(|()| report)));
    }
}
