//! Three workers have one job each in one room, and one of them leads: it assigns tasks, the others report
//! the results. When the leader ends, another one continues from the last written state and repeats no task.
//!
//! Runs on a mock server in this process: it needs nothing but Rust. For workers of several processes, give
//! the builder `.open_coordinator(|| FileCoordinator::open(folder))`, on several machines
//! `.coordinator(RedisCoordinator::new(redis))`.

#![allow(clippy::print_stdout, reason = "an example prints to its terminal")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use agent_testkit::{JobSpec, MockJob, MockServer};
use agent_worker::coordination::{
    Channel, ChannelEvent, Coordinator, Follower, Leadership, Lease, MemoryCoordinator,
};
use agent_worker::{Agent, JobContext, JobError, JobResult};

const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
const TASKS: u64 = 12;
/// A task that was not reported within this time is assigned to another job.
const PATIENCE: Duration = Duration::from_millis(500);

/// The messages of leader and followers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Message {
    Assign { to: String, task: u64 },
    Report { task: u64, result: u64 },
    Finished,
}

/// The leader's state, written with its fencing token: a replaced leader cannot overwrite its successor's.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Ledger {
    results: BTreeMap<u64, u64>,
}

struct Team {
    steps: mpsc::UnboundedSender<Step>,
}

impl Agent for Team {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let mut member = Member {
            me: ctx.job().id.to_string(),
            jobs: ctx.jobs_channel().await?,
            helpers: BTreeSet::new(),
            steps: self.steps.clone(),
        };
        member.jobs.announce("square").await?;
        tokio::select! {
            done = member.work(&ctx) => done,
            _ = ctx.cancelled() => Ok(()), // dropping the lease releases it
        }
    }
}

/// One job of the team.
struct Member {
    me: String,
    jobs: Channel,
    /// The jobs that have announced themselves.
    helpers: BTreeSet<String>,
    steps: mpsc::UnboundedSender<Step>,
}

impl Member {
    async fn work(&mut self, ctx: &JobContext) -> JobResult {
        let lease = match ctx.elect(ctx.room().name()).await? {
            Leadership::Follower(follower) => self.follow(follower).await?,
            leader => Some(leader.lead().await?),
        };
        let Some(lease) = lease else { return Ok(()) };
        tokio::select! {
            done = self.lead(&lease) => done,
            why = lease.lost() => Err(retried(format!("lost the lease: {why:?}"))),
        }
    }

    /// Does tasks until all are done (`None`) or this job leads.
    async fn follow(&mut self, mut follower: Follower) -> Result<Option<Lease>, JobError> {
        loop {
            let message = tokio::select! {
                lease = follower.elected() => return Ok(Some(lease?)),
                received = self.receive() => received?,
            };
            match message {
                Some((_, Message::Assign { to, task })) if to == self.me => {
                    self.jobs.publish_json(&Message::Report { task, result: task * task }).await?;
                }
                Some((_, Message::Finished)) => return Ok(None),
                _ => {}
            }
        }
    }

    /// Assigns tasks until all are reported.
    async fn lead(&mut self, lease: &Lease) -> JobResult {
        let written = lease.read().await?;
        let mut ledger = written.map_or(Ok(Ledger::default()), |it| serde_json::from_slice(&it.value))?;
        self.show(Step::Leads { job: self.me.clone(), found: ledger.results.len() });
        let mut assigned = BTreeMap::new();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while ledger.results.len() < usize::try_from(TASKS)? {
            tokio::select! {
                _ = tick.tick() => self.assign(&ledger, &mut assigned).await?,
                message = self.receive() => if let Some((job, Message::Report { task, result })) = message? {
                    ledger.results.insert(task, result);
                    lease.write(serde_json::to_vec(&ledger)?).await.map_err(retried)?;
                    self.show(Step::Reported { job, task, result, total: ledger.results.len() });
                },
            }
        }
        self.jobs.publish_json(&Message::Finished).await?;
        Ok(())
    }

    /// One task at a time per helper.
    async fn assign(
        &mut self,
        ledger: &Ledger,
        assigned: &mut BTreeMap<u64, (String, Instant)>,
    ) -> JobResult {
        assigned.retain(|task, _| !ledger.results.contains_key(task));
        for (task, (job, _)) in assigned.extract_if(.., |_, (_, since)| since.elapsed() > PATIENCE) {
            self.helpers.remove(&job); // it is gone, or was the leader before
            self.show(Step::Silent { job, task });
        }
        let busy = assigned.values().map(|(job, _)| job.clone()).collect();
        let open = |task: &u64| !ledger.results.contains_key(task) && !assigned.contains_key(task);
        let open: Vec<u64> = (0..TASKS).filter(open).collect();
        for (job, task) in self.helpers.difference(&busy).zip(open) {
            self.jobs.publish_json(&Message::Assign { to: job.clone(), task }).await?;
            assigned.insert(task, (job.clone(), Instant::now()));
            self.show(Step::Assigned { job: job.clone(), task });
        }
        Ok(())
    }

    /// The next valid message and its sender. The leader's timeout makes up for lost messages.
    async fn receive(&mut self) -> Result<Option<(String, Message)>, JobError> {
        match self.jobs.next().await {
            Some(ChannelEvent::Announced(other)) => {
                self.helpers.insert(other.job_id.to_string());
                Ok(None)
            }
            Some(ChannelEvent::Message(it)) => Ok(it.json().ok().map(|text| (it.job_id().to_string(), text))),
            Some(_) => Ok(None),
            None => Err("the room is over".into()),
        }
    }

