//! The machine, its clock, and what is around it: the layers below, which answer at once, and the model.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::{Time, encode, livekit as proto};

use super::kinds::{InputKind, State};
use super::messages::{Bits, message, track_sid};
use super::model::{Checked, Model};
use crate::signal::{LowerState, OwnChange, Signal, SignalOutput};
use crate::{CommandId, Config, MAX_CHANGE_LEN, SubscriptionChange, Track, TrackKind};
use proto::signal_request::Message as Request;

/// More timers, or outputs of one input, than any script needs.
const SPINNING: usize = 2_000;
/// Longer than any timeout.
const FOREVER: Duration = Duration::from_secs(700);
/// Small limits, so that scripts reach them.
const REQUESTS: usize = 2;
const OTHERS: usize = 3;

/// What happens next.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// An input of this kind. The number chooses its content.
    Input(InputKind, u32),
    /// This many milliseconds pass; timers fire at their times.
    Wait(u32),
}

pub(super) struct World {
    pub(super) signal: Signal,
    now: Time,
    model: Model,
    commands: CommandId,
    /// The inputs, each with the state in which it came.
    pub(super) hits: Vec<(State, InputKind)>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut config = Config::new("wss://host/base", "sesame");
        // Longer than the wait for the reason of lost media.
        config.leave_timeout = Duration::from_secs(3);
        (config.limits.requests, config.limits.participants) = (REQUESTS, OTHERS);
        (config.limits.media_sections, config.limits.signal_frame) = (16, 4096);
        let signal = Signal::new(config);
        Self { signal, now: Time::ZERO, model: Model::new(), commands: 0, hits: Vec::new() }
    }

    pub(super) fn step(&mut self, op: &Op) -> Checked {
        match *op {
            Op::Input(InputKind::Timeout, _) => {
                let at = self.signal.poll_timeout().map(|(at, _)| at);
                self.timeout(at.unwrap_or(self.now + Duration::from_secs(1)))
            }
            Op::Input(InputKind::EarlyTimeout, _) => {
                self.begin(InputKind::EarlyTimeout, None);
                self.signal.handle_timeout(self.now, String::new);
                match self.signal.poll_output() {
                    Some(output) => Err(format!("an early timeout has the output {output:?}")),
                    None => Ok(()),
                }
            }
            Op::Input(kind, number) => self.input(kind, number),
            Op::Wait(millis) => self.pass(Duration::from_millis(millis.into())),
        }
    }

    /// Nobody does anything any more: the room ends.
    pub(super) fn finish(&mut self) -> Checked {
        self.pass(FOREVER)?;
        self.model.finished()
    }

    fn begin(&mut self, kind: InputKind, command: Option<CommandId>) {
        self.hits.push((State::of(&self.signal), kind));
        self.model.input(kind, command);
    }

    fn pass(&mut self, time: Duration) -> Checked {
        let until = self.now + time;
        for _ in 0..SPINNING {
            match self.signal.poll_timeout() {
                Some((at, _)) if at <= until => self.timeout(at)?,
                _ => {
                    self.now = until;
                    return Ok(());
                }
            }
        }
        Err(format!("{SPINNING} timers fire in {time:?}"))
    }

    fn timeout(&mut self, at: Time) -> Checked {
        self.begin(InputKind::Timeout, None);
        self.now = at;
        self.signal.handle_timeout(at, || "no way".to_owned());
        self.drain()
    }

    fn input(&mut self, kind: InputKind, number: u32) -> Checked {
        use InputKind as K;
        let is_command = matches!(
            kind,
            K::Change
                | K::ChangeNothing
                | K::ChangeTooLarge
                | K::Leave
                | K::Subscribe
                | K::Unsubscribe
                | K::Enable
                | K::Pause
                | K::Read
                | K::StopReading
                | K::ResetSubscriptions
        );
        self.commands += u64::from(is_command);
        self.begin(kind, is_command.then_some(self.commands));
        self.call(kind, number);
        // As the room machine does after each input.
        self.signal.handle_timeout(self.now, || "no way".to_owned());
        self.drain()
    }

    fn call(&mut self, kind: InputKind, number: u32) {
        use InputKind as K;
        let (now, id, signal, bits) = (self.now, self.commands, &mut self.signal, &mut Bits(number));
        if let Some(message) = message(kind, number) {
            assert_eq!(K::of_message(&message), kind, "{message:?}");
            let frame = encode(&proto::SignalResponse { message: Some(message) });
            return signal.received(&frame, now);
        }
        let own_track = Track::new("TR_me", TrackKind::Audio);
        let mut subscribe = |change| signal.change_subscription(id, &track_sid(&mut Bits(number)), change);
        match kind {
            K::Bound => signal.bound("v=0".to_owned()),
            K::NotBound => signal.not_bound("no socket", now),
            K::Opened => signal.opened(now),
            K::Unauthorized => signal.refused(401, "", None, now),
            K::ServerTooOld => signal.refused(404, "", None, now),
            K::Refused => signal.refused(503, "", None, now),
            K::RefusedForAWhile => signal.refused(503, "", Some(Duration::from_secs(9)), now),
            K::Failed => signal.failed("refused", now),
            K::SignalClosed => signal.signal_closed("cut", now),
            K::MediaReady => signal.media_ready(now),
            K::MediaRestarted => signal.media_restarted(now),
            K::MediaGone => signal.media_gone("gone", now),
            K::MediaSilent => signal.media_silent("silent", now),
            K::NoPath => signal.no_path("no way".to_owned(), now),
            K::AnswerUnusable => signal.answer_unusable("no sdp", now),
            K::Offer => signal.offer("v=0 more".to_owned()),
            K::OwnCandidate => signal.own_candidate("candidate:1"),
            K::Sync => signal.sync(LowerState::default(), None, now),
            K::Unconfirmed => signal.unconfirmed(1),
            K::Change => {
                let attributes = BTreeMap::from([("k".to_owned(), bits.below(3).to_string())]);
                signal.change(id, OwnChange { attributes, ..OwnChange::default() }, now);
            }
            K::ChangeNothing => signal.change(id, OwnChange::default(), now),
            K::ChangeTooLarge => {
                let metadata = "m".repeat(MAX_CHANGE_LEN + 1);
                signal.change(id, OwnChange { metadata, ..OwnChange::default() }, now);
            }
            K::Leave => signal.leave(id, now),
            K::Flushed => signal.flushed(),
            K::RetryJoin => signal.retry_join(Duration::from_secs(4), now),
            K::Subscribe => subscribe(SubscriptionChange::Subscribe(true)),
            K::Unsubscribe => subscribe(SubscriptionChange::Subscribe(false)),
            K::Enable => subscribe(SubscriptionChange::Enable(true)),
            K::Pause => subscribe(SubscriptionChange::Enable(false)),
            K::Read => subscribe(SubscriptionChange::Read(number.into())),
            K::StopReading => subscribe(SubscriptionChange::StopReading(number.into())),
            K::ResetSubscriptions => signal.reset_subscriptions(id, id),
            K::Request => signal.request(Request::Ping(1)),
            K::OwnTrack => drop(signal.own_track(&own_track)),
            K::OwnTrackGone => drop(signal.own_track_gone("TR_me")),
            K::OwnTrackMuted => signal.own_track_muted(&Track { muted: bits.below(2) == 1, ..own_track }),
            K::Garbage => signal.received(&b"\xff\xff\xff".as_slice().into(), now),
            K::TooLong => signal.received(&vec![0; 4097].into(), now),
            K::EmptyMessage => signal.received(&b"".as_slice().into(), now),
            other => unreachable!("{other:?} is a message, or time"),
        }
    }

    fn drain(&mut self) -> Checked {
        for _ in 0..SPINNING {
            let Some(output) = self.signal.poll_output() else {
                let next = self.signal.poll_timeout();
                if next.is_some_and(|(at, _)| at <= self.now) {
                    return Err(format!("{next:?} is due already"));
                }
                return self.model.settled(&self.signal, REQUESTS, OTHERS);
            };
            self.model.output(&output)?;
            // The layers below carry out their outputs at once.
            match output {
                SignalOutput::Resume { .. } => {
                    self.signal.sync(LowerState::default(), Some("v=0 restart".to_owned()), self.now);
                }
                SignalOutput::RestartMedia | SignalOutput::Sections { .. } => {
                    self.signal.offer("v=0 more".to_owned());
                }
                SignalOutput::Rebind => self.signal.unconfirmed(1),
                _ => {}
            }
        }
        Err(format!("one input has {SPINNING} outputs"))
    }
}
