//! How connections are made: proxy, certificates, limits. The only place that reads the environment.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::ClientConfig;
use url::{Host, Url};

use agent_proto::text::line;

use crate::addresses::{Addresses, Resolver};
use crate::environment::variable;
use crate::error::ConnectError;
use crate::region_list::Regions;
use crate::stream::Dialer;
use crate::tls;

/// How connections to the server are made: proxy, certificates, time and size limits.
///
/// ```
/// use std::time::Duration;
/// use agent_worker::net::NetOptions;
///
/// let options = NetOptions::from_env().connect_timeout(Duration::from_secs(5));
/// ```
#[derive(Clone)]
pub struct NetOptions {
    proxy: Proxy,
    ca_file: Option<PathBuf>,
    pub(super) connect_timeout: Duration,
    pub(super) max_message_size: usize,
    dialer: Option<Arc<dyn Dialer>>,
    /// Shared by clones: a room profits from what the worker learnt about an address.
    pub(super) addresses: Addresses,
    /// Shared by clones, too.
    pub(super) regions: Regions,
    media_filter: Option<Arc<dyn Fn(MediaPath) -> bool + Send + Sync>>,
    /// Created at the first encrypted connection and shared by clones: loading the platform's certificates
    /// takes milliseconds, and TLS sessions are resumed only within one configuration.
    tls: Arc<OnceLock<Arc<ClientConfig>>>,
}

/// The transport of a room's media and data packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MediaPath {
    /// UDP datagrams.
    Udp,
    /// A TCP connection, where UDP is blocked.
    Tcp,
    /// A relay (TURN), by whatever means it is reached.
    Relay,
}

#[derive(Clone)]
enum Proxy {
    Direct,
    /// From the environment. Never used for loopback addresses, which no proxy can reach.
    Environment(Arc<Matcher>),
    /// Used for every address.
    Explicit(Arc<Matcher>),
}

/// A proxy address that cannot be used. The error does not repeat it, as it may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// It cannot be parsed, or has another scheme.
    #[error(
        "the proxy address cannot be used: give one like http://proxy.example.com:3128 or socks5://proxy.example.com:1080"
    )]
    Invalid,
    /// A sign in the user or the password ends it.
    #[error(
        "the proxy address cannot be used: an @ / ? or # in its user or password must be written as %40, %2F, %3F or %23"
    )]
    Unescaped,
    /// There is no port behind the colon after the host.
    #[error(
        "the proxy address cannot be used: its port is no number from 0 to 65535; give one like http://proxy.example.com:3128"
    )]
    Port,
}

impl Default for NetOptions {
    /// No proxy, the platform's certificates, 10 s to connect, messages of at most 2 MiB. Does not read the
    /// environment.
    fn default() -> Self {
        Self {
            proxy: Proxy::Direct,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            max_message_size: 2 * 1024 * 1024,
            dialer: None,
            addresses: Addresses::default(),
            regions: Regions::default(),
            media_filter: None,
            tls: Arc::default(),
        }
    }
}

