//! The table of figures.

use std::fmt;

/// All figures.
pub(crate) struct Table(pub(crate) Vec<Row>);

/// One figure, with its value in each round.
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) ours: Vec<f64>,
    pub(crate) raw: Vec<f64>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|row| row.figure.chars().count()).max().unwrap_or_default();
        write!(f, "{:width$}  {:>10}  {:>10}  {:>6}  {:>6}", "median", "ours", "raw", "ratio", "spread")?;
        for Row { figure, ours, raw } in &self.0 {
            let (our_median, raw_median) = (median(ours), median(raw));
            write!(
                f,
                "\n{figure:width$}  {:>10}  {:>10}  {:>6}  {:>6}",
                digits(our_median),
                digits(raw_median),
                format!("{:.2}", our_median / raw_median),
                format!("{:.0}%", 100.0 * spread(ours).max(spread(raw))),
            )?;
        }
        Ok(())
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 } else { at(middle) }
}

/// The range as a share of the median.
fn spread(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::MIN, f64::max);
    let least = values.iter().copied().fold(f64::MAX, f64::min);
    (most - least) / median(values)
}

/// At least three digits.
fn digits(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table() {
        let row = |figure: &str, ours: &[f64], raw: &[f64]| Row {
            figure: figure.to_owned(),
            ours: ours.to_vec(),
            raw: raw.to_vec(),
        };
        let table = Table(vec![
            row("jobs/s", &[9000.0, 11000.0, 10000.0], &[20000.0, 21000.0, 20500.0]),
            row("time → end, µs", &[3.0, 4.0], &[12.0, 12.0]),
        ]);
        assert_eq!(
            table.to_string(),
            "median                ours         raw   ratio  spread\n\
             jobs/s               10000       20500    0.49     20%\n\
             time → end, µs        3.50        12.0    0.29     29%"
        );
    }
}
