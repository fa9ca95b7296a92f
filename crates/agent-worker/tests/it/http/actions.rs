//! `/quiet`, `/undrain` and `/jobs/ID/terminate`.

use std::time::Duration;

use serde_json::{Value, json};

use agent_testkit::{JobSpec, ServerEvent};
use agent_worker::{JobContext, JobResult};

use crate::support::http_reply::{Reply, request, send};
use crate::support::served_worker::{Served, patient};
use crate::support::{server_knows, within};

async fn post(served: &Served, path: &str) -> Reply {
    request(served.address, "POST", path).await
}

fn json_of(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_str(&reply.body).unwrap()
}

#[tokio::test]
async fn a_quiet_worker_keeps_its_jobs_and_gets_no_others_until_an_undrain() {
    let served = Served::registered(patient, |worker| worker).await;
    served.dispatch(JobSpec::room("lobby")).await;
    served.wait_for_json("/worker", |worker| worker["active_jobs"] == 1).await;

    for _ in 0..2 {
        let worker = json_of(&post(&served, "/quiet").await);
        assert_eq!(
            (&worker["quiet"], &worker["ready"], &worker["live"]),
            (&json!(true), &json!(false), &json!(true))
        );
        assert_eq!((&worker["draining"], &worker["active_jobs"]), (&json!(false), &json!(1)));
        assert_eq!(worker["workers"][0]["problem"], "quiet: no new jobs are accepted until an undrain");
    }
    let (status, why) = served.text("/readyz").await;
    assert_eq!((status, &*why), (503, "quiet: no new jobs are accepted until an undrain"));
    assert_eq!(served.text("/healthz").await.0, 200);

    server_knows(&served.server, true).await;
    served.dispatch(JobSpec::room("kitchen")).await;
    within(served.server.wait_for(|event| matches!(event, ServerEvent::Unserved { .. }))).await;

    let worker = json_of(&post(&served, "/undrain").await);
    assert_eq!((&worker["quiet"], &worker["ready"]), (&json!(false), &json!(true)));
    server_knows(&served.server, false).await;
    served.dispatch(JobSpec::room("kitchen")).await;
    served.wait_for_json("/worker", |worker| worker["active_jobs"] == 2).await;
}

#[tokio::test]
async fn a_drain_is_not_taken_back() {
    let served = Served::registered(patient, |worker| worker).await;
    served.dispatch(JobSpec::room("lobby")).await;
    served.wait_for_json("/worker", |worker| worker["active_jobs"] == 1).await;
    served.worker.start_drain(Duration::from_secs(600));
    for path in ["/undrain", "/quiet"] {
        let reply = post(&served, path).await;
        assert_eq!(
            (reply.status, &*reply.body),
            (409, "the worker drains, which cannot be taken back"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_job_is_terminated() {
    let served = Served::registered(patient, |worker| worker).await;
    for room in ["lobby", "kitchen"] {
        served.dispatch(JobSpec::room(room)).await;
    }
    let jobs = served.wait_for_json("/jobs", |jobs| jobs["jobs"][1]["state"] == "running").await;
    let id = jobs["jobs"][0]["id"].as_str().unwrap();
    let reply = post(&served, &format!("/jobs/{id}/terminate")).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert!(reply.body.contains(id), "{reply:?}");
    let worker = served.wait_for_json("/worker", |worker| worker["active_jobs"] == 1).await;
    assert_eq!(worker["workers"][0]["jobs_succeeded"], 1, "it returned when it was cancelled");
    // Neither it, nor a job that never was.
    for id in [id, "AJ_unknown"] {
        let reply = post(&served, &format!("/jobs/{id}/terminate")).await;
        assert_eq!(reply.status, 404, "{reply:?}");
        assert!(reply.body.contains("/jobs lists them"), "{reply:?}");
    }
}

/// The reason is one that a handler can tell from others.
#[tokio::test]
async fn the_handler_learns_why() {
    async fn reports(ctx: JobContext) -> JobResult {
        let reason = ctx.cancelled().await.to_string();
        Err(agent_worker::JobError::fatal(format!("ended: {reason}")))
    }
    let served = Served::registered(reports, |worker| worker).await;
    served.dispatch(JobSpec::room("lobby")).await;
    let jobs = served.wait_for_json("/jobs", |jobs| jobs["jobs"][0]["state"] == "running").await;
    let id = jobs["jobs"][0]["id"].as_str().unwrap();
    assert_eq!(post(&served, &format!("/jobs/{id}/terminate")).await.status, 202);
    let ended = |event: &ServerEvent| format!("{event:?}").contains("ended: shutdown: terminated over HTTP");
    within(served.server.wait_for(ended)).await;
}

#[tokio::test]
async fn a_request_has_to_come_from_this_machine() {
    let served = Served::registered(patient, |worker| worker).await;
    for path in ["/quiet", "/undrain", "/jobs/AJ_1/terminate"] {
        let reply = request(served.address, "GET", path).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{reply:?}");
        for head in [
            "Host: worker.example.com",
            "Host: localhost\r\nOrigin: http://example.com",
            "Host: localhost\r\nX-Forwarded-For: 192.0.2.1",
            "Host: localhost\r\nAuthorization: Bearer 0123456789abcdef",
        ] {
            let text = format!("POST {path} HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n");
            let reply = send(served.address, &text).await;
            assert_eq!(reply.status, 403, "{head}: {reply:?}");
        }
    }
    assert_eq!(served.json("/worker").await["quiet"], false);
}
