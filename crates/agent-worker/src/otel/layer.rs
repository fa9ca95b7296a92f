//! What is exported of the spans of a program: those of the worker for traces, and the program's own.

use std::cell::RefCell;

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context as TraceContext, ContextGuard};
use tracing::level_filters::LevelFilter;
use tracing::span::Id;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use agent_rtc::TRACE_TARGET;

use crate::telemetry::is_of_library;
use crate::worker::driver::LOG_SPAN_TARGET;

/// The crates of the SDK, whose spans are those of the log.
const OURS: [&str; 10] = [
    "agent_backends",
    "agent_core",
    "agent_media",
    "agent_net",
    "agent_proto",
    "agent_room",
    "agent_rtc",
    "agent_server",
    "agent_testkit",
    "agent_worker",
];

/// Selects what is exported: the worker's spans for traces, the program's of level `INFO` and above, and of
/// events its errors, which mark their span as failed.
pub(super) struct Exported;

impl<S> Filter<S> for Exported {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        is_exported(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_exported(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

fn is_exported(metadata: &Metadata<'_>) -> bool {
    if metadata.target() == TRACE_TARGET {
        return metadata.is_span();
    }
    let most = if metadata.is_span() { Level::INFO } else { Level::ERROR };
    let target = metadata.target();
    let is_ours = target.split("::").next().is_some_and(|name| OURS.contains(&name));
    *metadata.level() <= most && !is_ours && !is_of_library(target)
}

/// Makes what is created within a span of the log a part of the span of the trace that it follows from.
pub(super) struct LogSpans;

/// The span of the trace that a span of the log belongs to.
struct Belongs(TraceContext);

thread_local! {
    /// The entered spans of the log.
    static ENTERED: RefCell<Vec<(Id, ContextGuard)>> = const { RefCell::new(Vec::new()) };
}

impl LogSpans {
    /// The spans of the log, and those that they may follow from.
    pub(super) fn filter() -> Targets {
        Targets::new().with_target(LOG_SPAN_TARGET, Level::ERROR).with_target(TRACE_TARGET, Level::TRACE)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogSpans {
    fn on_follows_from(&self, id: &Id, _: &Id, context: Context<'_, S>) {
        // The span that it follows from is entered, and so the current one of the trace.
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(Belongs(TraceContext::current()));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let belongs = span.extensions().get::<Belongs>().map(|Belongs(to)| to.clone());
        if let Some(to) = belongs {
            let guard = to.attach();
            // Not in a thread that ends.
            let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((id.clone(), guard)));
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let at = entered.iter().rposition(|(other, _)| other == id)?;
            Some(entered.remove(at))
        });
        drop(left);
    }
}

/// The id of the trace that runs now, as 32 hexadecimal digits; `None` outside of a job, or if no traces are
/// exported. For lines of a log, and reports of problems.
///
/// ```
/// tracing::info!(trace_id = agent_worker::otel::trace_id(), "answered");
/// ```
#[must_use]
pub fn trace_id() -> Option<String> {
    TraceContext::map_current(|current| {
        let span = current.span();
        let context = span.span_context();
        context.is_valid().then(|| context.trace_id().to_string())
    })
}
