//! Durations as seconds, a number with fractions: for `#[serde(with = "agent_proto::seconds")]` where people
//! read what is written.
//!
//! What is shorter than a month comes back as it was. Feature `serde`.

use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serializer};

/// Writes a duration.
///
/// # Errors
/// Those of the format.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Reads a duration; one that is too long for a [`Duration`] is the longest one.
///
/// # Errors
/// Those of the format, and one for a number below zero or none at all.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    if seconds.is_nan() || seconds < 0.0 {
        return Err(D::Error::invalid_value(Unexpected::Float(seconds), &"seconds, from 0"));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(duration: Duration) -> Value {
        serialize(&duration, serde_json::value::Serializer).unwrap()
    }

    #[test]
    fn a_duration_survives_a_round_trip() {
        assert_eq!(written(Duration::from_millis(1500)), json!(1.5));
        let month = Duration::new(30 * 24 * 3600, 999_999_999);
        for duration in
            [Duration::ZERO, Duration::from_nanos(1), Duration::from_nanos(123_456_789), month, Duration::MAX]
        {
            assert_eq!(deserialize(written(duration)).unwrap(), duration);
        }
    }

    #[test]
    fn invalid_durations_are_refused() {
        for wrong in [json!(-0.5), json!("1"), json!(null)] {
            assert!(deserialize(&wrong).is_err(), "{wrong}");
        }
        let error = deserialize(json!(-0.5)).unwrap_err();
        assert_eq!(error.to_string(), "invalid value: floating point `-0.5`, expected seconds, from 0");
    }
}
