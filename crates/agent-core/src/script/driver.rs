//! The driver and the server of a script: they carry its steps out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::livekit as wire;
use agent_proto::livekit::server_message::Message;
use agent_proto::{Time, encode};

use super::broken::BrokenPromise;
use super::ledger::Ledger;
use super::machine::{ScriptReport, WorkerMachine};
use super::step::{End, Reply, Step};
use crate::answer::Answer;
use crate::error_kind::JobErrorKind;
use crate::job::JobId;
use crate::outcome::{AttemptEnd, CancelReason};
use crate::worker::{Input, JoinedRoom, LinkError, OfferId, Output, Presence, Worker};

/// More timers at one time, or outputs of one input, than any script needs: beyond it the machine spins.
const SPINNING: usize = 10_000;
/// How long a step waits for the worker to request a connection.
const RECONNECT: Duration = Duration::from_secs(60);
/// How long jobs may continue in the drain at the end of a script.
const LAST_DRAIN: Duration = Duration::from_secs(5);

pub(super) struct Driver<'a, M> {
    machine: &'a mut M,
    ledger: Ledger,
    now: Time,
    asked: BTreeMap<JobId, OfferId>,
    /// Cleanups that were requested and are not done.
    cleaning: Vec<(JobId, u32)>,
    step: String,
}

pub(super) type Done = Result<(), BrokenPromise>;

impl<'a, M: WorkerMachine> Driver<'a, M> {
    pub(super) fn new(machine: &'a mut M) -> Self {
        let ledger = Ledger::new(machine.worker().config());
        let (asked, cleaning) = (BTreeMap::new(), Vec::new());
        Self { machine, ledger, now: Time::ZERO, asked, cleaning, step: "the start".into() }
    }

    pub(super) fn run(mut self, steps: &[Step]) -> Result<ScriptReport, BrokenPromise> {
        self.start()?;
        for (at, step) in steps.iter().enumerate() {
            self.begin(at, step);
            self.step(step)?;
        }
        self.finish()
    }

    pub(super) fn start(&mut self) -> Done {
        self.drain()
    }

    /// The next step, for reports: its index and its code.
    pub(super) fn begin(&mut self, at: usize, step: &impl fmt::Debug) {
        self.step = format!("step {}, {step:?}", at + 1);
    }

    pub(super) fn finish(mut self) -> Result<ScriptReport, BrokenPromise> {
        "the drain after the last step".clone_into(&mut self.step);
        self.drain_request(LAST_DRAIN)?;
        self.pass_until(self.ledger.drained_by(), |_| false)?;
        let finished = self.ledger.finished();
        self.at_step(finished)?;
        Ok(self.ledger.report())
    }

    pub(super) fn worker(&self) -> &Worker {
        self.machine.worker()
    }

