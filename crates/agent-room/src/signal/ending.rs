//! The ways out: the user leaves, the server removes us, a join fails.

use std::mem;
use std::time::Duration;

use agent_proto::{Time, livekit as proto};

use super::phase::Step;
use super::{Phase, Signal, SignalOutput};
use crate::{CommandId, DisconnectReason, JoinFailure, RoomError};
use proto::leave_request::Action;
use proto::signal_request::Message as Request;

impl Signal {
    /// The user leaves.
    pub(crate) fn leave(&mut self, id: CommandId, now: Time) {
        match &mut self.phase {
            Phase::Connected => {
                let until = now + self.config.leave_timeout;
                self.phase = Phase::Leaving { until, asked: vec![id], signal: true };
            }
            Phase::Leaving { asked, .. } | Phase::GivenUp { asked, .. } => asked.push(id),
            Phase::Connecting | Phase::Joining => {
                let opened = matches!(self.phase, Phase::Joining);
                // No caller waits for this end, and a busy server takes its time.
                let until = self.join_until;
                self.media_gone = None;
                self.phase = Phase::GivenUp { until, asked: vec![id], opened, was_connected: false };
            }
            Phase::Closed => self.done(id, Err(RoomError::NotConnected)),
            Phase::JoinFailed { failure, .. } => {
                let reason = DisconnectReason::JoinFailed(failure.clone());
                self.send_leave();
                self.done(id, Ok(()));
                self.finish(reason);
            }
            Phase::Joined { .. } => {
                self.send_leave();
                self.done(id, Ok(()));
                self.finish(DisconnectReason::JoinFailed(JoinFailure::Cancelled));
            }
            Phase::Recovering(recovery) => match recovery.step {
                // As with a first join.
                Step::Connecting | Step::Joining => {
                    let opened = matches!(recovery.step, Step::Joining);
                    let until = now + self.config.join_timeout;
                    self.phase = Phase::GivenUp { until, asked: vec![id], opened, was_connected: true };
                }
                // The media connection may be established nevertheless, and accept the published messages.
                Step::Waiting | Step::Opening | Step::Asking | Step::Restarting
                    if !recovery.abandons_session() =>
                {
                    let signal = matches!(recovery.step, Step::Restarting);
                    let until = now + self.config.leave_timeout;
                    self.phase = Phase::Leaving { until, asked: vec![id], signal };
                    if !signal {
                        self.outputs.push_back(SignalOutput::CloseSignal);
                    }
                }
                // Queued messages are not awaited: it is unknown whether there will be a connection.
                Step::Waiting
                | Step::Opening
                | Step::Asking
                | Step::Restarting
                | Step::Binding
                | Step::Joined => {
                    if self.phase.signal_established() {
                        self.send_leave();
                    }
                    self.done(id, Ok(()));
                    self.finish(DisconnectReason::ClientInitiated);
                }
            },
            Phase::Unbound => {
                self.done(id, Ok(()));
                self.finish(DisconnectReason::JoinFailed(JoinFailure::Cancelled));
            }
        }
    }

    /// Everything that was published has arrived: a leave need not wait.
    pub(crate) fn flushed(&mut self) {
        if let Phase::Leaving { asked, signal, .. } = &mut self.phase {
            let (asked, signal) = (mem::take(asked), *signal);
            if signal {
                self.send_leave();
            }
            for id in asked {
                self.done(id, Ok(()));
            }
            self.finish(DisconnectReason::ClientInitiated);
        }
    }

    pub(super) fn give_up(&mut self) {
        if let Phase::GivenUp { opened: true, .. } = self.phase {
            self.send_leave();
        }
        self.lost(DisconnectReason::ClientInitiated);
    }

