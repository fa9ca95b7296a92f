//! How long a job may run: the worker's limit, or the one that its metadata asks for.

use crate::config::{Config, DEFAULT_JOB_TIMEOUT};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// The time limit of one job, from its assignment to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeLimit {
    /// `None`: as long as it likes.
    pub(crate) limit: Option<Duration>,
    /// The metadata has a `timeout` that is no number of seconds.
    pub(crate) odd: bool,
}

/// Off unless the worker asks for limits. Then the metadata's `timeout`, in seconds, wins over the worker's own, up to the
/// worker's maximum.
pub(crate) fn time_limit(config: &Config, metadata: &str) -> TimeLimit {
    let (own, most) = (config.job_timeout, config.max_job_timeout);
    if own.is_none() && most.is_none() {
        return TimeLimit { limit: None, odd: false };
    }
    let asked = asked_for(metadata);
    let limit = match asked {
        Asked::For(limit) => limit,
        Asked::Nothing | Asked::Odd => own.unwrap_or(DEFAULT_JOB_TIMEOUT),
    };
    TimeLimit { limit: Some(most.map_or(limit, |most| limit.min(most))), odd: matches!(asked, Asked::Odd) }
}

#[derive(Clone, Copy)]
enum Asked {
    For(Duration),
    Nothing,
    Odd,
}

/// What the metadata says, if it is a JSON object: other metadata is none of our business.
fn asked_for(metadata: &str) -> Asked {
    #[derive(Deserialize)]
    struct WithTimeout {
        #[serde(default)]
        timeout: Value,
    }
    if !metadata.trim_start().starts_with('{') {
        return Asked::Nothing;
    }
    let Ok(WithTimeout { timeout }) = serde_json::from_str(metadata) else { return Asked::Nothing };
    match timeout.as_f64() {
        Some(seconds) if seconds > 0.0 => {
            Asked::For(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        }
        // As in many programs, 0 stands for "not set".
        Some(0.0) => Asked::Nothing,
        None if timeout.is_null() => Asked::Nothing,
        Some(_) | None => Asked::Odd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n))
    }

    #[test]
    fn the_metadata_wins_up_to_the_maximum() {
        let check = |own, most, metadata: &str, limit, odd| {
            let config = Config { job_timeout: own, max_job_timeout: most, ..Config::default() };
            assert_eq!(time_limit(&config, metadata), TimeLimit { limit, odd }, "{metadata}");
        };
        check(None, None, r#"{"timeout":5}"#, None, false);
        check(seconds(60), None, "", seconds(60), false);
        check(seconds(60), None, r#"{"timeout":5,"name":"Ada"}"#, seconds(5), false);
        check(seconds(60), None, r#" {"timeout":600}"#, seconds(600), false);
        check(seconds(60), seconds(100), r#"{"timeout":600}"#, seconds(100), false);
        check(seconds(60), seconds(30), "", seconds(30), false);
        check(None, seconds(1000), "", seconds(300), false);
        check(None, seconds(1000), r#"{"timeout":1.5}"#, Some(Duration::from_millis(1500)), false);
        check(seconds(60), None, r#"{"timeout":1e300}"#, Some(Duration::MAX), false);
        for unset in [r#"{"timeout":0}"#, r#"{"timeout":null}"#, "[5]", "hello", "{", r#"{"other":1}"#] {
            check(seconds(60), None, unset, seconds(60), false);
        }
        for odd in [r#"{"timeout":-1}"#, r#"{"timeout":"5m"}"#, r#"{"timeout":{}}"#] {
            check(seconds(60), None, odd, seconds(60), true);
        }
    }
}
