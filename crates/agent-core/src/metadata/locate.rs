//! Locates the value of a document that a type refuses.
//!
//! The reader knows where it stopped, but not within an enum with `#[serde(tag = …)]` or a field with
//! `#[serde(flatten)]`: serde reads these from a buffer without positions. A string is still found by its
//! address. Of other values all equal ones are candidates, and [`disambiguate`] determines the one; with too
//! many candidates, the place where the reader stopped is reported.

use serde::de::DeserializeOwned;

use super::cause::{Cause, Found, Parts, Problem};
use super::disambiguate::disambiguate;
use super::error::MetadataError;
use super::number::Number;
use super::path::{Path, Step};
use super::reader::Plan;
use super::scan::{Cursor, Token};
use super::show::show;
use super::walk::{Event, Walk};
use super::wording::words;

/// Maximum number of candidates that are tried.
pub(super) const MAX_CANDIDATES: usize = 256;

/// A value or a name in a document.
pub(super) struct Place {
    pub(super) path: Path,
    /// The start of the value; of a name, the value of its field.
    pub(super) value: usize,
    /// Whether it is the name of a field.
    pub(super) name: bool,
}

/// Converts a cause into an error.
pub(super) fn explain<T: DeserializeOwned>(cause: &Cause, plan: Plan<'_>) -> MetadataError {
    let parts = cause.parts();
    if let Problem::Text(text) = &parts.problem {
        return MetadataError::of_text::<T>(text);
    }
    let reported = parts.at.unwrap_or_default();
    let found = match directly(parts, plan) {
        Some(at) => Some(at),
        None if !parts.buffered => Some(reported),
        // A list has no fields, but serde reports the first one as missing.
        None if matches!(parts.problem, Problem::MissingField(_))
            && plan.cursor().from(reported).token() == Some(Token::Array) =>
        {
            Some(reported)
        }
        // The message of a type refers to the whole value.
        None if matches!(&parts.problem, Problem::Message(text) if flattened_field(text).is_none()) => {
            Some(reported)
        }
        None => match candidates(parts, plan, reported).as_deref() {
            Some([one]) => Some(*one),
            Some(several) => disambiguate::<T>(cause, plan, several),
            None => None,
        },
    };
    let place = |at| place(plan.cursor(), at);
    match found.and_then(place) {
        Some(place) => at_place::<T>(parts, plan, place),
        None => within::<T>(parts, place(reported).map(|place| place.path).unwrap_or_default()),
    }
}

/// Finds a place of the document.
pub(super) fn place(cursor: Cursor<'_>, offset: usize) -> Option<Place> {
    let mut walk = Walk::over(cursor);
    while let Some(event) = walk.next() {
        let (at, name) = match event {
            Event::Key { at, .. } => (at, true),
            Event::Value { at, .. } => (at, false),
            Event::Close(_) => continue,
        };
        // Of a list or an object only the start counts as the value itself.
        if at == offset || (at < offset && offset < walk.cursor.at()) {
            let value = if name { walk.cursor.start() } else { at };
            return Some(Place { path: walk.path(), value, name });
        }
    }
    None
}

/// The found string, if it is a part of the document.
fn directly(parts: &Parts, plan: Plan<'_>) -> Option<usize> {
    match parts.problem {
        Problem::Type | Problem::Value | Problem::Variant | Problem::UnknownField => {
            parts.found.offset_in(plan.text)
        }
        _ => None,
    }
}

/// All candidates within the value at `at`, in their order; `None` if there are none or too many.
fn candidates(parts: &Parts, plan: Plan<'_>, at: usize) -> Option<Vec<usize>> {
    let mut walk = Walk::over(plan.cursor().from(at));
    let mut all = Vec::new();
    while let Some(event) = walk.next() {
        let candidate = match (&event, &parts.problem) {
            (Event::Value { at, token }, Problem::Type | Problem::Value | Problem::Variant) => {
                is_found(&parts.found, *token, &mut plan.cursor().from(*at)).then_some(*at)
            }
            (Event::Close(frame), Problem::Length(len)) => (frame.items == *len).then_some(frame.start),
            (Event::Close(frame), Problem::MissingField(_)) => {
                (frame.is_object() && !frame.mark).then_some(frame.start)
            }
            (Event::Key { name, .. }, Problem::MissingField(field)) => {
                let there = name.is(field);
                if let Some(frame) = walk.frame() {
                    frame.mark |= there;
                }
                None
            }
            (Event::Key { at, name }, Problem::UnknownField) => {
                name.decode().is_ok_and(|name| parts.found.is_text(&name)).then_some(*at)
            }
            (Event::Key { name, .. }, Problem::DuplicateField(field)) if name.is(field) => {
                let frame = walk.frame()?;
                if frame.mark {
                    return Some(vec![frame.start]);
                }
                frame.mark = true;
                None
            }
            (Event::Key { at, name }, Problem::Message(text)) => {
                flattened_field(text).is_some_and(|field| name.is(field)).then_some(*at)
            }
            _ => None,
        };
        all.extend(candidate);
        if all.len() > MAX_CANDIDATES {
            return None;
        }
    }
    all.sort_unstable();
    // Of a name that is refused in two places the first is reported.
    if matches!(parts.problem, Problem::UnknownField | Problem::Message(_)) {
        all.truncate(1);
    }
    (!all.is_empty()).then_some(all)
}

