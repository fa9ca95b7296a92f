//! `/jobs`.

use std::time::Duration;

use serde_json::{Value, json};

use agent_testkit::JobSpec;
use agent_worker::{JobContext, JobError, JobKind, JobResult, RetryPolicy};

use crate::support::served_worker::{Served, patient};

#[tokio::test]
async fn jobs_are_listed_while_they_hold_a_slot() {
    async fn needs_a_second_attempt(ctx: JobContext) -> JobResult {
        if ctx.job().room.name == "lobby" && ctx.attempt() == 1 {
            return Err(JobError::retryable("no model yet", Duration::ZERO));
        }
        patient(ctx).await
    }
    let served = Served::registered(needs_a_second_attempt, |worker| {
        worker.retry(RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO))
    })
    .await;
    assert_eq!(
        served.json("/jobs").await,
        json!({ "total": 0, "matching": 0, "offset": 0, "limit": 1000, "jobs": [] })
    );
    let lobby = JobSpec::room("lobby").job_id("AJ_1").metadata(r#"{"request_id":"r-7","pin":"4711"}"#);
    served.dispatch(lobby).await;
    served.dispatch(JobSpec::for_participant("lounge", "ada").job_id("AJ_2")).await;
    let all = |jobs: &Value| jobs["jobs"].as_array().is_some_and(|jobs| jobs.iter().all(running));
    let list = served.wait_for_json("/jobs", |jobs| jobs["total"] == 2 && all(jobs)).await;
    let job = &list["jobs"][0];
    for (field, expected) in [
        ("id", json!("AJ_1")),
        ("kind", json!("room")),
        ("agent_name", json!("greeter")),
        ("room", json!("lobby")),
        ("participant", Value::Null),
        ("request_id", json!("r-7")),
        ("attempts", json!(2)),
        ("last_error", json!("no model yet")),
    ] {
        assert_eq!(job[field], expected, "{field}: {job}");
    }
    assert!(job["age_seconds"].as_f64().is_some_and(|age| (0.0..60.0).contains(&age)), "{job}");
    assert!(job["room_sid"].as_str().unwrap().starts_with("RM_"), "{job}");
    assert!(!list.to_string().contains("4711"), "metadata is not shown: {list}");
    assert_eq!(list["jobs"][1]["last_error"], Value::Null);
    served.worker.start_drain(Duration::ZERO);
    served.wait_for("/jobs", |reply| reply.status == 503).await;
}

fn running(job: &Value) -> bool {
    job["state"] == "running" && (job["id"] != "AJ_1" || job["attempts"] == 2)
}

#[tokio::test]
async fn a_part_of_the_list_is_chosen() {
    let served = Served::registered(patient, |worker| worker).await;
    for n in 1..=5 {
        served.dispatch(JobSpec::room(format!("room-{n}")).job_id(format!("AJ_{n}"))).await;
    }
    served.wait_for_json("/jobs", |jobs| jobs["total"] == 5).await;
    let rooms = async |query: &str| {
        let list = served.json(&format!("/jobs{query}")).await;
        assert_eq!(list["total"], 5);
        let jobs = list["jobs"].as_array().unwrap();
        jobs.iter().map(|job| job["room"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rooms("?limit=2").await, ["room-1", "room-2"]);
    assert_eq!(rooms("?limit=2&offset=4").await, ["room-5"]);
    assert_eq!(rooms("?offset=9").await, [""; 0]);
    let wrong = served.get("/jobs?limit=all").await;
    assert_eq!((wrong.status, wrong.body.as_str()), (400, "limit=all: write a number of at most 10000"));
}

/// The list that a page for people shows: those with a text, in an order, and then a part of them.
#[tokio::test]
async fn the_list_is_filtered_and_sorted() {
    async fn fails_in_room_3(ctx: JobContext) -> JobResult {
        if ctx.job().room.name.ends_with('3') && ctx.attempt() == 1 {
            return Err(JobError::retryable("No Model yet", Duration::ZERO));
        }
        patient(ctx).await
    }
    let served = Served::registered(fails_in_room_3, |worker| {
        worker.retry(RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO))
    })
    .await;
    for n in [2, 1, 3] {
        served.dispatch(JobSpec::room(format!("Room-{n}")).job_id(format!("AJ_{}", 5 - n))).await;
    }
    let bidi = "a\u{202e}b";
    served.dispatch(JobSpec::room(bidi).job_id("AJ_9")).await;
    let settled = |jobs: &Value| {
        let of = |job: &Value| job["state"] == "running" && (job["id"] != "AJ_2" || job["attempts"] == 2);
        jobs["total"] == 4 && jobs["jobs"].as_array().is_some_and(|jobs| jobs.iter().all(of))
    };
    served.wait_for_json("/jobs", settled).await;
    let chosen = async |query: &str| {
        let list = served.json(&format!("/jobs?{query}")).await;
        assert_eq!(list["total"], 4, "{list}");
        let ids = list["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap());
        (ids.map(|id| id.trim_start_matches("AJ_")).collect::<String>(), list["matching"].as_u64().unwrap())
    };
    for (query, ids, matching) in [
        ("", "2349", 4),
        ("sort=room", "4329", 4),
        ("sort=room&order=desc", "9234", 4),
        ("sort=room&limit=2&offset=1", "32", 4),
        ("filter=ROOM-", "234", 3),
        ("filter=room-&sort=id&order=desc&limit=1", "4", 3),
        ("filter=no+model", "2", 1),
        ("filter=AJ_4", "4", 1),
        ("filter=running&offset=4", "", 4),
        ("filter=%5Cu%7B202e", "9", 1),
        ("filter=nowhere", "", 0),
        ("sort=attempts&order=desc&limit=1", "2", 4),
        ("sort=last_error&order=desc&limit=1", "2", 4),
        // Jobs with the same state stay in their order.
        ("sort=state&order=desc", "2349", 4),
    ] {
        assert_eq!(chosen(query).await, (ids.to_owned(), matching), "{query}");
    }
    let ages = served.json("/jobs?sort=age_seconds&order=desc").await;
    let ages: Vec<f64> =
        ages["jobs"].as_array().unwrap().iter().map(|job| job["age_seconds"].as_f64().unwrap()).collect();
    assert!(ages.is_sorted_by(|a, b| a >= b), "{ages:?}");
}

#[tokio::test]
async fn jobs_are_found_by_their_participant() {
    let served = Served::registered(patient, |worker| worker.job_kind(JobKind::Participant)).await;
    served.dispatch(JobSpec::for_participant("lobby", "Ada")).await;
    served.dispatch(JobSpec::for_participant("lounge", "Bob")).await;
    served.wait_for_json("/jobs", |jobs| jobs["total"] == 2).await;
    let found = served.json("/jobs?filter=ADA").await;
    assert_eq!((&found["matching"], &found["jobs"][0]["participant"]), (&json!(1), &json!("Ada")), "{found}");
}

/// A name that a stranger chose is text in JSON, and no longer than a server allows.
#[tokio::test]
async fn names_of_others_are_shortened_and_escaped() {
    let served = Served::registered(patient, |worker| worker).await;
    served.dispatch(JobSpec::room(format!("<b>\"\n{}", "x".repeat(1_000)))).await;
    let list = served.wait_for_json("/jobs", |jobs| jobs["total"] == 1).await;
    let room = list["jobs"][0]["room"].as_str().unwrap();
    assert!(room.starts_with("<b>\"\\n") && room.chars().count() <= 257, "{room}");
}
