//! Metadata, limits and the other fields of a job, from the dispatch to the handler.

use std::sync::Arc;
use std::time::Duration;

use garde::Validate;
use serde::Deserialize;

use agent_testkit::{JobSpec, MockServer, OfferAnswer, Run, ServerEvent, run_job};
use agent_worker::metadata::{JobMetadata, MetadataFormat};
use agent_worker::{Agent, Job, JobContext, JobError, JobResult, Outcome};

#[derive(Debug, Default, Deserialize, Validate)]
#[serde(default)]
struct Recording {
    #[garde(inner(length(min = 1)))]
    tracks: Vec<String>,
    #[garde(range(max = 3600))]
    seconds: u32,
}

/// Publishes the metadata that it received.
async fn record(ctx: JobContext) -> JobResult {
    let recording: Recording = ctx.metadata()?;
    ctx.room().publish_data("got", format!("{recording:?}")).await?;
    Ok(())
}

/// Runs the agent with the metadata declared.
async fn declared(metadata: &str) -> Run {
    let format = || MetadataFormat::<Recording>::or_default().validated();
    let spec =
        JobSpec::room("studio").metadata(metadata).worker(move |builder| builder.metadata_format(format()));
    run_job(record, spec).await
}

fn joined(run: &Run) -> bool {
    run.timeline.events().iter().any(|(_, event)| matches!(event, ServerEvent::Joined { agent: true, .. }))
}

#[track_caller]
fn failed(run: &Run, expected: &str) {
    assert_eq!(run.outcome, Outcome::Failed { error: expected.into() }, "{}", run.timeline);
    assert!(!joined(run), "it never joined its room\n{}", run.timeline);
}

