//! Requests that change a running worker: which there are, and who may make them.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq;

use agent_core::JobId;
use agent_proto::Secret;

/// What a proxy adds: the request comes from elsewhere.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// A request that changes a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Quiet,
    Undrain,
    Terminate(JobId),
}

/// Who may make such requests: a program on this machine, or one that has the token.
#[derive(Debug, Default)]
pub(super) struct Admin {
    pub(super) token: Option<Secret>,
}

/// Why a request may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the admin token is another one")]
    WrongToken,
    #[error(
        "this worker has no admin token: ask from its machine, through http://localhost or http://127.0.0.1"
    )]
    NoToken,
    #[error("a request from elsewhere needs the admin token: `Authorization: Bearer TOKEN`")]
    Elsewhere,
    #[error("a page of another site may not change a worker")]
    OtherSite,
}

impl Action {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/quiet" => Some(Self::Quiet),
            "/undrain" => Some(Self::Undrain),
            _ => {
                let job = path.strip_prefix("/jobs/")?.strip_suffix("/terminate")?;
                let id = percent_decode_str(job).decode_utf8().ok()?;
                (!job.is_empty() && !job.contains('/')).then(|| Self::Terminate(JobId::new(&id)))
            }
        }
    }
}

impl Admin {
    pub(super) fn check(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if headers.contains_key(AUTHORIZATION) {
            let given = text(&AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
            let token = self.token.as_ref().ok_or(Refusal::NoToken)?;
            let same = |given: &str| bool::from(given.as_bytes().ct_eq(token.expose().as_bytes()));
            return if given.is_some_and(same) { Ok(()) } else { Err(Refusal::WrongToken) };
        }
        // A name of another site may lead to this machine, too.
        let host = text(&HOST).filter(|host| is_this_machine(host));
        let forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
        let Some(host) = host.filter(|_| peer.to_canonical().is_loopback() && !forwarded) else {
            return Err(if self.token.is_some() { Refusal::Elsewhere } else { Refusal::NoToken });
        };
        // Browsers say which page asks.
        match headers.get(ORIGIN) {
            Some(origin) if origin.as_bytes() != format!("http://{host}").as_bytes() => {
                Err(Refusal::OtherSite)
            }
            _ => Ok(()),
        }
    }
}

/// Whether the `Host` of a request is this machine, with any port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_their_paths() {
        assert_eq!(Action::of("/quiet"), Some(Action::Quiet));
        assert_eq!(Action::of("/undrain"), Some(Action::Undrain));
        for (path, job) in [("/jobs/AJ_1/terminate", "AJ_1"), ("/jobs/a%2Fb%20%c3%a9/terminate", "a/b é")] {
            assert_eq!(Action::of(path), Some(Action::Terminate(JobId::new(job))));
        }
        for path in [
            "/jobs",
            "/jobs//terminate",
            "/jobs/%ff/terminate",
            "/jobs/a/b/terminate",
            "/jobs/terminate",
            "/quiet/",
            "/drain",
        ] {
            assert_eq!(Action::of(path), None, "{path}");
        }
    }

    fn check(token: Option<&str>, peer: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        Admin { token: token.map(Secret::from) }.check(peer.parse().unwrap(), &map)
    }

    #[test]
    fn without_a_token_only_this_machine_may() {
        for (peer, host) in [
            ("127.0.0.1", "localhost:8081"),
            ("127.0.0.1", "127.0.0.1"),
            ("::ffff:127.0.0.1", "LOCALHOST"),
            ("::1", "[::1]:8081"),
        ] {
            for token in [None, Some("0123456789abcdef")] {
                assert_eq!(check(token, peer, &[("host", host)]), Ok(()), "{peer} {host}");
            }
        }
        for (peer, headers) in [
            ("192.0.2.1", &[("host", "localhost")][..]),
            ("127.0.0.1", &[]),
            ("127.0.0.1", &[("host", "worker.example.com")]),
            ("127.0.0.1", &[("host", "localhost.example.com:8081")]),
            ("127.0.0.1", &[("host", "192.0.2.1:8081")]),
            ("127.0.0.1", &[("host", "localhost"), ("x-forwarded-for", "192.0.2.1")]),
        ] {
            assert_eq!(check(None, peer, headers), Err(Refusal::NoToken), "{peer} {headers:?}");
            let with_token = check(Some("0123456789abcdef"), peer, headers);
            assert_eq!(with_token, Err(Refusal::Elsewhere), "{peer} {headers:?}");
        }
    }

    #[test]
    fn pages_of_other_sites_may_not() {
        let from = |origin| check(None, "127.0.0.1", &[("host", "localhost:8081"), ("origin", origin)]);
        assert_eq!(from("http://localhost:8081"), Ok(()));
        for origin in ["http://example.com", "null", "https://localhost:8081", "http://localhost:9000"] {
            assert_eq!(from(origin), Err(Refusal::OtherSite), "{origin}");
        }
    }

    #[test]
    fn a_token_allows_any_place_and_must_be_right() {
        let token = Some("0123456789abcdef");
        let with =
            |value| check(token, "192.0.2.1", &[("host", "worker.example.com"), ("authorization", value)]);
        assert_eq!(with("Bearer 0123456789abcdef"), Ok(()));
        for value in ["Bearer 0123456789abcdeF", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef"] {
            assert_eq!(with(value), Err(Refusal::WrongToken), "{value}");
        }
        let header = &[("host", "localhost"), ("authorization", "Bearer x")];
        assert_eq!(check(token, "127.0.0.1", header), Err(Refusal::WrongToken), "also on this machine");
        assert_eq!(check(None, "127.0.0.1", header), Err(Refusal::NoToken));
    }
}
