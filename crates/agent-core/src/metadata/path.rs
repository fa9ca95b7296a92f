//! Where in a JSON document something is.

use super::error::MAX_PATH;
use crate::text::shorten;
use serde_json::Value;
use std::fmt;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// From the document itself, `$`, down to a place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

/// What of a key is shown.
const MAX_SHOWN_KEY: usize = 64;

impl Path {
    /// The path that serde found, without what is no step of the document, such as the name of a variant.
    pub(super) fn of_serde(path: &serde_path_to_error::Path, document: &Value) -> Self {
        use serde_path_to_error::Segment;
        let mut steps = Vec::new();
        let mut node = Some(document);
        for segment in path {
            let (key, index) = match segment {
                Segment::Seq { index } => (None, Some(*index)),
                Segment::Map { key } | Segment::Enum { variant: key } => (Some(key), None),
                Segment::Unknown => continue,
            };
            let below = match (key, index) {
                (Some(key), _) => node.and_then(|node| node.get(key)),
                (_, Some(index)) => node.and_then(|node| node.get(index)),
                (None, None) => None,
            };
            if below.is_some() {
                steps.extend(key.cloned().map(Step::Key).or(index.map(Step::Index)));
                node = below;
            }
        }
        Self(steps)
    }

    /// Reads a path as Rust, people and [`fmt::Display`] write it: `tracks[1]`, `$.tracks[1]`, `$["a key"]`.
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

    /// The same place, as the document has it: a type's fields may be called otherwise in JSON (`maxDuration` for `max_duration`),
    /// and a tuple variant's `[0]` is no step there.
    pub(super) fn in_document(&self, document: &Value) -> Self {
        let mut steps = Vec::new();
        let mut node = Some(document);
        for step in &self.0 {
            let (step, below) = match (step, node) {
                (Step::Index(_), Some(Value::Object(_) | Value::String(_))) => continue,
                (Step::Index(index), _) => (step.clone(), node.and_then(|node| node.get(*index))),
                (Step::Key(key), Some(Value::Object(fields))) => {
                    let found = fields
                        .get_key_value(key)
                        .or_else(|| fields.iter().find(|(name, _)| alike(name, key)));
                    match found {
                        Some((name, below)) => (Step::Key(name.clone()), Some(below)),
                        None => (step.clone(), None),
                    }
                }
                (Step::Key(_), _) => (step.clone(), None),
            };
            steps.push(step);
            node = below;
        }
        Self(steps)
    }

    pub(super) fn get<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(document, |node, step| match step {
            Step::Key(key) => node.get(key),
            Step::Index(index) => node.get(index),
        })
    }

    pub(super) fn get_mut<'a>(&self, document: &'a mut Value) -> Option<&'a mut Value> {
        self.0.iter().try_fold(document, |node, step| match step {
            Step::Key(key) => node.get_mut(key),
            Step::Index(index) => node.get_mut(index),
        })
    }

    /// The place one step below.
    pub(super) fn below(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// The name of the field that this is, or is in.
    pub(super) fn field(&self) -> String {
        let name = self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(shorten(key, MAX_SHOWN_KEY)),
            Step::Index(_) => None,
        });
        name.unwrap_or_default()
    }
}

/// A path that serde found, where there is no document to compare it with.
pub(crate) fn json_path(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let steps = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } | Segment::Enum { variant: key } => Some(Step::Key(key.clone())),
        Segment::Unknown => None,
    });
    shown_path(steps.collect())
}

/// From the document itself down, as text: `$.tracks[1]`.
pub(crate) fn shown_path(steps: Vec<Step>) -> String {
    shorten(&Path(steps).to_string(), MAX_PATH)
}

fn alike(name: &str, other: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
    };
    plain(name) == plain(other)
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
                    let key = shorten(key, MAX_SHOWN_KEY);
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
