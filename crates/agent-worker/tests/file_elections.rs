//! Elections over files: three worker processes of one machine, of which the leader is killed and stopped.
//! A program of its own, as the next leader must lead within a second after the lease.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail, and its processes talk over their output"
)]

mod support;

use std::time::{Duration, Instant};

use agent_worker::Outcome;
use agent_worker::coordination::FileCoordinator;

use support::election_workers::{ElectionWorkers, NEXT, Report, What, run_if_child};

const SOON: Duration = Duration::from_secs(20);

/// The entry of the child processes of the test below; without them it does nothing.
#[tokio::test]
async fn a_candidate() {
    run_if_child(|folder| FileCoordinator::open(folder).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_or_stopped_is_followed_in_time_and_writes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let mut candidates = ElectionWorkers::new("a_candidate").await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(candidates.start(store).await);
    }
    for fault in ["KILL", "KILL", "STOP"] {
        let leader = candidates.leader().await;
        let at = all
            .iter()
            .position(|candidate| candidate.process.pid() == leader.pid)
            .expect("it is one of ours");
        let (from, since) = (candidates.mark(), Instant::now());
        all[at].process.signal(fault);
        let next = |report: &Report| report.what == What::Leads && report.token > leader.token;
        let next = candidates.wait_for(from, SOON, next).await;
        assert!(since.elapsed() <= NEXT, "{next:?} after {:?}", since.elapsed());
        if fault == "KILL" {
            drop(all.remove(at));
            all.push(candidates.start(store).await);
        } else {
            let from = candidates.mark();
            all[at].process.signal("CONT");
            candidates
                .wait_for(from, SOON, |report| report.pid == leader.pid && report.what == What::Refused)
                .await;
        }
    }
    candidates.leader().await;
    let leaders = candidates.check();
    assert!(leaders >= 4, "{leaders}");
    for candidate in &all {
        candidate.job.terminate();
        assert_eq!(candidate.job.outcome_within(SOON).await.unwrap(), Outcome::Success);
    }
}
