//! One machine, a clock that jumps, and a log.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::{
    Answer, AttemptEnd, CancelReason, Config, EndedJob, Input, JobErrorKind, JobId, Output, Time, Worker,
};
use agent_proto::Secret;
use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};
use agent_proto::recording::Recorder;
use agent_proto::{MAX_FRAME_LEN, decode, encode};

/// A worker machine that is recorded.
pub(crate) type RecordedWorker = Recorder<(Config, u64), Worker>;

/// Makes a machine of its settings and its seed.
pub(crate) fn worker((config, seed): (Config, u64)) -> Worker {
    Worker::new(config, seed)
}

pub(crate) struct Rig {
    pub(crate) worker: RecordedWorker,
    now: Time,
    log: String,
    /// The pending offer of each offered job.
    pub(crate) asked: BTreeMap<JobId, agent_core::OfferId>,
    /// The number of outcomes of each job.
    pub(crate) ended: BTreeMap<JobId, u32>,
    pub(crate) last_ended: Option<EndedJob>,
    /// The reason of each job's last cancellation.
    pub(crate) cancelled: BTreeMap<JobId, CancelReason>,
    /// Whether the server answers pings at once.
    pub(crate) answers_pings: bool,
    unanswered: Vec<i64>,
    /// Whether cleanups end at once, as without callbacks.
    pub(crate) cleans: bool,
    uncleaned: Vec<(JobId, u32)>,
}

pub(crate) fn id(n: u32) -> JobId {
    JobId::new(&format!("AJ_{n}"))
}

/// An error without retry.
pub(crate) fn fatal(text: &str) -> AttemptEnd {
    AttemptEnd::Error { kind: JobErrorKind::Fatal { reason: "unknown_error".into() }, text: text.into() }
}

