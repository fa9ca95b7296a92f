//! Checks of the server: its addresses, TLS and HTTP, its clock, and whether it knows the credentials.

use std::net::SocketAddr;

use agent_net::{AddressProbe, ConnectError, ServerApi, probe_addresses, probe_root};
use agent_proto::text::line;

use super::credentials::{Answer, judge};
use super::finding::{Check, Finding};
use super::text::{text, unique_name};
use crate::worker::server::Server;

/// How far clocks may differ before tokens are refused. The servers allow a minute.
const MAX_SKEW: u64 = 60;
/// From which difference on it is reported.
const SKEW: u64 = 5;

pub(super) async fn addresses(server: &Server) -> Finding {
    const CHECK: Check = Check::Addresses;
    match probe_addresses(&server.url, &server.net).await {
        Ok(AddressProbe::Addresses(found)) => accepting(&found),
        Ok(AddressProbe::Proxy(proxy)) => Finding::ok(
            CHECK,
            format!("connections go through the proxy {}, which resolves the server's name", line(proxy)),
        ),
        Ok(_) => Finding::ok(CHECK, "connections are opened by a dialer of the program"),
        Err(error) => Finding::failed(CHECK, text(&error)),
    }
}

/// Which of the addresses, in the order in which they are tried, accept connections.
fn accepting<T>(found: &[(SocketAddr, Result<T, ConnectError>)]) -> Finding {
    const CHECK: Check = Check::Addresses;
    let open: Vec<SocketAddr> =
        found.iter().filter(|(_, result)| result.is_ok()).map(|(address, _)| *address).collect();
    let dead: Vec<(SocketAddr, &ConnectError)> =
        found.iter().filter_map(|(address, result)| Some((*address, result.as_ref().err()?))).collect();
    let list = |all: Vec<SocketAddr>| all.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
    let (first_open, works) = (open.first().copied(), list(open));
    match (first_open, dead.first()) {
        (Some(_), None) => Finding::ok(CHECK, format!("{works} accepts connections")),
        (None, Some((_, error))) => Finding::failed(CHECK, text(*error)),
        (Some(one), Some((first_dead, error))) => {
            let fails = list(dead.iter().map(|(address, _)| *address).collect());
            let is_first = found.first().is_some_and(|(address, _)| address == first_dead);
            let order = if is_first { ", and is tried first" } else { "" };
            let remedy = if first_dead.ip().is_loopback() {
                format!("let the server listen there, too, or write {} for the host in", one.ip())
            } else {
                "remove it from DNS or the hosts file unless a server should be there, or write an address that works in"
                    .to_owned()
            };
            let why = why(error);
            Finding::warning(
                CHECK,
                format!(
                    "{works} accepts connections, but {fails} does not ({why}){order}: {remedy} the server URL (`.url(…)` or LIVEKIT_URL)"
                ),
            )
        }
        (None, None) => Finding::failed(CHECK, "no address was found"),
    }
}

/// Without what to do where no address answers.
fn why(error: &ConnectError) -> String {
    match error {
        ConnectError::Unreachable { source, .. } => line(source).to_string(),
        ConnectError::Timeout { limit, .. } => format!("no answer within {limit:?}"),
        other => text(other),
    }
}

/// What an answer over HTTP shows.
pub(super) struct Answered {
    pub(super) http: Finding,
    pub(super) clock: Finding,
    /// The HTTP status of the root.
    pub(super) status: u16,
}

/// A request over HTTP, and the clock in its response; or why there is none.
pub(super) async fn http(server: &Server) -> Result<Answered, Finding> {
    let found = probe_root(&server.url, &server.net).await;
    let found = found.map_err(|error| Finding::failed(Check::Http, text(&*error)))?;
    let secure = if server.url.is_secure() { "over TLS, with a trusted certificate, " } else { "" };
    let http = match found.status {
        200..=299 => {
            Finding::ok(Check::Http, format!("{secure}the server answers in {:.1?}", found.duration))
        }
        // Behind a path of a proxy, the root may belong to another server.
        status => Finding::warning(
            Check::Http,
            format!(
                "the server answers with HTTP {status}, where a LiveKit server answers 200: check host, port and path of the server \
                 URL (`.url(…)` or LIVEKIT_URL)"
            ),
        ),
    };
    Ok(Answered { http, clock: clock(found.clock_ahead), status: found.status })
}