impl NetOptions {
    /// The defaults, with proxy and certificates from the environment.
    ///
    /// Reads, once: `HTTPS_PROXY` (for `wss`), `HTTP_PROXY` (for `ws`), `ALL_PROXY` and `NO_PROXY`, each also
    /// in lower case, and `SSL_CERT_FILE`. The proxies may be `http`, `https` or `socks5` addresses with a
    /// user and password. Loopback addresses are always connected directly.
    #[must_use]
    pub fn from_env() -> Self {
        let options = Self::from_vars(variable);
        // A path need not be text.
        match std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
            Some(path) => options.ca_file(path),
            None => options,
        }
    }

    /// As [`from_env`](Self::from_env), with the variables of any source.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let either = |name: &str| set(name).or_else(|| set(&name.to_ascii_lowercase())).unwrap_or_default();
        let proxy = |name: &str| {
            let value = either(name);
            match explicit(&value) {
                Err(error) if !value.is_empty() => {
                    tracing::warn!(variable = name, "{}; the variable is ignored", line(error));
                    String::new()
                }
                _ => value,
            }
        };
        let matcher = Matcher::builder()
            .all(proxy("ALL_PROXY"))
            .http(proxy("HTTP_PROXY"))
            .https(proxy("HTTPS_PROXY"))
            .no(either("NO_PROXY"))
            .build();
        Self {
            proxy: Proxy::Environment(Arc::new(matcher)),
            ca_file: set("SSL_CERT_FILE").map(PathBuf::from),
            ..Self::default()
        }
    }

    /// Trusts the certificates in this PEM file, *instead of* the platform's.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self.tls = Arc::default();
        self
    }

    /// Connects through this proxy, whatever the environment: `http`, `https` or `socks5`, as in
    /// `http://user:password@proxy.example.com:3128`. User and password may be percent-encoded (`%41` for
    /// `A`); `@`, `/`, `?`, `#` and `%` must be.
    ///
    /// # Errors
    /// [`ProxyUrlError`] if the address cannot be parsed or has another scheme, or if a part of the password
    /// would be taken for the host.
    pub fn proxy(mut self, address: &str) -> Result<Self, ProxyUrlError> {
        self.proxy = Proxy::Explicit(Arc::new(explicit(address)?));
        Ok(self)
    }

    /// Connects without a proxy, whatever the environment.
    #[must_use]
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Proxy::Direct;
        self
    }

    /// Sets the timeout of a connection, from the DNS lookup to the end of the WebSocket handshake (10 s by
    /// default).
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets the maximum size of a message from the server, in bytes (2 MiB by default); a larger one ends the
    /// connection.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// Opens connections with `dialer` instead of TCP and proxies.
    #[must_use]
    pub fn dialer(mut self, dialer: impl Dialer) -> Self {
        self.dialer = Some(Arc::new(dialer));
        self
    }

    /// Resolves host names, those of proxies as well, with `resolver` instead of the system.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.addresses = Addresses::with_resolver(resolver);
        self
    }

    /// Filters the packets of a room's media and data, in both directions: a packet is dropped if `passes`
    /// returns false. For tests of bad networks.
    ///
    /// ```
    /// use agent_worker::net::{MediaPath, NetOptions};
    ///
    /// let no_udp = NetOptions::default().media_filter(|path| path != MediaPath::Udp);
    /// ```
    #[must_use]
    pub fn media_filter(mut self, passes: impl Fn(MediaPath) -> bool + Send + Sync + 'static) -> Self {
        self.media_filter = Some(Arc::new(passes));
        self
    }

    /// Reads the trusted certificates now, instead of at the first encrypted connection.
    pub fn check_certificates(&self) -> Result<(), ConnectError> {
        self.tls_config("the server").map(drop)
    }

    /// The TLS configuration, created once; `endpoint` is for its error.
    pub(super) fn tls_config(&self, endpoint: &str) -> Result<Arc<ClientConfig>, ConnectError> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let config = tls::config(endpoint, self.trusted_file().map(PathBuf::as_path))?;
        // Two concurrent first connections may both get here; one of the two equal configurations stays.
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }

    /// Whether a path may be used for media.
    #[must_use]
    pub fn lets_pass(&self, path: MediaPath) -> bool {
        self.media_filter.as_ref().is_none_or(|passes| passes(path))
    }

    pub(super) fn own_dialer(&self) -> Option<&dyn Dialer> {
        self.dialer.as_deref()
    }

    /// The certificates that are trusted instead of the platform's.
    pub(super) fn trusted_file(&self) -> Option<&PathBuf> {
        self.ca_file.as_ref()
    }

    /// The proxy for this address, if any.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<Intercept> {
        let (matcher, bypass_loopback) = match &self.proxy {
            Proxy::Direct => return None,
            Proxy::Environment(matcher) => (matcher, true),
            Proxy::Explicit(matcher) => (matcher, false),
        };
        let loopback = match url.host()? {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        if loopback && bypass_loopback {
            return None;
        }
        // The library has rules for http and https only.
        let secure = matches!(url.scheme(), "wss" | "https");
        let scheme = if secure { "https" } else { "http" };
        intercept(matcher, scheme, url.host_str()?)
    }
}

