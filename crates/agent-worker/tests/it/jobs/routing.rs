//! Handlers of every shape, and which of them gets a job.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;

use agent_testkit::{JobSpec, MockServer, Run, ServerEvent, run_job};
use agent_worker::metadata::MetadataFormat;
use agent_worker::{Agent, Answer, EndedJob, Job, JobContext, JobKind, JobResult, Outcome, Router, typed};

/// Publishes its name, and counts its jobs for all agents that share the counter.
#[derive(Clone)]
struct Speaker {
    name: &'static str,
    spoken: Arc<AtomicUsize>,
    ended: Arc<Mutex<Vec<&'static str>>>,
}

impl Speaker {
    fn new(name: &'static str) -> Self {
        Self { name, spoken: Arc::default(), ended: Arc::default() }
    }

    fn also(&self, name: &'static str) -> Self {
        Self { name, ..self.clone() }
    }
}

impl Agent for Speaker {
    async fn on_request(&self, _: &Job) -> Answer {
        Answer::accept().identity(format!("the-{}", self.name))
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let number = self.spoken.fetch_add(1, Ordering::Relaxed);
        ctx.room().publish_data(self.name, number.to_string()).await?;
        Ok(())
    }

    async fn on_ended(&self, _: &EndedJob) {
        self.ended.lock().unwrap().push(self.name);
    }
}

fn published(run: &Run) -> String {
    let sent = run.sent_by_agent().next();
    sent.map_or_else(|| run.outcome.to_string(), |sent| format!("{} {}", sent.topic, sent.text()))
}

fn specs() -> [JobSpec; 3] {
    [JobSpec::room("r"), JobSpec::for_participant("r", "ada"), JobSpec::for_publisher("r", "ada")]
}

#[tokio::test]
async fn kinds_have_agents_of_their_own_with_shared_state() {
    let speaker = Speaker::new("room");
    let all = |speaker: &Speaker| {
        Router::new()
            .room(speaker.clone())
            .participant(speaker.also("participant"))
            .publisher(speaker.also("publisher"))
    };
    for (spec, expected) in specs().into_iter().zip(["room 0", "participant 1", "publisher 2"]) {
        let run = run_job(all(&speaker), spec).await;
        assert_eq!(published(&run), expected);
        let name = expected.split(' ').next().unwrap();
        let joined = |event: &ServerEvent| matches!(event, ServerEvent::Joined { identity, .. } if *identity == format!("the-{name}"));
        assert!(run.timeline.events().iter().any(|(_, event)| joined(event)), "{}", run.timeline);
    }
    assert_eq!(*speaker.ended.lock().unwrap(), ["room", "participant", "publisher"]);
}

#[tokio::test]
async fn an_unsupported_kind_is_a_clear_error() {
    let [_, participant, publisher] = specs();
    let run = run_job(Router::new().room(Speaker::new("a")).publisher(Speaker::new("b")), participant).await;
    assert_eq!(
        published(&run),
        "failed: invalid_input: type = participant: unsupported job type; supported: room, publisher"
    );
    let joined = |event: &ServerEvent| matches!(event, ServerEvent::Joined { agent: true, .. });
    assert!(!run.timeline.events().iter().any(|(_, event)| joined(event)), "{}", run.timeline);
    assert_eq!(
        published(&run_job(Router::new(), publisher).await),
        "failed: invalid_input: type = publisher: unsupported job type; supported: none"
    );
}

fn by_action() -> Router {
    Router::new().action("record", Speaker::new("recorder")).action("transcribe", Speaker::new("transcriber"))
}

