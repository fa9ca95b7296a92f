//! A worker whose inputs are counted.

use std::time::Duration;

use agent_proto::Time;
use agent_proto::recording::Machine;

use crate::config::Config;
use crate::script::driver::id;
use crate::script::machine::WorkerMachine;
use crate::worker::coverage::{InputKind, State, TimerKind};
use crate::worker::{Input, Output, Worker};

/// The jobs of a script.
pub(super) const JOBS: u8 = 4;

pub(super) struct Counted {
    worker: Worker,
    /// The inputs so far, each with the state in which it came.
    pub(super) hits: Vec<(State, InputKind)>,
    /// The timers that fired.
    pub(super) timers: Vec<TimerKind>,
    now: Time,
}

impl Counted {
    /// With fewer slots than jobs, and times that scripts get past.
    pub(super) fn new() -> Self {
        let config = Config {
            max_jobs: 2,
            grace: Duration::from_secs(2),
            abort_timeout: Duration::from_secs(4),
            cleanup_timeout: Duration::from_secs(3),
            job_timeout: Some(Duration::from_secs(120)),
            stale_after: Duration::from_secs(5),
            stable_after: Duration::from_secs(5),
            start_timeout: Some(Duration::from_secs(7)),
            connect_timeout: Duration::from_secs(6),
            register_timeout: Duration::from_secs(6),
            ..Config::default()
        };
        Self { worker: Worker::new(config, 0), hits: Vec::new(), timers: Vec::new(), now: Time::ZERO }
    }

    fn count(&mut self, kind: InputKind, of: Option<u8>) {
        let jobs = (0..JOBS).filter(|job| of.is_none_or(|of| of == *job));
        self.hits.extend(jobs.map(|job| (State::of(&self.worker, &id(job)), kind)));
    }
}

impl Machine for Counted {
    type Input = Input;
    type Output = Output;

    fn handle_input(&mut self, input: Input, now: Time) {
        self.now = now;
        let (kind, job) = InputKind::of(&input);
        self.count(kind, job.and_then(|job| (0..JOBS).find(|n| id(*n) == job)));
        self.worker.handle_input(input, now);
    }

    fn handle_timeout(&mut self, now: Time) {
        let next = self.worker.poll_timeout();
        let early = next.as_ref().map_or(now == self.now, |(at, _)| *at > now);
        self.now = now;
        self.count(if early { InputKind::EarlyTimeout } else { InputKind::Timeout }, None);
        self.timers.extend(next.filter(|_| !early).map(|(_, timer)| TimerKind::of(&timer)));
        self.worker.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.worker.poll_output()
    }
}

impl WorkerMachine for Counted {
    fn worker(&self) -> &Worker {
        &self.worker
    }
}
