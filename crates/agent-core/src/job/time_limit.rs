//! The time limit of a job: the worker's, or that of its metadata.

use std::time::Duration;

use crate::metadata::timeout;

/// The time limit of jobs when only a maximum is configured.
pub const DEFAULT_JOB_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The time limit of one job, from its assignment to its end; `None`: unlimited.
///
/// Off unless the worker has its `own` limit or a `max`imum. Then the metadata's `timeout`, in seconds,
/// overrides `own`, up to `max`. A job with an invalid one fails its [check](crate::Job::check_timeout);
/// until then it has the worker's limit.
pub(crate) fn time_limit(own: Option<Duration>, max: Option<Duration>, metadata: &str) -> Option<Duration> {
    if own.is_none() && max.is_none() {
        return None;
    }
    let asked = timeout(metadata).ok().flatten();
    let limit = asked.or(own).unwrap_or(DEFAULT_JOB_TIMEOUT);
    Some(max.map_or(limit, |max| limit.min(max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n))
    }

    #[test]
    fn the_metadata_wins_up_to_the_maximum() {
        let check = |own, max, metadata: &str, limit| {
            assert_eq!(time_limit(own, max, metadata), limit, "{metadata}");
        };
        check(None, None, r#"{"timeout":5}"#, None);
        check(seconds(60), None, "", seconds(60));
        check(seconds(60), None, r#"{"timeout":5,"name":"Ada"}"#, seconds(5));
        check(seconds(60), None, "\u{feff} {\"timeout\":600}", seconds(600));
        check(seconds(60), seconds(100), r#"{"timeout":600}"#, seconds(100));
        check(seconds(60), seconds(30), "", seconds(30));
        check(None, seconds(1000), "", seconds(300));
        check(None, seconds(1000), r#"{"timeout":1.5}"#, Some(Duration::from_millis(1500)));
        check(seconds(60), None, r#"{"timeout":4294967295}"#, seconds(u64::from(u32::MAX)));
        check(seconds(60), None, r#"{"timeout":1e-300}"#, Some(Duration::from_nanos(1)));
        for unset in
            [r#"{"timeout":null}"#, "[5]", "hello", "{", r#"{"timeout":5"#, r#"{"other":{"timeout":5}}"#]
        {
            check(seconds(60), None, unset, seconds(60));
            assert_eq!(timeout(unset), Ok(None), "{unset}");
        }
    }

    #[test]
    fn a_wrong_one_is_named() {
        for wrong in
            ["0", "0.0", "-0", "-1", "1e300", "4294967296", "1e999", "\"5m\"", "\"60\"", "true", "[]", "{}"]
        {
            let error = timeout(&format!(r#"{{"timeout":{wrong}}}"#)).unwrap_err();
            assert_eq!((error.path.as_str(), error.value.as_deref()), ("$.timeout", Some(wrong)));
            assert_eq!(error.message, "expected a number of seconds above 0, at most 4294967295");
        }
        let error = timeout(r#"{"timeout":5,"time\u006fut":5}"#).unwrap_err();
        assert_eq!(error.to_string(), "the job's metadata is not valid: $.timeout: duplicate field");
    }
}
