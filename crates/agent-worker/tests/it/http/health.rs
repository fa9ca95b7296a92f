//! `/healthz`, `/readyz`, `/` and `/worker`.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::http::HttpServer;
use agent_worker::{JobContext, JobError, JobResult, RetryPolicy, Worker};

use crate::support::http_reply::{get, request};
use crate::support::served_worker::{Served, patient};
use crate::support::within;

fn ok() -> (u16, String) {
    (200, "OK".to_owned())
}

fn unavailable(why: &str) -> (u16, String) {
    (503, why.to_owned())
}

/// A lost connection is no reason to restart the worker: its jobs continue.
#[tokio::test]
async fn health_follows_the_connection() {
    let served = Served::registered(patient, |worker| worker).await;
    for path in ["/", "/healthz", "/readyz"] {
        assert_eq!(served.text(path).await, ok(), "{path}");
    }
    served.server.refuse_connections(true);
    served.server.cut_workers();
    served.wait_for("/readyz", |reply| reply.status == 503).await;
    assert_eq!(served.text("/readyz").await, unavailable("not connected to the LiveKit server"));
    assert_eq!(served.text("/").await, unavailable("failed to connect to livekit"));
    assert_eq!(served.text("/healthz").await, ok());
    served.server.refuse_connections(false);
    served.wait_for("/readyz", |reply| reply.status == 200).await;
    assert_eq!(served.text("/").await, ok());
}

/// It answers while the worker drains, and after it has stopped.
#[tokio::test]
async fn a_draining_worker_is_live_and_not_ready() {
    let mut served = Served::registered(patient, |worker| worker).await;
    served.dispatch(JobSpec::room("lobby")).await;
    served.wait_for_json("/worker", |worker| worker["active_jobs"] == 1).await;
    served.worker.start_drain(Duration::from_secs(600));
    served.wait_for("/readyz", |reply| reply.body == "draining").await;
    assert_eq!(served.text("/healthz").await, ok());
    assert_eq!(served.text("/").await, ok(), "it is connected");
    let worker = served.json("/worker").await;
    assert_eq!(
        (&worker["draining"], &worker["ready"], &worker["live"]),
        (&json!(true), &json!(false), &json!(true))
    );
    assert_eq!(worker["workers"][0]["problem"], "draining");
    served.worker.stop();
    assert_eq!(served.ended().await.unwrap().failed, 1);
    for path in ["/", "/healthz", "/readyz", "/worker", "/jobs"] {
        assert_eq!(served.text(path).await, unavailable("the worker has stopped"), "{path}");
    }
}

#[tokio::test]
async fn a_worker_that_gave_up_is_not_live() {
    let mut served = Served::registered(patient, |worker| worker.max_connect_attempts(1)).await;
    served.server.refuse_connections(true);
    served.server.cut_workers();
    assert!(served.ended().await.is_err());
    assert_eq!(served.text("/healthz").await, unavailable("the worker has stopped"));
}

#[tokio::test]
async fn a_worker_that_does_not_run_does_not_answer() {
    let server = MockServer::start().await.unwrap();
    let worker = server.worker(patient).build().unwrap();
    let http = HttpServer::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = http.local_addr();
    let serving = tokio::spawn(http.serve([worker.handle()]));
    let (one, other) = tokio::join!(get(address, "/healthz"), get(address, "/worker"));
    for reply in [one, other] {
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.body.contains("has not answered within 2s"), "{reply:?}");
    }
    // It answers as soon as it runs.
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(within(handle.registered()).await);
    assert_eq!(get(address, "/readyz").await.status, 200);
    running.abort();
    serving.abort();
}

/// What the official workers report, and more.
#[tokio::test]
async fn the_worker_is_described() {
    async fn fails_in_the_kitchen(ctx: JobContext) -> JobResult {
        if ctx.job().room.name == "kitchen" {
            return Err(JobError::fatal("no oven"));
        }
        patient(ctx).await
    }
    let served = Served::registered(fails_in_the_kitchen, |worker| {
        worker.max_jobs(4).deployment("blue").retry(RetryPolicy::never())
    })
    .await;
    let idle = served.json("/worker").await;
    for (field, expected) in [
        ("agent_name", json!("greeter")),
        ("agent_name_is_env", json!(false)),
        ("deployment", json!("blue")),
        ("worker_type", json!("JT_ROOM")),
        ("active_jobs", json!(0)),
        ("worker_load", json!(0.0)),
        ("sdk_version", json!(env!("CARGO_PKG_VERSION"))),
        ("project_type", json!("rust")),
        ("protocol_version", json!(1)),
        ("live", json!(true)),
        ("ready", json!(true)),
        ("draining", json!(false)),
    ] {
        assert_eq!(idle[field], expected, "{field}");
    }
    assert!(idle["workers"][0]["worker_id"].as_str().unwrap().starts_with("AW_"), "{idle}");
    served.dispatch(JobSpec::room("lobby").deployment("blue")).await;
    served.dispatch(JobSpec::room("kitchen").deployment("blue")).await;
    let busy = served
        .wait_for_json("/worker", |worker| {
            let one = &worker["workers"][0];
            one["jobs_failed"] == 1 && one["slots"]["running"] == 1 && launches(one) == 2
        })
        .await;
    assert_eq!((&busy["active_jobs"], &busy["worker_load"]), (&json!(1), &json!(0.25)));
    let worker = &busy["workers"][0];
    assert_eq!((&worker["max_jobs"], &worker["slots"]["used"]), (&json!(4), &json!(1)));
    assert_eq!((&worker["jobs_succeeded"], &worker["job_retries"]), (&json!(0), &json!(0)));
    assert_eq!(worker["server"].as_str().map(|url| url.trim_end_matches('/')), Some(&*served.server.url()));
    let times = &worker["job_launch_seconds"];
    let length = |field: &str| times[field].as_array().unwrap().len();
    assert_eq!(length("counts"), length("bounds") + 1, "one is above all bounds");
    assert!(times["sum"].as_f64().is_some_and(|sum| sum < 60.0), "{times}");
}

