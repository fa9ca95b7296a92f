//! Which workers are offered a job, and the effect of their answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent_testkit::{DispatchRequest, JobState, RoomRequest};
use agent_worker::{Agent, Answer, Job, JobContext, JobResult};

use super::stage::{AGENT, Running, Stage, soon};

#[derive(Clone, Copy)]
enum Manner {
    Accepts,
    Declines,
    Dismisses,
    Hangs,
}

struct Asked {
    manner: Manner,
    asked: Arc<AtomicUsize>,
    ran: Arc<AtomicUsize>,
}

impl Agent for Asked {
    async fn on_request(&self, _: &Job) -> Answer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.manner {
            Manner::Accepts => Answer::accept(),
            Manner::Declines => Answer::Decline,
            Manner::Dismisses => Answer::Dismiss,
            Manner::Hangs => std::future::pending().await,
        }
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        self.ran.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct Counted {
    worker: Running,
    asked: Arc<AtomicUsize>,
    ran: Arc<AtomicUsize>,
}

impl Counted {
    async fn start(stage: &Stage, manner: Manner, agent_name: &str) -> Self {
        let (asked, ran) = (Arc::default(), Arc::default());
        let agent = Asked { manner, asked: Arc::clone(&asked), ran: Arc::clone(&ran) };
        Self { worker: stage.run(agent, |w| w.agent_name(agent_name)).await, asked, ran }
    }

    async fn stop(self) -> String {
        self.worker.stop().await;
        format!("asked {}, ran {}", self.asked.load(Ordering::Relaxed), self.ran.load(Ordering::Relaxed))
    }
}

pub(crate) async fn a_dismissed_job(stage: &Stage) -> Vec<String> {
    let worker = Counted::start(stage, Manner::Dismisses, AGENT).await;
    stage.dispatch("dismissed", "").await;
    let ended = async {
        loop {
            let dispatches = stage.api().list_dispatches("dismissed").await.unwrap();
            let states: Vec<JobState> =
                dispatches.iter().flat_map(|d| &d.jobs).map(|job| job.state).collect();
            if states == [JobState::Success] {
                return "listed as a success".to_owned();
            }
        }
    };
    vec![soon(ended).await, worker.stop().await]
}

pub(crate) async fn declined_by_everybody(stage: &Stage) -> Vec<String> {
    let worker = Counted::start(stage, Manner::Declines, AGENT).await;
    stage.dispatch("declined", "").await;
    stage.unserved(AGENT).await;
    vec![worker.stop().await]
}

pub(crate) async fn declined_and_taken_by_another(stage: &Stage) -> Vec<String> {
    taken_by_another(stage, Manner::Declines).await
}

pub(crate) async fn unanswered_and_taken_by_another(stage: &Stage) -> Vec<String> {
    taken_by_another(stage, Manner::Hangs).await
}

async fn taken_by_another(stage: &Stage, manner: Manner) -> Vec<String> {
    let good = Counted::start(stage, Manner::Accepts, AGENT).await;
    let bad = Counted::start(stage, manner, AGENT).await;
    let mut jobs = 0;
    // The server chooses which of the two is asked first.
    while bad.asked.load(Ordering::Relaxed) < 2 {
        jobs += 1;
        assert!(jobs <= 50, "the server never asks the other worker");
        let room = format!("room-{jobs}");
        stage.dispatch(&room, "").await;
        assert_eq!(stage.end_in(&room).await, "JS_SUCCESS");
    }
    let all = good.ran.load(Ordering::Relaxed) == jobs;
    bad.stop().await;
    good.stop().await;
    vec![format!("every job ran: {all}")]
}

async fn stay(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

pub(crate) async fn a_full_worker(stage: &Stage) -> Vec<String> {
    let mut worker = stage.run(stay, |w| w.max_jobs(1)).await;
    stage.dispatch("one", "").await;
    worker.called(1).await;
    stage.dispatch("two", "").await;
    stage.unserved(AGENT).await;
    let report = worker.stop().await;
    vec![format!("{report:?}"), stage.end_in("one").await]
}

pub(crate) async fn deployments(stage: &Stage) -> Vec<String> {
    let worker = stage.run(|_: JobContext| async { JobResult::Ok(()) }, |w| w.deployment("blue")).await;
    let request = DispatchRequest::new(AGENT, "to-blue").deployment("blue");
    stage.api().create_dispatch(request).await.unwrap();
    let mut observed = vec![format!("to blue: {}", stage.end_in("to-blue").await)];
    let request = DispatchRequest::new(AGENT, "to-green").deployment("green");
    let green = stage.api().create_dispatch(request).await.unwrap();
    // A later job for the same worker has run, and the one for another deployment has not.
    let request = DispatchRequest::new(AGENT, "to-blue-again").deployment("blue");
    stage.api().create_dispatch(request).await.unwrap();
    observed.push(format!("to blue again: {}", stage.end_in("to-blue-again").await));
    let listed = stage.api().list_dispatches("to-green").await.unwrap();
    let jobs = listed
        .iter()
        .find(|d| d.id == green.id)
        .map_or(0, |d| d.jobs.iter().filter(|j| !j.worker_id.is_empty()).count());
    observed.push(format!("to green: {jobs} jobs with a worker"));
    worker.stop().await;
    observed
}

pub(crate) async fn an_unnamed_agent(stage: &Stage) -> Vec<String> {
    let worker = Counted::start(stage, Manner::Accepts, "").await;
    stage.api().create_room(RoomRequest::new("new-room")).await.unwrap();
    let observed = vec![stage.end_in("new-room").await];
    [observed, vec![worker.stop().await]].concat()
}

pub(crate) async fn a_room_with_its_own_agents(stage: &Stage) -> Vec<String> {
    let unnamed = Counted::start(stage, Manner::Accepts, "").await;
    let named = Counted::start(stage, Manner::Accepts, AGENT).await;
    stage.api().create_room(RoomRequest::new("configured").agent(AGENT, "m")).await.unwrap();
    let mut observed = vec![format!("configured: {}", stage.end_in("configured").await)];
    stage.api().create_room(RoomRequest::new("plain")).await.unwrap();
    observed.push(format!("plain: {}", stage.end_in("plain").await));
    observed.push(format!("named: {}", named.stop().await));
    observed.push(format!("unnamed: {}", unnamed.stop().await));
    observed
}
