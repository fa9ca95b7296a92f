//! Spans for traces, with the names and attributes of the official workers.
//!
//! No code of the user runs within them: it runs within the job's span of the log, also in tasks that it
//! starts `in_current_span`, as each line needs the fields of that one. An exporter of traces takes it as a
//! part of the span that it [follows from](Span::follows_from).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;

use agent_core::{AttemptEnd, CancelReason, Job, Verdict};
use agent_proto::text::{MAX_LINE, MAX_NAME, shorten};
use agent_rtc::{JoinError, Room, TRACE_TARGET};

use crate::worker::stats::reason_label;

/// The trace of one attempt, from its start to the end of its cleanup. Empty unless traces are exported.
#[derive(Default)]
pub(crate) struct AttemptTrace(Mutex<Option<Root>>);

struct Root {
    span: TraceSpan,
    /// From the offer to the assignment.
    assigned_after: Option<Duration>,
    /// Whether it is recorded how the attempt ended.
    ended: bool,
}

/// A span that ends when it is dropped.
pub(crate) struct TraceSpan(Span);

/// The span of joining a room. It ends when it is dropped.
pub(crate) struct JoinSpan(Span);

impl AttemptTrace {
    /// `log`: the span of the log in which the attempt runs.
    pub(crate) fn begin(job: &Job, attempt: u32, agent: &str, worker_id: &str, log: &Span) -> Self {
        let span = tracing::trace_span!(
            target: TRACE_TARGET,
            parent: None,
            "job_entrypoint",
            "lk.job_id" = shown(job.id.as_str()),
            "lk.agent_name" = shown(agent),
            "lk.room_sid" = shown(&job.room.sid),
            "lk.pii.room_name" = shown(&job.room.name),
            "lk.dispatch_id" = shown(&job.dispatch_id),
            "lk.job.worker_id" = shown(worker_id),
            "lk.retry_count" = i64::from(attempt.saturating_sub(1)),
            "lk.job.accept_latency" = Empty,
            "lk.job.assignment_latency" = Empty,
            "lk.job.launch_latency" = Empty,
            "lk.job.entrypoint_latency" = Empty,
            "lk.job.dispatch_latency" = Empty,
            "lk.shutdown.reason" = Empty,
            "error.type" = Empty,
            "otel.status_description" = Empty,
        );
        if span.is_disabled() {
            return Self::default();
        }
        let span = TraceSpan(span);
        span.contains(log);
        Self(Mutex::new(Some(Root { span, assigned_after: None, ended: false })))
    }

    /// The worker accepted the job this long after its offer, and the server assigned it this long after
    /// that.
    pub(crate) fn assigned(&self, answered: Duration, waited: Duration) {
        self.with(|root| {
            root.record("lk.job.accept_latency", answered);
            root.record("lk.job.assignment_latency", waited);
            root.assigned_after = Some(answered + waited);
        });
    }

    /// The attempt began to run this long after the assignment.
    pub(crate) fn launched(&self, after: Duration) {
        self.with(|root| root.record("lk.job.launch_latency", after));
    }

    /// The handler is called this long after the assignment, and this long after the attempt began to run:
    /// the room was joined in between.
    pub(crate) fn called(&self, after_assignment: Duration, after_launch: Duration) {
        self.with(|root| {
            root.record("lk.job.entrypoint_latency", after_launch);
            if let Some(assigned_after) = root.assigned_after {
                root.record("lk.job.dispatch_latency", assigned_after + after_assignment);
            }
        });
    }

    /// The attempt ended. What counts as a failure is decided as for the outcome of the job.
    pub(crate) fn ended(&self, end: &AttemptEnd, cancelled: Option<CancelReason>) {
        self.with(|root| root.end(end, cancelled));
    }

    /// The span of the attempt's cleanup, if there is a trace.
    pub(crate) fn shutdown(&self, cancelled: Option<CancelReason>) -> Option<TraceSpan> {
        self.with(|root| {
            let reason = cancelled.as_ref().map(shutdown_reason);
            TraceSpan(tracing::trace_span!(
                target: TRACE_TARGET,
                parent: &root.span.0,
                "job_shutdown",
                "lk.shutdown.reason" = reason.as_deref(),
            ))
        })
    }

    /// Ends the trace. An attempt that has not ended is stuck.
    pub(crate) fn finish(&self, cancelled: Option<CancelReason>) {
        let root = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut root) = root
            && !root.ended
        {
            root.end(&AttemptEnd::Aborted, cancelled);
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Root) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(change)
    }
}

impl Root {
    fn record(&self, attribute: &str, time: Duration) {
        self.span.0.record(attribute, time.as_secs_f64());
    }

    fn end(&mut self, end: &AttemptEnd, cancelled: Option<CancelReason>) {
        self.ended = true;
        let Self { span: TraceSpan(span), .. } = self;
        let verdict = match cancelled {
            Some(reason) => {
                span.record("lk.shutdown.reason", shutdown_reason(&reason));
                Verdict::of_cancelled(&reason, end.clone())
            }
            None => Verdict::of(end.clone()),
        };
        if let (Some(kind), Some(error)) = (verdict.kind, verdict.outcome.error()) {
            span.record("error.type", &*reason_label(&kind));
            span.record("otel.status_description", shorten(error, MAX_LINE));
        }
    }
}

impl TraceSpan {
    /// What is created within this span of the log is a part of this one.
    pub(crate) fn contains(&self, log: &Span) {
        self.0.in_scope(|| log.follows_from(&self.0));
    }
}

impl Drop for TraceSpan {
    fn drop(&mut self) {
        // The end of a span that was entered is its last exit.
        self.0.in_scope(|| ());
    }
}

