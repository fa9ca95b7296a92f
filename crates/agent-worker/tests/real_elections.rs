//! Elections over a real Redis and Valkey: three worker processes, of which the leader is killed, stopped and
//! cut off, and a server that restarts. A program of its own, as the next leader must lead within a second
//! after the lease.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail, and its processes talk over their output"
)]

#[macro_use]
mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent_testkit::{JobSpec, RedisServerBuilder, ServerEvent, redis_server_with, run_job_in_real_time};
use agent_worker::coordination::{Leadership, RedisCoordinator, RedisPubSub};
use agent_worker::net::Redis;
use agent_worker::{JobContext, JobResult, Outcome, RetryPolicy};

use support::election_workers::{ElectionWorker, ElectionWorkers, LEASE, NEXT, What, run_if_child};
use support::stalling_proxy::Proxy;

const SOON: Duration = Duration::from_secs(20);

on_each_kind!(
    a_leader_that_is_killed_stopped_or_cut_off_is_followed_in_time_and_writes_nothing_more,
    jobs_continue_and_elections_recover_when_redis_restarts,
    a_connection_that_hangs_costs_no_lead_and_delays_no_follower,
    a_redis_that_is_not_there_or_refuses_ends_the_job_with_a_clear_error,
);

/// The entry of the child processes of the tests below; without them it does nothing.
#[tokio::test]
async fn a_candidate() {
    // A write that is held back must arrive late: its writer keeps waiting for it.
    run_if_child(|url| RedisCoordinator::new(Redis::new(url).unwrap().timeout(Duration::from_secs(60))))
        .await;
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

fn take(all: &mut Vec<ElectionWorker>, pid: u32) -> ElectionWorker {
    let at = all.iter().position(|candidate| candidate.process.pid() == pid).expect("it is one of ours");
    all.remove(at)
}

/// Waits until another one leads, and fails after the time within which that has to be.
async fn another_leads(candidates: &ElectionWorkers, from: usize, before: u64, fault: Instant) {
    let next =
        candidates.wait_for(from, SOON, |report| report.what == What::Leads && report.token > before).await;
    assert!(fault.elapsed() <= NEXT, "{next:?} after {:?}", fault.elapsed());
}

async fn a_leader_that_is_killed_stopped_or_cut_off_is_followed_in_time_and_writes_nothing_more(
    settings: RedisServerBuilder,
) {
    let Some(redis) = redis_server_with(settings).await else { return };
    let mut candidates = ElectionWorkers::new("a_candidate").await;
    let mut all = Vec::new();
    let mut proxies = Vec::new();
    for _ in 0..3 {
        let proxy = Proxy::start(redis.port()).await;
        let candidate = candidates.start(&url(proxy.port())).await;
        proxies.push((candidate.process.pid(), proxy));
        all.push(candidate);
    }

    // Killed.
    let leader = candidates.leader().await;
    let (from, fault) = (candidates.mark(), Instant::now());
    drop(take(&mut all, leader.pid));
    another_leads(&candidates, from, leader.token, fault).await;
    let proxy = Proxy::start(redis.port()).await;
    let candidate = candidates.start(&url(proxy.port())).await;
    proxies.push((candidate.process.pid(), proxy));
    all.push(candidate);

    // Stopped past its lease, then continued: it writes before it looks at any clock.
    let leader = candidates.leader().await;
    let stopped = take(&mut all, leader.pid);
    let (from, fault) = (candidates.mark(), Instant::now());
    stopped.process.signal("STOP");
    another_leads(&candidates, from, leader.token, fault).await;
    let from = candidates.mark();
    stopped.process.signal("CONT");
    candidates.wait_for(from, SOON, |report| report.pid == leader.pid && report.what == What::Refused).await;
    all.push(stopped);

    // Cut off: what it sends is held back, and arrives late.
    let leader = candidates.leader().await;
    let (_, proxy) = proxies.iter().find(|(pid, _)| *pid == leader.pid).unwrap();
    let (from, fault) = (candidates.mark(), Instant::now());
    proxy.stall(true);
    another_leads(&candidates, from, leader.token, fault).await;
    let from = candidates.mark();
    proxy.stall(false);
    candidates.wait_for(from, SOON, |report| report.pid == leader.pid && report.what == What::Refused).await;

    // All are connected again, and one leads.
    candidates.leader().await;
    let leaders = candidates.check();
    assert!(leaders >= 4, "{leaders}");
}

async fn jobs_continue_and_elections_recover_when_redis_restarts(settings: RedisServerBuilder) {
    let Some(redis) = redis_server_with(settings.durable(true)).await else { return };
    let mut candidates = ElectionWorkers::new("a_candidate").await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(candidates.start(&redis.url()).await);
    }

    // With everything that it held: the leader keeps its lease.
    let leader = candidates.leader().await;
    redis.restart().await.unwrap();
    let from = candidates.mark();
    candidates
        .wait_for(from, SOON, |report| report.what == What::Wrote && report.token == leader.token)
        .await;

    // Unavailable for longer than a lease: there is no leader, then there is one.
    let leader = candidates.leader().await;
    let (from, away) = (candidates.mark(), Instant::now());
    redis.kill();
    candidates
        .wait_for(from, LEASE, |report| report.what == What::Lost && report.token == leader.token)
        .await;
    tokio::time::sleep(LEASE.saturating_sub(away.elapsed())).await; // also by Redis' clock
    let from = candidates.mark();
    redis.restart().await.unwrap();
    let back = Instant::now();
    let next = candidates.wait_for(from, SOON, |report| report.what == What::Leads).await;
    assert!(next.token > leader.token && back.elapsed() < NEXT, "{next:?} after {:?}", back.elapsed());

    // Without anything: the tokens still grow.
    let leader = candidates.leader().await;
    let from = candidates.mark();
    redis.restart_empty().await.unwrap();
    let next = candidates.wait_for(from, SOON, |report| report.what == What::Leads).await;
    assert!(next.token > leader.token, "{next:?} after {leader:?}");
    candidates
        .wait_for(from, SOON, |report| report.what == What::Refused && report.token == leader.token)
        .await;
    candidates.leader().await;

    candidates.check();
    let ended = |event: &ServerEvent| matches!(event, ServerEvent::Ended { .. });
    assert!(!candidates.server.events().iter().any(ended), "no job has ended of it");
    for candidate in &all {
        candidate.job.terminate();
        assert_eq!(candidate.job.outcome_within(SOON).await.unwrap(), Outcome::Success);
    }
}

