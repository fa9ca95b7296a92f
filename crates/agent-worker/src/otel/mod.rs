//! OpenTelemetry traces of jobs, exported by OTLP over HTTP.
//!
//! The command line (feature `cli`) exports them by itself if the environment names a collector. A program
//! with a log of its own adds the layer to it:
//!
//! ```no_run
//! use agent_worker::otel::Traces;
//! use agent_worker::{JobContext, JobResult, Worker};
//! use tracing_subscriber::filter::LevelFilter;
//! use tracing_subscriber::prelude::*;
//!
//! async fn agent(_: JobContext) -> JobResult { Ok(()) }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let traces = Traces::from_env()?;
//!     tracing_subscriber::registry()
//!         // The filter belongs to the log: one for the whole registry would filter the traces, too.
//!         .with(tracing_subscriber::fmt::layer().with_filter(LevelFilter::INFO))
//!         .with(traces.as_ref().map(Traces::layer))
//!         .init();
//!     Worker::builder(agent).from_env().build()?.run_until_signal().await?;
//!     if let Some(traces) = traces {
//!         traces.shutdown().await;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The [guide](crate::guide::traces) has what is in a trace, and the variables.

mod client;
mod layer;
mod settings;

use std::fmt;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use agent_proto::text::line;

use client::Client;
use layer::{Exported, LogSpans};
use settings::Settings;

pub use layer::trace_id;
pub use settings::TracesError;

/// How long the end of the program may wait for the last spans.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// A flush ends at its limit; if it has not a second later, it is not waited for.
const SLACK: Duration = Duration::from_secs(1);

/// An exporter of traces.
pub struct Traces {
    provider: SdkTracerProvider,
    collector: String,
}

impl Traces {
    /// Starts an exporter as the environment has it, on the tokio runtime that this is called in. Spans are
    /// sent from a thread of its own, every five seconds.
    ///
    /// `None` if there is no `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, and
    /// `OTEL_TRACES_EXPORTER` is not `otlp`; or if that is `none`, or `OTEL_SDK_DISABLED` is `true`.
    ///
    /// # Errors
    /// [`TracesError`] if a variable cannot be used, or outside of a runtime.
    pub fn from_env() -> Result<Option<Self>, TracesError> {
        match Settings::of(agent_net::variable)? {
            Some(settings) => Self::start(&settings).map(Some),
            None => Ok(None),
        }
    }

    fn start(settings: &Settings) -> Result<Self, TracesError> {
        let runtime = Handle::try_current().map_err(|_| TracesError::NoRuntime)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(settings, runtime))
            .with_endpoint(settings.endpoint.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(settings.timeout)
            .build()
            .map_err(|error| TracesError::Exporting(line(error).to_string()))?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
        Ok(Self { provider, collector: settings.collector() })
    }

    /// Host and port of the collector.
    #[must_use]
    pub fn collector(&self) -> &str {
        &self.collector
    }

    /// The layer for a subscriber: it exports the spans of jobs, the program's own spans of level `INFO` and
    /// above, and of events its errors, which mark their span as failed. Spans of this SDK for the log, and
    /// those of the libraries that it uses, are not exported.
    ///
    /// A filter of the whole subscriber must let the target `agent_worker::trace` pass at level `TRACE`: a
    /// filter of the log's layer need not.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let scope = InstrumentationScope::builder("agent-worker").with_version(env!("CARGO_PKG_VERSION"));
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer_with_scope(scope.build()))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Exported)
            .and_then(LogSpans.with_filter(LogSpans::filter()))
    }

    /// Exports what has not been exported yet, within five seconds. Later spans are lost.
    ///
    /// The runtime is not blocked.
    pub async fn shutdown(self) {
        let (done, ended) = oneshot::channel();
        let provider = self.provider;
        let flush = move || {
            let _ = done.send(provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        };
        // Not a blocking task of the runtime, whose end would wait for it.
        let thread = std::thread::Builder::new().name("traces-flush".to_owned()).spawn(flush);
        let ended = match thread {
            Ok(_) => tokio::time::timeout(FLUSH_TIMEOUT + SLACK, ended).await,
            Err(error) => {
                return tracing::warn!("the last spans are lost: no thread can be started: {}", line(error));
            }
        };
        if !matches!(ended, Ok(Ok(Ok(())))) {
            let collector = self.collector.as_str();
            tracing::warn!(
                collector,
                "the last spans are lost: they could not be exported within {FLUSH_TIMEOUT:?}"
            );
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("collector", &self.collector).finish_non_exhaustive()
    }
}
