//! `doctor` on a real server: what works, and networks that let nothing or only TCP through.

use std::time::Duration;

use agent_testkit::{RealServer, real_server};
use agent_worker::cli::doctor::{Check, Finding, Verdict, examine};
use agent_worker::net::{MediaPath, NetOptions};
use agent_worker::{JobContext, JobResult, Worker};

const SOON: Duration = Duration::from_secs(30);

async fn never_called(_: JobContext) -> JobResult {
    panic!("the doctor ran the user's agent")
}

async fn findings(server: &RealServer, passes: fn(MediaPath) -> bool) -> Vec<Finding> {
    let worker = Worker::builder(never_called)
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .net(NetOptions::default().media_filter(passes));
    let found = examine(worker, |_| {}).await;
    // The list may still have it: a server that stores a change of a room while it is deleted keeps it.
    let is_deletion =
        |line: &str| line.contains("\"deleting room\"") || line.contains("Deleting non-rtc room");
    server.log().wait_for_line(is_deletion, SOON).await.expect("no room is left");
    found
}

fn of(found: &[Finding], check: Check) -> &Finding {
    found.iter().find(|finding| finding.check == check).unwrap()
}

#[tokio::test]
async fn media_flows_both_ways() {
    let Some(server) = real_server().await else { return };
    let found = findings(&server, |_| true).await;
    let wrong: Vec<&Finding> =
        found.iter().filter(|finding| !matches!(finding.verdict, Verdict::Ok | Verdict::Skipped)).collect();
    assert!(wrong.is_empty(), "{found:#?}");
    assert_eq!(of(&found, Check::Media).verdict, Verdict::Ok);
}

#[tokio::test]
async fn udp_is_blocked() {
    let Some(server) = real_server().await else { return };
    let found = findings(&server, |path| path == MediaPath::Tcp).await;
    let media = of(&found, Check::Media);
    assert_eq!(media.verdict, Verdict::Warning, "{found:#?}");
    assert!(media.text.contains("TCP") && media.text.contains("UDP"), "{media}");
}

#[tokio::test]
async fn media_is_blocked() {
    let Some(server) = real_server().await else { return };
    let found = findings(&server, |_| false).await;
    let job = of(&found, Check::Job);
    assert_eq!(job.verdict, Verdict::Failed, "{found:#?}");
    assert!(job.text.contains("UDP"), "{job}");
    assert_eq!(of(&found, Check::Registration).verdict, Verdict::Ok, "signalling works");
}
