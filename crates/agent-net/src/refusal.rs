//! The headers of a refusal: the target of a redirect, and when to retry.

use std::time::{Duration, SystemTime};

use hyper::header::{self, HeaderMap};
use url::Url;

use agent_proto::Secret;

use crate::one_line::one_line;

/// Maximum length of a redirect target that is shown, in characters.
const MAX_TARGET: usize = 200;

/// The delay of `Retry-After` (RFC 9110, 10.2.3), counted from now: a number of seconds, or a date. A date is
/// compared with the server's own clock, if the response shows it. Anything else is ignored.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large for `u64` is a long time.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let now = headers.get(header::DATE).and_then(|value| date(value.to_str().ok()?)).unwrap_or(now);
    // A date in the past means at once.
    Some(date(value)?.duration_since(now).unwrap_or_default())
}

/// The target of a redirect as a message may show it: without user, password, query and fragment.
pub(super) fn redirect_target(from: &Url, location: &[u8], token: Option<&Secret>) -> Option<String> {
    let mut target = from.join(std::str::from_utf8(location).ok()?.trim()).ok()?;
    target.host_str()?;
    // Only an address without a host rejects this, and it has no user name to remove.
    target.set_username("").ok()?;
    target.set_password(None).ok()?;
    target.set_query(None);
    target.set_fragment(None);
    let text = one_line(target.as_str().as_bytes(), token);
    Some(text.chars().take(MAX_TARGET).collect())
}

/// The server's URL, given a target with a path that this crate added.
pub(super) fn server_of(target: &str) -> &str {
    let base = ["/agent", "/rtc/v1"].iter().find_map(|path| target.strip_suffix(path));
    base.unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().unwrap());
        }
        // Sunday, 6 November 1994, 08:49:37.
        retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let seconds = |n| Some(Duration::from_secs(n));
        let table = [
            ("30", None, seconds(30)),
            (" 0 ", None, seconds(0)),
            ("007", None, seconds(7)),
            ("99999999999999999999999", None, seconds(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, seconds(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", None, seconds(60)),
            ("Sun Nov  6 08:50:37 1994", None, seconds(60)),
            // In the past.
            ("Sun, 06 Nov 1994 08:49:00 GMT", None, seconds(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None, seconds(0)),
            // Compared with the server's clock, not with ours.
            ("Tue, 01 Jan 2030 00:00:10 GMT", Some("Tue, 01 Jan 2030 00:00:00 GMT"), seconds(10)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some("yesterday"), seconds(60)),
        ];
        for (value, date, expected) in table {
            assert_eq!(asked(value, date), expected, "{value}");
        }
        for garbage in
            ["", " ", "-1", "+5", "1.5", "30s", "soon", "0x10", "1 2", "Sun, 99 Nov 1994 08:50:37 GMT"]
        {
            assert_eq!(asked(garbage, None), None, "{garbage:?}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers, SystemTime::now()), None);
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(retry_after(&headers, SystemTime::now()), None);
    }

    #[test]
    fn a_target_is_shown_without_its_secret() {
        let from = Url::parse("ws://media.example.com/base/agent?protocol=1").unwrap();
        let shown = |location: &str| redirect_target(&from, location.as_bytes(), Some(&"hunter2".into()));
        let table = [
            ("https://media.example.com/base/agent?protocol=1", "https://media.example.com/base/agent"),
            ("https://ada:pw@other.example.com:8443/x#y", "https://other.example.com:8443/x"),
            ("/login?next=%2Fagent", "ws://media.example.com/login"),
            ("//other.example.com", "ws://other.example.com/"),
            ("wss://h/hunter2/agent", "wss://h/[the token]/agent"),
            ("wss://h/eyJhbGciOi.eyJpc3MiOi.x/y", "wss://h/[the token]/y"),
            ("https://h/a b\u{202e}", "https://h/a%20b%E2%80%AE"),
        ];
        for (location, expected) in table {
            assert_eq!(shown(location).as_deref(), Some(expected), "{location}");
        }
        for none in ["http://", "http://a b/", "mailto:ada@example.com"] {
            assert_eq!(shown(none), None, "{none}");
        }
        assert_eq!(redirect_target(&from, b"\xff", None), None);
        assert_eq!(shown(&format!("https://h/{}", "x".repeat(5000))).map(|text| text.len()), Some(200));
    }

    #[test]
    fn the_server_behind_a_target() {
        assert_eq!(server_of("https://h/base/agent"), "https://h/base");
        assert_eq!(server_of("https://h/rtc/v1"), "https://h");
        assert_eq!(server_of("https://h/login"), "https://h/login");
    }
}
