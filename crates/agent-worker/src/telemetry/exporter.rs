//! The metrics of this process in Prometheus' format.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};

use crate::telemetry::SECONDS;
use crate::telemetry::table;

/// How often values that were recorded are summed, also if nobody asks for them: until then each value of a
/// histogram takes memory.
const UPKEEP: Duration = Duration::from_secs(5);
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0, 10000.0];

/// A recorder of the `metrics` facade, as it is installed for the process.
#[derive(Clone)]
pub(crate) struct Exporter(PrometheusHandle);

impl Exporter {
    /// Installs a recorder; `None` if the program has installed one before.
    ///
    /// # Errors
    /// Never: the buckets are not empty.
    pub(crate) fn install() -> Result<Option<Self>, BuildError> {
        let mut builder = PrometheusBuilder::new();
        // Those of the program as well, which have units in their names, too.
        builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
        for name in table::sizes() {
            builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), SIZES)?;
        }
        let recorder = builder.build_recorder();
        let exporter = Self(recorder.handle());
        Ok(metrics::set_global_recorder(recorder).is_ok().then_some(exporter))
    }

    /// All metrics, as the text that Prometheus reads.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// Sums what was recorded, until the future is dropped.
    pub(crate) async fn keep_up(self) {
        let mut pace = interval(UPKEEP);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            self.0.run_upkeep();
        }
    }
}
