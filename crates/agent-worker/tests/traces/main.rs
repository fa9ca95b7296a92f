//! Traces of jobs at a collector.
//!
//! A program of its own: each test starts it once more, with an environment and a subscriber of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail, and its programs talk over their output"
)]

mod collector;
mod program;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::StatusCode;
use opentelemetry_proto::tonic::common::v1::any_value::Value;

use collector::{Answer, Collector, Span};
use program::{CUSTOMER, Program, Report};
use support::authority::authority;
use support::guide_tables::{self, steady};

const OTLP_TOKEN: &str = "the-otlp-token-5c1d";
const OK: Answer = Answer::Status(StatusCode::OK);
/// More than a job and the end of its worker take, and less than what a request to a collector may.
const SOON: Duration = Duration::from_secs(20);
/// What a flush may take on a busy machine: its limit is 5 s.
const FLUSH: Duration = Duration::from_secs(10);

fn endpoint(collector: &Collector) -> String {
    format!("http://{}", collector.address)
}

fn of_job<'a>(spans: &'a [Span], room: &str) -> Vec<&'a Span> {
    let is_root = |span: &&Span| span.name == "job_entrypoint" && span.text("lk.pii.room_name") == Some(room);
    let mut roots: Vec<&Span> = spans.iter().filter(is_root).collect();
    roots.sort_by_key(|root| root.number("lk.retry_count"));
    roots
}

/// The spans below one, by name.
fn below<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    let mut below: Vec<&Span> = spans.iter().filter(|span| span.parent == parent.id).collect();
    below.sort_by_key(|span| &span.name);
    for span in &below {
        assert_eq!(span.trace, parent.trace, "{}", span.name);
        assert!(
            parent.begun <= span.begun && span.begun <= span.ended && span.ended <= parent.ended,
            "{span:?} in {parent:?}"
        );
    }
    below
}

fn names(spans: &[&Span]) -> Vec<String> {
    spans.iter().map(|span| span.name.clone()).collect()
}

