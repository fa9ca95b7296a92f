//! The exporter of traces of a program that uses the command line.

#[cfg(feature = "otel")]
use tracing_subscriber::Layer;

use crate::cli::error::CliError;
use crate::cli::log::BoxedLayer;
#[cfg(feature = "otel")]
use crate::otel::Traces;

/// The exporter, if the environment asks for one. Without the feature `otel` there is none.
pub(super) struct ProgramTraces {
    #[cfg(feature = "otel")]
    exporter: Option<Traces>,
}

#[cfg(feature = "otel")]
impl ProgramTraces {
    /// A program with a subscriber of its own has its own exporter, too.
    pub(super) fn start() -> Result<Self, CliError> {
        let own = tracing::dispatcher::has_been_set();
        Ok(Self { exporter: if own { None } else { Traces::from_env()? } })
    }

    pub(super) fn layer(&self) -> Option<BoxedLayer> {
        self.exporter.as_ref().map(|traces| traces.layer().boxed())
    }

    /// Logs where the traces go.
    pub(super) fn announce(&self) {
        if let Some(traces) = &self.exporter {
            tracing::info!(collector = traces.collector(), "exporting traces");
        }
    }

    /// Exports the rest.
    pub(super) async fn end(self) {
        if let Some(traces) = self.exporter {
            traces.shutdown().await;
        }
    }
}

#[cfg(not(feature = "otel"))]
impl ProgramTraces {
    pub(super) const fn start() -> Result<Self, CliError> {
        Ok(Self {})
    }

    pub(super) const fn layer(&self) -> Option<BoxedLayer> {
        None
    }

    pub(super) const fn announce(&self) {}

    pub(super) async fn end(self) {}
}