/// With `flatten`, the unknown field is only in serde's message.
pub(super) fn flattened_field(text: &str) -> Option<&str> {
    text.strip_prefix("unknown field `")?.strip_suffix('`')
}

/// Whether this value equals the found one. Strings are decoded only if their length allows it.
fn is_found(found: &Found, token: Token, cursor: &mut Cursor<'_>) -> bool {
    match (found, token) {
        (Found::Null, Token::Null)
        | (Found::Bool(true), Token::True)
        | (Found::Bool(false), Token::False)
        | (Found::List, Token::Array)
        | (Found::Object, Token::Object) => true,
        (Found::Unsigned(_) | Found::Signed(_) | Found::Float(_), Token::Number) => {
            match (found, Number::of(cursor.literal())) {
                (Found::Unsigned(one), Ok(Number::Unsigned(other))) => *one == other,
                (Found::Signed(one), Ok(Number::Signed(other))) => *one == other,
                (Found::Float(one), Ok(Number::Float(other))) => one.to_bits() == other.to_bits(),
                _ => false,
            }
        }
        (Found::Text { len, .. }, Token::String) => {
            let text = cursor.string();
            // A string without escapes was found by its address.
            text.escaped
                && text.raw.len() > *len
                && text.decode().is_ok_and(|decoded| found.is_text(&decoded))
        }
        _ => false,
    }
}

/// The error about a located value.
fn at_place<T>(parts: &Parts, plan: Plan<'_>, place: Place) -> MetadataError {
    let expected = words(&parts.expected);
    let Place { mut path, value, name } = place;
    let token = plan.cursor().from(value).token();
    let shown = || show(plan.cursor().from(value));
    let error =
        |path: &Path, value: Option<String>, message: &str| MetadataError::of::<T>(path, value, message);
    match &parts.problem {
        Problem::MissingField(_) if token == Some(Token::Array) => {
            error(&path, shown(), "expected an object").expecting("an object")
        }
        Problem::MissingField(field) => error(&path.below(Step::key(field)), None, "missing field"),
        Problem::DuplicateField(field) => error(&path.below(Step::key(field)), None, "duplicate field"),
        Problem::UnknownField => {
            error(&path, shown(), &format!("unknown field, expected {expected}")).expecting(&expected)
        }
        Problem::Key => {
            let message = format!("the name of the field: expected {expected}");
            error(&path, None, &message).expecting(&expected)
        }
        Problem::Variant | Problem::Type | Problem::Value if name => {
            // The name of a variant: the object is reported.
            let value = path.0.pop().map(|step| step.shown());
            error(&path, value, &format!("expected {expected}")).expecting(&expected)
        }
        Problem::Variant | Problem::Type | Problem::Value | Problem::Length(_) => {
            error(&path, shown(), &format!("expected {expected}")).expecting(&expected)
        }
        Problem::Message(text) => match flattened_field(text) {
            Some(_) if name => error(&path, shown(), "unknown field"),
            _ => error(&path, shown(), &plain(text)),
        },
        Problem::Text(text) => MetadataError::of_text::<T>(text),
    }
}

/// The error about a value within `path` that cannot be distinguished from equal ones.
fn within<T>(parts: &Parts, path: Path) -> MetadataError {
    let expected = words(&parts.expected);
    match &parts.problem {
        Problem::MissingField(field) => {
            MetadataError::of::<T>(&path, None, &format!("missing field `{field}` of an object in it"))
        }
        Problem::DuplicateField(field) => {
            MetadataError::of::<T>(&path.below(Step::key(field)), None, "duplicate field")
        }
        Problem::Message(text) => MetadataError::of::<T>(&path, None, &plain(text)),
        Problem::Text(text) => MetadataError::of_text::<T>(text),
        problem => {
            let found = match &parts.found {
                Found::Null => " instead of `null`".to_owned(),
                Found::Bool(value) => format!(" instead of `{value}`"),
                Found::Unsigned(value) => format!(" instead of `{value}`"),
                Found::Signed(value) => format!(" instead of `{value}`"),
                Found::Float(value) => format!(" instead of `{value}`"),
                Found::List => " instead of a list".to_owned(),
                Found::Object => " instead of an object".to_owned(),
                Found::Text { .. } | Found::Other => String::new(),
            };
            let unknown = if *problem == Problem::UnknownField { "unknown field, " } else { "" };
            let message = format!("{unknown}expected {expected}{found} for a value in it");
            MetadataError::of::<T>(&path, None, &message).expecting(&expected)
        }
    }
}

/// Replaces serde's wording about Rust types.
fn plain(text: &str) -> String {
    if text.starts_with("data did not match any variant of untagged enum ") {
        return "fits none of the forms that are accepted here".to_owned();
    }
    text.to_owned()
}