#[tokio::test]
async fn each_attempt_is_a_trace_with_the_official_names() {
    let collector = Collector::start(OK).await;
    let header = format!("authorization=Bearer%20{OTLP_TOKEN}");
    let mut program = Program::start(
        "log",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint(&collector)),
            ("OTEL_EXPORTER_OTLP_HEADERS", &header),
            ("OTEL_SERVICE_NAME", "greeters"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ],
    );
    let Report::JobsEnded { secret } = program.report().await else { panic!("another report") };
    let (code, log) = program.ended().await;
    assert_eq!(code, Some(0), "{log}");
    let spans = collector.spans();

    let all: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    let expected = [
        "answer",
        "farewell",
        "in a task",
        "job_entrypoint",
        "job_shutdown",
        "model",
        "room_connect",
        "wait_for_participant",
    ];
    assert_eq!(all, BTreeSet::from(expected));
    let roots: Vec<&Span> = spans.iter().filter(|span| span.name == "job_entrypoint").collect();
    assert!(roots.iter().all(|root| root.parent.is_empty()));
    assert_eq!(roots.iter().map(|root| &root.trace).collect::<BTreeSet<_>>().len(), 9, "{roots:#?}");
    for root in &roots {
        let room = root.text("lk.pii.room_name").unwrap();
        for (attribute, begin) in [
            ("lk.job_id", "AJ_"),
            ("lk.agent_name", "greeter"),
            ("lk.room_sid", "RM_"),
            ("lk.dispatch_id", "AD_"),
            ("lk.job.worker_id", "AW_"),
        ] {
            let value = root.text(attribute).unwrap_or_default();
            assert!(value.starts_with(begin), "{attribute} of {room}: {value}");
        }
        let first = root.number("lk.retry_count") == Some(0);
        let called = first && room != "refused";
        let mut parts = 0.0;
        for (latency, expected) in [
            ("lk.job.accept_latency", first),
            ("lk.job.assignment_latency", first),
            ("lk.job.launch_latency", first),
            ("lk.job.entrypoint_latency", called),
        ] {
            let seconds = root.seconds(latency);
            assert_eq!(seconds.is_some(), expected, "{latency} of {room}");
            assert!(seconds.is_none_or(|seconds| (0.0..60.0).contains(&seconds)), "{latency}: {seconds:?}");
            parts += seconds.unwrap_or_default();
        }
        let whole = root.seconds("lk.job.dispatch_latency");
        assert_eq!(whole.is_some(), called, "dispatch of {room}");
        // It is the sum of its parts.
        assert!(whole.is_none_or(|whole| (whole - parts).abs() < 1e-6), "{room}: {whole:?}, {parts}");
        assert!(
            log.contains(&format!("job_id={} ", root.text("lk.job_id").unwrap())),
            "the log has the same id"
        );
    }

    // One that succeeds.
    let [root] = of_job(&spans, "succeeds")[..] else { panic!("one attempt") };
    assert_eq!((root.status, root.text("error.type"), root.text("lk.shutdown.reason")), (0, None, None));
    let parts = below(&spans, root);
    assert_eq!(
        names(&parts),
        ["answer", "in a task", "job_shutdown", "room_connect", "wait_for_participant"]
    );
    assert_eq!(parts[0].number("words"), Some(3));
    assert_eq!(names(&below(&spans, parts[2])), ["farewell"]);
    assert_eq!(parts[3].attributes.get("lk.room.e2ee"), Some(&Value::BoolValue(false)));
    assert_eq!(parts[4].text("lk.pii.participant_identity"), Some("ada"));
    assert!(parts[4].text("lk.participant_id").unwrap().starts_with("PA_"));

    // One without a participant.
    let [root] = of_job(&spans, "alone")[..] else { panic!("one attempt") };
    let parts = below(&spans, root);
    assert_eq!(names(&parts), ["job_shutdown", "room_connect", "wait_for_participant"]);
    assert_eq!((root.status, parts[2].status, parts[2].text("error.type")), (0, 2, Some("timed_out")));
    assert!(!parts[2].status_text.contains("eve"), "{}", parts[2].status_text);

    // One whose room cannot be joined: the handler is not called.
    let [root] = of_job(&spans, "refused")[..] else { panic!("one attempt") };
    let parts = below(&spans, root);
    assert_eq!(names(&parts), ["job_shutdown", "room_connect"]);
    assert_eq!((root.status, parts[1].status, parts[1].text("error.type")), (2, 2, Some("join_failed")));
    assert!(parts[1].status_text.contains("403"), "{}", parts[1].status_text);

    // One that is retried: the room is joined once.
    let [first, second] = of_job(&spans, "retried")[..] else { panic!("two attempts") };
    assert_eq!((first.number("lk.retry_count"), second.number("lk.retry_count")), (Some(0), Some(1)));
    assert_eq!((first.status, first.text("error.type")), (2, Some("retryable")));
    assert_eq!(first.status_text, "no model for …");
    assert_eq!((second.status, second.text("error.type")), (0, None));
    assert_eq!(names(&below(&spans, first)), ["job_shutdown", "room_connect"]);
    assert_eq!(names(&below(&spans, second)), ["job_shutdown"]);
    assert_eq!(first.text("lk.job_id"), second.text("lk.job_id"));

    // Cancelled ones.
    let [root] = of_job(&spans, "cancelled")[..] else { panic!("one attempt") };
    assert_eq!((root.status, root.text("lk.shutdown.reason")), (0, Some("enough")));
    let parts = below(&spans, root);
    assert_eq!(names(&parts), ["job_shutdown", "room_connect"]);
    assert_eq!(parts[0].text("lk.shutdown.reason"), Some("enough"));
    let [root] = of_job(&spans, "times out")[..] else { panic!("one attempt") };
    assert_eq!((root.status, root.text("error.type")), (2, Some("job_timeout")));
    assert_eq!(root.text("lk.shutdown.reason"), Some("job_timeout"));

    // Failed ones.
    let [root] = of_job(&spans, "fails")[..] else { panic!("one attempt") };
    assert_eq!((root.status, root.text("error.type"), &*root.status_text), (2, Some("no_voice"), "no_voice"));
    let parts = below(&spans, root);
    assert_eq!(names(&parts), ["job_shutdown", "model", "room_connect"]);
    assert_eq!(parts[1].status, 2, "an error within a span of the program");
    let [root] = of_job(&spans, "panics")[..] else { panic!("one attempt") };
    assert_eq!((root.status, root.text("error.type")), (2, Some("panicked")));

    for span in &spans {
        assert_eq!(span.scope, "agent-worker");
        for (name, value) in [("service.name", "greeters"), ("deployment.environment.name", "test")] {
            assert_eq!(span.resource.get(name), Some(&Value::StringValue(value.to_owned())));
        }
    }
    for request in collector.received() {
        assert_eq!(request.path, "/v1/traces");
        assert_eq!(request.content_type.as_deref(), Some("application/x-protobuf"));
        assert_eq!(request.authorization, Some(format!("Bearer {OTLP_TOKEN}")));
        let body = String::from_utf8_lossy(&request.body).into_owned();
        for secret in [&secret, OTLP_TOKEN, "eyJ", CUSTOMER] {
            assert!(!body.contains(secret), "{secret} is exported");
        }
    }
    assert!(!log.contains(OTLP_TOKEN) && !log.contains("job_entrypoint"), "{log}");
}

