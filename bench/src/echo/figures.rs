//! The table of figures, and what they are to be compared with.

use std::fmt;

use super::agent::Kind;
use super::delay::{Burst, Delays};
use super::rooms::Rooms;

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) ours: Vec<Delays>,
    pub(super) pass_through: Vec<Delays>,
    pub(super) python: Vec<Delays>,
    pub(super) rooms: Vec<(Kind, Rooms)>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds =
            [(Kind::Ours, &self.ours), (Kind::PassThrough, &self.pass_through), (Kind::Python, &self.python)];
        let kinds = kinds.into_iter().filter(|(_, delays)| !delays.is_empty());
        let kinds: Vec<_> = kinds.map(|(kind, delays)| (kind.name(), delays)).collect();
        if !kinds.is_empty() {
            let direct = kinds.iter().flat_map(|(_, delays)| all(delays, |burst| burst.direct)).collect();
            writeln!(f, "{:68}  {:>7}  {:>7}  {:>7}", "delay of a burst, ms", "p50", "p95", "heard")?;
            row(f, "official client → official client", direct)?;
            for (name, delays) in &kinds {
                row(
                    f,
                    &format!("official client → {name} → official client"),
                    all(delays, |burst| burst.echo),
                )?;
            }
            for (name, delays) in &kinds {
                row(f, &format!("added by {name}"), all(delays, added))?;
            }
            for (name, delays) in &kinds {
                let wire = delays.iter().flat_map(|delays| delays.wire.iter().copied()).collect();
                row(f, &format!("added on the wire by {name}"), wire)?;
            }
            for (name, delays) in &kinds {
                let cores = delays.iter().map(|delays| delays.cores).sum::<f64>() / delays.len() as f64;
                writeln!(f, "{:68}  {:>7.1}", format!("one room of {name}, % of a core"), cores * 100.0)?;
            }
        }
        for (kind, rooms) in &self.rooms {
            let Rooms { rooms: count, agent, server, load, back, resident_kib: (one, _) } = rooms;
            let name = kind.name();
            let lines = [
                (format!("{count} rooms of {name}: % of a core for each"), format!("{:.2}", rooms.percent())),
                (format!("{count} rooms of {name}: cores of the agent"), format!("{agent:.2}")),
                (format!("{count} rooms of {name}: cores of the server"), format!("{server:.2}")),
                (format!("{count} rooms of {name}: cores of the load"), format!("{load:.2}")),
                (format!("{count} rooms of {name}: % of the packets back"), format!("{:.1}", back * 100.0)),
                (format!("{count} rooms of {name}: KiB of the first"), format!("{one:.0}")),
                (
                    format!("{count} rooms of {name}: KiB for each further"),
                    format!("{:.0}", rooms.further_kib()),
                ),
            ];
            for (name, figure) in lines {
                writeln!(f, "{name:68}  {figure:>7}")?;
            }
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, values: Vec<Option<f64>>) -> fmt::Result {
    let count = values.len();
    let mut heard: Vec<f64> = values.into_iter().flatten().collect();
    heard.sort_by(f64::total_cmp);
    let (p50, p95) = (quantile(&heard, 0.5), quantile(&heard, 0.95));
    writeln!(f, "{name:68}  {p50:>7.1}  {p95:>7.1}  {:>7}", format!("{}/{count}", heard.len()))
}

fn all(delays: &[Delays], of: fn(&Burst) -> Option<f64>) -> Vec<Option<f64>> {
    delays.iter().flat_map(|delays| &delays.bursts).map(of).collect()
}

/// How much later a burst came back than it reached the other client.
fn added(burst: &Burst) -> Option<f64> {
    Some(burst.echo? - burst.direct?)
}

/// The smallest value that is not less than this share of all; NaN without any.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.95)), (50.0, 95.0));
        assert_eq!(quantile(&[7.0], 0.95), 7.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_table() {
        let burst = |direct, echo| Burst { direct, echo };
        let bursts =
            vec![burst(Some(60.0), Some(80.0)), burst(Some(62.0), None), burst(Some(61.0), Some(84.0))];
        let rooms = Rooms {
            rooms: 11,
            agent: 0.22,
            server: 0.1,
            load: 0.1,
            back: 0.999,
            resident_kib: (8_000.0, 13_000.0),
        };
        let figures = Figures {
            ours: vec![Delays { bursts, wire: vec![Some(12.0), None], cores: 0.025 }],
            rooms: vec![(Kind::Ours, rooms)],
            ..Figures::default()
        };
        let table = figures.to_string();
        for line in [
            "delay of a burst, ms                                                      p50      p95    heard",
            "official client → official client                                        61.0     62.0      3/3",
            "added by echo                                                            20.0     23.0      2/3",
            "added on the wire by echo                                                12.0     12.0      1/2",
            "one room of echo, % of a core                                             2.5",
            "11 rooms of echo: % of a core for each                                   2.00",
            "11 rooms of echo: KiB for each further                                    500",
        ] {
            assert!(table.lines().any(|found| found == line), "{line}\n{table}");
        }
    }
}