fn clock(ahead: Option<i64>) -> Finding {
    const CHECK: Check = Check::Clock;
    let Some(ahead) = ahead else { return Finding::skipped(CHECK, "the server does not send its time") };
    let off = ahead.unsigned_abs();
    let direction = if ahead > 0 { "behind" } else { "ahead of" };
    let found = format!("this machine's clock is {off} s {direction} the server's");
    if off <= SKEW {
        Finding::ok(CHECK, format!("the same time as the server's, within {SKEW} s"))
    } else if off <= MAX_SKEW {
        Finding::warning(CHECK, format!("{found}: set it, by NTP for example"))
    } else {
        Finding::failed(
            CHECK,
            format!(
                "{found}, so that servers refuse its tokens, and it may take their certificates for expired: set it, by NTP for \
                 example"
            ),
        )
    }
}

/// What a call with the credentials shows. `root`: the HTTP status of the server's root.
pub(super) async fn credentials(server: &Server, api: &ServerApi, root: u16, wrong_clock: bool) -> Answer {
    let called = api.list_rooms(&[&unique_name()]).await.map(drop);
    judge(called, &server.url, (&server.api_key, &server.api_secret), root, wrong_clock)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::super::finding::Verdict;
    use super::*;

    fn refused() -> Result<(), ConnectError> {
        let source = io::ErrorKind::ConnectionRefused.into();
        Err(ConnectError::Unreachable { endpoint: "h:1".to_owned(), source })
    }

    fn silent() -> Result<(), ConnectError> {
        let (limit, step) = (Duration::from_secs(3), "TCP connection");
        Err(ConnectError::Timeout { endpoint: "h:1".to_owned(), limit, step })
    }

    #[test]
    fn addresses_are_judged_in_their_order() {
        let table = [
            (vec![("10.0.0.1:1", Ok(()))], Verdict::Ok, "10.0.0.1:1 accepts connections"),
            (
                vec![("[::1]:1", refused()), ("127.0.0.1:1", Ok(()))],
                Verdict::Warning,
                "127.0.0.1:1 accepts connections, but [::1]:1 does not (connection refused), and is tried first: let the server \
                 listen there, too, or write 127.0.0.1 for the host in the server URL",
            ),
            (
                vec![("10.0.0.1:1", Ok(())), ("10.0.0.2:1", silent())],
                Verdict::Warning,
                "10.0.0.1:1 accepts connections, but 10.0.0.2:1 does not (no answer within 3s): remove it from DNS or the hosts file",
            ),
            (
                vec![
                    ("10.0.0.1:1", silent()),
                    ("10.0.0.2:1", Ok(())),
                    ("10.0.0.3:1", refused()),
                    ("10.0.0.4:1", Ok(())),
                ],
                Verdict::Warning,
                "10.0.0.2:1, 10.0.0.4:1 accepts connections, but 10.0.0.1:1, 10.0.0.3:1 does not (no answer within 3s), and is tried",
            ),
            (
                vec![("10.0.0.1:1", refused()), ("10.0.0.2:1", silent())],
                Verdict::Failed,
                "nothing answers at h:1",
            ),
            (vec![], Verdict::Failed, "no address"),
        ];
        for (found, verdict, text) in table {
            let found: Vec<_> =
                found.into_iter().map(|(address, result)| (address.parse().unwrap(), result)).collect();
            let judged = accepting(&found);
            assert_eq!(judged.verdict, verdict, "{judged}");
            assert!(judged.text.starts_with(text), "{judged}");
        }
    }

    #[test]
    fn a_clock_is_judged_by_what_servers_allow() {
        for (ahead, verdict, direction) in [
            (Some(0), Verdict::Ok, "same time"),
            (Some(-5), Verdict::Ok, "same time"),
            (Some(6), Verdict::Warning, "6 s behind"),
            (Some(-60), Verdict::Warning, "60 s ahead of"),
            (Some(-61), Verdict::Failed, "61 s ahead of"),
            (Some(i64::MAX), Verdict::Failed, "behind"),
            (None, Verdict::Skipped, "does not send"),
        ] {
            let found = clock(ahead);
            assert_eq!(found.verdict, verdict, "{ahead:?}");
            assert!(found.text.contains(direction), "{ahead:?}: {}", found.text);
        }
    }
}
