//! A rolling deploy: a worker's process is replaced by another one while jobs are dispatched.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use agent_testkit::{DispatchRequest, JobEndStatus, RealServer};
use agent_worker::{JobContext, JobResult};

use crate::support::long;
use crate::support::subprocess::{self, Child, Log, Post};
use crate::support::test_name::test_name;

const AGENT: &str = "greeter";
const SOON: Duration = Duration::from_secs(30);
/// Between two dispatches.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a job takes.
const JOB: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Report {
    Registered,
    /// It runs a job in this room.
    Runs(String),
}

/// The program that is deployed.
#[tokio::test]
async fn child() {
    async fn work(ctx: JobContext) -> JobResult {
        subprocess::report(&Report::Runs(ctx.job().room.name.clone()));
        tokio::time::sleep(JOB).await;
        Ok(())
    }
    let Some((post, _told)) = subprocess::given::<Post>() else { return };
    let worker = post.worker(work).build().expect("the settings are complete");
    let handle = worker.handle();
    tokio::spawn(async move {
        assert!(handle.registered().await);
        subprocess::report(&Report::Registered);
    });
    worker.run_until_signal().await.expect("it ends well");
}

/// One instance of it, once the server dispatches to it.
async fn deploy(server: &RealServer) -> (Child, Log<Report>) {
    let (log, secret) = (Log::new(), server.api_secret());
    let post = Post::new(server.url(), server.api_key(), secret, AGENT);
    let child = Child::start(&test_name(module_path!(), "child"), &post, &log);
    log.wait_for(0, SOON, |report| *report == Report::Registered).await;
    (child, log)
}

#[tokio::test]
async fn no_job_is_lost_and_none_fails() {
    let Some(server) = agent_testkit::real_server().await else { return };
    let least = long::times("jobs during a deploy", 50, 300);
    let (mut old, old_log) = deploy(&server).await;
    let (dispatched, mut seen) = tokio::sync::watch::channel(0);
    let (ended, old_has_ended) = tokio::sync::watch::channel(false);
    // Until the old one has ended, so that there are some during all of it.
    let dispatches = async {
        let mut pause = tokio::time::interval(PAUSE);
        let mut number = 0;
        while number < least || !*old_has_ended.borrow() {
            pause.tick().await;
            let request = DispatchRequest::new(AGENT, format!("deploy-{number}"));
            server.api().create_dispatch(request).await.expect("the server takes the dispatch");
            number += 1;
            dispatched.send_replace(number);
        }
        number
    };
    let replacement = async {
        seen.wait_for(|dispatched| *dispatched >= least / 3).await.expect("dispatches go on");
        let new = deploy(&server).await;
        old.signal("TERM");
        assert_eq!(old.exit_code(SOON).await, Some(0));
        ended.send_replace(true);
        new
    };
    let (jobs, (mut new, new_log)) = tokio::join!(dispatches, replacement);

    let ends = server.log().wait_for_outcomes(jobs, SOON).await.expect("each job ends");
    let failed = ends.values().find(|end| end.status != JobEndStatus::Success);
    assert_eq!((ends.len(), failed), (jobs, None));
    let rooms = |log: &Log<Report>| {
        log.all().into_iter().filter_map(|report| match report {
            Report::Runs(room) => Some(room),
            Report::Registered => None,
        })
    };
    let (by_old, by_new) = (rooms(&old_log).count(), rooms(&new_log).count());
    assert!(by_old > 0 && by_new > 0, "{by_old} and {by_new}");
    let mut ran: Vec<String> = rooms(&old_log).chain(rooms(&new_log)).collect();
    ran.sort();
    ran.dedup();
    assert_eq!((ran.len(), by_old + by_new), (jobs, jobs), "each ran once");
    new.signal("TERM");
    assert_eq!(new.exit_code(SOON).await, Some(0));
}
