//! The timers.

use agent_proto::{Time, livekit as proto};

use super::{Phase, Signal, millis};
use crate::{DisconnectReason, JoinFailure, RoomError, Timer};
use proto::signal_request::Message as Request;

impl Signal {
    /// Handles the timers that are due; does nothing if called too early. `media` explains why there is no
    /// media connection.
    pub(crate) fn handle_timeout(&mut self, now: Time, media: impl Fn() -> String) {
        while let Some((due, timer)) = self.poll_timeout()
            && due <= now
        {
            self.fire(timer, &media, now);
        }
    }

    fn fire(&mut self, timer: Timer, media: &impl Fn() -> String, now: Time) {
        match timer {
            Timer::Join => match self.phase {
                Phase::Joined { .. } => self.fail_join(JoinFailure::MediaTimeout { detail: media() }),
                Phase::Joining => {
                    self.send_leave();
                    self.finish(DisconnectReason::JoinFailed(JoinFailure::SignalTimeout));
                }
                Phase::Unbound
                | Phase::Connecting
                | Phase::JoinFailed { .. }
                | Phase::Connected
                | Phase::Recovering(_)
                | Phase::Leaving { .. }
                | Phase::GivenUp { .. }
                | Phase::Closed => self.finish(DisconnectReason::JoinFailed(JoinFailure::SignalTimeout)),
            },
            Timer::Ping => {
                let timestamp = millis(now);
                if let Some(schedule) = &mut self.ping_schedule {
                    schedule.next_ping = now + schedule.ping_interval;
                    let rtt = schedule.round_trip_ms;
                    self.send(Request::PingReq(proto::Ping { timestamp, rtt }));
                }
            }
            Timer::Silence => {
                let detail = "the server was silent for longer than its ping timeout".to_owned();
                self.lose(DisconnectReason::SignalLost { detail }, false, now);
            }
            Timer::Request => {
                for id in self.requests.expired(now) {
                    self.done(id, Err(RoomError::TimedOut));
                }
            }
            Timer::MediaGone => {
                if let Some((_, detail)) = self.media_gone.take() {
                    if let Phase::Joined { .. } = self.phase {
                        return self.fail_join(JoinFailure::Media { detail });
                    }
                    if !matches!(self.phase, Phase::Connected) && self.phase.signal_open() {
                        self.send_leave();
                    }
                    self.lose(DisconnectReason::MediaLost { detail }, true, now);
                }
            }
            Timer::Leave => match self.phase {
                Phase::GivenUp { .. } => self.give_up(),
                Phase::Leaving { .. }
                | Phase::Unbound
                | Phase::Connecting
                | Phase::Joining
                | Phase::Joined { .. }
                | Phase::JoinFailed { .. }
                | Phase::Connected
                | Phase::Recovering(_)
                | Phase::Closed => self.flushed(),
            },
            Timer::Recovery => self.on_recovery_step(media, now),
            Timer::GiveUp => self.give_recovery_up(),
            // A timer of the transport.
            Timer::Transport
            | Timer::Streams
            | Timer::Rpc
            | Timer::DataTracks
            | Timer::LocalTracks
            | Timer::Video => {}
        }
    }

    /// The next timer with its reason. Of several at the same time the first in the order of [`Timer`].
    pub(crate) fn poll_timeout(&self) -> Option<(Time, Timer)> {
        let mut due: Vec<(Time, Timer)> = Vec::new();
        match &self.phase {
            Phase::Closed => return None,
            Phase::Unbound | Phase::Connecting | Phase::Joining | Phase::Joined { .. } => {
                due.push((self.join_until, Timer::Join));
            }
            // The user decides.
            Phase::JoinFailed { .. } | Phase::Connected => {}
            Phase::Recovering(recovery) => due.push((recovery.until, Timer::Recovery)),
            Phase::Leaving { until, .. } | Phase::GivenUp { until, .. } => due.push((*until, Timer::Leave)),
        }
        due.extend(self.gives_up_at().map(|at| (at, Timer::GiveUp)));
        let established = self.phase.signal_established();
        if let Some(schedule) = self.ping_schedule.as_ref().filter(|_| established) {
            due.push((schedule.next_ping, Timer::Ping));
            due.push((schedule.last_received + schedule.ping_timeout, Timer::Silence));
        }
        // Without a connection the server cannot answer; the timeout restarts with the next one.
        let waits = self.requests.next_timeout().filter(|_| established);
        due.extend(waits.map(|until| (until, Timer::Request)));
        due.extend(self.media_gone.as_ref().map(|(until, _)| (*until, Timer::MediaGone)));
        due.into_iter().min()
    }
}
