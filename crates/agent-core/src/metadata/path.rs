//! Paths in a JSON document.

use std::fmt;

use super::scan::{Cursor, Token};

pub(super) const MAX_PATH: usize = 400;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    pub(super) fn key(name: &str) -> Self {
        Self::Key(name.to_owned())
    }

    /// Human-readable.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Key(name) => format!("{:?}", cut(name, MAX_SHOWN_KEY)),
            Self::Index(index) => index.to_string(),
        }
    }
}

/// From the document itself, `$`, down to a place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

/// The longest key that is shown, in characters.
const MAX_SHOWN_KEY: usize = 64;

impl Path {
    /// Parses a path as written in Rust, by hand, or by [`fmt::Display`]: `tracks[1]`, `$.tracks[1]`,
    /// `$["a key"]`.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        while let Some(first) = rest.chars().next() {
            let (step, after) = match first {
                '.' => (None, rest.get(1..)),
                '[' => {
                    let inner = rest.get(1..).unwrap_or_default();
                    let mut quoted = serde_json::Deserializer::from_str(inner).into_iter::<String>();
                    if let Some(Ok(key)) = quoted.next() {
                        (Some(Step::Key(key)), inner.get(quoted.byte_offset() + 1..))
                    } else {
                        let (index, after) = inner.split_once(']').unwrap_or((inner, ""));
                        let key = || Step::Key(index.to_owned());
                        (Some(index.parse().map_or_else(|_| key(), Step::Index)), Some(after))
                    }
                }
                _ => {
                    let (key, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
                    (Some(Step::Key(key.to_owned())), Some(after))
                }
            };
            steps.extend(step);
            rest = after.unwrap_or_default();
        }
        Self(steps)
    }

    /// Finds the path in a document, and returns its form there: a type's fields may have other names in JSON
    /// (`maxDuration` for `max_duration`), and a tuple variant's `[0]` is not a step.
    pub(super) fn resolve(&self, mut cursor: Cursor<'_>) -> (Self, Option<usize>) {
        let mut steps = Vec::new();
        let mut there = true;
        // Similar names take two searches at each level.
        let limit = cursor.work().steps().saturating_add(8 * cursor.text().len());
        for step in &self.0 {
            there = there && cursor.work().steps() <= limit;
            let token = if there { cursor.token() } else { None };
            match (step, token) {
                (Step::Index(_), Some(Token::Object | Token::String)) => {}
                (Step::Index(index), _) => {
                    there = token == Some(Token::Array) && cursor.go_to_item(*index);
                    steps.push(step.clone());
                }
                (Step::Key(key), _) => {
                    let name = if token == Some(Token::Object) { field_like(&mut cursor, key) } else { None };
                    there = name.is_some();
                    steps.push(name.map_or_else(|| step.clone(), Step::Key));
                }
            }
        }
        let at = there.then(|| cursor.start());
        (Self(steps), at)
    }

    /// The text of [`fmt::Display`], shortened to `limit` characters in the middle.
    pub(super) fn shown(&self, limit: usize) -> String {
        let all = self.to_string();
        let count = all.chars().count();
        if count <= limit {
            return all;
        }
        let end = limit / 2;
        all.chars().take(limit - end - 1).chain(['…']).chain(all.chars().skip(count - end)).collect()
    }

    /// The path one step below.
    pub(super) fn below(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// The name of the last field in the path.
    pub(super) fn field(&self) -> String {
        let name = self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(cut(key, MAX_SHOWN_KEY)),
            Step::Index(_) => None,
        });
        name.unwrap_or_default()
    }
}

/// A path of serde, without a document to compare it with.
pub(crate) fn json_path(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let steps = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } | Segment::Enum { variant: key } => Some(Step::Key(key.clone())),
        Segment::Unknown => None,
    });
    shown_path(steps.collect())
}

/// The path as text: `$.tracks[1]`.
pub(crate) fn shown_path(steps: Vec<Step>) -> String {
    Path(steps).shown(MAX_PATH)
}

/// Moves to the value of the object's field of this name, or else of a similar name.
fn field_like(cursor: &mut Cursor<'_>, key: &str) -> Option<String> {
    let mut similar = None;
    cursor.enter();
    let mut first = true;
    while let Some((_, name)) = cursor.next_key(first) {
        first = false;
        if name.is(key) {
            return Some(key.to_owned());
        }
        if similar.is_none() && !name.escaped && alike(name.raw, key) {
            similar = Some((name.raw.to_owned(), cursor.at()));
        }
        cursor.skip();
    }
    let (name, at) = similar?;
    *cursor = cursor.from(at);
    Some(name)
}

/// At most `limit` characters, unescaped: a name with other characters is shown as a quoted string, which has
/// its own escapes.
pub(super) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

fn alike(name: &str, other: &str) -> bool {
    fn plain(text: &str) -> impl Iterator<Item = char> {
        text.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase)
    }
    plain(name).eq(plain(other))
}

/// `$`, `$.tracks[1]`, `$["a key"]`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in &self.0 {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
                    let key = cut(key, MAX_SHOWN_KEY);
                    if !key.is_empty() && key.chars().all(|c| plain(c) || c == '…') {
                        write!(f, ".{key}")?;
                    } else {
                        write!(f, "[{key:?}]")?;
                    }
                }
            }
        }
        Ok(())
    }
}
