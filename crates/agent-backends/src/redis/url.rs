//! Parsing of a server's URL.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use agent_proto::Secret;

use super::RedisError;

/// The prefix of all keys, unless set.
pub(super) const PREFIX: &str = "livekit-agents";
/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 100;
/// The second part of a key, after the prefix. No part of a prefix may be one of these, so that no two
/// prefixes produce the same key.
pub(super) const KINDS: [&str; 3] = ["checkpoint", "lease", "topic"];

/// The address of a server, and the credentials.
#[derive(Clone)]
pub(super) struct Address {
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) database: i64,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) prefix: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, RedisError> {
        let problem = |problem| RedisError::Url { problem };
        let text = text.trim();
        if text.chars().any(char::is_control) {
            // A URL parser drops tabs and line breaks, which would change a password.
            return Err(problem("it has a control character in it, such as a line break"));
        }
        let url = Url::parse(text).map_err(|error| problem(not_a_url(text, error)))?;
        let tls = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(problem("it must begin with redis:// or rediss://")),
        };
        let host = match url.host() {
            Some(Host::Domain("")) | None => return Err(problem(without_host(text))),
            Some(Host::Domain(name)) => host_of(name).map_err(problem)?,
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
        };
        if url.fragment().is_some() {
            return Err(problem(behind_the_host(text, "it has a part behind #, which means nothing here")));
        }
        if url.path().contains('@') || url.query().is_some_and(|query| query.contains('@')) {
            return Err(problem(UNESCAPED));
        }
        let path = decoded(url.path()).map_err(problem)?;
        let database = match path.trim_matches('/') {
            "" => 0,
            number => number
                .parse()
                .ok()
                .filter(|n| *n >= 0)
                .ok_or_else(|| problem("its path is no number of a database"))?,
        };
        let mut prefix = PREFIX.to_owned();
        for (name, value) in url.query_pairs() {
            if name != "prefix" {
                return Err(problem(
                    "behind its ? is something else than `prefix=…`, which means nothing here",
                ));
            }
            check_prefix(&value)?;
            prefix = value.into_owned();
        }
        let user = decoded(url.username()).map_err(problem)?;
        let password = url.password().map(decoded).transpose().map_err(problem)?;
        Ok(Self {
            host,
            port: url.port().unwrap_or(6379),
            tls,
            database,
            user: Some(user).filter(|user| !user.is_empty()),
            password: password.map(Secret::from),
            prefix,
        })
    }
}

/// Host and port, for messages.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Checks the prefix of all keys.
pub(super) fn check_prefix(prefix: &str) -> Result<(), RedisError> {
    let refused = |problem: &'static str| {
        Err(RedisError::Prefix { prefix: prefix.chars().take(MAX_PREFIX).collect(), problem })
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':');
    if prefix.is_empty() {
        return refused("it is empty");
    }
    if prefix.len() > MAX_PREFIX {
        return refused("it is longer than 100 bytes");
    }
    if !prefix.chars().all(allowed) {
        return refused("it has another character than ASCII letters, digits and . _ - / : in it");
    }
    if prefix.split(':').any(str::is_empty) {
        return refused(
            "it begins or ends with a colon, or has two in a row; the one behind it comes by itself",
        );
    }
    if prefix.split(':').any(|part| KINDS.contains(&part)) {
        return refused("`checkpoint`, `lease` and `topic` come behind it by themselves");
    }
    Ok(())
}

/// The host as it is looked up: a name with letters beyond ASCII in the form that DNS has. A URL parser does
/// this for the schemes of the web alone, and percent-encodes the letters of others.
fn host_of(name: &str) -> Result<String, &'static str> {
    if !name.contains('%') {
        return Ok(name.to_owned());
    }
    Host::parse(name).map(|host| host.to_string()).map_err(|_| NO_HOST_NAME)
}

/// Decodes percent-encoding.
fn decoded(text: &str) -> Result<String, &'static str> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err("it has bytes behind % signs that are no UTF-8; a % that means itself is written %25"),
    }
}

const NO_HOST_NAME: &str = "its host has a character in it that no host has";
const UNESCAPED: &str = "a / ? or # in its user or password must be written as %2F, %3F or %23";

