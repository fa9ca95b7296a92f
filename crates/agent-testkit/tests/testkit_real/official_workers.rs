//! LiveKit's own workers on a real server: each runs the jobs that LiveKit's own client dispatches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use agent_testkit::{
    OfficialApi, OfficialWorkerError, OfficialWorkerKind, OfficialWorkerOptions, RealServer, official_host,
    official_worker, real_server,
};

use crate::long;

/// The Node.js worker starts about one job a second on an idle machine.
const JOBS_TIMEOUT: Duration = Duration::from_secs(90);

const SOON: Duration = Duration::from_secs(10);

fn options(server: &RealServer, agent_name: &str) -> OfficialWorkerOptions {
    OfficialWorkerOptions::new(server.url(), server.api_key(), server.api_secret().clone(), agent_name)
}

/// One worker of this kind runs its dispatched jobs.
async fn runs_its_jobs(kind: OfficialWorkerKind, count: usize) {
    let Some(server) = real_server().await else { return };
    let Some(host) = official_host().await else { return };
    let agent_name = format!("{kind:?}");
    let started = Instant::now();
    let Some(worker) = official_worker(kind, &options(&server, &agent_name)).await else { return };
    let registered = started.elapsed();
    let is_it = |line: &str| line.contains(r#""msg":"worker registered""#) && line.contains(&agent_name);
    server.log().wait_for_line(is_it, SOON).await.unwrap();

    let api = OfficialApi::new(host, server.http_url(), server.api_key(), server.api_secret().clone());
    let started = Instant::now();
    let dispatches = api.dispatch_many(&agent_name, "room", count).await.unwrap();
    let jobs = worker.wait_for_jobs(count, JOBS_TIMEOUT).await.unwrap();
    let ran = started.elapsed();

    let wanted: BTreeSet<_> =
        dispatches.iter().map(|dispatch| (dispatch.room.clone(), dispatch.metadata.clone())).collect();
    let received: BTreeSet<_> = jobs.iter().map(|job| (job.room.clone(), job.metadata.clone())).collect();
    assert_eq!((wanted.len(), jobs.len(), &received), (count, count, &wanted));
    let assigned = server.log().assignments();
    let assigned: BTreeSet<_> = assigned.iter().map(|job| (&job.job_id, &job.room)).collect();
    assert_eq!(assigned, jobs.iter().map(|job| (&job.job_id, &job.room)).collect());

    report_outcomes(&server, kind, count, registered, ran).await;
    assert_eq!(worker.registrations(), 1, "{}", worker.log_tail());
    worker.kill();
    assert_eq!(worker.pid(), None);
    // Its end is reported when the last of its processes has closed its output.
    let ended = worker.wait_for_jobs(count + 1, SOON).await.unwrap_err();
    assert!(matches!(ended, OfficialWorkerError::Ended { .. }), "{ended}");
}

/// Prints what the server recorded for handlers that end without joining their room. This depends on the
/// worker, so it is not checked.
async fn report_outcomes(
    server: &RealServer,
    kind: OfficialWorkerKind,
    count: usize,
    registered: Duration,
    ran: Duration,
) {
    // The Node.js worker sends no status at all, so there is nothing to wait for.
    if kind != OfficialWorkerKind::Node {
        server.log().wait_for_outcomes(count, SOON).await.ok();
    }
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for end in server.log().outcomes().into_values() {
        *ends.entry(format!("{:?} {:?}", end.status, end.error)).or_default() += 1;
    }
    let unknown = server.log().count("received job update for unknown job");
    eprintln!(
        "{kind:?}: registered after {registered:.1?}, {count} jobs ran in {ran:.1?}; recorded: {ends:?}; {unknown} updates of \
         jobs unknown to the server"
    );
}

/// Sequentially: in parallel they would slow each other down.
#[tokio::test]
async fn each_kind_registers_and_runs_its_jobs() {
    let count = long::times("jobs of each kind of worker", 5, 20);
    for kind in OfficialWorkerKind::ALL {
        runs_its_jobs(kind, count).await;
    }
}
