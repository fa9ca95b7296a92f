//! Which value of a document it is that a type does not take.
//!
//! serde names the path of a wrong value, but not within an enum with `#[serde(tag = …)]` or a field with `#[serde(flatten)]`: it reads
//! these from a buffer that has forgotten where its values came from. So what the error may mean is looked for, and when that is
//! more than one thing, [`convict`] finds out which it is.

use super::convict::convict;
use super::error::MetadataError;
use super::path::{Path, Step};
use serde::de::{DeserializeOwned, Unexpected};
use serde_json::Value;

/// What serde may be complaining about.
#[derive(Clone, Debug)]
pub(super) enum Suspect {
    /// The value here.
    Value(Path),
    /// The name of a field, which nobody knows, of the object here.
    Name(Path, String),
    /// A field that the object here lacks.
    Gap(Path, String),
}

/// Says what `said` means, where serde found it at `reported` or anywhere below. The document has `len` bytes.
pub(super) fn locate<T: DeserializeOwned>(
    document: &Value,
    len: usize,
    reported: Path,
    said: &str,
) -> MetadataError {
    // Of a field that nobody knows, serde reports the field; it is looked for in the object.
    let mut above = reported.clone();
    let reported = match above.0.pop() {
        Some(Step::Key(_)) if said.starts_with("unknown field `") => above,
        _ => reported,
    };
    let mut suspects = Vec::new();
    if let Some(node) = reported.get(document) {
        find(node, &reported, said, &mut suspects);
    }
    let culprit = match suspects.as_slice() {
        [] => return MetadataError::of::<T>(&reported, document, said),
        [one] => one.clone(),
        [first, ..] => convict::<T>(document, len, said, &suspects).unwrap_or_else(|| first.at(reported)),
    };
    culprit.error::<T>(document, said)
}

/// Collects what the error may mean, the outer and the earlier first.
fn find(node: &Value, at: &Path, said: &str, suspects: &mut Vec<Suspect>) {
    if complaint(node, said).is_some() {
        suspects.push(Suspect::Value(at.clone()));
    }
    match node {
        Value::Object(fields) => {
            let gap = said.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
            if let Some(name) = gap.filter(|name| !fields.contains_key(*name)) {
                suspects.push(Suspect::Gap(at.clone(), name.to_owned()));
            }
            if let Some(rest) = said.strip_prefix("unknown field `") {
                let unknown =
                    |name: &&String| rest.strip_prefix(name.as_str()).is_some_and(|r| r.starts_with("`, "));
                suspects
                    .extend(fields.keys().find(unknown).map(|name| Suspect::Name(at.clone(), name.clone())));
            }
            for (name, below) in fields {
                find(below, &at.below(Step::Key(name.clone())), said, suspects);
            }
        }
        Value::Array(items) => {
            for (index, below) in items.iter().enumerate() {
                find(below, &at.below(Step::Index(index)), said, suspects);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The kind of complaint and what was wanted, if serde says this of such a value.
fn complaint<'a>(node: &Value, said: &'a str) -> Option<(&'static str, &'a str)> {
    let (shown, len) = match node {
        Value::Null => ("null".to_owned(), None),
        Value::Bool(value) => (Unexpected::Bool(*value).to_string(), None),
        Value::String(text) => (Unexpected::Str(text).to_string(), None),
        Value::Array(items) => ("sequence".to_owned(), Some(items.len())),
        Value::Object(fields) => ("map".to_owned(), Some(fields.len())),
        Value::Number(number) if number.is_f64() => (format!("floating point `{number}`"), None),
        Value::Number(number) => (format!("integer `{number}`"), None),
    };
    let about = |kind: &'static str, what: &str| {
        let rest = said.strip_prefix(kind)?.strip_prefix(what)?.strip_prefix(", ")?;
        Some((kind, rest))
    };
    about("invalid type", &format!(": {shown}"))
        .or_else(|| about("invalid value", &format!(": {shown}")))
        .or_else(|| len.and_then(|len| about("invalid length", &format!(" {len}"))))
        .or_else(|| node.as_str().and_then(|text| about("unknown variant", &format!(" `{text}`"))))
}

impl Suspect {
    /// The same complaint about the place that serde reported.
    fn at(&self, reported: Path) -> Self {
        match self {
            Self::Value(_) => Self::Value(reported),
            Self::Name(_, name) => Self::Name(reported, name.clone()),
            Self::Gap(_, name) => Self::Gap(reported, name.clone()),
        }
    }

    /// What is wanted in its place, as serde says it.
    fn wanted<'a>(&self, document: &Value, said: &'a str) -> Option<&'a str> {
        match self {
            Self::Value(path) => complaint(path.get(document)?, said).map(|(_, wanted)| wanted),
            Self::Name(_, name) => said.strip_prefix(&format!("unknown field `{name}`, ")),
            Self::Gap(..) => None,
        }
    }

    fn error<T>(&self, document: &Value, said: &str) -> MetadataError {
        let wanted = self.wanted(document, said);
        let expected = wanted.and_then(|wanted| wanted.strip_prefix("expected "));
        let error = match self {
            Self::Value(path) => {
                let kind = path.get(document).and_then(|node| complaint(node, said)).map(|(kind, _)| kind);
                let message = match (kind, wanted) {
                    (Some(kind), Some(wanted)) => format!("{kind}, {wanted}"),
                    _ => said.to_owned(),
                };
                MetadataError::of::<T>(path, document, &message)
            }
            Self::Name(path, name) => {
                let message = format!("unknown field, {}", wanted.unwrap_or_default());
                MetadataError::of::<T>(&path.below(Step::Key(name.clone())), document, &message)
            }
            Self::Gap(path, name) => {
                MetadataError::of::<T>(&path.below(Step::Key(name.clone())), document, "missing field")
            }
        };
        error.expecting(expected)
    }
}
