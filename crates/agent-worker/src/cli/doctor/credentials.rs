//! What a refused call of the server's API means: another key or secret, a wrong clock, or no LiveKit server.

use agent_net::{ApiError, ServerUrl};
use agent_proto::Secret;

use super::text::text;

/// Servers take no shorter secrets in production, and keys are shorter.
const SECRET_LEN: usize = 32;

const URL: &str = "the server URL (`.url(…)` or LIVEKIT_URL)";

/// What the answer to a call with the worker's credentials means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    /// The credentials are wrong, or something else failed: the text of the failure.
    Refused(String),
    /// The server refuses all tokens of this machine's clock.
    WrongClock,
    /// What answers is another web server: the text of the failure.
    NotLiveKit(String),
}

/// `root`: the HTTP status of the server's root. `wrong_clock`: whether the clocks differ by more than
/// servers allow.
pub(super) fn judge(
    called: Result<(), ApiError>,
    url: &ServerUrl,
    (key, secret): (&str, &Secret),
    root: u16,
    wrong_clock: bool,
) -> Answer {
    match called {
        Ok(()) => Answer::Accepted,
        Err(ApiError::InvalidToken { message, .. }) if says(&message, "invalid API key") => {
            Answer::Refused(unknown_key(key, secret))
        }
        Err(ApiError::InvalidToken { message, .. }) if says(&message, "sign") => {
            Answer::Refused(another_secret(secret))
        }
        Err(ApiError::InvalidToken { .. }) if wrong_clock => Answer::WrongClock,
        // An error of a LiveKit server has a code; a gateway in front of one answers 502 to 504.
        Err(ApiError::Refused { status, code, .. })
            if code.is_empty() && !matches!(status, 429 | 500 | 502..=504) =>
        {
            Answer::NotLiveKit(not_livekit(url, &format!("HTTP {status}"), root))
        }
        Err(ApiError::Malformed { .. }) => {
            Answer::NotLiveKit(not_livekit(url, "something that is no message of it", root))
        }
        Err(error) => Answer::Refused(text(&error)),
    }
}

fn says(message: &str, part: &str) -> bool {
    message.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}

fn unknown_key(key: &str, secret: &Secret) -> String {
    let so = "the server does not know the API key";
    if look_swapped(key, secret) {
        format!(
            "{so}, which looks like a secret, and the secret like a key: they may be swapped, see LIVEKIT_API_KEY and LIVEKIT_API_SECRET \
             (`.credentials(…)`)"
        )
    } else if is_quoted(key) {
        format!("{so}, which has quotes around it: remove them from LIVEKIT_API_KEY (`.credentials(…)`)")
    } else {
        format!("{so}: check LIVEKIT_API_KEY (`.credentials(…)`), and that {URL} is that of the key's server")
    }
}

fn another_secret(secret: &Secret) -> String {
    let so = "the server knows the API key, but the API secret is not that of this key";
    if is_quoted(secret.expose()) {
        format!("{so}: it has quotes around it, remove them from LIVEKIT_API_SECRET (`.credentials(…)`)")
    } else {
        format!("{so}: check LIVEKIT_API_SECRET (`.credentials(…)`)")
    }
}

fn not_livekit(url: &ServerUrl, answer: &str, root: u16) -> String {
    let base = url.http_url();
    let path = match base.path() {
        "/" | "" => String::new(),
        path => {
            format!("; it has the path {path}, which a LiveKit server has only behind a proxy that adds it")
        }
    };
    format!(
        "not a LiveKit server: it answers a call of LiveKit's API with {answer}, and its root with HTTP {root}: check host, port and \
         path of {URL}{path}"
    )
}

/// Whether the key may be the secret, and the secret the key; such a key is not shown.
pub(super) fn look_swapped(key: &str, secret: &Secret) -> bool {
    key.len() >= SECRET_LEN && secret.expose().len() < SECRET_LEN
}

/// As some readers of `.env` files leave it.
fn is_quoted(text: &str) -> bool {
    ['"', '\''].iter().any(|quote| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef0123456789abcdef";

    fn judged(error: ApiError, key: &str, secret: &str, wrong_clock: bool) -> Answer {
        let url = "ws://h:7880/base".parse().unwrap();
        judge(Err(error), &url, (key, &Secret::from(secret)), 200, wrong_clock)
    }

    fn token(message: &str) -> ApiError {
        ApiError::InvalidToken { method: "S/M", message: message.to_owned() }
    }

    fn refused(status: u16, code: &str) -> ApiError {
        ApiError::Refused { method: "S/M", status, code: code.to_owned(), message: "no".to_owned() }
    }

    #[test]
    fn the_servers_words_name_the_setting() {
        const KEY: &str = "invalid API key: what it was";
        const SIGNATURE: &str = "invalid token: [the token], error: token signature is invalid";
        const EARLY: &str = "invalid token: [the token], error: token is not valid yet";
        for (message, key, secret, wrong_clock, wanted) in [
            (KEY, "key", LONG, false, "does not know the API key: check LIVEKIT_API_KEY"),
            (KEY, "key", LONG, true, "does not know the API key: check LIVEKIT_API_KEY"),
            (KEY, "\"key\"", LONG, false, "quotes around it: remove them from LIVEKIT_API_KEY"),
            (KEY, LONG, "key", false, "they may be swapped"),
            (SIGNATURE, "key", LONG, true, "not that of this key: check LIVEKIT_API_SECRET"),
            ("invalid token: it is not signed with this", "key", LONG, false, "check LIVEKIT_API_SECRET"),
            (SIGNATURE, "key", "'secret'", false, "quotes around it, remove them from LIVEKIT_API_SECRET"),
            (EARLY, "key", LONG, false, "check that API key and secret"),
        ] {
            let Answer::Refused(text) = judged(token(message), key, secret, wrong_clock) else {
                panic!("{message}")
            };
            assert!(text.contains(wanted) && !text.contains(LONG), "{wanted:?}: {text}");
        }
        assert_eq!(judged(token(EARLY), "key", LONG, true), Answer::WrongClock);
    }

    #[test]
    fn an_answer_that_is_none_of_livekit() {
        for status in [301, 404, 405, 501] {
            let Answer::NotLiveKit(text) = judged(refused(status, ""), "key", LONG, true) else {
                panic!("{status}")
            };
            for part in
                [&*format!("with HTTP {status}"), "root with HTTP 200", "LIVEKIT_URL", "the path /base"]
            {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        for error in [refused(404, "not_found"), refused(503, ""), refused(429, "")] {
            assert!(matches!(judged(error, "key", LONG, false), Answer::Refused(_)));
        }
    }

    #[test]
    fn a_key_as_long_as_a_secret_may_be_one() {
        for (key, secret, swapped) in
            [(LONG, "key", true), ("key", LONG, false), (LONG, LONG, false), ("a", "b", false)]
        {
            assert_eq!(look_swapped(key, &Secret::from(secret)), swapped, "{key} {secret}");
        }
    }
}