impl JoinSpan {
    /// A part of what runs now.
    pub(crate) fn begin(encrypted: bool) -> Self {
        Self(tracing::trace_span!(
            target: TRACE_TARGET,
            "room_connect",
            "lk.room.e2ee" = encrypted,
            "lk.room.remote_participant_count" = Empty,
            "error.type" = Empty,
            "otel.status_description" = Empty,
        ))
    }

    pub(crate) fn end(self, joined: &Result<Room, JoinError>) {
        let Self(span) = self;
        match joined {
            _ if span.is_disabled() => {}
            Ok(room) => {
                let others = i64::try_from(room.participants().len()).unwrap_or(i64::MAX);
                span.record("lk.room.remote_participant_count", others);
            }
            Err(error) => {
                span.record("error.type", "join_failed");
                span.record("otel.status_description", shorten(&error.to_string(), MAX_LINE));
            }
        }
    }
}

/// As the value of an attribute, which is not set if there is none.
fn shown(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| shorten(text, MAX_NAME))
}

/// The text of a shutdown by the program, or the label of another reason.
fn shutdown_reason(reason: &CancelReason) -> String {
    match reason {
        CancelReason::Shutdown(text) if !text.is_empty() => shorten(text, MAX_NAME),
        other => other.label().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::sync::Arc;

    use tracing::Subscriber;
    use tracing::field::{Field, Visit};
    use tracing::level_filters::LevelFilter;
    use tracing::span::{Attributes, Id, Record};
    use tracing::subscriber::{set_global_default, with_default};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt};
    use tracing_subscriber::registry::Registry;

    use agent_core::JobKind;

    use super::*;

    /// The closed spans for traces, with their attributes.
    #[derive(Clone, Default)]
    struct Closed(Arc<Mutex<Vec<(&'static str, Fields)>>>);

    #[derive(Clone, Default)]
    struct Fields(BTreeMap<&'static str, String>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.insert(field.name(), format!("{value:?}"));
        }
    }

    impl Layer<Registry> for Closed {
        fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, Registry>) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            context.span(id).unwrap().extensions_mut().insert(fields);
        }

        fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, Registry>) {
            let span = context.span(id).unwrap();
            values.record(span.extensions_mut().get_mut::<Fields>().unwrap());
        }

        fn on_close(&self, id: Id, context: Context<'_, Registry>) {
            let span = context.span(&id).unwrap();
            if span.metadata().target() == TRACE_TARGET {
                let fields = span.extensions_mut().remove::<Fields>().unwrap();
                self.0.lock().unwrap().push((span.name(), fields));
            }
        }
    }

    fn with(subscriber: impl Subscriber + Send + Sync, run: impl FnOnce()) {
        // With a single subscriber, `tracing` caches whether a span is enabled by the thread that reaches it
        // first.
        let _ = set_global_default(tracing_subscriber::registry().with(LevelFilter::OFF));
        with_default(subscriber, run);
    }

    /// What is closed when this has run.
    fn closed(run: impl FnOnce(&Job, &Span)) -> Vec<(&'static str, BTreeMap<&'static str, String>)> {
        let closed = Closed::default();
        with(tracing_subscriber::registry().with(closed.clone()), || {
            run(&Job::new("AJ_1", JobKind::Room, "lobby\n"), &tracing::error_span!("job"));
        });
        let closed = closed.0.lock().unwrap().clone();
        closed.into_iter().map(|(name, Fields(fields))| (name, fields)).collect()
    }

    #[test]
    fn a_trace_ends_with_the_cleanup_whoever_still_has_it() {
        let closed = closed(|job, log| {
            let trace = Arc::new(AttemptTrace::begin(job, 3, "greeter", "AW_1", log));
            let kept = Arc::clone(&trace);
            trace.ended(&AttemptEnd::Ok, None);
            drop(trace.shutdown(None));
            trace.finish(None);
            // Nothing is recorded, and nothing panics.
            kept.ended(&AttemptEnd::Aborted, None);
            assert!(kept.shutdown(None).is_none());
        });
        let [("job_shutdown", shutdown), ("job_entrypoint", root)] = &closed[..] else {
            panic!("{closed:?}")
        };
        assert_eq!(shutdown.get("lk.shutdown.reason"), None);
        for (attribute, value) in [
            ("lk.job_id", r#""AJ_1""#),
            // On one line.
            ("lk.pii.room_name", r#""lobby\\n""#),
            ("lk.job.worker_id", r#""AW_1""#),
            ("lk.retry_count", "2"),
        ] {
            assert_eq!(root.get(attribute).map(String::as_str), Some(value), "{attribute}");
        }
        // The job has no dispatch.
        for absent in ["lk.dispatch_id", "error.type", "otel.status_description", "lk.job.launch_latency"] {
            assert_eq!(root.get(absent), None);
        }
    }

    /// Its cleanup ends before it.
    #[test]
    fn a_stuck_attempt_is_an_aborted_one() {
        let closed = closed(|job, log| {
            let trace = AttemptTrace::begin(job, 1, "greeter", "AW_1", log);
            trace.finish(Some(CancelReason::Shutdown("enough".to_owned())));
        });
        let [("job_entrypoint", root)] = &closed[..] else { panic!("{closed:?}") };
        assert_eq!(root["error.type"], r#""aborted""#);
        assert_eq!(root["lk.shutdown.reason"], r#""enough""#);
    }

    #[test]
    fn without_an_exporter_there_is_no_trace() {
        let log = tracing_subscriber::registry().with(LevelFilter::DEBUG);
        with(log, || {
            let job = Job::new("AJ_1", JobKind::Room, "lobby");
            let trace = AttemptTrace::begin(&job, 1, "", "", &tracing::error_span!("job"));
            assert!(trace.with(|_| ()).is_none());
            assert!(trace.shutdown(None).is_none());
        });
    }
}
