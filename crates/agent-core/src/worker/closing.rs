//! What happens between an outcome and the moment at which the room may be left.
//!
//! A server records an assignment a moment *after* it sent it to us, and drops a final status that arrives
//! earlier, for good. So an outcome that follows its assignment closely is sent at once and again after the
//! settling time. And a server records an agent that leaves its room before its status was read as failed,
//! whatever that status is: so the room is left when the server has answered a ping that was sent after the
//! status, as it reads in order. Without a connection the same list is the outbox: its entries are sent after
//! the next registration. Promises I3, I5, I8.

use agent_proto::Time;

use super::Worker;
use super::entries::{Assignment, Closing, Receipts, Step};
use super::io::{EndedJob, Output, Violation};
use super::timers::{JobTimer, Timer};
use super::wire;
use crate::job::JobId;
use crate::outcome::Verdict;

/// Maximum number of ended jobs that wait for their repeat or their receipt; more are closed at once and
/// counted.
const MAX_CLOSING: usize = 16_384;

impl Worker {
    /// Reports the one outcome of an assignment.
    pub(super) fn finish(&mut self, assignment: Assignment, verdict: Verdict, now: Time) {
        let Assignment { job, at, epoch, attempts, last_attempt, room_closed, has_room } = assignment;
        let Verdict { outcome, kind } = verdict.after_attempts(attempts);
        let id = job.id.clone();
        if let Some(drain) = &mut self.drain {
            drain.count(&outcome);
        }
        let sent = self.is_registered();
        if sent {
            self.out.push_back(Output::Send(wire::ended(&id, &outcome)));
        }
        self.out.push_back(Output::Moved { job: job.clone(), to: outcome.lifecycle() });
        let (ended, duration) = (outcome.clone(), now - at);
        let ended = EndedJob { job, outcome: ended, kind, attempts, duration, last_attempt, room_closed };
        self.out.push_back(Output::Ended(ended));
        let settled = at + self.config.settling;
        let settling = epoch == self.epoch && now < settled;
        let step = if sent && settling { Step::Settling } else { Step::Unsent };
        let closing = Closing { outcome, has_room, in_room: true, step };
        self.closing_rooms += usize::from(has_room);
        self.closing.insert(id.clone(), closing);
        if sent && settling {
            self.timers.set(Timer::Job(id, JobTimer::Repeat), settled);
        } else if sent {
            self.await_receipt(&id, now);
        }
        self.bound_closing();
    }

    pub(super) fn on_repeat(&mut self, id: &JobId, now: Time) {
        let Some(closing) = self.closing.get(id).filter(|closing| closing.step == Step::Settling) else {
            return;
        };
        self.out.push_back(Output::Send(wire::ended(id, &closing.outcome)));
        self.await_receipt(id, now);
    }

    /// An ended job is assigned once more: the server may know it only from now on, and may have dropped the
    /// statuses that arrived before. The outcome is sent once more after the settling time.
    pub(super) fn settle_again(&mut self, id: &JobId, now: Time) {
        let Some(closing) = self.closing.get_mut(id).filter(|closing| closing.step != Step::Unsent) else {
            return;
        };
        closing.step = Step::Settling;
        self.timers.set(Timer::Job(id.clone(), JobTimer::Repeat), now + self.config.settling);
    }

    pub(super) fn ping(&mut self, now: Time) {
        let stamp = i64::try_from(now.as_nanos() / 1_000_000).unwrap_or(i64::MAX);
        self.receipts.stamp = stamp.max(self.receipts.stamp.saturating_add(1));
        self.out.push_back(Output::Send(wire::ping(self.receipts.stamp)));
        self.timers.set(Timer::Ping, now + self.config.ping_interval);
    }

    /// Records that the server dispatches to this worker.
    pub(super) fn registration_confirmed(&mut self) {
        self.receipts.registration = None;
    }