    /// The server has admitted us, and there is no media connection. We stay until the user decides: a server
    /// records an agent that leaves before the end of its job as failed, and does not let it rejoin.
    pub(super) fn fail_join(&mut self, failure: JoinFailure) {
        match mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Joined { connected } => {
                // Otherwise it would end the room before the user decides.
                self.media_gone = None;
                self.phase = Phase::JoinFailed { connected, failure: failure.clone(), ready: false };
                self.outputs.push_back(SignalOutput::JoinFailed { failure });
            }
            other => self.phase = other,
        }
    }

    /// The join is retried, in the existing session, or continues with the time of the retry.
    pub(crate) fn retry_join(&mut self, timeout: Duration, now: Time) {
        match &self.phase {
            Phase::Unbound | Phase::Connecting | Phase::Joining | Phase::Joined { .. } => {
                self.join_until = now + timeout;
                return;
            }
            Phase::JoinFailed { .. }
            | Phase::Connected
            | Phase::Recovering(_)
            | Phase::Leaving { .. }
            | Phase::GivenUp { .. }
            | Phase::Closed => {}
        }
        match mem::replace(&mut self.phase, Phase::Closed) {
            Phase::JoinFailed { connected, ready, .. } => {
                self.phase = Phase::Joined { connected };
                self.join_until = now + timeout;
                if ready {
                    self.media_ready(now);
                } else {
                    self.outputs.push_back(SignalOutput::RestartMedia);
                }
            }
            other => self.phase = other,
        }
    }

    pub(super) fn send_leave(&mut self) {
        self.send(Request::Leave(proto::LeaveRequest {
            reason: proto::DisconnectReason::ClientInitiated as i32,
            action: Action::Disconnect as i32,
            ..Default::default()
        }));
    }

    /// The server asks us to leave, or to reconnect.
    pub(super) fn left(&mut self, leave: &proto::LeaveRequest, now: Time) {
        let reason = DisconnectReason::from_wire(leave.reason);
        let new_session = match leave.action() {
            Action::Disconnect => return self.lost(reason),
            Action::Resume => false,
            Action::Reconnect => true,
        };
        let reason = match reason {
            DisconnectReason::Unspecified => DisconnectReason::ReconnectRequested,
            reason => reason,
        };
        self.lose(reason, new_session, now);
    }

    /// The room ended. Before the connection was established, that is a failed join, whatever the reason.
    pub(super) fn lost(&mut self, reason: DisconnectReason) {
        if self.is_closed() {
            return;
        }
        let reason = match (&self.phase, reason) {
            (Phase::GivenUp { was_connected: true, .. }, _) => DisconnectReason::ClientInitiated,
            (Phase::GivenUp { was_connected: false, .. }, _) => {
                DisconnectReason::JoinFailed(JoinFailure::Cancelled)
            }
            (_, reason @ DisconnectReason::JoinFailed(_)) => reason,
            // The requested leave has happened, whichever side was first.
            (
                Phase::Leaving { .. },
                DisconnectReason::SignalLost { .. } | DisconnectReason::MediaLost { .. },
            ) => DisconnectReason::ClientInitiated,
            (Phase::Connected | Phase::Recovering(_) | Phase::Leaving { .. }, reason) => reason,
            (_, DisconnectReason::SignalLost { detail }) => {
                DisconnectReason::JoinFailed(JoinFailure::Unreachable { detail })
            }
            (_, DisconnectReason::MediaLost { detail }) => {
                DisconnectReason::JoinFailed(JoinFailure::Media { detail })
            }
            (_, reason) => DisconnectReason::JoinFailed(JoinFailure::Ended(Box::new(reason))),
        };
        self.finish(reason);
    }

    /// The only transition to `Closed`: every command is completed, everything is closed, the end is reported
    /// last.
    pub(super) fn finish(&mut self, reason: DisconnectReason) {
        let phase = mem::replace(&mut self.phase, Phase::Closed);
        for id in self.requests.take_all() {
            self.done(id, Err(RoomError::NotConnected));
        }
        let was_connected = matches!(
            phase,
            Phase::Connected
                | Phase::Recovering(_)
                | Phase::Leaving { .. }
                | Phase::GivenUp { was_connected: true, .. }
        );
        match phase {
            Phase::Leaving { asked, .. } | Phase::GivenUp { asked, .. } => {
                for id in asked {
                    self.done(id, Ok(()));
                }
            }
            Phase::Connected
            | Phase::Recovering(_)
            | Phase::Unbound
            | Phase::Connecting
            | Phase::Joining
            | Phase::Joined { .. }
            | Phase::JoinFailed { .. }
            | Phase::Closed => {}
        }
        self.outputs.push_back(SignalOutput::CloseMedia);
        self.outputs.push_back(SignalOutput::CloseSignal);
        if was_connected {
            self.outputs.push_back(SignalOutput::Disconnected { reason: reason.clone() });
        }
        self.outputs.push_back(SignalOutput::Closed { reason });
    }
}
