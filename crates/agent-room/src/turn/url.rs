//! URLs of TURN servers (RFC 7065): `turn:HOST[:PORT][?transport=udp|tcp]`, and `turns:` for TLS.

use std::fmt;

use agent_proto::text::shorten;

/// Maximum length of a URL, in bytes; a host name has at most 253.
const MAX_URL_LEN: usize = 512;
/// How much of an unknown part an error shows.
const MAX_SHOWN: usize = 40;

/// How a TURN server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RelayTransport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// A TURN server and how it is reached. Shown as its URL, in which are no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RelayUrl {
    /// A name or an address; one of IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) transport: RelayTransport,
}

impl RelayUrl {
    /// Parses the URL of a TURN server. `None`: it is that of a STUN server, of which there is no need, as
    /// the LiveKit server sees where our packets come from.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(url: &str) -> Result<Option<Self>, String> {
        if url.len() > MAX_URL_LEN {
            return Err(format!("a URL of {} bytes: it has {MAX_URL_LEN} at most", url.len()));
        }
        let (scheme, rest) = url.split_once(':').ok_or("no scheme: expected turn: or turns:")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "stun" | "stuns" => return Ok(None),
            "turn" => false,
            "turns" => true,
            _ => {
                let scheme = shorten(scheme, MAX_SHOWN);
                return Err(format!("the scheme `{scheme}`: expected turn: or turns:"));
            }
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        // As in URLs of HTTP; nothing of it is shown, as it may be a password.
        if place.contains('@') {
            return Err("a user name in the URL: it belongs into `username` and `credential`".to_owned());
        }
        let transport = match (transport(query)?, secure) {
            (None | Some("udp"), false) => RelayTransport::Udp,
            (Some(_), false) => RelayTransport::Tcp,
            (Some("udp"), true) => {
                return Err("turns: with transport=udp, which is DTLS: use transport=tcp".to_owned());
            }
            (_, true) => RelayTransport::Tls,
        };
        let (host, port) = host_and_port(place.strip_prefix("//").unwrap_or(place))?;
        Ok(Some(Self { host, port: port.unwrap_or(if secure { 5349 } else { 3478 }), transport }))
    }

    /// The host as in URLs of HTTP: an IPv6 address in brackets.
    pub(super) fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

fn transport(query: &str) -> Result<Option<&'static str>, String> {
    match query.split('&').find_map(|pair| pair.strip_prefix("transport=")) {
        None => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("udp") => Ok(Some("udp")),
        Some(value) if value.eq_ignore_ascii_case("tcp") => Ok(Some("tcp")),
        Some(value) => Err(format!(
            "the transport `{}`: expected transport=udp or transport=tcp",
            shorten(value, MAX_SHOWN)
        )),
    }
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, ""))) => (host, None),
        Some(Some((host, port))) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
        Some(None) => return Err("an IPv6 address without its closing bracket".to_owned()),
        // Servers put an IPv6 address into it as it is: the last colon is before the port.
        None => match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let in_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if host.is_empty() || !host.chars().all(in_host) {
        return Err(format!("the host `{}`: expected a name or an address", shorten(host, MAX_SHOWN)));
    }
    let port = match port {
        None => None,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(format!("the port `{}`: expected 1 to 65535", shorten(text, MAX_SHOWN))),
        },
    };
    Ok((host.to_owned(), port))
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, transport) = match self.transport {
            RelayTransport::Udp => ("turn", "udp"),
            RelayTransport::Tcp => ("turn", "tcp"),
            RelayTransport::Tls => ("turns", "tcp"),
        };
        write!(f, "{scheme}:{}:{}?transport={transport}", self.bracketed(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_host_port_and_transport() {
        for (url, expected) in [
            ("turn:10.0.0.1:3478?transport=udp", "turn:10.0.0.1:3478?transport=udp"),
            ("turn:relay.test", "turn:relay.test:3478?transport=udp"),
            ("turn:relay.test?transport=TCP", "turn:relay.test:3478?transport=tcp"),
            ("TURNS:relay.test", "turns:relay.test:5349?transport=tcp"),
            ("turns:relay.test:443?transport=tcp", "turns:relay.test:443?transport=tcp"),
            ("turn:[fd00::1]:99", "turn:[fd00::1]:99?transport=udp"),
            ("turn:[fd00::1]", "turn:[fd00::1]:3478?transport=udp"),
            ("turn:fd00::1:3478?transport=udp", "turn:[fd00::1]:3478?transport=udp"),
        ] {
            assert_eq!(RelayUrl::parse(url).unwrap().unwrap().to_string(), expected, "{url}");
        }
        assert_eq!(RelayUrl::parse("stun:stun.test:19302"), Ok(None));
    }

    #[test]
    fn the_error_of_an_unusable_url_names_the_invalid_part() {
        for (url, expected) in [
            ("relay.test", "no scheme: expected turn: or turns:"),
            ("https://relay.test", "the scheme `https`: expected turn: or turns:"),
            ("turn:", "the host ``: expected a name or an address"),
            ("turn:a b:1", "the host `a b`: expected a name or an address"),
            ("turn:relay.test:0", "the port `0`: expected 1 to 65535"),
            ("turn:relay.test:http", "the port `http`: expected 1 to 65535"),
            ("turn:[fd00::1", "an IPv6 address without its closing bracket"),
            (
                "turn:relay.test?transport=quic",
                "the transport `quic`: expected transport=udp or transport=tcp",
            ),
            ("turns:relay.test?transport=udp", "turns: with transport=udp, which is DTLS: use transport=tcp"),
            (
                "turn:user:sesame@relay.test",
                "a user name in the URL: it belongs into `username` and `credential`",
            ),
        ] {
            assert_eq!(RelayUrl::parse(url).unwrap_err(), expected, "{url}");
        }
        let long = format!("turn:{}", "a".repeat(600));
        assert_eq!(RelayUrl::parse(&long).unwrap_err(), "a URL of 605 bytes: it has 512 at most");
    }
}