#[tokio::test]
async fn valid_and_missing_metadata_reach_the_handler() {
    let run = declared(r#"{"tracks":["TR_1"],"seconds":60,"more":1}"#).await;
    assert_eq!(run.sent[0].text(), r#"Recording { tracks: ["TR_1"], seconds: 60 }"#);
    for none in ["", "  \n", "{}"] {
        let run = declared(none).await;
        assert_eq!(run.sent[0].text(), "Recording { tracks: [], seconds: 0 }");
        assert!(joined(&run), "{}", run.timeline);
    }
}

#[tokio::test]
async fn invalid_metadata_ends_the_job_before_its_room_is_joined() {
    for (metadata, error) in [
        ("tracks", "invalid_input: $: not JSON: expected ident at line 1 column 3"),
        ("[1]", "invalid_input: $ = [1]: expected an object"),
        (r#"{"tracks":["a",1]}"#, "invalid_input: $.tracks[1] = 1: expected a string"),
        (r#"{"tracks":["a",""]}"#, r#"invalid_input: $.tracks[1] = "": length is lower than 1"#),
        (r#"{"seconds":3601}"#, "invalid_input: $.seconds = 3601: greater than 3600"),
        (r#"{"seconds":-1}"#, "invalid_input: $.seconds = -1: expected a whole number from 0 to 4294967295"),
    ] {
        failed(&declared(metadata).await, error);
    }
    let deep = "[".repeat(100_000);
    failed(
        &declared(&deep).await,
        "invalid_input: $: not JSON: EOF while parsing a list at line 1 column 100000",
    );
}

#[tokio::test]
async fn required_metadata_must_be_there() {
    let format = MetadataFormat::<Recording>::required;
    let spec = JobSpec::room("studio").worker(move |builder| builder.metadata_format(format()));
    failed(&run_job(record, spec).await, "invalid_input: $: there is none, and it is required");
    // Not declared, but read by the handler.
    let agent = |ctx: JobContext| async move {
        ctx.required_metadata::<Recording>()?;
        Ok(())
    };
    let run = run_job(agent, JobSpec::room("studio")).await;
    assert_eq!(
        run.outcome,
        Outcome::Failed { error: "invalid_input: $: there is none, and it is required".into() }
    );
}

#[tokio::test]
async fn a_job_over_the_limits_is_refused_without_parsing() {
    let run = run_job(record, JobSpec::room("studio").metadata(" ".repeat(524_289))).await;
    failed(&run, "invalid_input: metadata = 524289 bytes: the limit is 524288");
    let run = run_job(record, JobSpec::room("studio").attributes([("key", "v".repeat(65_534))])).await;
    failed(&run, "invalid_input: attributes = 65537 bytes: the limit is 65536");
    let most =
        JobSpec::room("studio").metadata(" ".repeat(524_288)).attributes([("key", "v".repeat(65_533))]);
    run_job(record, most).await.assert_success();
}

/// An agent that checks the job itself.
struct Picky;

impl Agent for Picky {
    fn check(&self, job: &Job) -> JobResult {
        match job.attributes.get("mood").map(String::as_str) {
            Some("good") => Ok(()),
            Some("bad") => panic!("such a mood"),
            other => {
                Err(JobError::invalid("attributes.mood", other.unwrap_or_default(), "no mood to work in"))
            }
        }
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }
}

#[tokio::test]
async fn an_agent_may_check_the_job_itself() {
    let run = |mood: &str| run_job(Picky, JobSpec::room("studio").attributes([("mood", mood)]));
    run("good").await.assert_success();
    failed(&run("bored").await, "invalid_input: attributes.mood = bored: no mood to work in");
    failed(&run("bad").await, "panicked: such a mood");
}

#[tokio::test]
async fn jobs_with_invalid_metadata_can_be_dismissed() {
    let server = MockServer::start().await.unwrap();
    let builder = server.worker(Picky).agent_name("picky").metadata::<Recording>().dismiss_invalid(true);
    let worker = builder.build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let answer = async |metadata: &str, mood: &str| {
        let job = server
            .dispatch(JobSpec::room("studio").metadata(metadata).attributes([("mood", mood)]))
            .await
            .unwrap();
        let id = job.job_id().await;
        let answered =
            |event: &ServerEvent| matches!(event, ServerEvent::Answered { job_id, .. } if *job_id == id);
        match server.wait_for(answered).await {
            ServerEvent::Answered { answer, .. } => answer,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer("{}", "good").await, OfferAnswer::Accept);
    assert_eq!(answer(r#"{"seconds":"x"}"#, "good").await, OfferAnswer::Dismiss);
    assert_eq!(answer("{}", "bored").await, OfferAnswer::Dismiss);
    // A panic decides nothing about the job.
    assert_eq!(answer("{}", "bad").await, OfferAnswer::Decline);
    handle.drain(Duration::ZERO).await;
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn all_other_fields_reach_the_handler() {
    async fn look(ctx: JobContext) -> JobResult {
        let job = ctx.job();
        let seen = format!(
            "{} {:?} {} {} {} {} {}",
            job.agent_name,
            job.attributes,
            job.deployment,
            job.dispatch_id,
            job.enable_recording,
            job.enable_redaction,
            job.resuming
        );
        ctx.room().publish_data("seen", seen).await?;
        Ok(())
    }
    let spec = JobSpec::room("studio")
        .agent_name("looker")
        .attributes([("a", "1"), ("b", "2")])
        .deployment("blue")
        .recording(true);
    let dispatch = |run: &Run| {
        let offered = run.timeline.events().iter().find_map(|(_, event)| match event {
            ServerEvent::Offered { dispatch_id, .. } => Some(dispatch_id.clone()),
            _ => None,
        });
        offered.unwrap()
    };
    let run = run_job(look, spec).await;
    let expected = format!(r#"looker {{"a": "1", "b": "2"}} blue {} true false false"#, dispatch(&run));
    assert_eq!(run.sent[0].text(), expected);
    let run = run_job(look, JobSpec::room("studio").redaction(true)).await;
    assert_eq!(run.sent[0].text(), format!("agent-under-test {{}}  {} false true false", dispatch(&run)));
}

#[tokio::test]
async fn the_predefined_metadata_type_is_enough() {
    async fn act(ctx: JobContext) -> JobResult {
        let metadata: JobMetadata = ctx.metadata()?;
        match metadata.action.as_str() {
            "record" => {
                let Recording { seconds, .. } = metadata.parameters_as()?;
                ctx.room().publish_data("record", seconds.to_string()).await?;
                Ok(())
            }
            other => Err(JobError::invalid("$.action", other, "unknown action")),
        }
    }
    let run = |metadata: &str| run_job(act, JobSpec::room("studio").metadata(metadata));
    assert_eq!(run(r#"{"action":"record","parameters":{"seconds":7}}"#).await.sent[0].text(), "7");
    let error = |run: Run| run.outcome.to_string();
    assert_eq!(
        error(run(r#"{"action":"record","parameters":{"seconds":"7"}}"#).await),
        r#"failed: invalid_input: $.parameters.seconds = "7": expected a whole number from 0 to 4294967295"#
    );
    assert_eq!(error(run("").await), "failed: invalid_input: $.action: unknown action");
}

/// Byte-order marks come from editors, `null` from senders without metadata.
#[tokio::test]
async fn a_byte_order_mark_is_skipped_and_null_is_no_metadata() {
    let run = declared("\u{feff}{\"tracks\":[\"TR_1\"],\"seconds\":60}").await;
    assert_eq!(run.sent[0].text(), r#"Recording { tracks: ["TR_1"], seconds: 60 }"#);
    for none in ["null", " null\n", "\u{feff}", "\u{feff} null"] {
        let run = declared(none).await;
        assert_eq!(run.sent[0].text(), "Recording { tracks: [], seconds: 0 }", "{none:?}");
    }
    let format = MetadataFormat::<Recording>::required;
    let spec =
        JobSpec::room("studio").metadata("null").worker(move |builder| builder.metadata_format(format()));
    failed(&run_job(record, spec).await, "invalid_input: $: there is none, and it is required");
}

/// Runs an agent whose worker limits how long jobs take.
async fn limited(metadata: &str) -> Run {
    let spec = JobSpec::room("studio").metadata(metadata);
    run_job(record, spec.worker(|builder| builder.job_timeout(Duration::from_secs(60)))).await
}

#[tokio::test]
async fn a_wrong_time_limit_ends_the_job_before_its_room_is_joined() {
    let expected = "expected a number of seconds above 0, at most 4294967295";
    for timeout in [r#""60""#, "0", "0.0", "-0", "-1", "1e300", "4294967296", "true", "[60]", r#""NaN""#] {
        let shown = timeout;
        failed(
            &limited(&format!(r#"{{"timeout":{timeout}}}"#)).await,
            &format!("invalid_input: $.timeout = {shown}: {expected}"),
        );
    }
    failed(
        &limited(r#"{"timeout":{"seconds":5}}"#).await,
        &format!("invalid_input: $.timeout = {{…}}: {expected}"),
    );
    failed(&limited(r#"{"timeout":5,"timeout":600}"#).await, "invalid_input: $.timeout: duplicate field");
    for fine in ["{}", r#"{"timeout":null}"#, r#"{"timeout":0.5}"#, r#"{"timeout":4294967295}"#, "null", ""] {
        limited(fine).await.assert_success();
    }
}

/// Without limits of the worker, `timeout` is a field like any other.
#[tokio::test]
async fn a_field_of_the_agents_own_may_be_called_timeout() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Dial {
        timeout: String,
    }
    let agent = |ctx: JobContext| async move {
        let Dial { timeout } = ctx.required_metadata()?;
        ctx.room().publish_data("got", timeout).await?;
        Ok(())
    };
    let run = run_job(agent, JobSpec::room("studio").metadata(r#"{"timeout":"5m"}"#)).await;
    assert_eq!(run.sent[0].text(), "5m");
}
