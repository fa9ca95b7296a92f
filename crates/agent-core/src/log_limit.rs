//! Rate limit of log lines that others can cause.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use agent_proto::Time;

/// Limits log lines by kind: the first ones of a second are written, the others are counted and summed up
/// when the second is over.
///
/// For everything that a server, a participant or a store can cause at will, so that a flood of messages does
/// not flood the log. Kinds must be few, like the variants of an enum: each takes memory while its second
/// lasts.
///
/// ```
/// use agent_core::{LogLimit, Time};
/// use std::time::Duration;
///
/// let (mut limit, start) = (LogLimit::default(), Time::ZERO);
/// assert!(limit.admit("refused", 1, start).is_some());
/// for _ in 0..99_999 {
///     assert!(limit.admit("refused", 1, start).is_none());
/// }
/// let later = start + Duration::from_secs(1);
/// assert_eq!(limit.poll_timeout(), Some(later));
/// assert_eq!(limit.take_due(later), Some(("refused", 99_999)));
/// assert_eq!(limit.take_due(later), None);
/// ```
#[derive(Clone, Debug)]
pub struct LogLimit<K> {
    seconds: BTreeMap<K, Second>,
}

/// The number of lines that were left out before one that is written; displayed as the end of its message,
/// empty for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut(pub u64);

#[derive(Clone, Copy, Debug)]
struct Second {
    end: Time,
    written: u32,
    left_out: u64,
}

const SECOND: Duration = Duration::from_secs(1);

impl<K> Default for LogLimit<K> {
    fn default() -> Self {
        Self { seconds: BTreeMap::new() }
    }
}

impl<K: Clone + Ord> LogLimit<K> {
    /// Returns the number of lines left out before this one, if it is to be written: at most `max` of a kind
    /// in a second.
    pub fn admit(&mut self, kind: K, max: u32, now: Time) -> Option<LeftOut> {
        let new = Second { end: now + SECOND, written: 0, left_out: 0 };
        let second = self.seconds.entry(kind).or_insert(new);
        let mut before = LeftOut::default();
        if now >= second.end {
            before = LeftOut(second.left_out);
            *second = new;
        }
        if second.written < max {
            second.written += 1;
            Some(before)
        } else {
            second.left_out += 1;
            None
        }
    }

    /// When to call [`take_due`](Self::take_due).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.seconds.values().map(|second| second.end).min()
    }

    /// Takes a kind whose second is over, and the number of lines left out in it, to be summed up in one
    /// line. Call it until it returns `None`.
    pub fn take_due(&mut self, now: Time) -> Option<(K, u64)> {
        self.seconds.retain(|_, second| now < second.end || second.left_out > 0);
        let (kind, second) = self.seconds.iter_mut().find(|(_, second)| now >= second.end)?;
        let left_out = second.left_out;
        // The summary is a line, too.
        *second = Second { end: now + SECOND, written: 1, left_out: 0 };
        Some((kind.clone(), left_out))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(" (and one more time before)"),
            n => write!(f, " (and {n} more times before)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn each_kind_has_its_own_second_and_its_own_number() {
        let mut limit = LogLimit::default();
        assert_eq!(limit.admit("a", 1, at(0)), Some(LeftOut(0)));
        assert_eq!(limit.admit("b", 2, at(100)), Some(LeftOut(0)));
        assert_eq!(limit.admit("b", 2, at(100)), Some(LeftOut(0)));
        assert_eq!((limit.admit("a", 1, at(999)), limit.admit("b", 2, at(999))), (None, None));
        // `take_due` was not called.
        assert_eq!(limit.admit("a", 1, at(1000)), Some(LeftOut(1)));
        assert_eq!(limit.take_due(at(1000)), None);
        assert_eq!(limit.take_due(at(1100)), Some(("b", 1)));
        assert_eq!(limit.admit("b", 1, at(1101)), None, "the sum was the line of this second");
    }

    #[test]
    fn a_kind_that_is_quiet_takes_no_memory() {
        let mut limit = LogLimit::default();
        for kind in 0..100 {
            limit.admit(kind, 1, at(0));
        }
        assert_eq!(limit.take_due(at(1000)), None);
        assert_eq!(limit.poll_timeout(), None);
    }

    proptest! {
        /// However lines come: at most one a second, and all are written or counted.
        #[test]
        fn every_line_is_written_or_counted(waits in prop::collection::vec(0_u64..700, 1..200)) {
            let (mut limit, mut now, mut lines, mut seen) = (LogLimit::default(), 0, Vec::new(), 0);
            for wait in &waits {
                let next = now + wait;
                while let Some(due) = limit.poll_timeout().filter(|due| *due <= at(next)) {
                    while let Some(((), left_out)) = limit.take_due(due) {
                        lines.push(due);
                        seen += left_out;
                    }
                }
                now = next;
                if let Some(LeftOut(before)) = limit.admit((), 1, at(now)) {
                    lines.push(at(now));
                    seen += 1 + before;
                }
            }
            while let Some(due) = limit.poll_timeout() {
                while let Some(((), left_out)) = limit.take_due(due) {
                    lines.push(due);
                    seen += left_out;
                }
            }
            prop_assert_eq!(seen, waits.len() as u64);
            prop_assert!(lines.windows(2).all(|pair| pair[1] - pair[0] >= SECOND), "{lines:?}");
        }
    }
}
