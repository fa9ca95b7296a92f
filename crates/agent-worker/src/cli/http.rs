//! Where the command line serves health and status.

use std::env;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;

use agent_net::variable;
use agent_proto::Secret;

use crate::cli::args::{HttpOptions, Mode};
use crate::http::HttpServer;

/// The port of the official workers.
const PORT: u16 = 8081;

const PORT_VARIABLE: &str = "LIVEKIT_AGENT_HTTP_PORT";
const HOST_VARIABLE: &str = "LIVEKIT_AGENT_HTTP_HOST";
const TOKEN_VARIABLE: &str = "LIVEKIT_AGENT_ADMIN_TOKEN";
/// The shortest admin token, in bytes: a shorter one could be guessed.
const MIN_TOKEN: usize = 16;

/// An option or variable of the HTTP server is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given_by}: `{found}` is no {what}")]
pub(super) struct AddressError {
    given_by: &'static str,
    found: String,
    what: &'static str,
}

/// The admin token is too easy to guess, or cannot be sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{TOKEN_VARIABLE}: write at least {MIN_TOKEN} letters, digits and signs without white space, such as the output of \
     `openssl rand -hex 16`"
)]
pub(super) struct TokenError;

/// The HTTP server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for health and status: {}", what_to_do(error))]
pub(super) struct ListenError {
    address: SocketAddr,
    #[source]
    error: io::Error,
}

fn what_to_do(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => format!(
            "choose an address of this machine by `--http-host` or {HOST_VARIABLE} (0.0.0.0: all of IPv4)"
        ),
        _ => format!("choose another port by `--http-port` or {PORT_VARIABLE} (0: a free one, off: none)"),
    }
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HttpAddress {
    /// `None`: all addresses of the machine.
    host: Option<IpAddr>,
    port: u16,
}

/// The address for this command; `None` if it is off.
pub(super) fn address(options: &HttpOptions, mode: Mode) -> Result<Option<HttpAddress>, AddressError> {
    choose(options, mode, variable)
}

fn choose(
    options: &HttpOptions,
    mode: Mode,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<HttpAddress>, AddressError> {
    let set = |option: &Option<String>, by, name| set(option, by, name, &variable);
    let dev = mode == Mode::Dev;
    let port = match set(&options.http_port, "--http-port", PORT_VARIABLE) {
        Some((_, text)) if text.eq_ignore_ascii_case("off") => return Ok(None),
        Some(given) => parse(given, "port: write a number up to 65535, 0 for a free one, or off")?,
        None if dev => 0,
        None => PORT,
    };
    let host = match set(&options.http_host, "--http-host", HOST_VARIABLE) {
        Some(given) => Some(parse(given, "address: write one such as 127.0.0.1, 0.0.0.0 or ::")?),
        None => dev.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    };
    Ok(Some(HttpAddress { host, port }))
}

/// The token for requests that change the worker from other machines. Only a variable has it, as others see
/// the options of a process.
pub(super) fn admin_token() -> Result<Option<Secret>, TokenError> {
    checked_token(env::var_os(TOKEN_VARIABLE))
}

fn checked_token(token: Option<OsString>) -> Result<Option<Secret>, TokenError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let token = token.into_string().map_err(|_| TokenError)?;
    let is_good = token.len() >= MIN_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_good.then(|| Some(token.into())).ok_or(TokenError)
}

/// The address of a running worker on this machine.
pub(super) fn worker_address(
    port: &Option<String>,
    host: &Option<String>,
) -> Result<SocketAddr, AddressError> {
    find_worker(port, host, &variable)
}