/// How many handlers were called.
fn launches(worker: &serde_json::Value) -> u64 {
    let counts = worker["job_launch_seconds"]["counts"].as_array();
    counts.into_iter().flatten().filter_map(serde_json::Value::as_u64).sum()
}

/// One answer for the whole program: it is as well as its worst worker, which is named.
#[tokio::test]
async fn several_workers_are_healthy_together() {
    let server = MockServer::start().await.unwrap();
    let worker = |name: &str| server.worker(patient).agent_name(name).build().unwrap();
    let workers = [worker("ada"), worker("bob")];
    let handles = [&workers[0], &workers[1]].map(Worker::handle);
    let http = HttpServer::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = http.local_addr();
    let serving = tokio::spawn(http.serve(handles.clone()));
    let running = workers.map(|worker| tokio::spawn(worker.run()));
    for handle in &handles {
        assert!(within(handle.registered()).await);
    }
    server.dispatch(JobSpec::room("lobby").agent_name("ada")).await.unwrap();
    server.dispatch(JobSpec::room("kitchen").agent_name("bob")).await.unwrap();
    let jobs = within(async {
        loop {
            let jobs: serde_json::Value = serde_json::from_str(&get(address, "/jobs").await.body).unwrap();
            if jobs["total"] == 2 {
                break jobs;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let rooms = jobs["jobs"].as_array().unwrap().iter().map(|job| job["room"].as_str().unwrap());
    assert_eq!(rooms.collect::<Vec<_>>(), ["lobby", "kitchen"]);
    let second = get(address, "/jobs?offset=1&limit=1").await.body;
    assert!(second.contains("kitchen") && !second.contains("lobby"), "{second}");
    assert_eq!(get(address, "/readyz").await.status, 200);
    handles[1].start_drain(Duration::from_secs(600));
    let reply = get(address, "/readyz").await;
    assert_eq!((reply.status, reply.body.as_str()), (503, "agent bob: draining"));
    assert_eq!(get(address, "/healthz").await.status, 200);
    serving.abort();
    running.iter().for_each(|worker| worker.abort());
}

/// What is reported of the others does not end with one of them; the program is not healthy without it.
#[tokio::test]
async fn a_stopped_worker_is_listed_beside_the_others() {
    let server = MockServer::start().await.unwrap();
    let worker = |name: &str| server.worker(patient).agent_name(name).max_jobs(3).build().unwrap();
    let workers = [worker("ada"), worker("bob")];
    let handles = [&workers[0], &workers[1]].map(Worker::handle);
    let http = HttpServer::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = http.local_addr();
    let serving = tokio::spawn(http.serve(handles.clone()));
    let running = workers.map(|worker| tokio::spawn(worker.run()));
    for handle in &handles {
        assert!(within(handle.registered()).await);
    }
    let job = server.dispatch(JobSpec::room("kitchen").agent_name("bob")).await.unwrap();
    within(async {
        while !get(address, "/jobs").await.body.contains(r#""state":"running""#) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    within(handles[0].drain(Duration::ZERO)).await;

    let reply = get(address, "/worker").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let summary: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((&summary["live"], &summary["active_jobs"]), (&json!(false), &json!(1)));
    let [ada, bob] = &summary["workers"].as_array().unwrap()[..] else { panic!("{summary}") };
    assert_eq!((&ada["agent_name"], &bob["agent_name"]), (&json!("ada"), &json!("bob")));
    assert_eq!(
        (&ada["live"], &ada["ready"], &ada["registered"]),
        (&json!(false), &json!(false), &json!(false))
    );
    assert_eq!((&ada["problem"], &ada["max_jobs"]), (&json!("the worker has stopped"), &json!(3)));
    assert_eq!((&bob["live"], &bob["active_jobs"]), (&json!(true), &json!(1)));
    let jobs = get(address, "/jobs").await;
    assert!(jobs.status == 200 && jobs.body.contains("kitchen"), "{jobs:?}");
    for path in ["/healthz", "/readyz"] {
        let reply = get(address, path).await;
        assert_eq!((reply.status, reply.body.as_str()), (503, "agent ada: the worker has stopped"), "{path}");
    }
    // The one that runs is quiet.
    let reply = request(address, "POST", "/quiet").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let summary: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(summary["workers"][1]["quiet"], json!(true), "{summary}");
    let terminate = format!("/jobs/{}/terminate", job.job_id().await);
    assert_eq!(request(address, "POST", &terminate).await.status, 202);

    within(handles[1].drain(Duration::ZERO)).await;
    for path in ["/worker", "/jobs"] {
        let reply = get(address, path).await;
        assert_eq!((reply.status, reply.body.as_str()), (503, "agent ada: the worker has stopped"), "{path}");
    }
    serving.abort();
    running.iter().for_each(|worker| worker.abort());
}