/// The rule that sends everything to this proxy.
fn explicit(address: &str) -> Result<Matcher, ProxyUrlError> {
    check_authority(address)?;
    let matcher = Matcher::builder().all(address).build();
    intercept(&matcher, "http", "host.invalid").ok_or(ProxyUrlError::Invalid)?;
    Ok(matcher)
}

/// Refuses what the library would take for another host: it ends the user at the first `@`, and the host at
/// the first `/`, `?` or `#`; and it ignores a port that is none.
fn check_authority(address: &str) -> Result<(), ProxyUrlError> {
    let (_, rest) = address.split_once("://").unwrap_or(("", address));
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if behind.contains('@') || authority.matches('@').count() > 1 {
        return Err(ProxyUrlError::Unescaped);
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    // The colons of an IPv6 address are in brackets.
    let (_, after_brackets) = host.rsplit_once(']').unwrap_or(("", host));
    match after_brackets.rsplit_once(':') {
        Some((_, port)) if !port.is_empty() && port.parse::<u16>().is_err() => Err(ProxyUrlError::Port),
        _ => Ok(()),
    }
}

fn intercept(matcher: &Matcher, scheme: &str, host: &str) -> Option<Intercept> {
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query("/").build().ok()?;
    // The library's SOCKS 4 supports neither passwords nor IPv6.
    matcher.intercept(&uri).filter(|proxy| !matches!(proxy.uri().scheme_str(), Some("socks4" | "socks4a")))
}

impl fmt::Debug for NetOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetOptions")
            .field("proxy", &self.proxy)
            .field("ca_file", &self.ca_file)
            .field("connect_timeout", &self.connect_timeout)
            .field("max_message_size", &self.max_message_size)
            .field("dialer", &self.dialer.is_some())
            .field("media_filter", &self.media_filter.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("Direct"),
            // The library's `Debug` of a proxy omits the password.
            Self::Environment(matcher) => f.debug_tuple("Environment").field(matcher).finish(),
            Self::Explicit(matcher) => f.debug_tuple("Explicit").field(matcher).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> NetOptions {
        NetOptions::from_vars(|name| {
            vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn proxy_of(options: &NetOptions, url: &str) -> Option<String> {
        options.proxy_for(&Url::parse(url).unwrap()).map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn the_environment_chooses_the_proxy() {
        let https = ("HTTPS_PROXY", "http://secure:1");
        let http = ("http_proxy", "http://plain:2");
        let all = ("ALL_PROXY", "socks5://all:3");
        let (wss, ws) = ("wss://media.example.com", "ws://media.example.com");
        /// Variables, an address, and the proxy for it.
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
        let table: &[Case<'_>] = &[
            (&[], wss, None),
            (&[https], wss, Some("http://secure:1/")),
            (&[https], ws, None),
            (&[http], ws, Some("http://plain:2/")),
            (&[http], wss, None),
            (&[all], ws, Some("socks5://all:3/")),
            (&[all, https], wss, Some("http://secure:1/")),
            (&[("https_proxy", "secure:1")], wss, Some("http://secure:1/")),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "http://low:1")], wss, Some("http://low:1/")),
            (&[all, ("NO_PROXY", "example.com")], wss, None),
            (&[all, ("no_proxy", "other.example.com, 10.0.0.0/8")], wss, Some("socks5://all:3/")),
            (&[all, ("no_proxy", "10.0.0.0/8")], "ws://10.1.2.3", None),
            (&[all, ("no_proxy", "*")], wss, None),
            (&[all], "ws://localhost:7880", None),
            (&[all], "ws://127.0.0.1:7880", None),
            (&[all], "ws://[::1]:7880", None),
            (&[all], "ws://[2001:db8::1]:7880", Some("socks5://all:3/")),
            (&[("ALL_PROXY", "nonsense://x")], wss, None),
            // What was no text.
            (&[("ALL_PROXY", "http://proxy\u{fffd}:1")], wss, None),
        ];
        for (vars, url, proxy) in table {
            assert_eq!(proxy_of(&from(vars), url).as_deref(), *proxy, "{vars:?} {url}");
        }
    }

    #[test]
    fn an_explicit_proxy_takes_everything_and_is_checked() {
        let options = from(&[("NO_PROXY", "*")]).proxy("http://u:s3cret@proxy:3128").unwrap();
        assert_eq!(proxy_of(&options, "ws://localhost").as_deref(), Some("http://proxy:3128/"));
        assert!(!format!("{options:?}").contains("s3cret"), "{options:?}");
        assert_eq!(proxy_of(&options.no_proxy(), "ws://media.example.com"), None);
        for wrong in ["", "ftp://proxy", "socks4://proxy:1", "http://", "http://a b"] {
            let refused = NetOptions::default().proxy(wrong).map(|_| ());
            assert_eq!(refused, Err(ProxyUrlError::Invalid), "{wrong}");
        }
    }

    /// Else a part of a password would be looked up as the host, and shown.
    #[test]
    fn a_proxy_address_with_unescaped_signs_in_the_password_is_refused_without_showing_it() {
        for wrong in [
            "http://me:s3@cret@proxy:3128",
            "http://me:12/s3@cret@proxy:3128",
            "http://me:12/34s3cret@proxy:3128",
            "http://me:s3/cret@proxy:3128",
            "http://me:s3?cret@proxy:3128",
            "http://me:s3#cret@proxy:3128",
            "socks5://me:s3/cret@proxy:1080",
            "me:s3@cret@proxy:3128",
        ] {
            let error = NetOptions::default().proxy(wrong).expect_err(wrong);
            let text = error.to_string();
            assert!(text.contains("must be written as %40, %2F, %3F or %23"), "{wrong}: {text}");
            for shown in [text, format!("{error:?}"), format!("{:?}", from(&[("ALL_PROXY", wrong)]))] {
                assert!(!shown.contains("cret") && !shown.contains("s3"), "{wrong}: {shown}");
            }
            let ignored = from(&[("HTTPS_PROXY", wrong), ("ALL_PROXY", "http://all:3")]);
            assert_eq!(proxy_of(&ignored, "wss://media.example.com").as_deref(), Some("http://all:3/"));
        }
        for wrong in ["http://proxy:s3cret", "http://proxy:70000", "http://me:pw@[::1]:x"] {
            let error = NetOptions::default().proxy(wrong).expect_err(wrong).to_string();
            assert!(error.contains("its port is no number from 0 to 65535"), "{wrong}: {error}");
        }
        for (right, proxy) in [
            ("http://me:s%2F%40%3F%23@proxy:3128", "http://proxy:3128/"),
            ("http://me:pw@[::1]:3128/", "http://[::1]:3128/"),
            ("socks5://[2001:db8::1]", "socks5://[2001:db8::1]/"),
            ("me:p:w@proxy", "http://proxy/"),
        ] {
            let options = NetOptions::default().proxy(right).unwrap();
            assert_eq!(proxy_of(&options, "wss://media.example.com").as_deref(), Some(proxy), "{right}");
        }
    }

    #[test]
    fn the_certificate_file_comes_from_the_environment() {
        assert_eq!(from(&[("SSL_CERT_FILE", "/ca.pem")]).trusted_file(), Some(&PathBuf::from("/ca.pem")));
        assert_eq!(from(&[("SSL_CERT_FILE", "")]).trusted_file(), None);
        assert_eq!(
            from(&[("SSL_CERT_FILE", "/ca.pem")]).ca_file("/own.pem").trusted_file(),
            Some(&"/own.pem".into())
        );
    }
}