fn find_worker(
    port: &Option<String>,
    host: &Option<String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<SocketAddr, AddressError> {
    let port = match set(port, "--http-port", PORT_VARIABLE, variable) {
        Some(given) => parse::<NonZeroU16>(given, "port of a running worker: its log names it")?.get(),
        None => PORT,
    };
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let host = match set(host, "--http-host", HOST_VARIABLE, variable) {
        Some(given) => parse(given, "address: write one such as 127.0.0.1 or ::1")?,
        None => local,
    };
    // Of a worker that listens on all addresses.
    Ok(SocketAddr::new(if host.is_unspecified() { local } else { host }, port))
}

/// The text of an option, or else of its variable, and which of them it is.
fn set(
    option: &Option<String>,
    by: &'static str,
    name: &'static str,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    let from_env = || variable(name).filter(|text| !text.is_empty()).map(|text| (name, text));
    option.clone().map(|text| (by, text)).or_else(from_env)
}

fn parse<T: std::str::FromStr>(
    (given_by, text): (&'static str, String),
    what: &'static str,
) -> Result<T, AddressError> {
    let error = || AddressError { given_by, found: text.chars().take(100).collect(), what };
    text.trim().parse().map_err(|_| error())
}

impl HttpAddress {
    /// Listens, and logs where.
    pub(super) async fn listen(self) -> Result<HttpServer, ListenError> {
        let server = self.bind().await?;
        let address = server.local_addr();
        let page = page_url(address);
        tracing::info!(%address, %page, "serving health and status over HTTP: /healthz, /readyz, /worker, /jobs");
        Ok(server)
    }

    pub(super) async fn bind(self) -> Result<HttpServer, ListenError> {
        let on = async |host: IpAddr| {
            let address = SocketAddr::new(host, self.port);
            HttpServer::bind(address).await.map_err(|error| ListenError { address, error })
        };
        match self.host {
            Some(host) => on(host).await,
            // Such a socket accepts IPv4, too, on Linux and macOS.
            None if cfg!(unix) => match on(Ipv6Addr::UNSPECIFIED.into()).await {
                Err(error) if error.is_without_ipv6() => on(Ipv4Addr::UNSPECIFIED.into()).await,
                bound => bound,
            },
            None => on(Ipv4Addr::UNSPECIFIED.into()).await,
        }
    }
}

impl ListenError {
    /// Whether another socket listens there.
    pub(super) fn is_taken(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse
    }

    fn is_without_ipv6(&self) -> bool {
        !matches!(self.error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
    }
}

/// The page for people, as it is reached from this machine.
fn page_url(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://localhost:{}/status", address.port()),
        false => format!("http://{address}/status"),
    }
}

#[cfg(test)]
mod tests {
    use agent_proto::error_text::chain;

    use super::*;

    fn chosen(
        (port, host): (Option<&str>, Option<&str>),
        mode: Mode,
        variables: &[(&str, &str)],
    ) -> Result<Option<(Option<IpAddr>, u16)>, String> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let options = HttpOptions { http_port: owned(port), http_host: owned(host) };
        let address = choose(&options, mode, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        address.map(|found| found.map(|at| (at.host, at.port))).map_err(|error| error.to_string())
    }

    #[test]
    fn start_has_the_usual_port_and_dev_a_free_one() {
        assert_eq!(chosen((None, None), Mode::Start, &[]), Ok(Some((None, 8081))));
        let local = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(chosen((None, None), Mode::Dev, &[]), Ok(Some((local, 0))));
    }

    #[test]
    fn options_override_the_environment() {
        let variables = [(PORT_VARIABLE, "9000"), (HOST_VARIABLE, "::1")];
        let v6 = Some(IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(chosen((None, None), Mode::Dev, &variables), Ok(Some((v6, 9000))));
        let all = Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert_eq!(chosen((Some("0"), Some("0.0.0.0")), Mode::Start, &variables), Ok(Some((all, 0))));
        assert_eq!(chosen((Some("off"), None), Mode::Start, &variables), Ok(None));
        assert_eq!(chosen((None, None), Mode::Start, &[(PORT_VARIABLE, "OFF")]), Ok(None));
        assert_eq!(chosen((None, None), Mode::Start, &[(PORT_VARIABLE, "")]), Ok(Some((None, 8081))));
    }

    #[test]
    fn what_is_no_port_is_named_with_its_place() {
        for (option, variables, expected) in [
            ((Some("http"), None), &[][..], "--http-port: `http` is no port"),
            ((None, None), &[(PORT_VARIABLE, "65536")], "LIVEKIT_AGENT_HTTP_PORT: `65536` is no port"),
            ((None, Some("localhost")), &[], "--http-host: `localhost` is no address"),
            ((None, None), &[(HOST_VARIABLE, "[::]")], "LIVEKIT_AGENT_HTTP_HOST: `[::]` is no address"),
        ] {
            let error = chosen(option, Mode::Start, variables).unwrap_err();
            assert!(error.starts_with(expected) && error.contains("write "), "{error}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_listened_on_is_named() {
        let bind = async |host: &str, port: u16| {
            let host = Some(host.parse().unwrap());
            chain(&HttpAddress { host, port }.bind().await.err().unwrap())
        };
        // An address for documentation, which no machine has.
        let elsewhere = bind("192.0.2.200", 0).await;
        assert!(elsewhere.starts_with("cannot listen on 192.0.2.200:0"), "{elsewhere}");
        assert!(elsewhere.contains("`--http-host` or LIVEKIT_AGENT_HTTP_HOST"), "{elsewhere}");
        assert!(!elsewhere.contains("--http-port"), "{elsewhere}");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = bind("127.0.0.1", taken.local_addr().unwrap().port()).await;
        assert!(taken.contains("`--http-port` or LIVEKIT_AGENT_HTTP_PORT"), "{taken}");
    }

    #[test]
    fn an_admin_token_is_not_easy_to_guess() {
        let checked = |token: Option<&str>| {
            checked_token(token.map(OsString::from)).map(|token| token.map(|token| token.expose().to_owned()))
        };
        assert_eq!(checked(None), Ok(None));
        assert_eq!(checked(Some("")), Ok(None));
        assert_eq!(checked(Some("0123456789abcdef")), Ok(Some("0123456789abcdef".to_owned())));
        for token in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdef\n", "é123456789abcdef"] {
            assert_eq!(checked(Some(token)), Err(TokenError), "{token:?}");
        }
        let text = TokenError.to_string();
        assert!(text.starts_with("LIVEKIT_AGENT_ADMIN_TOKEN: write at least 16 "), "{text}");
    }

    #[test]
    fn a_running_worker_is_on_this_machine() {
        let at = |port: Option<&str>, variables: &[(&str, &str)]| {
            let found = find_worker(&port.map(str::to_owned), &None, &|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            });
            found.map(|at| at.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(at(None, &[]), Ok("127.0.0.1:8081".to_owned()));
        assert_eq!(at(Some("9000"), &[(HOST_VARIABLE, "0.0.0.0")]), Ok("127.0.0.1:9000".to_owned()));
        assert_eq!(at(None, &[(PORT_VARIABLE, "9"), (HOST_VARIABLE, "::1")]), Ok("[::1]:9".to_owned()));
        for port in ["0", "off", "x"] {
            let error = at(Some(port), &[]).unwrap_err();
            assert!(error.contains("--http-port") && error.contains("its log names it"), "{error}");
        }
    }

    #[test]
    fn the_page_has_an_address_that_a_browser_can_open() {
        for (address, url) in [
            ("127.0.0.1:40000", "http://127.0.0.1:40000/status"),
            ("[::1]:1", "http://[::1]:1/status"),
            ("0.0.0.0:8081", "http://localhost:8081/status"),
            ("[::]:8081", "http://localhost:8081/status"),
        ] {
            assert_eq!(page_url(address.parse().unwrap()), url);
        }
    }

    #[tokio::test]
    async fn a_taken_port_names_option_and_variable() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        for host in [None, Some(IpAddr::V4(Ipv4Addr::LOCALHOST))] {
            let error = HttpAddress { host, port }.listen().await.unwrap_err();
            let text = chain(&error);
            for part in ["--http-port", PORT_VARIABLE, "in use", &port.to_string()] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}
