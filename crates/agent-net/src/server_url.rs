//! The address of a LiveKit server as users write it, and the addresses derived from it.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// The address of a LiveKit server: `ws`, `wss`, `http` or `https`, with or without a base path.
///
/// `http` means `ws` and `https` means `wss`, as users copy either; a base path is kept, as some servers are
/// behind one.
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
    /// Scheme `ws` or `wss`; no query, fragment or user; a path without a trailing slash (`/` if there is
    /// none).
    base: Url,
}

/// Why a text is not the address of a LiveKit server.
///
/// The messages repeat only the scheme or host of the address: a query or a user part may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The address is empty.
    #[error("the server URL is empty: give one like ws://localhost:7880 or wss://my-project.livekit.cloud")]
    Empty,
    /// There is a host but no scheme before it.
    #[error("the server URL has no scheme: write ws:// or wss:// before the host, as in ws://localhost:7880")]
    MissingScheme,
    /// LiveKit servers do not use this scheme.
    #[error(
        "the server URL has the scheme {scheme:?}: use ws, wss, http or https, as in ws://localhost:7880"
    )]
    Scheme {
        /// The given scheme.
        scheme: String,
    },
    /// There is no host between the scheme and the path.
    #[error("the server URL has no host: write it after the scheme, as in ws://localhost:7880")]
    MissingHost,
    /// The address contains a user name or a password.
    #[error(
        "the server URL contains a user name or password: remove the part before '@' and set the API key and secret separately"
    )]
    UserInfo,
    /// The address contains a query.
    #[error(
        "the server URL contains a query: remove everything from '?' on, as in wss://my-project.livekit.cloud"
    )]
    Query,
    /// The address contains a fragment.
    #[error(
        "the server URL contains a fragment: remove everything from '#' on, as in wss://my-project.livekit.cloud"
    )]
    Fragment,
    /// The address cannot be parsed.
    #[error("the server URL cannot be read ({reason}): give one like ws://localhost:7880")]
    Invalid {
        /// The parser's error.
        reason: url::ParseError,
    },
}

impl ServerUrl {
    /// The URL at which a worker connects: `{base}/agent?protocol=1`.
    #[must_use]
    pub fn agent_url(&self) -> Url {
        let mut url = self.join("agent");
        url.set_query(Some("protocol=1"));
        url
    }

    /// The base URL for WebSockets, `ws` or `wss`, with the base path.
    #[must_use]
    pub fn ws_url(&self) -> Url {
        self.base.clone()
    }

    /// The base URL of the server's HTTP API (Twirp), `http` or `https`, with the base path.
    #[must_use]
    pub fn http_url(&self) -> Url {
        let mut url = self.base.clone();
        // Both pairs are "special" schemes of the URL standard, so the change is always allowed.
        let changed = url.set_scheme(if self.is_secure() { "https" } else { "http" });
        debug_assert!(changed.is_ok());
        url
    }

    /// The WebSocket URL of a path below the base path, such as `rtc/v1`.
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
        // Split by hand: a URL parser reads `localhost:7880` as a scheme with a path, and `ws:host` as
        // `ws://host`.
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::MissingScheme);
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => "ws",
            "wss" | "https" => "wss",
            "" => return Err(UrlError::MissingScheme),
            _ => return Err(UrlError::Scheme { scheme: scheme.chars().take(20).collect() }),
        };
        // Checked by hand as well: a URL parser reads `ws:///path` as the host `path`.
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
    fn errors_name_the_invalid_part() {
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
