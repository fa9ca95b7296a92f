//! Three workers have a job each in one room, and one of them leads: it hands out tasks, the others do them and report. When the leader
//! goes, another one takes over from what was written last, and nothing is done for nothing.
//!
//! Runs on a mock server in this process: it needs nothing but Rust. For workers of several processes, give the builder
//! `.coordinator(FileCoordinator::open(folder)?)`, on several machines `.coordinator(RedisCoordinator::new(redis))`.

#![allow(clippy::print_stdout, reason = "an example talks to its terminal")]

use agent_testkit::{JobSpec, MockJob, MockServer};
use agent_worker::coordination::{Channel, ChannelEvent, Coordinator, MemoryCoordinator};
use agent_worker::{Agent, Follower, JobContext, JobResult, Leadership, Lease};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const WORKERS: usize = 3;
const TASKS: u64 = 30;
/// A task that was not reported so long is given to somebody else.
const PATIENCE: Duration = Duration::from_millis(500);

/// What leader and followers tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Word {
    Assign { to: String, task: u64 },
    Report { task: u64, result: u64 },
    Finished,
}

/// What the leader knows. Written under its fencing token, so one that was replaced cannot undo what came after it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Ledger {
    results: BTreeMap<u64, u64>,
}

/// For whoever watches.
#[derive(Debug)]
enum Step {
    Leads(String),
    Reported(u64),
}

struct Team {
    steps: mpsc::UnboundedSender<Step>,
}

impl Agent for Team {
    async fn run(&self, ctx: JobContext) -> JobResult {
        let mut member = Member {
            me: ctx.job().id.to_string(),
            jobs: ctx.jobs_channel().await?,
            helpers: BTreeSet::new(),
            steps: self.steps.clone(),
        };
        member.jobs.announce("square").await?;
        let work = async {
            let lease = match ctx.elect(&ctx.job().room.name).await? {
                Leadership::Leader(lease) => lease,
                Leadership::Follower(follower) => match member.follow(follower).await? {
                    Some(lease) => lease,
                    None => return Ok(()),
                },
            };
            tokio::select! {
                done = member.lead(&lease) => done,
                why = lease.lost() => Err(format!("lost the lead: {why:?}").into()),
            }
        };
        tokio::select! {
            done = work => done,
            _ = ctx.cancelled() => Ok(()), // dropping the lease gives it back
        }
    }
}

/// One job of the team.
struct Member {
    me: String,
    jobs: Channel,
    /// Who has announced itself.
    helpers: BTreeSet<String>,
    steps: mpsc::UnboundedSender<Step>,
}

impl Member {
    /// Hands out tasks until all are reported.
    async fn lead(&mut self, lease: &Lease) -> JobResult {
        let _ = self.steps.send(Step::Leads(self.me.clone()));
        let mut ledger: Ledger = match lease.read().await? {
            Some(written) => serde_json::from_slice(&written.value)?,
            None => Ledger::default(),
        };
        let mut assigned = BTreeMap::<u64, (String, Instant)>::new();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while ledger.results.len() < usize::try_from(TASKS)? {
            tokio::select! {
                _ = tick.tick() => self.assign(&ledger, &mut assigned).await?,
                word = self.hear() => if let Some(Word::Report { task, result }) = word? {
                    ledger.results.insert(task, result);
                    lease.write(serde_json::to_vec(&ledger)?).await?;
                    let _ = self.steps.send(Step::Reported(task));
                },
            }
        }
        self.jobs.publish_json(&Word::Finished).await?;
        Ok(())
    }

    /// One task at a time for each helper.
    async fn assign(
        &mut self,
        ledger: &Ledger,
        assigned: &mut BTreeMap<u64, (String, Instant)>,
    ) -> JobResult {
        assigned.retain(|task, _| !ledger.results.contains_key(task));
        // Who does not report is gone, or was the leader before.
        for (helper, since) in assigned.values() {
            if since.elapsed() > PATIENCE {
                self.helpers.remove(helper);
            }
        }
        assigned.retain(|_, (helper, _)| self.helpers.contains(helper));
        let busy: BTreeSet<String> = assigned.values().map(|(helper, _)| helper.clone()).collect();
        let open: Vec<u64> = (0..TASKS)
            .filter(|task| !ledger.results.contains_key(task) && !assigned.contains_key(task))
            .collect();
        for (to, task) in self.helpers.difference(&busy).zip(open) {
            self.jobs.publish_json(&Word::Assign { to: to.clone(), task }).await?;
            assigned.insert(task, (to.clone(), Instant::now()));
        }
        Ok(())
    }

