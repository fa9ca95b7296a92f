//! Display of text from others: on one line, without invisible characters, and of bounded length.
//!
//! A server, a participant, a store or a job's metadata chooses these texts. Logged as they are, a line break
//! forges log lines, an escape sequence controls the terminal, and a megabyte fills the disk.
//!
//! ```
//! use agent_proto::text::{line, name, shorten};
//!
//! let eve = "eve\n2026-01-01T00:00:00Z ERROR fake: \u{1b}[31m";
//! assert_eq!(name("lobby").to_string(), "lobby");
//! assert_eq!(line(eve).to_string(), r"eve\n2026-01-01T00:00:00Z ERROR fake: \u{1b}[31m");
//! assert_eq!(shorten(eve, 5), r"eve…");
//! ```

use std::fmt::{self, Display, Write};

/// The most characters that [`name`] shows, the limit of livekit-server for names of rooms.
pub const MAX_NAME: usize = 256;
/// The most characters that [`line`](fn@line) shows.
pub const MAX_LINE: usize = 4096;

/// A name that others have chosen, as the value of a log field: an id, a room, an identity, a topic.
///
/// At most [`MAX_NAME`] printable characters; in quotes if it could be read as more than one field.
pub const fn name(text: &str) -> Name<'_> {
    Name(text)
}

/// Text from others, for the message of a log line or an error: on one line, at most [`MAX_LINE`] printable
/// characters.
///
/// Accepts any `Display`, and formats no more of it than is shown.
pub const fn line<T: Display>(text: T) -> Line<T> {
    Line(text)
}

/// At most `limit` printable characters of a text, to be kept in an error; what is cut ends in `…`.
///
/// Text that was shortened before is unchanged.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write_printable(&mut out, limit, text);
    out
}

/// Displayed by [`name`].
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(&'a str);

/// Displayed by [`line`](fn@line).
#[derive(Clone, Copy, Debug)]
pub struct Line<T>(T);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = || self.0.chars().take(MAX_NAME);
        let forges = shown().any(char::is_whitespace) && shown().any(|c| matches!(c, '=' | '{' | '}' | '"'));
        if forges {
            write!(f, "{:?}", shorten(self.0, MAX_NAME))
        } else {
            write_printable(f, MAX_NAME, self.0)
        }
    }
}

impl<T: Display> Display for Line<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_printable(f, MAX_LINE, &self.0)
    }
}

fn write_printable(out: &mut impl Write, limit: usize, text: impl Display) -> fmt::Result {
    let mut printable = Printable { out, limit, used: 0, last: None, full: false };
    match write!(printable, "{text}") {
        Err(_) if printable.full => Ok(()),
        Err(error) => Err(error),
        Ok(()) => match printable.last {
            Some(last) => write_escaped(printable.out, last),
            None => Ok(()),
        },
    }
}

/// Passes on printable characters until there are `limit` of them, and then fails, so that the rest is not
/// even formatted.
struct Printable<'a, W> {
    out: &'a mut W,
    limit: usize,
    used: usize,
    /// Fits only if nothing follows: otherwise the mark replaces it.
    last: Option<char>,
    full: bool,
}

impl<W: Write> Write for Printable<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        let used = self.used + if is_printable(c) { 1 } else { c.escape_default().len() };
        if self.last.is_some() || used > self.limit {
            self.full = true;
            self.out.write_char('…')?;
            return Err(fmt::Error);
        }
        self.used = used;
        if used == self.limit {
            self.last = Some(c);
            return Ok(());
        }
        write_escaped(self.out, c)
    }
}

fn write_escaped(out: &mut impl Write, c: char) -> fmt::Result {
    if is_printable(c) { out.write_char(c) } else { write!(out, "{}", c.escape_default()) }
}

/// Neither a control character (C0, DEL, C1), nor a line break, nor invisible, nor one that reorders its
/// neighbours.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero width, left-to-right and right-to-left marks.
            | '\u{200b}'..='\u{200f}'
            // Line and paragraph separators, embeddings and overrides.
            | '\u{2028}'..='\u{202e}'
            // Invisible operators, isolates, deprecated format characters.
            | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotations.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags.
            | '\u{e0000}'..='\u{e007f}')
}

/// Keys and values as owned texts, for what takes attributes in any form.
pub fn owned_pairs<K: Into<String>, V: Into<String>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> impl Iterator<Item = (String, String)> {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_line_breaks_and_invisible_characters_are_escaped() {
        for (text, expected) in [
            ("eve\r\n\tERROR", r"eve\r\n\tERROR"),
            ("\0\u{1b}[31m\u{7}\u{7f}", r"\u{0}\u{1b}[31m\u{7}\u{7f}"),
            ("\u{85}\u{9b}31m", r"\u{85}\u{9b}31m"),
            ("a\u{2028}b\u{2029}c", r"a\u{2028}b\u{2029}c"),
            ("\u{202e}\u{2066}\u{200f}\u{61c}", r"\u{202e}\u{2066}\u{200f}\u{61c}"),
            ("\u{feff}a\u{200b}b\u{e0041}", r"\u{feff}a\u{200b}b\u{e0041}"),
            ("Zoë, Здравствуй, 部屋 🎉 e\u{301}", "Zoë, Здравствуй, 部屋 🎉 e\u{301}"),
            (r"C:\n", r"C:\n"),
            ("", ""),
        ] {
            assert_eq!(line(text).to_string(), expected);
            assert_eq!(name(text).to_string(), expected);
            assert_eq!(shorten(text, 100), expected);
        }
    }

    #[test]
    fn a_cut_text_ends_in_a_mark_within_the_limit() {
        for (text, limit, expected) in [
            ("abcd", 4, "abcd"),
            ("abcde", 4, "abc…"),
            ("ab\n", 4, r"ab\n"),
            ("ab\nc", 4, "ab…"),
            ("abc\n", 4, "abc…"),
            ("a", 1, "a"),
            ("ab", 1, "…"),
            ("", 0, ""),
        ] {
            assert_eq!(shorten(text, limit), expected, "{text:?} {limit}");
        }
        assert_eq!(name(&"x".repeat(1 << 20)).to_string().chars().count(), MAX_NAME);
        assert_eq!(line("x".repeat(1 << 20)).to_string().chars().count(), MAX_LINE);
    }

    #[test]
    fn no_more_is_formatted_than_is_shown() {
        struct Endless(std::cell::Cell<usize>);
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    self.0.set(self.0.get() + 1);
                    f.write_str("ab")?;
                }
            }
        }
        let endless = Endless(0.into());
        assert_eq!(line(&endless).to_string().chars().count(), MAX_LINE);
        assert_eq!(endless.0.get(), MAX_LINE / 2 + 1);
    }

    #[test]
    fn a_name_is_no_second_field_and_no_end_of_a_span() {
        for (text, expected) in [
            ("Team standup", "Team standup"),
            ("a=b", "a=b"),
            ("x job_id=AJ_2", r#""x job_id=AJ_2""#),
            ("x}: job ended", r#""x}: job ended""#),
            ("say \"hi\"", r#""say \"hi\"""#),
        ] {
            assert_eq!(name(text).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_printable_line(text in any::<String>(), limit in 0_usize..50) {
            let short = shorten(&text, limit);
            prop_assert!(short.chars().all(is_printable), "{short:?}");
            prop_assert!(short.chars().count() <= limit.max(1));
            prop_assert_eq!(shorten(&short, limit), short.clone());
            prop_assert!(name(&text).to_string().chars().all(is_printable));
        }
    }
}
