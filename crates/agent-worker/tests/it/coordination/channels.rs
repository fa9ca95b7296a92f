//! Channels and elections of jobs on a mock server: over the data of the room that they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_testkit::{JobSpec, MockJob, MockServer, run_job};
use agent_worker::coordination::{Channel, ChannelEvent, Leadership, MAX_MESSAGE_LEN, MemoryCoordinator};
use agent_worker::room::{Participant, ParticipantKind};
use agent_worker::{Agent, JobContext, JobResult, Outcome, WorkerHandle};

const SOON: Duration = Duration::from_secs(30);
const WORKERS: usize = 3;
const MESSAGES: usize = 1_000;

/// Workers with different names, so that a room can have a job of each.
async fn workers<A: Agent + Clone>(server: &MockServer, agent: A) -> Vec<WorkerHandle> {
    let mut handles = Vec::new();
    for n in 0..WORKERS {
        let worker = server.worker(agent.clone()).agent_name(format!("worker-{n}")).build().unwrap();
        handles.push(worker.handle());
        tokio::spawn(worker.run());
        assert!(handles[n].registered().await);
    }
    handles
}

async fn jobs(server: &MockServer, room: &str) -> Vec<MockJob> {
    let mut jobs = Vec::new();
    for n in 0..WORKERS {
        jobs.push(server.dispatch(JobSpec::room(room).agent_name(format!("worker-{n}"))).await.unwrap());
    }
    jobs
}

async fn all_succeed(jobs: &[MockJob]) {
    for job in jobs {
        assert_eq!(job.outcome_within(SOON).await.unwrap(), Outcome::Success, "{}", job.timeline());
    }
}