#[tokio::test]
async fn without_a_collector_nothing_is_exported() {
    let collector = Collector::start(OK).await;
    for variables in [&[][..], &[("OTEL_SDK_DISABLED", "true")], &[("OTEL_TRACES_EXPORTER", "none")]] {
        let endpoint = endpoint(&collector);
        let mut all = variables.to_vec();
        if !variables.is_empty() {
            all.push(("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint));
        }
        let (code, log) = Program::start("log", &all).ended().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(collector.received().is_empty());
    }
}

#[tokio::test]
async fn a_collector_is_reached_over_tls() {
    let authority = authority("localhost");
    let collector = Collector::start_tls(authority.acceptor.clone()).await;
    let endpoint = format!("https://localhost:{}/v1/traces", collector.address.port());
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.file.to_str().unwrap()),
    ];
    let (code, log) = Program::start("simulate", &variables).ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(collector.spans().iter().filter(|span| span.name == "job_entrypoint").count(), 1, "{log}");
}

/// A second job runs while the spans of the first one cannot be exported. Returns the warning about that.
async fn runs_without_delay(collector: Option<&Collector>, expected: &str) -> Option<String> {
    // Nothing listens there.
    let endpoint = collector.map_or_else(|| "http://127.0.0.1:9".to_owned(), endpoint);
    let mut program = Program::start(
        "pausing",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "60000"),
            ("OTEL_EXPORTER_OTLP_HEADERS", &format!("api-key={OTLP_TOKEN}")),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ],
    );
    assert!(matches!(program.report().await, Report::JobsEnded { .. }));
    if let Some(collector) = collector {
        collector.requests(1).await;
    }
    program.go_on();
    let Report::Ended { jobs, flush } = program.report().await else { panic!("another report") };
    assert!(jobs < SOON, "{jobs:?}");
    assert!(flush < FLUSH, "{flush:?}");
    let (code, log) = program.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("traces are lost").count(), usize::from(!expected.is_empty()), "{log}");
    assert!(log.contains(expected) && !log.contains(OTLP_TOKEN), "{log}");
    assert!(!log.contains("LIVEKIT_URL"), "the advice is about the collector: {log}");
    let (_, warning) = log.lines().find_map(|line| line.split_once(" WARN agent_worker::otel"))?;
    let (_, text) = warning.split_once(": ")?;
    Some(format!("WARN {}", steady(text.split(" collector=").next()?)))
}

