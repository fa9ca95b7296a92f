//! Checks of the server: its addresses, TLS and HTTP, its clock, and whether it knows the credentials.

use agent_net::{AddressProbe, ServerApi, probe_addresses, probe_root};
use agent_proto::text::line;

use super::finding::{Check, Finding};
use super::text::{text, unique_name};
use crate::worker::server::Server;

/// How far clocks may differ before tokens are refused. The servers allow a minute.
const MAX_SKEW: u64 = 60;
/// From which difference on it is reported.
const SKEW: u64 = 5;

pub(super) async fn addresses(server: &Server) -> Finding {
    const CHECK: Check = Check::Addresses;
    let found = match probe_addresses(&server.url, &server.net).await {
        Ok(AddressProbe::Addresses(found)) => found,
        Ok(AddressProbe::Proxy(proxy)) => {
            return Finding::ok(CHECK, format!("the proxy {} resolves the server's name", line(proxy)));
        }
        Ok(_) => return Finding::ok(CHECK, "connections are opened by a dialer of the program"),
        Err(error) => return Finding::failed(CHECK, text(&error)),
    };
    let (open, dead): (Vec<_>, Vec<_>) = found.iter().partition(|(_, result)| result.is_ok());
    let list = |addresses: &[&(std::net::SocketAddr, _)]| {
        addresses.iter().map(|(address, _)| address.to_string()).collect::<Vec<_>>().join(", ")
    };
    match (&open[..], &dead[..]) {
        (_, []) => Finding::ok(CHECK, format!("{} accepts connections", list(&open))),
        ([], [(_, Err(error)), ..]) => Finding::failed(CHECK, text(error)),
        (_, [(_, Err(error)), ..]) => Finding::warning(
            CHECK,
            format!(
                "{} accepts connections, but {} does not ({}): connections begin with the wrong address first; remove it from DNS \
                 or the hosts file, or name an address that works in the server URL (`.url(…)` or LIVEKIT_URL)",
                list(&open),
                list(&dead),
                text(error)
            ),
        ),
        _ => Finding::failed(CHECK, "no address was found"),
    }
}

/// A request over HTTP, and the clock in its response.
pub(super) async fn http(server: &Server) -> (Finding, Finding) {
    let found = match probe_root(&server.url, &server.net).await {
        Ok(found) => found,
        Err(error) => {
            let clock = Finding::skipped(Check::Clock, "the server does not answer");
            return (Finding::failed(Check::Http, text(&*error)), clock);
        }
    };
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
    (http, clock(found.clock_ahead))
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

pub(super) async fn credentials(api: &ServerApi) -> Finding {
    match api.list_rooms(&[&unique_name()]).await {
        Ok(_) => {
            Finding::ok(Check::Credentials, "the server knows the API key, and the secret is that of the key")
        }
        Err(error) => Finding::failed(Check::Credentials, text(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

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