/// Waits until all the others have announced themselves.
async fn all_there(channel: &mut Channel) {
    let mut others = 0;
    while others < WORKERS - 1 {
        match channel.next().await.unwrap() {
            ChannelEvent::Announced(announcement) => {
                assert!(announcement.worker_id.starts_with("AW_"), "{announcement:?}");
                assert_eq!(announcement.capability, "count");
                others += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Publishes and counts what the others publish.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Agent for Counting {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let mut channel = ctx.jobs_channel().await?;
        assert_eq!(channel.topic(), "room:shared:jobs");
        channel.announce("count").await?;
        all_there(&mut channel).await;
        // A job may not know of all others yet; none counts before.
        self.0.fetch_add(1, Ordering::Relaxed);
        while self.0.load(Ordering::Relaxed) < WORKERS {
            tokio::task::yield_now().await;
        }
        let publisher = channel.publisher();
        let publishing = tokio::spawn(async move {
            for n in 0..MESSAGES {
                publisher.publish(n.to_string()).await.unwrap();
            }
        });
        let mut next = std::collections::BTreeMap::<String, usize>::new();
        while next.values().sum::<usize>() < MESSAGES * (WORKERS - 1) {
            match channel.next().await.unwrap() {
                ChannelEvent::Message(message) => {
                    let expected = next.entry(message.from.clone()).or_default();
                    assert_eq!(message.text(), expected.to_string(), "in order and complete");
                    *expected += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        publishing.await?;
        // No job leaves before all are done.
        self.0.fetch_add(1, Ordering::Relaxed);
        while self.0.load(Ordering::Relaxed) < WORKERS * 2 {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn three_workers_with_a_thousand_messages_each_lose_none_and_participants_receive_none() {
    let server = MockServer::start().await.unwrap();
    let agent = Counting::default();
    let handles = workers(&server, agent).await;
    let room = server.room("shared");
    let ada = room.join("ada");
    let jobs = jobs(&server, "shared").await;
    // A person cannot forge a message; if one got through, the count or the order would be wrong.
    let forged = "{\"v\":1,\"from\":\"AJ_x/1\",\"kind\":\"message\",\"number\":1}\n0";
    room.wait_for_agent().await;
    ada.send_data("room:shared:jobs", forged);
    all_succeed(&jobs).await;
    assert_eq!(ada.received().len(), 0, "a person receives none of it");
    for handle in handles {
        handle.drain(Duration::ZERO).await;
    }
}

/// The destinations are part of a packet, which has a limit: a message of full size still reaches
/// hundreds of participants.
#[tokio::test]
async fn the_longest_message_reaches_hundreds_of_agents() {
    const CROWD: usize = 300;
    async fn publishing(ctx: JobContext) -> JobResult {
        let jobs = ctx.jobs_channel().await?;
        while ctx.room().participants().len() < CROWD {
            tokio::task::yield_now().await;
        }
        Ok(jobs.publish(vec![0; MAX_MESSAGE_LEN]).await?)
    }
    let server = MockServer::start().await.unwrap();
    let worker = server.worker(publishing).agent_name("worker").build().unwrap();
    let handle = worker.handle();
    tokio::spawn(worker.run());
    assert!(handle.registered().await);
    let room = server.room("crowd");
    let crowd: Vec<_> = (0..CROWD)
        .map(|n| {
            let mut agent = Participant::new(format!("PA_{n}"), format!("agent-AJ_of-the-crowd-{n}"));
            agent.kind = ParticipantKind::Agent;
            room.join_as(agent)
        })
        .collect();
    let job = server.dispatch(JobSpec::room("crowd").agent_name("worker")).await.unwrap();
    assert_eq!(job.outcome_within(SOON).await.unwrap(), Outcome::Success, "{}", job.timeline());
    for agent in &crowd {
        let long = agent.received().iter().filter(|sent| sent.payload.len() > MAX_MESSAGE_LEN).count();
        assert_eq!(long, 1, "{}", agent.identity());
    }
    handle.drain(Duration::ZERO).await;
}

/// One leads and the others wait; each writes, and releases its lease.
#[derive(Clone, Default)]
struct InTurn;

impl Agent for InTurn {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let lease = ctx.elect(&ctx.job().room.name).await?.lead().await?;
        let before = lease.read().await?.map(|value| String::from_utf8_lossy(&value.value).into_owned());
        let count: u32 = before.as_deref().unwrap_or("0").parse()?;
        lease.write((count + 1).to_string()).await?;
        if count + 1 == u32::try_from(WORKERS)? {
            ctx.room().publish_data("done", (count + 1).to_string()).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn jobs_of_several_workers_lead_one_after_the_other() {
    let server = MockServer::start().await.unwrap();
    let store = MemoryCoordinator::new();
    let mut handles = Vec::new();
    for n in 0..WORKERS {
        let worker = server.worker(InTurn).agent_name(format!("worker-{n}")).coordinator(store.clone());
        let worker = worker.lease(Duration::from_secs(1)).build().unwrap();
        handles.push(worker.handle());
        tokio::spawn(worker.run());
        assert!(handles[n].registered().await);
    }
    let room = server.room("turns");
    let _ada = room.join("ada");
    let jobs = jobs(&server, "turns").await;
    all_succeed(&jobs).await;
    assert!(room.sent().iter().any(|sent| sent.topic == "done" && sent.text() == "3"));
    for handle in handles {
        handle.drain(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn without_a_coordinator_an_election_is_an_error_with_advice() {
    async fn electing(ctx: JobContext) -> JobResult {
        let _ = ctx.elect("room").await?;
        Ok(())
    }
    let run = run_job(electing, JobSpec::room("r")).await;
    let Outcome::Failed { error } = run.outcome else { panic!("{:?}", run.outcome) };
    assert!(error.contains("call `.coordinator(…)` on its builder"), "{error}");
}

#[tokio::test]
async fn an_invalid_key_is_an_error() {
    async fn electing(ctx: JobContext) -> JobResult {
        let error = ctx.elect(&"x".repeat(513)).await.unwrap_err();
        assert_eq!(error.to_string(), "the key of the election has 513 bytes: give it at most 512");
        let _ = ctx.elect("").await?;
        Ok(())
    }
    let spec = JobSpec::room("r").worker(|worker| worker.coordinator(MemoryCoordinator::new()));
    let run = run_job(electing, spec).await;
    let Outcome::Failed { error } = run.outcome else { panic!("{:?}", run.outcome) };
    assert!(error.contains("the key of the election is empty"), "{error}");
}

#[tokio::test]
async fn a_channel_over_a_room_that_is_not_joined_is_an_error_with_advice() {
    async fn talking(ctx: JobContext) -> JobResult {
        ctx.jobs_channel().await?;
        Ok(())
    }
    let run = run_job(talking, JobSpec::room("r").worker(|worker| worker.join_room(false))).await;
    let Outcome::Failed { error } = run.outcome else { panic!("{:?}", run.outcome) };
    assert!(error.contains("call `ctx.join().await` first"), "{error}");
}

/// On virtual time: a leader leads for an hour.
#[tokio::test]
async fn a_lease_lasts_as_long_as_the_job() {
    async fn leading(ctx: JobContext) -> JobResult {
        let Leadership::Leader(lease) = ctx.elect("room").await? else {
            return Err("another job leads".into());
        };
        tokio::select! {
            why = lease.lost() => Err(format!("{why:?}").into()),
            () = tokio::time::sleep(Duration::from_secs(3600)) => Ok(lease.write("an hour").await?),
        }
    }
    let spec = JobSpec::room("r")
        .lasts(Duration::from_secs(4000))
        .worker(|worker| worker.coordinator(MemoryCoordinator::new()));
    let run = run_job(leading, spec).await;
    run.assert_success();
    assert!(run.duration >= Duration::from_secs(3600));
}
