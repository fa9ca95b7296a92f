//! Gauges that go back by themselves: whatever ends what they count, they count it no longer.

use metrics::Gauge;

/// A part of a gauge that several may add to, as workers of one name do in one process. Dropping it takes its
/// part away.
pub(crate) struct SharedGauge {
    gauge: Gauge,
    shown: f64,
}

/// One of what a gauge counts, from now until it is dropped.
pub(crate) struct GaugeGuard {
    gauge: Gauge,
}

impl SharedGauge {
    pub(crate) const fn new(gauge: Gauge) -> Self {
        Self { gauge, shown: 0.0 }
    }

    #[allow(clippy::float_cmp, reason = "what is shown is what was given before, bit by bit")]
    pub(crate) fn show(&mut self, value: f64) {
        if self.shown != value {
            self.gauge.increment(value - self.shown);
            self.shown = value;
        }
    }
}

impl Drop for SharedGauge {
    fn drop(&mut self) {
        self.show(0.0);
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
