//! The text of a server's answer as one log line.

use agent_proto::Secret;
use agent_proto::text::shorten;

/// Maximum number of characters shown of an HTTP body.
const MAX_BODY: usize = 300;

/// The start of an HTTP body as one line for a log. A server may repeat our token in it, whole or in part, or
/// contain that of others.
pub(super) fn one_line(body: &[u8], token: Option<&Secret>) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        text = text.replace(token.expose(), TOKEN);
    }
    let text = mask_tokens(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    shorten(&text, MAX_BODY)
}

/// The replacement for a token.
const TOKEN: &str = "[the token]";

/// Masks everything that begins like a JSON Web Token.
fn mask_tokens(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some((before, token)) = rest.split_once("eyJ") {
        let end = token.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.=".contains(c));
        masked.push_str(before);
        masked.push_str(TOKEN);
        rest = token.get(end.unwrap_or(token.len())..).unwrap_or_default();
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_becomes_one_bounded_line() {
        assert_eq!(one_line(b" a\r\n\x1b[31mb\0 \xff", None), "a \\u{1b}[31mb\\u{0} \u{fffd}");
        assert_eq!(one_line("é".repeat(5000).as_bytes(), None).chars().count(), 300);
    }

    #[test]
    fn a_body_shows_no_token() {
        let ours = Secret::from("eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJkZXZrZXkifQ.U0jbQkg8nZI7-_w");
        let line = |body: &str| one_line(body.as_bytes(), Some(&ours));
        assert_eq!(
            line(&format!("invalid token: {}, error: expired", ours.expose())),
            "invalid token: [the token], error: expired"
        );
        // A part of the token, or another token.
        assert_eq!(line(&format!("bad: {}", &ours.expose()[..30])), "bad: [the token]");
        assert_eq!(line("\"eyJx.eyJy.z\" and (eyJx)"), "\"[the token]\" and ([the token])");
        assert_eq!(one_line(b"secret s3cr\xc3\xa9t!", Some(&Secret::from("s3crét"))), "secret [the token]!");
        assert_eq!(one_line(b"no token", Some(&Secret::from(""))), "no token");
    }
}