    /// Whether the server dispatches to this worker, as it has answered the ping after the registration, or
    /// has offered a job since. Between the registration and this moment it creates rooms without offering
    /// this worker their jobs.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.is_registered() && self.receipts.registration.is_none()
    }

    pub(super) fn on_pong(&mut self, stamp: i64, now: Time) {
        if self.receipts.registration.is_some_and(|asked| stamp >= asked) {
            self.registration_confirmed();
        }
        if self.receipts.asked.is_some_and(|asked| stamp >= asked) {
            self.on_receipt(now);
        }
    }

    /// The server has read what was sent before the last receipt was requested, or has not confirmed it in
    /// time.
    pub(super) fn on_receipt(&mut self, now: Time) {
        let round = self.receipts.round;
        for id in std::mem::take(&mut self.receipts.waiting) {
            // The job may be closed, or even offered again, since.
            if self.closing.get(&id).is_some_and(|closing| closing.step == (Step::Unread { round })) {
                self.close(&id);
            }
        }
        self.receipts.asked = None;
        self.receipts.round += 1;
        self.receipts.waiting = std::mem::take(&mut self.receipts.next);
        self.timers.clear(&Timer::Receipt);
        if !self.receipts.waiting.is_empty() {
            self.ask_receipt(now);
        }
    }

    /// Sends the outcomes of jobs that ended without a connection, or just before it was lost, and one ping
    /// after them. The answer is the receipt of all these outcomes and confirms the registration: a server
    /// reports a worker as registered a moment before it offers it anything, and reads the worker's messages
    /// after that.
    pub(super) fn send_outbox(&mut self, now: Time) {
        let round = self.receipts.round;
        for (id, closing) in &mut self.closing {
            self.out.push_back(Output::Send(wire::ended(id, &closing.outcome)));
            closing.step = Step::Unread { round };
            self.receipts.waiting.push(id.clone());
        }
        if self.closing.is_empty() {
            self.ping(now);
        } else {
            self.ask_receipt(now);
        }
        self.receipts.registration = Some(self.receipts.stamp);
    }

    /// The connection was lost: what was sent on it may not have arrived.
    pub(super) fn cut_closing(&mut self) {
        for (id, closing) in &mut self.closing {
            self.timers.clear(&Timer::Job(id.clone(), JobTimer::Repeat));
            // The server has dropped the job with the connection, so staying in the room is of no use.
            if closing.step != Step::Unsent && std::mem::take(&mut closing.in_room) {
                self.closing_rooms -= usize::from(closing.has_room);
                self.out.push_back(Output::Leave { job: id.clone() });
            }
            closing.step = Step::Unsent;
        }
        self.timers.clear(&Timer::Receipt);
        self.receipts = Receipts { stamp: self.receipts.stamp, ..Receipts::default() };
    }

    /// Closes all jobs at once; returns the number of statuses that could not be sent.
    pub(super) fn flush_closing(&mut self) -> usize {
        let mut unsent = 0;
        while let Some(step) = self.close_first() {
            unsent += usize::from(step == Step::Unsent);
        }
        unsent
    }

    /// Keeps the job until the server has read its status.
    fn await_receipt(&mut self, id: &JobId, now: Time) {
        let Some(closing) = self.closing.get_mut(id) else { return };
        let receipts = &mut self.receipts;
        if receipts.asked.is_some() {
            closing.step = Step::Unread { round: receipts.round + 1 };
            receipts.next.push(id.clone());
        } else {
            closing.step = Step::Unread { round: receipts.round };
            receipts.waiting.push(id.clone());
            self.ask_receipt(now);
        }
    }

    fn ask_receipt(&mut self, now: Time) {
        self.ping(now);
        self.receipts.asked = Some(self.receipts.stamp);
        self.timers.set(Timer::Receipt, now + self.config.receipt_timeout);
    }

    fn bound_closing(&mut self) {
        if self.is_registered() && self.closing.len() > MAX_CLOSING {
            self.close_first();
            self.violation(Violation::ClosingOverflow);
        }
    }

    /// Closes the first job of the list without waiting; a pending repeat is sent now.
    fn close_first(&mut self) -> Option<Step> {
        let (id, closing) = self.closing.first_key_value()?;
        let (id, step) = (id.clone(), closing.step);
        if step == Step::Settling {
            self.out.push_back(Output::Send(wire::ended(&id, &closing.outcome)));
        }
        self.close(&id);
        Some(step)
    }

    /// Leaves the room of an ended job, and removes it.
    pub(super) fn close(&mut self, id: &JobId) {
        let Some(closing) = self.closing.remove(id) else { return };
        self.timers.clear(&Timer::Job(id.clone(), JobTimer::Repeat));
        if closing.in_room {
            self.closing_rooms -= usize::from(closing.has_room);
            self.out.push_back(Output::Leave { job: id.clone() });
        }
    }
}
