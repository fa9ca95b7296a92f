//! Gauges that are decremented on drop, however the counted thing ends.

use metrics::Gauge;

/// One part of a gauge that several workers of the same name share. Dropping it subtracts its part.
pub(crate) struct SharedGauge {
    gauge: Gauge,
    shown: f64,
}

/// Counts as one in a gauge until it is dropped.
pub(crate) struct GaugeGuard {
    gauge: Gauge,
}

impl SharedGauge {
    pub(crate) const fn new(gauge: Gauge) -> Self {
        Self { gauge, shown: 0.0 }
    }

    #[allow(clippy::float_cmp, reason = "compares with the value that was set before, bit by bit")]
    pub(crate) fn set(&mut self, value: f64) {
        if self.shown != value {
            self.gauge.increment(value - self.shown);
            self.shown = value;
        }
    }
}

impl Drop for SharedGauge {
    fn drop(&mut self) {
        self.set(0.0);
    }
}

impl GaugeGuard {
    pub(crate) fn new(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self { gauge }
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}
