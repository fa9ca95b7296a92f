//! The address of a LiveKit server as users write it, and the addresses made from it.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// The address of a LiveKit server: `ws`, `wss`, `http` or `https`, with or without a base path.
///
/// `http` means `ws` and `https` means `wss`, as users copy either; a base path is kept, as some servers sit behind one.
///
/// ```
/// use agent_worker::net::ServerUrl;
///
/// let url: ServerUrl = "https://media.example.com/livekit/".parse()?;
/// assert_eq!(url.agent_url().as_str(), "wss://media.example.com/livekit/agent?protocol=1");
/// assert_eq!(url.http_url().as_str(), "https://media.example.com/livekit");
/// # Ok::<(), agent_worker::net::UrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// Scheme `ws` or `wss`; no query, fragment or user; a path without a slash at its end (`/` when there is none).
    base: Url,
}

/// Why an address is none of a LiveKit server.
///
/// The messages repeat no more of the address than its scheme or host: a query or a user part may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// There is no address at all.
    #[error("the server URL is empty: give one like ws://localhost:7880 or wss://my-project.livekit.cloud")]
    Empty,
    /// There is a host but no `ws://` or the like before it.
    #[error("the server URL has no scheme: write ws:// or wss:// before the host, as in ws://localhost:7880")]
    MissingScheme,
    /// The scheme is none that a LiveKit server speaks.
    #[error(
        "the server URL has the scheme {scheme:?}: use ws, wss, http or https, as in ws://localhost:7880"
    )]
    Scheme {
        /// The scheme that was given.
        scheme: String,
    },
    /// There is no host between the scheme and the path.
    #[error("the server URL has no host: write it after the scheme, as in ws://localhost:7880")]
    MissingHost,
    /// The address holds a user name or a password.
    #[error(
        "the server URL holds a user name or password: remove the part before '@', the API key and secret are given apart"
    )]
    UserInfo,
    /// The address holds a query.
    #[error(
        "the server URL holds a query: remove everything from '?' on, as in wss://my-project.livekit.cloud"
    )]
    Query,
    /// The address holds a fragment.
    #[error(
        "the server URL holds a fragment: remove everything from '#' on, as in wss://my-project.livekit.cloud"
    )]
    Fragment,
    /// The address cannot be read at all.
    #[error("the server URL cannot be read ({reason}): give one like ws://localhost:7880")]
    Invalid {
        /// What the parser says.
        reason: url::ParseError,
    },
}

impl ServerUrl {
    /// Where a worker connects: `{base}/agent?protocol=1`.
    #[must_use]
    pub fn agent_url(&self) -> Url {
        let mut url = self.join("agent");
        url.set_query(Some("protocol=1"));
        url
    }

    /// The address for WebSockets, `ws` or `wss`, with the base path.
    #[must_use]
    pub fn ws_url(&self) -> Url {
        self.base.clone()
    }

    /// The address for the server's HTTP API (Twirp), `http` or `https`, with the base path.
    #[must_use]
    pub fn http_url(&self) -> Url {
        let mut url = self.base.clone();
        // Both pairs are "special" schemes of the URL standard, so the change is always allowed.
        let changed = url.set_scheme(if self.is_secure() { "https" } else { "http" });
        debug_assert!(changed.is_ok());
        url
    }

