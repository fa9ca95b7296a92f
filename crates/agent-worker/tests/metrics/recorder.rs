//! The recorded metrics, and those that the guide lists.

use std::collections::{BTreeMap, BTreeSet};

use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, Snapshotter};

/// Name, type and labels, as in the guide.
pub(crate) type Line = (String, String, Vec<String>);

/// Everything that was recorded so far, by name and label values.
pub(crate) struct Recorded {
    from: Snapshotter,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) gauges: BTreeMap<String, f64>,
    pub(crate) histograms: BTreeMap<String, Vec<f64>>,
    /// The metrics that were recorded, and their kinds.
    pub(crate) lines: BTreeSet<Line>,
    /// Names of which something else than a zero was recorded.
    pub(crate) alive: BTreeSet<String>,
    /// Names without a description.
    pub(crate) bare: BTreeSet<String>,
}

impl Recorded {
    pub(crate) fn from(from: Snapshotter) -> Self {
        Self {
            from,
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
            lines: BTreeSet::new(),
            alive: BTreeSet::new(),
            bare: BTreeSet::new(),
        }
    }

    /// Takes what has come since the last look. A look puts the recorder's counters and gauges back to 0, so
    /// they are added up.
    pub(crate) fn look(&mut self) {
        for (key, unit, meaning, value) in self.from.snapshot().into_vec() {
            let kind = match key.kind() {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            let name = key.key().name().to_owned();
            let labels: Vec<_> = key.key().labels().map(|label| label.key().to_owned()).collect();
            let values: Vec<_> = key.key().labels().map(metrics::Label::value).collect();
            let series = format!("{} {}", name.trim_start_matches("lk_agents_"), values.join(" "));
            let alive = match value {
                DebugValue::Counter(count) => {
                    *self.counters.entry(series).or_default() += count;
                    count > 0
                }
                DebugValue::Gauge(level) => {
                    let sum = self.gauges.entry(series).or_default();
                    // Only this one is set, not moved.
                    *sum = if name == "lk_agents_worker_load" { level.0 } else { *sum + level.0 };
                    level.0 != 0.0
                }
                DebugValue::Histogram(values) => {
                    let all = self.histograms.entry(series).or_default();
                    all.extend(values.iter().map(|value| value.0));
                    !all.is_empty()
                }
            };
            if unit.is_none() || meaning.is_none() {
                self.bare.insert(name.clone());
            }
            if alive {
                self.alive.insert(name.clone());
            }
            self.lines.insert((name, kind.to_owned(), labels));
        }
    }

    /// The counters of this agent that are not 0, without its name.
    pub(crate) fn counted(&self, agent: &str) -> Vec<String> {
        let of_agent = |(series, count): (&String, &u64)| {
            let (name, labels) = series.split_once(' ')?;
            let labels = labels.strip_prefix(agent)?.trim();
            let gap = if labels.is_empty() { "" } else { " " };
            (*count > 0).then(|| format!("{name}{gap}{labels}: {count}"))
        };
        self.counters.iter().filter_map(of_agent).collect()
    }

    pub(crate) fn gauge(&self, series: &str) -> f64 {
        self.gauges.get(series).copied().unwrap_or_else(|| panic!("no {series} in {:?}", self.gauges.keys()))
    }

    /// How long it took each time, in milliseconds.
    pub(crate) fn millis(&self, series: &str) -> Vec<u64> {
        let seconds = self.histograms.get(series).unwrap_or_else(|| panic!("no {series}"));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hours at most")]
        seconds.iter().map(|seconds| (seconds * 1000.0).round() as u64).collect()
    }
}

/// The table of the guide.
pub(crate) fn guide() -> BTreeSet<Line> {
    let page = include_str!("../../src/guide/metrics.md");
    let labels = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    page.lines()
        .filter(|line| line.starts_with("| `lk_agents_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (labels(cells[1]).concat(), cells[2].to_owned(), labels(cells[3]))
        })
        .collect()
}
