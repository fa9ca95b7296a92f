//! Decides at which server a job's room is joined: the token goes there, and so do audio, video and data.

use crate::server_url::{ServerUrl, UrlError};

/// Why the server that an assignment names is not joined. Nothing was sent to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssignedUrlError {
    /// The URL is not the address of a server.
    #[error("the job's assignment names a server that cannot be used: {0}")]
    Invalid(UrlError),
    /// The worker's connection is encrypted, and the room's would not be.
    #[error(
        "the job's assignment names ws://{assigned}, without encryption, and the worker is connected to wss://{own}: the token was not sent \
         there; have the server assign a wss:// URL, or connect the worker with ws:// if that is intended"
    )]
    Downgrade {
        /// Host and port of the assignment.
        assigned: String,
        /// Host and port of the worker's URL.
        own: String,
    },
    /// The assignment names another server than the worker's, and the worker is configured to refuse that.
    #[error(
        "the job's assignment names the server {assigned} and the worker's is {own}: refused, because `.refuse_other_servers(true)` is set"
    )]
    OtherServer {
        /// Host and port of the assignment.
        assigned: String,
        /// Host and port of the worker's URL.
        own: String,
    },
}

/// The server at which a room is joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The server to join.
    pub url: ServerUrl,
    /// Host and port, if they are not the worker's own.
    pub other: Option<String>,
}

/// Chooses the server: the worker's own, unless the assignment names another one that may be joined.
pub fn assigned_url(
    own: &ServerUrl,
    assigned: Option<&str>,
    refuse_others: bool,
) -> Result<Assigned, AssignedUrlError> {
    let Some(assigned) = assigned.filter(|url| !url.trim().is_empty()) else {
        return Ok(Assigned { url: own.clone(), other: None });
    };
    let url: ServerUrl = assigned.parse().map_err(AssignedUrlError::Invalid)?;
    let (theirs, ours) = (authority(&url), authority(own));
    if own.is_secure() && !url.is_secure() {
        return Err(AssignedUrlError::Downgrade { assigned: theirs, own: ours });
    }
    if theirs == ours {
        return Ok(Assigned { url, other: None });
    }
    if refuse_others {
        return Err(AssignedUrlError::OtherServer { assigned: theirs, own: ours });
    }
    Ok(Assigned { url, other: Some(theirs) })
}

/// Host and port in comparable form: normalized by the parser, without the scheme's default port, and without
/// a trailing dot in the name.
fn authority(url: &ServerUrl) -> String {
    let url = url.ws_url();
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(own: &str, url: &str, refuse_others: bool) -> Result<(String, Option<String>), String> {
        assigned_url(&own.parse().unwrap(), Some(url), refuse_others)
            .map(|joined| (joined.url.to_string(), joined.other))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_same_server_written_differently_is_the_same() {
        for (own, url) in [
            ("wss://a.example", "wss://a.example"),
            ("wss://a.example", "WSS://A.Example:443/"),
            ("wss://a.example", "https://a.example./base"),
            ("wss://a.example:443/x", "wss://a.example"),
            ("ws://a.example", "http://a.example:80"),
            ("ws://a.example", "wss://a.example"),
            ("ws://[::1]:7880", "ws://[0:0:0:0:0:0:0:1]:7880"),
            ("ws://127.0.0.1:7880", "ws://127.1:7880"),
            ("wss://müller.example", "wss://xn--mller-kva.example"),
        ] {
            let (_, other) = assigned(own, url, true).unwrap_or_else(|error| panic!("{own} {url}: {error}"));
            assert_eq!(other, None, "{own} {url}");
        }
        let own: ServerUrl = "wss://a.example/base".parse().unwrap();
        for nothing in [None, Some(""), Some("  ")] {
            assert_eq!(assigned_url(&own, nothing, true), Ok(Assigned { url: own.clone(), other: None }));
        }
    }

    #[test]
    fn another_server_is_named_or_refused() {
        for (own, url, named) in [
            ("wss://a.example", "wss://b.example", "b.example"),
            ("wss://a.example", "wss://a.example.evil.example", "a.example.evil.example"),
            ("wss://a.example", "wss://a.example:8443", "a.example:8443"),
            ("ws://localhost:7880", "ws://127.0.0.1:7880", "127.0.0.1:7880"),
            ("ws://a.example", "wss://b.example", "b.example"),
        ] {
            assert_eq!(assigned(own, url, false).unwrap().1.as_deref(), Some(named), "{own} {url}");
            let error = assigned(own, url, true).unwrap_err();
            assert!(error.contains(named) && error.contains("`.refuse_other_servers(true)`"), "{error}");
        }
    }

    #[test]
    fn encryption_is_never_given_up() {
        for url in ["ws://a.example", "http://a.example", "ws://a.example:443", "WS://127.0.0.1:7880"] {
            for refuse_others in [false, true] {
                let error = assigned("wss://a.example", url, refuse_others).unwrap_err();
                assert!(error.contains("without encryption") && error.contains("wss://a.example"), "{error}");
            }
        }
    }

    #[test]
    fn invalid_urls_are_refused_and_not_shown() {
        for url in [
            "a.example",
            "ftp://a.example",
            "wss://",
            "wss://user:s3cret@a.example",
            "wss://a.example?token=s3cret",
            "wss://a.example#s3cret",
            "wss://a b",
            "\u{1b}[31m://s3cret",
            "javascript:s3cret",
        ] {
            let error = assigned("wss://a.example", url, false).unwrap_err();
            assert!(error.starts_with("the job's assignment names a server that cannot be used"), "{error}");
            assert!(!error.contains("s3cret") && !error.contains(char::is_control), "{error}");
        }
    }
}