#[tokio::test]
async fn actions_have_agents_of_their_own() {
    for (metadata, expected) in [
        (r#"{"action":"record"}"#, "recorder 0"),
        (r#"{"action":"transcribe","more":[{}]}"#, "transcriber 0"),
        (
            r#"{"action":"dance"}"#,
            r#"failed: invalid_input: $.action = "dance": unknown action; known: record, transcribe"#,
        ),
        ("{}", "failed: invalid_input: $.action: missing field; known: record, transcribe"),
        ("", "failed: invalid_input: $.action: missing field; known: record, transcribe"),
        (r#"{"action":7}"#, "failed: invalid_input: $.action = 7: expected a string"),
        ("action", "failed: invalid_input: $: not JSON: expected value at line 1 column 1"),
    ] {
        let run = run_job(by_action(), JobSpec::room("r").metadata(metadata)).await;
        assert_eq!(published(&run), expected, "{metadata}");
    }
}

#[tokio::test]
async fn routers_nest_and_mix() {
    let nested = || Router::new().participant(Speaker::new("greeter")).room(by_action());
    let mixed = || by_action().participant(Speaker::new("greeter")).otherwise(Speaker::new("rest"));
    let record = r#"{"action":"record"}"#;
    let [room, participant, publisher] = specs();
    assert_eq!(published(&run_job(nested(), room.metadata(record)).await), "recorder 0");
    assert_eq!(published(&run_job(nested(), participant.metadata(record)).await), "greeter 0");
    assert_eq!(
        published(&run_job(nested(), publisher.metadata(record)).await),
        "failed: invalid_input: type = publisher: unsupported job type; supported: room, participant"
    );
    let [room, participant, publisher] = specs();
    assert_eq!(published(&run_job(mixed(), room.metadata(record)).await), "recorder 0");
    assert_eq!(published(&run_job(mixed(), participant.metadata(record)).await), "greeter 0");
    assert_eq!(published(&run_job(mixed(), publisher.metadata("dance")).await), "rest 0");
}

#[derive(Debug, Deserialize)]
struct Recording {
    format: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Task {
    Record(Recording),
    Transcribe { language: String },
}

/// One function, and an enum that selects the work.
async fn perform(ctx: JobContext, task: Task) -> JobResult {
    let (topic, text) = match task {
        Task::Record(recording) => ("record", recording.format),
        Task::Transcribe { language } => ("transcribe", language),
    };
    ctx.room().publish_data(topic, text).await?;
    Ok(())
}

#[tokio::test]
async fn an_enum_names_the_action() {
    let run = |metadata: &str| {
        run_job(typed(MetadataFormat::required(), perform), JobSpec::room("r").metadata(metadata))
    };
    assert_eq!(published(&run(r#"{"action":"record","format":"mp4"}"#).await), "record mp4");
    assert_eq!(published(&run(r#"{"action":"transcribe","language":"de"}"#).await), "transcribe de");
    assert_eq!(
        published(&run(r#"{"action":"dance"}"#).await),
        r#"failed: invalid_input: $.action = "dance": expected `record` or `transcribe`"#
    );
    assert_eq!(
        published(&run(r#"{"action":"record","format":7}"#).await),
        "failed: invalid_input: $.format = 7: expected a string"
    );
}

/// Workers for two kinds of job, one router between them, over sockets.
#[tokio::test]
async fn one_router_serves_several_workers() {
    let server = MockServer::start().await.unwrap();
    let speaker = Speaker::new("room");
    let router = Arc::new(Router::new().room(speaker.clone()).participant(speaker.also("participant")));
    let mut running = Vec::new();
    for kind in [JobKind::Room, JobKind::Participant] {
        let worker = server.worker(Arc::clone(&router)).agent_name("both").job_kind(kind).build().unwrap();
        let handle = worker.handle();
        let task = tokio::spawn(worker.run());
        assert!(handle.registered().await);
        running.push((handle, task));
    }
    // A dispatch to a room with one participant makes a job of each kind.
    let job = server.dispatch(JobSpec::room("hall").agent_name("both").participant("ada")).await.unwrap();
    let ended = server.wait_for_count(2, |event| matches!(event, ServerEvent::Ended { .. }));
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert_eq!(job.outcome().await.unwrap(), Outcome::Success);
    let mut topics: Vec<_> = job.room().sent().iter().map(|sent| sent.topic.clone()).collect();
    topics.sort();
    assert_eq!(topics, ["participant", "room"]);
    assert_eq!(speaker.spoken.load(Ordering::Relaxed), 2);
    for (handle, task) in running {
        handle.drain(Duration::ZERO).await;
        task.await.unwrap().unwrap();
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    format: String,
}

/// Fields that the worker and the router read are not unknown fields of the type.
#[tokio::test]
async fn a_strict_type_never_sees_the_fields_that_the_sdk_reads() {
    let agent = || {
        let record = |ctx: JobContext, strict: Strict| async move {
            ctx.room().publish_data("record", strict.format).await?;
            Ok(())
        };
        Router::new().action("record", typed(MetadataFormat::required(), record))
    };
    let run = |metadata: &str| {
        let spec = JobSpec::room("r").metadata(metadata);
        run_job(agent(), spec.worker(|worker| worker.job_timeout(Duration::from_secs(60))))
    };
    let all = r#"{"action":"record","format":"mp4","timeout":30,"request_id":"r-1"}"#;
    assert_eq!(published(&run(all).await), "record mp4");
    let escaped = r#"{"\u0061ction":"record","format":"mp4","time\u006fut":30}"#;
    assert_eq!(published(&run(escaped).await), "record mp4");
    assert_eq!(
        published(&run(r#"{"action":"record","format":"mp4","formt":"mp4"}"#).await),
        r#"failed: invalid_input: $.formt = "mp4": unknown field, expected `format`"#
    );
}

#[tokio::test]
async fn a_router_reads_objects_only() {
    for (metadata, expected) in [
        ("[]", "failed: invalid_input: $ = []: expected an object"),
        (r#"["record"]"#, r#"failed: invalid_input: $ = ["record"]: expected an object"#),
        ("7", "failed: invalid_input: $ = 7: expected an object"),
        (r#""record""#, r#"failed: invalid_input: $ = "record": expected an object"#),
        (r#"{"action":"record","action":"transcribe"}"#, "failed: invalid_input: $.action: duplicate field"),
        (r#"{"action":null}"#, "failed: invalid_input: $.action: missing field; known: record, transcribe"),
        ("null", "failed: invalid_input: $.action: missing field; known: record, transcribe"),
    ] {
        let run = run_job(by_action(), JobSpec::room("r").metadata(metadata)).await;
        assert_eq!(published(&run), expected, "{metadata}");
    }
}

/// Documentation for callers that dispatch jobs: the metadata of each action, and the fields that the SDK
/// reads.
#[cfg(feature = "schema")]
#[test]
fn a_router_describes_the_metadata_of_its_agents() {
    #[derive(Deserialize, schemars::JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Call {
        number: String,
    }
    let call = |_: JobContext, _: Call| std::future::ready(JobResult::Ok(()));
    let router = Router::new()
        .action("call", typed(MetadataFormat::required().with_schema(), call))
        .action("record", Speaker::new("recorder"));
    let schema: serde_json::Value = serde_json::from_str(&router.schema().json()).unwrap();
    let fields = |n: usize| schema["oneOf"][n]["properties"].as_object().unwrap().keys().collect::<Vec<_>>();
    assert_eq!(fields(0), ["action", "number", "request_id", "timeout"]);
    assert_eq!(fields(1), ["action", "request_id", "timeout"]);
}