    /// The WebSocket address of a path below the base path, such as `rtc/v1`.
    #[must_use]
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), path.trim_start_matches('/')));
        url
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.base.scheme() == "wss"
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        // Told apart by hand: to a URL parser `localhost:7880` is a scheme with a path, and `ws:host` is `ws://host`.
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::MissingScheme);
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => "ws",
            "wss" | "https" => "wss",
            "" => return Err(UrlError::MissingScheme),
            _ => return Err(UrlError::Scheme { scheme: scheme.chars().take(20).collect() }),
        };
        // Also by hand: a URL parser takes `ws:///path` as the host `path`.
        if rest.starts_with(['/', '\\', '?', '#', ':']) || rest.is_empty() {
            return Err(UrlError::MissingHost);
        }
        let mut base = Url::parse(&format!("{scheme}://{rest}")).map_err(|reason| match reason {
            url::ParseError::EmptyHost => UrlError::MissingHost,
            reason => UrlError::Invalid { reason },
        })?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(UrlError::UserInfo);
        }
        if base.query().is_some() {
            return Err(UrlError::Query);
        }
        if base.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(Self { base })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_made_from_what_users_write() {
        let table = [
            // (given, agent URL, HTTP URL)
            ("ws://localhost:7880", "ws://localhost:7880/agent?protocol=1", "http://localhost:7880/"),
            ("http://localhost:7880/", "ws://localhost:7880/agent?protocol=1", "http://localhost:7880/"),
            ("wss://p.livekit.cloud", "wss://p.livekit.cloud/agent?protocol=1", "https://p.livekit.cloud/"),
            ("HTTPS://P.LiveKit.Cloud", "wss://p.livekit.cloud/agent?protocol=1", "https://p.livekit.cloud/"),
            ("  ws://h \n", "ws://h/agent?protocol=1", "http://h/"),
            ("wss://h:443", "wss://h/agent?protocol=1", "https://h/"),
            ("https://h/sub", "wss://h/sub/agent?protocol=1", "https://h/sub"),
            ("https://h/a/b//", "wss://h/a/b/agent?protocol=1", "https://h/a/b"),
            ("ws://[::1]:7880", "ws://[::1]:7880/agent?protocol=1", "http://[::1]:7880/"),
            ("ws://127.0.0.1:1/x", "ws://127.0.0.1:1/x/agent?protocol=1", "http://127.0.0.1:1/x"),
            (
                "ws://müller.example",
                "ws://xn--mller-kva.example/agent?protocol=1",
                "http://xn--mller-kva.example/",
            ),
        ];
        for (given, agent, http) in table {
            let url: ServerUrl = given.parse().unwrap_or_else(|error| panic!("{given}: {error}"));
            assert_eq!(url.agent_url().as_str(), agent, "{given}");
            assert_eq!(url.http_url().as_str(), http, "{given}");
            assert_eq!(url.to_string().parse(), Ok(url), "{given}: what is shown can be read again");
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let invalid = |reason| UrlError::Invalid { reason };
        let table = [
            ("", UrlError::Empty),
            (" \t", UrlError::Empty),
            ("localhost:7880", UrlError::MissingScheme),
            ("my-project.livekit.cloud", UrlError::MissingScheme),
            ("ws:localhost", UrlError::MissingScheme),
            ("://localhost", UrlError::MissingScheme),
            ("ftp://localhost", UrlError::Scheme { scheme: "ftp".into() }),
            ("wsss://localhost", UrlError::Scheme { scheme: "wsss".into() }),
            ("ws://", UrlError::MissingHost),
            ("ws:///agent", UrlError::MissingHost),
            ("ws://:7880", UrlError::MissingHost),
            ("ws://?a=b", UrlError::MissingHost),
            ("ws://key:secret@localhost", UrlError::UserInfo),
            ("ws://key@localhost", UrlError::UserInfo),
            ("ws://localhost?access_token=x", UrlError::Query),
            ("ws://localhost/#x", UrlError::Fragment),
            ("ws://localhost:99999", invalid(url::ParseError::InvalidPort)),
            ("ws://local host", invalid(url::ParseError::IdnaError)),
            ("ws://[::1", invalid(url::ParseError::InvalidIpv6Address)),
        ];
        for (given, error) in table {
            assert_eq!(given.parse::<ServerUrl>(), Err(error), "{given}");
        }
    }

    #[test]
    fn errors_show_an_example_and_no_secret() {
        for given in
            ["", "h", "x://h", "ws://", "ws://k:s3cret@h", "ws://h?t=s3cret", "ws://h#s3cret", "ws://h:x"]
        {
            let text = given.parse::<ServerUrl>().expect_err(given).to_string();
            assert!(!text.contains("s3cret"), "{text}");
            assert!(text.contains("://") || text.contains("'@'"), "{text}");
        }
    }
}