    /// Does tasks until all are done (`None`) or the lead comes to this job.
    async fn follow(&mut self, follower: Follower) -> Result<Option<Lease>, agent_worker::JobError> {
        let mut elected = std::pin::pin!(follower.elected());
        loop {
            let word = tokio::select! {
                lease = &mut elected => return Ok(Some(lease?)),
                word = self.hear() => word?,
            };
            match word {
                Some(Word::Assign { to, task }) if to == self.me => {
                    self.jobs.publish_json(&Word::Report { task, result: task * task }).await?;
                }
                Some(Word::Finished) => return Ok(None),
                _ => {}
            }
        }
    }

    /// The next word, if it is one. What is lost on the way is made up for by the leader's patience.
    async fn hear(&mut self) -> Result<Option<Word>, agent_worker::JobError> {
        match self.jobs.next().await {
            Some(ChannelEvent::Announced(other)) => {
                self.helpers.insert(other.job_id.to_string());
                Ok(None)
            }
            Some(ChannelEvent::Message(message)) => Ok(message.json().ok()),
            Some(_) => Ok(None),
            None => Err("the room is over".into()),
        }
    }
}

/// Three workers with a job each, and a store for their election.
struct Stage {
    /// Its workers run as long as it is there.
    _server: MockServer,
    store: MemoryCoordinator,
    jobs: Vec<MockJob>,
    steps: mpsc::UnboundedReceiver<Step>,
}

impl Stage {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let (server, store) = (MockServer::start().await?, MemoryCoordinator::new());
        let (tell, steps) = mpsc::unbounded_channel();
        let mut jobs = Vec::new();
        for n in 1..=WORKERS {
            let name = format!("worker-{n}");
            let worker = server.worker(Team { steps: tell.clone() }).agent_name(&name);
            let worker = worker.coordinator(store.clone()).lease(Duration::from_secs(2)).build()?;
            tokio::spawn(worker.run());
            jobs.push(server.dispatch(JobSpec::room("lobby").agent_name(&name).participant("ada")).await?);
        }
        Ok(Self { _server: server, store, jobs, steps })
    }

    /// What the last leader wrote.
    async fn results(&self) -> Result<BTreeMap<u64, u64>, Box<dyn Error>> {
        let written = self.store.read("lobby").await?.ok_or("nothing was written")?;
        Ok(serde_json::from_slice::<Ledger>(&written.value)?.results)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut stage = Stage::start().await?;
    let mut reported = 0;
    while let Some(step) = stage.steps.recv().await {
        match step {
            Step::Leads(job) => println!("{job} leads"),
            Step::Reported(task) => {
                reported += 1;
                println!("task {task} is done, {reported} of {TASKS}");
            }
        }
        if reported == TASKS {
            break;
        }
    }
    for job in &stage.jobs {
        println!("{} ends: {}", job.job_id().await, job.outcome().await?);
    }
    println!("the sum of all squares is {}", stage.results().await?.values().sum::<u64>());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

    use super::*;
    use agent_worker::Outcome;

    const SOON: Duration = Duration::from_secs(20);

    async fn ends_well(stage: &Stage) {
        for job in &stage.jobs {
            assert_eq!(job.outcome_within(SOON).await.unwrap(), Outcome::Success, "{}", job.timeline());
        }
        assert_eq!(stage.results().await.unwrap(), (0..TASKS).map(|task| (task, task * task)).collect());
    }

    #[tokio::test]
    async fn the_leader_hands_out_and_the_followers_report() {
        ends_well(&Stage::start().await.unwrap()).await;
    }

    #[tokio::test]
    async fn another_one_takes_over_when_the_leader_goes() {
        let mut stage = Stage::start().await.unwrap();
        let Some(Step::Leads(first)) = stage.steps.recv().await else { panic!("nobody leads") };
        for _ in 0..3 {
            assert!(matches!(stage.steps.recv().await, Some(Step::Reported(_))));
        }
        for job in &stage.jobs {
            if job.job_id().await == first {
                job.terminate();
            }
        }
        let (mut leaders, mut reported) = (vec![first], 3);
        while reported < TASKS {
            match tokio::time::timeout(SOON, stage.steps.recv()).await.unwrap().unwrap() {
                Step::Leads(job) => leaders.push(job),
                Step::Reported(_) => reported += 1,
            }
        }
        assert_eq!(leaders.iter().collect::<BTreeSet<_>>().len(), 2, "{leaders:?}");
        ends_well(&stage).await;
    }
}