    pub(super) fn step(&mut self, step: &Step) -> Done {
        match step {
            Step::Connect => {
                self.open()?;
                self.register()
            }
            Step::Open => self.open(),
            Step::Register => self.register(),
            Step::Refuse(status) => self.refuse(*status),
            Step::Cut => self.input(Input::Disconnected { reason: "cut".into() }),
            Step::Offer(n) => {
                let offer = wire::AvailabilityRequest { job: Some(wire_job(*n)), resuming: false };
                self.server(Message::Availability(offer))
            }
            Step::Answer(n, reply) => self.answer(&id(*n), *reply),
            Step::Assign(n) => {
                let assignment = wire::JobAssignment { job: Some(wire_job(*n)), ..Default::default() };
                self.server(Message::Assignment(assignment))
            }
            Step::Terminate(n) => {
                self.server(Message::Termination(wire::JobTermination { job_id: id(*n).to_string() }))
            }
            Step::Pong => match self.ledger.oldest_ping() {
                Some(last_timestamp) => {
                    self.server(Message::Pong(wire::WorkerPong { last_timestamp, timestamp: 0 }))
                }
                None => Ok(()),
            },
            Step::Frame(bytes) => self.input(Input::FrameReceived(Bytes::copy_from_slice(bytes))),
            Step::Text => self.input(Input::TextReceived),
            Step::Started(n) => self.of_running(*n, |job| Input::HandlerStarted { job }),
            Step::Progress(n) => self.of_running(*n, |job| Input::Progressed { job }),
            Step::End(n, end) => {
                let room_gone = *end == End::RoomGone;
                self.of_running(*n, |job| Input::AttemptEnded { job, end: attempt_end(*end), room_gone })
            }
            Step::Cleaned(n) => {
                let Some(at) = self.cleaning.iter().position(|(job, _)| *job == id(*n)) else {
                    return Ok(());
                };
                let (job, attempt) = self.cleaning.remove(at);
                self.input(Input::Cleaned { job, attempt })
            }
            Step::Cancel(n) => {
                self.input(Input::CancelRequested { job: id(*n), reason: CancelReason::Kicked })
            }
            Step::Room { job, sid, departure, empty } => {
                let seconds = |seconds: u8| (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                let room = JoinedRoom {
                    sid: if *sid == 0 { String::new() } else { format!("RM_{sid}") },
                    age: Duration::from_secs(1),
                    took: Duration::from_millis(250),
                    empty_timeout: seconds(*empty),
                    departure_timeout: seconds(*departure),
                };
                self.input(Input::RoomJoined { job: id(*job), room })
            }
            Step::Replaced(n) => self.input(Input::RoomReplaced { job: id(*n) }),
            Step::RoomEnds(n, end) => self.input(Input::RoomEnded { job: id(*n), end: *end }),
            Step::Present { job, people, target } => {
                let target = (*target > 0).then(|| format!("PA_{target}"));
                let presence = Presence { people: (*people).into(), keepers: (*people).into(), target };
                self.input(Input::PresenceChanged { job: id(*job), presence })
            }
            Step::Load(percent) => self.input(Input::LoadSampled(f32::from(*percent) / 100.0)),
            Step::NoDescriptors => self.input(Input::DescriptorsExhausted),
            Step::Wait(millis) => self.pass(Duration::from_millis((*millis).into())),
            Step::Quiet => self.input(Input::QuietRequested),
            Step::Undrain => self.input(Input::UndrainRequested),
            Step::Drain(seconds) => self.drain_request(Duration::from_secs((*seconds).into())),
            Step::Stop => self.input(Input::StopRequested),
        }
    }

    fn open(&mut self) -> Done {
        if self.ledger.is_preparing() {
            self.input(Input::Prepared(Ok(())))?;
        }
        let until = self.now + RECONNECT;
        self.pass_until(until, |driver| driver.ledger.needs_connection() || driver.ledger.is_registered())?;
        if self.ledger.needs_connection() { self.input(Input::Connected) } else { Ok(()) }
    }

    fn register(&mut self) -> Done {
        let worker_id = "AW_1".to_owned();
        self.server(Message::Register(wire::RegisterWorkerResponse { worker_id, server_info: None }))
    }

    fn refuse(&mut self, status: u16) -> Done {
        if !self.ledger.needs_connection() {
            return Ok(());
        }
        let message = "refused".to_owned();
        self.input(Input::ConnectFailed(match status {
            0 => LinkError::Failed { message },
            status => LinkError::Refused { status, message, retry_after: None },
        }))
    }

    fn answer(&mut self, job: &JobId, reply: Reply) -> Done {
        let Some(offer) = self.asked.get(job).copied() else { return Ok(()) };
        let job = job.clone();
        let answer = match reply {
            Reply::Accept => Answer::accept(),
            Reply::AcceptUnnamed => Answer::accept().identity(""),
            Reply::Decline => Answer::Decline,
            Reply::Dismiss => Answer::Dismiss,
            Reply::Panic => return self.input(Input::RequestPanicked { offer, job }),
        };
        self.input(Input::Answered { offer, job, answer })
    }

    /// A fact about an attempt, if the job has one: a driver reports nothing of others.
    fn of_running(&mut self, n: u8, input: impl FnOnce(JobId) -> Input) -> Done {
        if self.ledger.is_running(&id(n)) { self.input(input(id(n))) } else { Ok(()) }
    }

    fn drain_request(&mut self, within: Duration) -> Done {
        self.input(Input::DrainRequested { within })
    }

    fn server(&mut self, message: Message) -> Done {
        self.input(Input::FrameReceived(encode(&wire::ServerMessage { message: Some(message) })))
    }

    /// Anything may happen at any time, also what a driver and a server would not do.
    pub(super) fn input(&mut self, input: Input) -> Done {
        self.ledger.input(&input, self.machine.worker(), self.now);
        self.machine.handle_input(input, self.now);
        self.drain()
    }

    /// Lets the next timer fire, or a second pass without one.
    #[cfg(test)]
    pub(super) fn timeout(&mut self) -> Done {
        let next = self.worker().poll_timeout().map(|(at, _)| at);
        self.now = next.unwrap_or(self.now + Duration::from_secs(1));
        self.machine.handle_timeout(self.now);
        self.drain()?;
        let passed = self.ledger.passed(self.now);
        self.at_step(passed)
    }

    /// Calls the machine before a timer is due, which does nothing.
    #[cfg(test)]
    pub(super) fn early_timeout(&mut self) -> Done {
        self.machine.handle_timeout(self.now);
        let checked = match self.machine.poll_output() {
            Some(output) => Err(self.ledger.spins(format!("an early timeout has the output {output:?}"))),
            None => Ok(()),
        };
        self.at_step(checked)
    }

    fn pass(&mut self, time: Duration) -> Done {
        self.pass_until(self.now + time, |_| false)
    }

    /// Lets time pass until then, or until something has happened. Timers fire at their times.
    fn pass_until(&mut self, until: Time, happened: impl Fn(&Self) -> bool) -> Done {
        let mut timers = 0;
        while !happened(self) {
            let next = self.worker().poll_timeout().map(|(at, _)| at);
            let Some(at) = next.filter(|at| *at <= until) else {
                self.now = self.now.max(until);
                break;
            };
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.drain()?;
            timers += 1;
            if timers > SPINNING {
                let spins = self.ledger.spins(format!("{SPINNING} timers fire until {until}"));
                return self.at_step(Err(spins));
            }
        }
        let passed = self.ledger.passed(self.now);
        self.at_step(passed)
    }

    /// Takes all outputs, as the contract demands, and checks them.
    fn drain(&mut self) -> Done {
        let outputs: Vec<Output> = std::iter::from_fn(|| self.machine.poll_output()).take(SPINNING).collect();
        for output in &outputs {
            match output {
                Output::Ask { offer, job } => {
                    self.asked.insert(job.id.clone(), *offer);
                }
                Output::Clean { job, attempt, .. } => self.cleaning.push((job.clone(), *attempt)),
                _ => {}
            }
        }
        let checked = if outputs.len() == SPINNING {
            Err(self.ledger.spins(format!("one input has {SPINNING} outputs")))
        } else {
            self.ledger.outputs(&outputs, self.machine.worker(), self.now)
        };
        self.at_step(checked)
    }

    fn at_step(&self, checked: Done) -> Done {
        checked.map_err(|broken| BrokenPromise { step: self.step.clone(), ..broken })
    }
}

pub(super) fn id(n: u8) -> JobId {
    JobId::new(&format!("AJ_{n}"))
}

pub(super) fn wire_job(n: u8) -> wire::Job {
    let target =
        || wire::ParticipantInfo { identity: "ada".into(), sid: "PA_1".into(), ..Default::default() };
    wire::Job {
        id: id(n).to_string(),
        room: Some(wire::Room { sid: "RM_1".into(), ..Default::default() }),
        participant: (n % 2 == 1).then(target),
        ..Default::default()
    }
}

pub(super) fn attempt_end(end: End) -> AttemptEnd {
    let text = || "text".to_owned();
    let retryable = |seconds: u8| AttemptEnd::Error {
        kind: JobErrorKind::Retryable { after: Duration::from_secs(seconds.into()) },
        text: text(),
    };
    match end {
        End::Ok => AttemptEnd::Ok,
        End::Fatal => {
            AttemptEnd::Error { kind: JobErrorKind::Fatal { reason: "unknown_error".into() }, text: text() }
        }
        End::Retryable(seconds) => retryable(seconds),
        End::Cancelled => AttemptEnd::Cancelled,
        End::Panic => AttemptEnd::Panicked(text()),
        End::Aborted => AttemptEnd::Aborted,
        End::RoomGone => retryable(0),
    }
}
