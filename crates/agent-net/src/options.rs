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
#[error(
    "the proxy address cannot be used: give one like http://proxy.example.com:3128 or socks5://proxy.example.com:1080"
)]
pub struct ProxyUrlError;

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
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
            let value = either(name);
            if !value.is_empty() && intercept(&explicit(&value), "http", "host.invalid").is_none() {
                tracing::warn!(variable = name, "{}; the variable is ignored", line(ProxyUrlError));
            }
        }
        let matcher = Matcher::builder()
            .all(either("ALL_PROXY"))
            .http(either("HTTP_PROXY"))
            .https(either("HTTPS_PROXY"))
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
    /// `http://user:password@proxy.example.com:3128`.
    ///
    /// # Errors
    /// [`ProxyUrlError`] if the address cannot be parsed or has another scheme.
    pub fn proxy(mut self, address: &str) -> Result<Self, ProxyUrlError> {
        let matcher = explicit(address);
        intercept(&matcher, "http", "host.invalid").ok_or(ProxyUrlError)?;
        self.proxy = Proxy::Explicit(Arc::new(matcher));
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

fn explicit(address: &str) -> Matcher {
    Matcher::builder().all(address).build()
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
            assert_eq!(NetOptions::default().proxy(wrong).map(|_| ()), Err(ProxyUrlError), "{wrong}");
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