/// A connection that is half open, as behind a firewall that dropped its state, is replaced: another one is
/// made in time.
async fn a_connection_that_hangs_costs_no_lead_and_delays_no_follower(settings: RedisServerBuilder) {
    let Some(redis) = redis_server_with(settings).await else { return };
    let mut links = Vec::new();
    for _ in 0..2 {
        let proxy = Arc::new(Proxy::start(redis.port()).await);
        let coordinator = RedisCoordinator::new(Redis::new(&url(proxy.port())).unwrap());
        links.push((proxy, coordinator));
    }
    let first = Arc::clone(&links[0].0);
    let (led, leads) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let once = Arc::new(Mutex::new(Some((led, stopped))));
    let leading = move |ctx: JobContext| {
        let (first, (led, stopped)) = (Arc::clone(&first), once.lock().unwrap().take().unwrap());
        async move {
            let Leadership::Leader(lease) = ctx.elect("half open").await? else { panic!("it is the first") };
            first.forget();
            tokio::select! {
                why = lease.lost() => panic!("{why:?}"),
                () = tokio::time::sleep(LEASE * 2) => {}
            }
            led.send(()).unwrap();
            // It stays the leader without a renewal from here on, as one that was killed does.
            let _: Result<(), _> = stopped.await;
            first.stall(true);
            lease.lost().await;
            Ok(())
        }
    };
    let second = Arc::clone(&links[1].0);
    let following = move |ctx: JobContext| {
        let second = Arc::clone(&second);
        async move {
            let Leadership::Follower(mut follower) = ctx.elect("half open").await? else {
                panic!("it is the second")
            };
            // Its next look at the seat finds the connection dead, when it matters.
            second.forget();
            let before = Instant::now();
            tokio::time::timeout(SOON, follower.elected()).await??;
            assert!(before.elapsed() <= NEXT, "{:?}", before.elapsed());
            Ok(())
        }
    };
    let spec = |n: usize| {
        let coordinator = links[n].1.clone();
        JobSpec::room("r").worker(move |worker| worker.coordinator(coordinator).lease(LEASE))
    };
    let first = tokio::spawn(run_job_in_real_time(leading, spec(0)));
    leads.await.expect("the leader still leads");
    stop.send(()).unwrap();
    let second = run_job_in_real_time(following, spec(1)).await;
    assert_eq!(second.outcome, Outcome::Success);
    assert_eq!(first.await.unwrap().outcome, Outcome::Success);
}

async fn elects(ctx: JobContext) -> JobResult {
    let _ = ctx.elect("room").await?;
    Ok(())
}

async fn talks(ctx: JobContext) -> JobResult {
    ctx.jobs_channel().await?;
    Ok(())
}

async fn error_of(redis: &Redis, agent: fn(JobContext) -> BoxedResult) -> String {
    let redis = redis.clone();
    let spec = JobSpec::room("r").worker(|worker| {
        let worker = worker.coordinator(RedisCoordinator::new(redis.clone())).pubsub(RedisPubSub::new(redis));
        worker.retry(RetryPolicy::never()) // an unavailable store leads to a retry, which would only take time here
    });
    let outcome = run_job_in_real_time(agent, spec).await.outcome;
    outcome.error().expect("it must not succeed").to_owned()
}

type BoxedResult = std::pin::Pin<Box<dyn Future<Output = JobResult> + Send>>;

async fn a_redis_that_is_not_there_or_refuses_ends_the_job_with_a_clear_error(settings: RedisServerBuilder) {
    let Some(redis) = redis_server_with(settings.password("open-sesame")).await else { return };
    let agents: [fn(JobContext) -> BoxedResult; 2] =
        [|ctx| Box::pin(elects(ctx)), |ctx| Box::pin(talks(ctx))];
    let wrong = Redis::new(&url(redis.port())).unwrap().password("hunter2");
    for agent in agents {
        let error = error_of(&wrong, agent).await;
        let place = format!("127.0.0.1:{}", redis.port());
        assert!(error.contains(&place) && error.contains("refuses the credentials"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let right = Redis::new(&redis.url()).unwrap();
    redis.kill();
    for agent in agents {
        let error = error_of(&right, agent).await;
        assert!(error.contains("cannot be reached") && error.contains("`Redis::new`"), "{error}");
    }
}