impl Rig {
    /// A new machine.
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.agent_name = "tester".into();
        config.max_jobs = 2;
        change(&mut config);
        let mut rig = Self {
            worker: Recorder::new((config, 7), worker),
            now: Time::ZERO,
            log: String::new(),
            asked: BTreeMap::new(),
            ended: BTreeMap::new(),
            last_ended: None,
            cancelled: BTreeMap::new(),
            answers_pings: true,
            unanswered: Vec::new(),
            cleans: true,
            uncleaned: Vec::new(),
        };
        rig.drain();
        rig
    }

    /// A machine that is registered; the log starts after that.
    pub(crate) fn registered(change: impl FnOnce(&mut Config)) -> Self {
        let mut rig = Self::new(change);
        rig.input(Input::Connected);
        rig.register();
        rig.log.clear();
        rig
    }

    /// With job 1, which was accepted 300 ms after its offer, and assigned 1.2 s after that.
    pub(crate) fn with_waiting_job() -> Self {
        let mut rig = Self::registered(|_| {});
        rig.offer(1);
        rig.pass(300);
        rig.answer(1, Answer::accept());
        rig.pass(1_200);
        rig.assign(1);
        rig
    }

    /// Like [`registered`](Self::registered) without pings, for tests that are not about the connection.
    pub(crate) fn quiet(change: impl FnOnce(&mut Config)) -> Self {
        Self::registered(|config| {
            config.ping_interval = Duration::from_secs(3600);
            config.silence_limit = Duration::from_secs(7200);
            change(config);
        })
    }

    /// The log so far.
    pub(crate) fn log(self) -> String {
        self.log
    }

    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn input(&mut self, input: Input) {
        let shown = match &input {
            Input::FrameReceived(_) => None,
            Input::Answered { job, answer, .. } => Some(format!("{job} answered {answer:?}")),
            Input::RequestPanicked { job, .. } => Some(format!("{job} request handler panicked")),
            other => Some(format!("{other:?}")),
        };
        if let Some(shown) = shown {
            self.line(">", &shown);
        }
        self.worker.handle_input(input, self.now);
        self.react();
    }

    /// Ends the cleanups that were requested so far.
    pub(crate) fn cleaned(&mut self) {
        for (job, attempt) in std::mem::take(&mut self.uncleaned) {
            self.input(Input::Cleaned { job, attempt });
        }
    }

    /// Reacts as a driver and a server do.
    fn react(&mut self) {
        self.drain();
        if self.answers_pings {
            self.pong();
        }
        if self.cleans {
            self.cleaned();
        }
    }

    /// The server answers the pings so far.
    pub(crate) fn pong(&mut self) {
        for timestamp in std::mem::take(&mut self.unanswered) {
            self.line(">", "server: pong");
            let pong = wire::WorkerPong { last_timestamp: timestamp, timestamp: 0 };
            let message = server_message::Message::Pong(pong);
            self.input(Input::FrameReceived(encode(&wire::ServerMessage { message: Some(message) })));
        }
    }

    pub(crate) fn server(&mut self, message: server_message::Message) {
        self.line("> server:", &format!("{message:?}"));
        let frame = encode(&wire::ServerMessage { message: Some(message) });
        self.input(Input::FrameReceived(frame));
    }

    pub(crate) fn register(&mut self) {
        self.line(">", "server: registered");
        let message = server_message::Message::Register(wire::RegisterWorkerResponse {
            worker_id: "AW_1".into(),
            server_info: None,
        });
        let frame = encode(&wire::ServerMessage { message: Some(message) });
        self.input(Input::FrameReceived(frame));
    }

    pub(crate) fn offer(&mut self, n: u32) {
        self.offer_in(n, &format!("room-{n}"));
    }

    /// Offers a job in a room that may have another job already.
    pub(crate) fn offer_in(&mut self, n: u32, room: &str) {
        self.offer_of(n, |job| {
            let sid = format!("RM_{room}");
            job.room = Some(wire::Room { name: room.to_owned(), sid, ..Default::default() });
        });
    }

    /// Offers a modified job.
    pub(crate) fn offer_of(&mut self, n: u32, change: impl FnOnce(&mut wire::Job)) {
        self.line(">", &format!("server: offer AJ_{n}"));
        let mut job = job(n);
        change(&mut job);
        let message = server_message::Message::Availability(wire::AvailabilityRequest {
            job: Some(job),
            resuming: false,
        });
        self.input(Input::FrameReceived(encode(&wire::ServerMessage { message: Some(message) })));
    }

    pub(crate) fn assign(&mut self, n: u32) {
        self.assign_of(n, |_| {});
    }

    /// Assigns a modified job.
    pub(crate) fn assign_of(&mut self, n: u32, change: impl FnOnce(&mut wire::Job)) {
        self.line(">", &format!("server: assign AJ_{n}"));
        let mut job = job(n);
        change(&mut job);
        let message = server_message::Message::Assignment(wire::JobAssignment {
            job: Some(job),
            url: None,
            token: "secret-token".into(),
        });
        self.input(Input::FrameReceived(encode(&wire::ServerMessage { message: Some(message) })));
    }

    pub(crate) fn terminate(&mut self, n: u32) {
        self.line(">", &format!("server: terminate AJ_{n}"));
        let message =
            server_message::Message::Termination(wire::JobTermination { job_id: id(n).to_string() });
        self.input(Input::FrameReceived(encode(&wire::ServerMessage { message: Some(message) })));
    }

    pub(crate) fn answer(&mut self, n: u32, answer: Answer) {
        let offer = self.asked[&id(n)];
        self.input(Input::Answered { offer, job: id(n), answer });
    }

    pub(crate) fn panic_on_request(&mut self, n: u32) {
        let offer = self.asked[&id(n)];
        self.input(Input::RequestPanicked { offer, job: id(n) });
    }

    /// Offers, accepts, assigns and starts a job.
    pub(crate) fn run_job(&mut self, n: u32) {
        self.offer(n);
        self.answer(n, Answer::accept());
        self.assign(n);
        self.input(Input::HandlerStarted { job: id(n) });
    }

    /// The same with a modified job.
    pub(crate) fn run_job_of(&mut self, n: u32, change: impl Fn(&mut wire::Job)) {
        self.offer_of(n, &change);
        self.answer(n, Answer::accept());
        self.assign_of(n, &change);
        self.input(Input::HandlerStarted { job: id(n) });
    }

    pub(crate) fn end(&mut self, n: u32, end: AttemptEnd) {
        self.input(Input::AttemptEnded { job: id(n), end, room_gone: false });
    }

    /// The attempt failed, and may be retried after `after` seconds.
    pub(crate) fn end_retryable(&mut self, n: u32, after: u64) {
        let kind = JobErrorKind::Retryable { after: Duration::from_secs(after) };
        self.end(n, AttemptEnd::Error { kind, text: "no route to the model".into() });
    }

    pub(crate) fn cancel(&mut self, n: u32, reason: CancelReason) {
        self.input(Input::CancelRequested { job: id(n), reason });
    }

    /// Lets time pass, firing each timer at its time.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.pass_until(millis, |_| false);
    }

    /// The same until something has happened, at which time it stops.
    pub(crate) fn pass_until(&mut self, millis: u64, happened: impl Fn(&Self) -> bool) {
        let until = self.now + Duration::from_millis(millis);
        while !happened(self)
            && let Some((at, timer)) = self.worker.poll_timeout().filter(|(at, _)| *at <= until)
        {
            self.now = self.now.max(at);
            self.line(">", &format!("time for {timer:?}"));
            self.worker.handle_timeout(self.now);
            self.react();
        }
        if !happened(self) {
            self.now = until;
        }
    }

    /// Lets time pass, and fires timers only then, as a busy program does.
    pub(crate) fn oversleep(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.worker.handle_timeout(self.now);
        self.react();
    }

    /// Lets time pass until the next timer.
    pub(crate) fn pass_to_next(&mut self) {
        if let Some((at, _)) = self.worker.poll_timeout() {
            self.pass(u64::try_from((at - self.now).as_nanos().div_ceil(1_000_000)).unwrap_or(0));
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.worker.poll_output() {
            match &output {
                Output::Ask { offer, job } => {
                    self.asked.insert(job.id.clone(), *offer);
                }
                Output::Send(frame) => self.unanswered.extend(ping_in(frame)),
                Output::Connect | Output::Disconnect => self.unanswered.clear(),
                Output::Clean { job, attempt, .. } => self.uncleaned.push((job.clone(), *attempt)),
                Output::Cancel { job, reason } => {
                    self.cancelled.insert(job.clone(), reason.clone());
                }
                Output::Ended(ended) => {
                    *self.ended.entry(ended.job.id.clone()).or_default() += 1;
                    self.last_ended = Some(ended.clone());
                }
                _ => {}
            }
            let shown = show(&output);
            self.line("<", &shown);
        }
        if let Some((at, timer)) = self.worker.poll_timeout() {
            assert!(at > self.now, "after a drain {timer:?} is due at {at}, now {}", self.now);
        }
    }

    fn line(&mut self, mark: &str, text: &str) {
        assert!(!text.contains("secret-token"), "a token is shown: {text}");
        self.log += &format!("{} {mark} {text}\n", self.now);
    }
}