    fn show(&self, step: Step) {
        let _ = self.steps.send(step);
    }
}

/// A job that no longer leads is retried: its next attempt takes part in the election again.
fn retried(error: impl Into<Box<dyn Error + Send + Sync>>) -> JobError {
    JobError::retryable(error, Duration::ZERO)
}

/// For the observer.
#[derive(Debug)]
enum Step {
    Leads { job: String, found: usize },
    Assigned { job: String, task: u64 },
    Reported { job: String, task: u64, result: u64, total: usize },
    Silent { job: String, task: u64 },
}

/// Three workers with a job each, and a store for their election.
struct Stage {
    /// Its workers run until it is dropped.
    _server: MockServer,
    store: MemoryCoordinator,
    /// By job id: the name of the worker, and its job.
    jobs: BTreeMap<String, (&'static str, MockJob)>,
    steps: mpsc::UnboundedReceiver<Step>,
}

impl Stage {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let (server, store) = (MockServer::start().await?, MemoryCoordinator::new());
        let (sender, steps) = mpsc::unbounded_channel();
        let mut jobs = BTreeMap::new();
        for name in WORKERS {
            let worker = server.worker(Team { steps: sender.clone() }).agent_name(name);
            let worker = worker.coordinator(store.clone()).lease(Duration::from_secs(2)).build()?;
            tokio::spawn(worker.run());
            let job = server.dispatch(JobSpec::room("lobby").agent_name(name)).await?;
            jobs.insert(job.job_id().await, (name, job));
        }
        Ok(Self { _server: server, store, jobs, steps })
    }

    /// Prints the steps until all tasks are reported, and cancels the leader's job after `end_after` of them.
    /// Returns the leaders, and how many results each of them found.
    async fn watch(&mut self, end_after: usize) -> Result<Vec<(String, usize)>, Box<dyn Error>> {
        let mut leaders = Vec::new();
        while let Some(step) = self.steps.recv().await {
            let name = |job: &str| self.jobs.get(job).map_or("?", |(name, _)| *name);
            match step {
                Step::Leads { job, found } => {
                    println!("{} leads, and finds {found} results", name(&job));
                    leaders.push((job, found));
                }
                Step::Assigned { job, task } => println!("  {} gets task {task}", name(&job)),
                Step::Silent { job, task } => println!("  {} is silent: reassigning task {task}", name(&job)),
                Step::Reported { job, task, result, total } => {
                    println!("  {} reports task {task}: {result} ({total} of {TASKS})", name(&job));
                    if total == usize::try_from(TASKS)? {
                        break;
                    }
                    if let [(only, _)] = leaders.as_slice()
                        && total == end_after
                        && let Some((name, job)) = self.jobs.get(only)
                    {
                        println!("{name} is cancelled");
                        job.terminate();
                    }
                }
            }
        }
        Ok(leaders)
    }

    /// The results that the last leader wrote.
    async fn results(&self) -> Result<BTreeMap<u64, u64>, Box<dyn Error>> {
        let written = self.store.read("lobby").await?.ok_or("nothing was written")?;
        Ok(serde_json::from_slice::<Ledger>(&written.value)?.results)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut stage = Stage::start().await?;
    stage.watch(4).await?;
    for (name, job) in stage.jobs.values() {
        println!("{name} ends: {}", job.outcome().await?);
    }
    println!("the sum of all squares is {}", stage.results().await?.values().sum::<u64>());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

    use agent_worker::Outcome;
    use agent_worker::coordination::AcquireResult;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Runs to the end; returns the leaders, and how many results each of them found.
    async fn leaders(end_after: usize) -> Vec<(String, usize)> {
        let mut stage = Stage::start().await.unwrap();
        let leaders = tokio::time::timeout(SOON, stage.watch(end_after)).await.unwrap().unwrap();
        for (_, job) in stage.jobs.values() {
            assert_eq!(job.outcome_within(SOON).await.unwrap(), Outcome::Success, "{}", job.timeline());
        }
        assert_eq!(stage.results().await.unwrap(), (0..TASKS).map(|task| (task, task * task)).collect());
        leaders
    }

    #[tokio::test]
    async fn the_leader_assigns_and_the_followers_report() {
        assert!(matches!(leaders(usize::MAX).await.as_slice(), [(_, 0)]));
    }

    /// The job that led takes part in the election again.
    #[tokio::test]
    async fn a_lost_lease_fails_no_job() {
        let mut stage = Stage::start().await.unwrap();
        assert!(matches!(stage.steps.recv().await, Some(Step::Leads { .. })));
        let lease = Duration::from_millis(500);
        let held = stage.store.acquire("lobby", "another", lease).await.unwrap();
        let AcquireResult::Held { by, .. } = held else { panic!("{held:?}") };
        stage.store.release("lobby", &by).await.unwrap();
        let granted = stage.store.acquire("lobby", "another", lease).await.unwrap();
        assert!(matches!(granted, AcquireResult::Granted { .. }), "{granted:?}");
        tokio::time::timeout(SOON, stage.watch(usize::MAX)).await.unwrap().unwrap();
        for (_, job) in stage.jobs.values() {
            assert_eq!(job.outcome_within(SOON).await.unwrap(), Outcome::Success, "{}", job.timeline());
        }
    }

    #[tokio::test]
    async fn another_job_takes_over_when_the_leader_ends() {
        let leaders = leaders(3).await;
        let [(first, 0), (second, found)] = leaders.as_slice() else { panic!("{leaders:?}") };
        assert!(first != second && *found >= 3, "{leaders:?}");
    }
}
