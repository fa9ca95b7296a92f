//! The states of the load server's jobs. Any message of a subject that the run does not expect is an error,
//! so that the figures are those of jobs that were completed.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use agent_proto::livekit as wire;
use agent_proto::livekit::worker_message::Message;

use super::frames::{self, Frames};
use crate::usage::monotonic_ns;

/// All jobs of one connection, by number.
pub(super) struct Jobs {
    frames: Frames,
    jobs: Vec<Step>,
    running: usize,
    ended: usize,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Offered,
    Assigned,
    Running,
    Ended,
}

impl Jobs {
    pub(super) fn new() -> Self {
        Self { frames: Frames::new(), jobs: Vec::new(), running: 0, ended: 0 }
    }

    /// Number of jobs so far.
    pub(super) const fn offered(&self) -> usize {
        self.jobs.len()
    }

    /// Number of jobs with a running handler.
    pub(super) const fn running(&self) -> usize {
        self.running
    }

    /// Number of jobs that ended successfully.
    pub(super) const fn ended(&self) -> usize {
        self.ended
    }

    /// Creates a job and offers it.
    pub(super) fn offer(&mut self) -> Bytes {
        let job = self.jobs.len();
        self.jobs.push(Step::Offered);
        self.frames.offer(job, monotonic_ns())
    }

    /// Terminates every running job.
    pub(super) fn terminate_all(&self) -> Vec<Bytes> {
        let running = self.jobs.iter().enumerate().filter(|(_, step)| **step == Step::Running);
        running.map(|(job, _)| self.frames.termination(job)).collect()
    }

    /// Handles a message of the subject, and returns the answer.
    pub(super) fn handle(&mut self, message: Message) -> Result<Option<Bytes>> {
        match message {
            Message::Availability(answer) => self.answered(&answer).map(Some),
            Message::UpdateJob(update) => self.updated(&update).map(|()| None),
            Message::Ping(ping) => Ok(Some(frames::pong(ping.timestamp))),
            Message::UpdateWorker(_) => Ok(None),
            other => bail!("unexpected message of the subject: {other:?}"),
        }
    }

    fn answered(&mut self, answer: &wire::AvailabilityResponse) -> Result<Bytes> {
        let (job, step) = self.job(&answer.job_id)?;
        ensure!(
            answer.available,
            "the subject declined job {job}: a worker takes as many jobs as its limit of open files allows, four for each; raise it \
             (`ulimit -n`) or give a lower --held"
        );
        ensure!(*step == Step::Offered, "the subject accepted job {job}, which is {step:?}");
        *step = Step::Assigned;
        Ok(self.frames.assignment(job, monotonic_ns()))
    }

    fn updated(&mut self, update: &wire::UpdateJobStatus) -> Result<()> {
        let (job, step) = self.job(&update.job_id)?;
        match (update.status(), *step) {
            (wire::JobStatus::JsRunning, Step::Assigned) => {
                *step = Step::Running;
                self.running += 1;
            }
            (wire::JobStatus::JsSuccess, Step::Running) => {
                *step = Step::Ended;
                self.running -= 1;
                self.ended += 1;
            }
            // A worker may repeat its status.
            (wire::JobStatus::JsSuccess, Step::Ended) => {}
            (status, step) => {
                bail!("the subject reports {status:?} for job {job}, which is {step:?}: {:?}", update.error)
            }
        }
        Ok(())
    }

    fn job(&mut self, id: &str) -> Result<(usize, &mut Step)> {
        let unknown = || format!("the subject reports on job {id:?}, which was never offered");
        let job = frames::number(id).with_context(unknown)?;
        Ok((job, self.jobs.get_mut(job).with_context(unknown)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(job: usize, available: bool) -> Message {
        let job_id = format!("AJ_{job:012}");
        Message::Availability(wire::AvailabilityResponse { job_id, available, ..Default::default() })
    }

    fn update(job: usize, status: wire::JobStatus) -> Message {
        let (job_id, error) = (format!("AJ_{job:012}"), "its text".to_owned());
        Message::UpdateJob(wire::UpdateJobStatus { job_id, status: status.into(), error, join_timing: None })
    }

    #[test]
    fn a_job_is_counted_when_it_has_run_and_once() {
        let mut jobs = Jobs::new();
        let _offer = jobs.offer();
        assert!(jobs.handle(answer(0, true)).unwrap().is_some());
        assert!(jobs.handle(update(0, wire::JobStatus::JsRunning)).unwrap().is_none());
        assert_eq!((jobs.running(), jobs.ended()), (1, 0));
        assert_eq!(jobs.terminate_all().len(), 1);
        for _ in 0..2 {
            assert!(jobs.handle(update(0, wire::JobStatus::JsSuccess)).unwrap().is_none());
            assert_eq!((jobs.offered(), jobs.running(), jobs.ended()), (1, 0, 1));
        }
        assert!(jobs.terminate_all().is_empty());
    }

    #[test]
    fn anything_else_fails_the_run() {
        let check = |messages: &[Message], expected: &str| {
            let mut jobs = Jobs::new();
            let _offer = jobs.offer();
            let (last, before) = messages.split_last().unwrap();
            for message in before {
                jobs.handle(message.clone()).unwrap();
            }
            let error = jobs.handle(last.clone()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let (running, success) = (wire::JobStatus::JsRunning, wire::JobStatus::JsSuccess);
        check(&[answer(0, false)], "declined job 0");
        check(&[answer(1, true)], "never offered");
        check(&[answer(0, true), answer(0, true)], "which is Assigned");
        check(&[answer(0, true), update(0, success)], "JsSuccess for job 0, which is Assigned");
        check(&[answer(0, true), update(0, wire::JobStatus::JsFailed)], "its text");
        check(
            &[answer(0, true), update(0, running), update(0, success), update(0, running)],
            "which is Ended",
        );
        check(&[Message::MigrateJob(wire::MigrateJobRequest::default())], "unexpected message");
    }
}
