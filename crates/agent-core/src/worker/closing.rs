//! Between an outcome and the moment at which the room may be left.
//!
//! A server learns of an assignment a moment *after* it wrote it to us, and drops a final status that comes earlier, for
//! good. So an outcome that follows its assignment closely is sent at once and once more after the settling time, and only
//! then is the room left (an agent that leaves before its status is recorded as failed). Without a connection the same list
//! is the outbox: what is in it goes out after the next registration. Promises I3, I5, I8.

use super::Worker;
use super::io::{EndedJob, Output, Violation};
use super::jobs::Assignment;
use super::timers::{JobTimer, Timer};
use super::wire;
use crate::job::JobId;
use crate::outcome::Outcome;
use crate::time::Time;

/// A job that has its outcome. It holds no slot.
pub(super) struct Closing {
    pub(super) outcome: Outcome,
    /// The room is still joined.
    in_room: bool,
    /// Sent on the present connection; what is not sent waits for the next registration.
    sent: bool,
    /// To be sent once more when the timer `Repeat` fires.
    repeat: bool,
}

/// More ended jobs than this do not wait for their repeat: it is sent early, and counted.
const MAX_SETTLING: usize = 16_384;

impl Worker {
    /// Reports the one outcome of an assignment.
    pub(super) fn finish(&mut self, assignment: Assignment, outcome: Outcome, now: Time) {
        let Assignment { job, at, epoch } = assignment;
        let id = job.id.clone();
        if let Some(drain) = &mut self.drain {
            drain.count(&outcome);
        }
        let sent = self.is_registered();
        if sent {
            self.out.push_back(Output::Send(wire::ended(&id, &outcome)));
        }
        self.out.push_back(Output::Moved { job: job.clone(), to: outcome.lifecycle() });
        self.out.push_back(Output::Ended(EndedJob { job, outcome: outcome.clone(), duration: now - at }));
        let settled = at + self.config.settling;
        let repeat = sent && epoch == self.epoch && now < settled;
        if sent && !repeat {
            self.out.push_back(Output::Leave { job: id });
            return;
        }
        if repeat {
            self.timers.set(Timer::Job(id.clone(), JobTimer::Repeat), settled);
        }
        self.closing.insert(id, Closing { outcome, in_room: true, sent, repeat });
        self.bound_settling();
    }

    pub(super) fn on_repeat(&mut self, id: &JobId) {
        let Some(closing) = self.closing.remove(id) else { return };
        self.timers.clear(&Timer::Job(id.clone(), JobTimer::Repeat));
        if closing.repeat && self.is_registered() {
            self.out.push_back(Output::Send(wire::ended(id, &closing.outcome)));
        }
        self.leave(id, &closing);
    }

    /// Sends what ended without a connection, or just before it was lost.
    pub(super) fn send_outbox(&mut self, now: Time) {
        let settled = now + self.config.settling;
        for (id, closing) in &mut self.closing {
            self.out.push_back(Output::Send(wire::ended(id, &closing.outcome)));
            if std::mem::take(&mut closing.in_room) {
                self.out.push_back(Output::Leave { job: id.clone() });
            }
            // Kept until this connection has stood for a moment: the frame may be lost with it.
            closing.sent = true;
            closing.repeat = false;
            self.timers.set(Timer::Job(id.clone(), JobTimer::Repeat), settled);
        }
    }

    /// The connection is gone: what was sent on it may not have arrived.
    pub(super) fn cut_closing(&mut self) {
        for (id, closing) in &mut self.closing {
            self.timers.clear(&Timer::Job(id.clone(), JobTimer::Repeat));
            if closing.sent && std::mem::take(&mut closing.in_room) {
                self.out.push_back(Output::Leave { job: id.clone() });
            }
            closing.sent = false;
        }
    }

    /// The same job is offered again: its old status must not end the new one.
    pub(super) fn forget_closing(&mut self, id: &JobId) {
        if let Some(closing) = self.closing.remove(id) {
            self.timers.clear(&Timer::Job(id.clone(), JobTimer::Repeat));
            self.leave(id, &closing);
        }
    }

    /// Lets go of all at once; gives the number of statuses that could not be sent.
    pub(super) fn flush_closing(&mut self) -> usize {
        let mut unsent = 0;
        while let Some((id, closing)) = self.closing.pop_first() {
            if closing.repeat && self.is_registered() {
                self.out.push_back(Output::Send(wire::ended(&id, &closing.outcome)));
            }
            unsent += usize::from(!closing.sent);
            self.leave(&id, &closing);
        }
        unsent
    }

    fn bound_settling(&mut self) {
        if self.is_registered()
            && self.closing.len() > MAX_SETTLING
            && let Some(id) = self.closing.keys().next().cloned()
        {
            self.violation(Violation::SettlingOverflow);
            self.on_repeat(&id);
        }
    }

    fn leave(&mut self, id: &JobId, closing: &Closing) {
        if closing.in_room {
            self.out.push_back(Output::Leave { job: id.clone() });
        }
    }
}