/// The problem of a URL without a host, or with an invalid part behind it: perhaps a sign in the password
/// ended the host.
fn behind_the_host(text: &str, otherwise: &'static str) -> &'static str {
    let (_, rest) = text.split_once("://").unwrap_or(("", text));
    let (before, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if after.contains('@') && !before.contains('@') { UNESCAPED } else { otherwise }
}

fn without_host(text: &str) -> &'static str {
    behind_the_host(text, "it names no host")
}

fn not_a_url(text: &str, error: url::ParseError) -> &'static str {
    let (_, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let is_bare_ipv6 = host.matches(':').count() > 1 && !host.starts_with('[');
    let otherwise = match error {
        url::ParseError::InvalidPort | url::ParseError::EmptyHost if is_bare_ipv6 => {
            "an IPv6 address in it must be in brackets: [::1]"
        }
        url::ParseError::InvalidPort => "its port is no number from 0 to 65535",
        url::ParseError::EmptyHost => "it names no host",
        url::ParseError::RelativeUrlWithoutBase => "it must begin with redis:// or rediss://",
        url::ParseError::InvalidIpv6Address => "what is in its brackets is no IPv6 address",
        url::ParseError::InvalidDomainCharacter => NO_HOST_NAME,
        _ => "it is no URL",
    };
    behind_the_host(text, otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &str) {
        let shown = match Address::parse(url) {
            Ok(a) => {
                let password = a.password.as_ref().map(Secret::expose);
                format!("{a} tls={} db={} {:?} {password:?} {}", a.tls, a.database, a.user, a.prefix)
            }
            Err(RedisError::Url { problem }) => problem.to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{url}");
    }

    #[test]
    fn urls_are_understood() {
        check("redis://localhost", "localhost:6379 tls=false db=0 None None livekit-agents");
        check("  redis://localhost\n", "localhost:6379 tls=false db=0 None None livekit-agents");
        check("valkeys://h:1/3", "h:1 tls=true db=3 None None livekit-agents");
        check("rediss://:pw@[::1]:7", "[::1]:7 tls=true db=0 None Some(\"pw\") livekit-agents");
        check(
            "rediss://u:p@[2001:db8::1]/2",
            "[2001:db8::1]:6379 tls=true db=2 Some(\"u\") Some(\"p\") livekit-agents",
        );
        check("redis://u:p%2B+%40@h", "h:6379 tls=false db=0 Some(\"u\") Some(\"p++@\") livekit-agents");
        check("redis://:a&b=c@h", "h:6379 tls=false db=0 None Some(\"a&b=c\") livekit-agents");
        check(
            "redis://u%3Aser:p@ss:w@h",
            "h:6379 tls=false db=0 Some(\"u:ser\") Some(\"p@ss:w\") livekit-agents",
        );
        check("redis://:100%@h", "h:6379 tls=false db=0 None Some(\"100%\") livekit-agents");
        check("redis://u@h", "h:6379 tls=false db=0 Some(\"u\") None livekit-agents");
        check("redis://:@h", "h:6379 tls=false db=0 None None livekit-agents");
        check("redis://h/%31?prefix=acme:staging", "h:6379 tls=false db=1 None None acme:staging");
        check("redis://h?prefix=eu%2Fstaging", "h:6379 tls=false db=0 None None eu/staging");
        // A name is looked up in the form that DNS has.
        check(
            "redis://me:pw@müller.example:1/2",
            "xn--mller-kva.example:1 tls=false db=2 Some(\"me\") Some(\"pw\") livekit-agents",
        );
        check("rediss://BÜCHER.example", "xn--bcher-kva.example:6379 tls=true db=0 None None livekit-agents");
        check(
            "redis://m%C3%BCller.example",
            "xn--mller-kva.example:6379 tls=false db=0 None None livekit-agents",
        );
        check("redis://Redis_1.internal", "Redis_1.internal:6379 tls=false db=0 None None livekit-agents");
    }

    #[test]
    fn other_urls_are_refused() {
        check("localhost:6379", "it must begin with redis:// or rediss://");
        check("nonsense", "it must begin with redis:// or rediss://");
        check("unix:///run/redis.sock", "it must begin with redis:// or rediss://");
        check("redis://h:70000", "its port is no number from 0 to 65535");
        check("redis://a b", "its host has a character in it that no host has");
        check("redis://", "it names no host");
        check("redis:h", "it names no host");
        check("redis://:pw@", "it names no host");
        check("redis://h/x", "its path is no number of a database");
        check("redis://h/-1", "its path is no number of a database");
        check("redis://h/1/2", "its path is no number of a database");
        check(
            "redis://h/0?protocol=3",
            "behind its ? is something else than `prefix=…`, which means nothing here",
        );
        check("redis://h#x", "it has a part behind #, which means nothing here");
        check("redis://::1", "an IPv6 address in it must be in brackets: [::1]");
        check("redis://u:p@::1:6379/0", "an IPv6 address in it must be in brackets: [::1]");
        check("redis://[::x]", "what is in its brackets is no IPv6 address");
        check("redis://a%20b", "its host has a character in it that no host has");
        check("redis://xn--\u{fc}.example", "its host has a character in it that no host has");
        check("redis://:a\tb@h", "it has a control character in it, such as a line break");
        let not_utf8 = "it has bytes behind % signs that are no UTF-8; a % that means itself is written %25";
        check("redis://:%FF@h", not_utf8);
        check("redis://%C3%28@h", not_utf8);
        check("redis://h/%FF", not_utf8);
        for url in
            ["redis://:a/b@h", "redis://u:a?b@h:1/0", "redis://:a#b@h", "redis://:1/b@h", "redis://u/x:p@h"]
        {
            check(url, UNESCAPED);
        }
        check(
            "redis://h?prefix=",
            "the prefix \"\" of `Redis::prefix` or `?prefix=` cannot be used: it is empty; it looks like acme:staging, and the server's keys like acme:staging:lease:lobby",
        );
    }

    /// RFC 3986: userinfo = *( unreserved / pct-encoded / sub-delims / ":" ).
    #[test]
    fn every_character_of_a_login_is_itself_as_it_is_and_percent_encoded() {
        let literal = "ABCXYZabcxyz0123456789-._~!$&'()*+,;=:";
        let all: String = (' '..='~').chain("äß€😀\u{7f}\n\t".chars()).collect();
        for (given, meant) in literal.chars().map(|c| (c.to_string(), c)).chain(all.chars().map(|c| {
            let mut bytes = [0; 4];
            let encoded = c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect();
            (encoded, c)
        })) {
            let address = Address::parse(&format!("redis://u:x{given}y@h:1/2")).unwrap();
            let password = address.password.as_ref().map(Secret::expose);
            assert_eq!(password, Some(&*format!("x{meant}y")), "{given}");
            assert_eq!(
                (address.user.as_deref(), address.port, address.database),
                (Some("u"), 1, 2),
                "{given}"
            );
            // The first colon ends the user.
            if given != ":" {
                let address = Address::parse(&format!("rediss://x{given}y:p@[::1]/2")).unwrap();
                assert_eq!(address.user.as_deref(), Some(&*format!("x{meant}y")), "{given}");
                assert_eq!(address.host, "::1");
            }
        }
    }

    #[test]
    fn a_prefix_is_plain_and_no_two_make_the_same_key() {
        for prefix in ["a", "livekit-agents", "acme:staging", "eu/west.1_x:a", &"x".repeat(100)] {
            check_prefix(prefix).unwrap();
        }
        for prefix in [
            "",
            ":",
            "a:",
            ":a",
            "a::b",
            "a b",
            "a*",
            "a?",
            "a[b]",
            "{a}",
            "ä",
            "a\n",
            "lease",
            "a:topic",
            "checkpoint:b",
            &"x".repeat(101),
        ] {
            let error = check_prefix(prefix).unwrap_err().to_string();
            assert!(error.contains("`Redis::prefix`") && error.len() < 400, "{error}");
        }
        check_prefix("topics:leases").unwrap();
    }

    #[test]
    fn no_error_shows_a_possible_password() {
        for url in [
            "redis://me:hunter2@h/none",
            "redis://:hunter2%FF@h",
            "redis://:hunter2/x@h",
            "redis://hunter2:x#@h",
            "redis://:hunter2@",
            "redis://:hunter2@h:x",
            "redis://h?hunter2=x",
            "redis://h/hunter2",
            "hunter2@h",
            "redis://:hunter2\n@h",
        ] {
            let error = Address::parse(url).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            assert!(error.to_string().contains("`Redis::new`"), "{error}");
        }
    }
}
