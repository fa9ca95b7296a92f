//! Durations in samples at 48 kHz, the unit of RTP timestamps, and in nanoseconds.

use std::time::Duration;

use agent_proto::Time;

/// 2.5 ms: codecs conceal multiples of it.
pub(super) const STEP: i64 = 120;

/// 20 ms.
pub(super) const FRAME: u32 = 960;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SAMPLES_PER_SECOND: u64 = 48_000;

/// The duration of samples.
pub(super) fn duration(samples: u32) -> Duration {
    Duration::from_nanos(u64::from(samples) * NANOS_PER_SECOND / SAMPLES_PER_SECOND)
}

/// The nanoseconds of samples: 62,500 for three of them.
pub(super) fn nanos(samples: i64) -> i64 {
    samples.saturating_mul(62_500) / 3
}

/// The samples of nanoseconds, rounded towards zero.
pub(super) fn samples(nanos: i64) -> i64 {
    (i128::from(nanos) * 3 / 62_500).try_into().unwrap_or(i64::MAX)
}

/// Rounded down to a duration that codecs conceal.
pub(super) fn whole_steps(samples: i64) -> i64 {
    samples - samples.rem_euclid(STEP)
}

/// Nanoseconds of a time, for differences.
pub(super) fn signed(time: Time) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Nanoseconds of a duration.
pub(super) fn signed_duration(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A time, moved by nanoseconds in either direction.
pub(super) fn moved(time: Time, nanos: i64) -> Time {
    let distance = nanos.unsigned_abs();
    Time::from_nanos(match nanos >= 0 {
        true => time.as_nanos().saturating_add(distance),
        false => time.as_nanos().saturating_sub(distance),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions() {
        assert_eq!(duration(FRAME), Duration::from_millis(20));
        assert_eq!((nanos(960), nanos(-960)), (20_000_000, -20_000_000));
        assert_eq!((samples(20_000_000), samples(-20_000_000), samples(1)), (960, -960, 0));
        assert_eq!((whole_steps(959), whole_steps(-1)), (840, -120));
        assert_eq!(moved(Time::from_nanos(5), -7), Time::ZERO);
        let _ = (nanos(i64::MAX), samples(i64::MIN), moved(Time::from_nanos(u64::MAX), i64::MAX));
    }
}