fn job(n: u32) -> wire::Job {
    wire::Job {
        id: id(n).to_string(),
        room: Some(wire::Room { name: format!("room-{n}"), sid: format!("RM_{n}"), ..Default::default() }),
        agent_name: "tester".into(),
        ..Default::default()
    }
}

/// The timestamp, if it is a ping.
pub(crate) fn ping_in(frame: &bytes::Bytes) -> Option<i64> {
    let message: wire::WorkerMessage = decode(frame, MAX_FRAME_LEN).ok()?;
    match message.message {
        Some(worker_message::Message::Ping(ping)) => Some(ping.timestamp),
        _ => None,
    }
}

fn show(output: &Output) -> String {
    match output {
        Output::Send(frame) => {
            let message: wire::WorkerMessage =
                decode(frame, MAX_FRAME_LEN).expect("the machine sends no garbage");
            match message.message.expect("nor an empty message") {
                worker_message::Message::Register(m) => {
                    format!("send Register {:?} kind {} {:?}", m.agent_name, m.r#type, m.allowed_permissions)
                }
                worker_message::Message::Availability(m) if m.available => {
                    format!("send accept {} as {}", m.job_id, m.participant_identity)
                }
                worker_message::Message::Availability(m) if m.terminate => {
                    format!("send dismiss {}", m.job_id)
                }
                worker_message::Message::Availability(m) => format!("send decline {}", m.job_id),
                worker_message::Message::UpdateWorker(m) => {
                    let draining = if m.draining { ", draining" } else { "" };
                    format!("send load {:.2} {:?} with {} jobs{draining}", m.load, m.status(), m.job_count)
                }
                worker_message::Message::UpdateJob(m) => {
                    let timing = m.join_timing.map(|timing| format!(", {timing:?}")).unwrap_or_default();
                    format!("send status {} {:?} {:?}{timing}", m.job_id, m.status(), m.error)
                }
                worker_message::Message::MigrateJob(m) => {
                    assert!(m.jobs.iter().map(|job| &job.id).eq(&m.job_ids), "{m:?}");
                    let agent_of =
                        |job: &wire::Job| job.state.clone().unwrap_or_default().participant_identity;
                    let agents: Vec<String> = m.jobs.iter().map(agent_of).collect();
                    format!("send migrate {:?} of {agents:?}", m.job_ids)
                }
                worker_message::Message::Ping(_) => "send ping".to_owned(),
                other @ worker_message::Message::SimulateJob(_) => format!("send {other:?}"),
            }
        }
        Output::Ask { job, .. } => format!("ask {}", job.id),
        Output::Start { job, token, url, answered, waited } => {
            assert_eq!(Secret::expose(token), "secret-token");
            let answered = match answered {
                Some(time) if !time.is_zero() => format!(" answered after {time:?}"),
                _ => String::new(),
            };
            format!("start {} url {url:?}{answered} waited {waited:?}", job.id)
        }
        Output::Retry { job, attempt } => format!("retry {job}, attempt {attempt}"),
        Output::Clean { job, attempt, within } => {
            format!("clean {job} attempt {attempt} within {within:?}")
        }
        Output::Ended(ended) => {
            let kind = ended.kind.as_ref().map(|kind| format!(" {kind:?}")).unwrap_or_default();
            let (job, outcome, took) = (&ended.job.id, &ended.outcome, ended.duration);
            format!("ended {job} {outcome}{kind} after {took:?}, attempts {}", ended.attempts)
        }
        Output::Moved { job, to } => format!("moved {} to {to}", job.id),
        other => format!("{other:?}"),
    }
}