#[tokio::test]
async fn a_collector_that_takes_nothing_delays_nothing() {
    let refusing = async |status: StatusCode| {
        let collector = Collector::start(Answer::Status(status)).await;
        runs_without_delay(Some(&collector), &format!("the collector answers {status}: check ")).await
    };
    let closing = async {
        let collector = Collector::start(Answer::Close).await;
        runs_without_delay(Some(&collector), "check OTEL_EXPORTER_OTLP_ENDPOINT and the collector").await
    };
    let (gone, unauthorized, not_found, unavailable, _) = tokio::join!(
        runs_without_delay(None, "check OTEL_EXPORTER_OTLP_ENDPOINT and the collector"),
        refusing(StatusCode::UNAUTHORIZED),
        refusing(StatusCode::NOT_FOUND),
        refusing(StatusCode::SERVICE_UNAVAILABLE),
        closing,
    );
    let lines = [
        ("no collector listens there", gone.unwrap().replace(" (os error 111)", "")),
        ("it refuses the headers", unauthorized.unwrap()),
        ("it is something else, or has another path", not_found.unwrap()),
        ("it fails", unavailable.unwrap()),
    ];
    guide_tables::check("traces-lost", &lines);
}

#[tokio::test]
async fn a_collector_that_hangs_delays_nothing_but_the_end_by_its_limit() {
    let collector = Collector::start(Answer::Never).await;
    let begun = std::time::Instant::now();
    let warning = runs_without_delay(Some(&collector), "").await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(5), "the last spans are waited for");
    guide_tables::check("traces-end", &[("the collector does not answer", warning)]);
}

#[tokio::test]
async fn the_command_line_exports_and_its_lines_have_the_id_of_the_trace() {
    let collector = Collector::start(OK).await;
    let (endpoint, header) = (endpoint(&collector), format!("x-key={OTLP_TOKEN}"));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", &header),
        ("RUST_LOG", "trace"),
    ];
    let (code, log) = Program::start("simulate", &variables).ended().await;
    assert_eq!(code, Some(0), "{log}");
    let spans = collector.spans();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.name == "job_entrypoint").collect();
    let [root] = roots[..] else { panic!("{spans:#?}") };
    assert_eq!(names(&below(&spans, root)), ["job_shutdown", "room_connect"]);
    for said in ["the agent speaks", "the task speaks", "the agent leaves"] {
        let line = log.lines().find(|line| line.contains(said)).unwrap_or_else(|| panic!("{said}: {log}"));
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["trace_id"], root.trace.as_str(), "{line}");
        assert_eq!(line["job_id"], root.text("lk.job_id").unwrap(), "{line}");
    }
    for hidden in ["agent_worker::trace", "job_entrypoint", "lk.job_id", OTLP_TOKEN] {
        assert!(!log.contains(hidden), "{hidden} is logged");
    }
    assert!(log.contains("exporting traces"));
}

#[tokio::test]
async fn a_variable_that_cannot_be_used_is_wrong_use() {
    let mut lines = Vec::new();
    for (what, name, value, to_write) in [
        (
            "`OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317`",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector:4317",
            "http://",
        ),
        ("`OTEL_EXPORTER_OTLP_PROTOCOL=grpc`", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("a header without a name", "OTEL_EXPORTER_OTLP_HEADERS", OTLP_TOKEN, "NAME=VALUE"),
        ("`OTEL_EXPORTER_OTLP_TIMEOUT=10s`", "OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
        ("`OTEL_TRACES_EXPORTER=jaeger`", "OTEL_TRACES_EXPORTER", "jaeger", "otlp or none"),
    ] {
        let variables =
            [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces"), (name, value)];
        // The other address would count.
        let from = usize::from(name.ends_with("_ENDPOINT"));
        let (code, log) = Program::start("simulate", &variables[from..]).ended().await;
        assert_eq!(code, Some(2), "{name}: {log}");
        assert!(log.contains(name) && log.contains(to_write) && !log.contains(OTLP_TOKEN), "{log}");
        let error = log.lines().find_map(|line| line.strip_prefix("error: "));
        lines.push((what, error.unwrap_or_else(|| panic!("{log}")).to_owned()));
    }
    guide_tables::check("traces-settings", &lines);
}
