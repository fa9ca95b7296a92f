//! Which value of a document it is that a type does not take.
//!
//! The reader knows where it stopped, but not within an enum with `#[serde(tag = …)]` or a field with `#[serde(flatten)]`: serde reads
//! these from a buffer that has forgotten where its values came from. A text is found by its address all the same. Of other values
//! all that are alike are candidates, and [`disambiguate`] finds out which is meant; too many of them, and the place where the reader
//! stopped is reported.

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
use serde::de::DeserializeOwned;

/// The most values that an error may mean and that are still told apart.
pub(super) const MAX_CANDIDATES: usize = 256;

/// A value or a name in a document.
pub(super) struct Place {
    pub(super) path: Path,
    /// Where the value is; of a name, that of its field.
    pub(super) value: usize,
    /// It is the name of a field.
    pub(super) name: bool,
}

/// Says in words what a cause means.
pub(super) fn explain<T: DeserializeOwned>(cause: &Cause, plan: Plan<'_>) -> MetadataError {
    let parts = cause.parts();
    if let Problem::Text(text) = &parts.problem {
        return MetadataError::of_text::<T>(text);
    }
    let reported = parts.at.unwrap_or_default();
    let found = match directly(parts, plan) {
        Some(at) => Some(at),
        None if !parts.buffered => Some(reported),
        // A list has no fields; serde looks for the first of them all the same.
        None if matches!(parts.problem, Problem::MissingField(_))
            && plan.cursor().from(reported).token() == Some(Token::Array) =>
        {
            Some(reported)
        }
        // What a type says itself is about all of the value.
        None if matches!(&parts.problem, Problem::Said(said) if flattened_field(said).is_none()) => {
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
        // Of a list or an object only the beginning is the value itself.
        if at == offset || (at < offset && offset < walk.cursor.at()) {
            let value = if name { walk.cursor.start() } else { at };
            return Some(Place { path: walk.path(), value, name });
        }
    }
    None
}

/// What was found is a text of the document.
fn directly(parts: &Parts, plan: Plan<'_>) -> Option<usize> {
    match parts.problem {
        Problem::Type | Problem::Value | Problem::Variant | Problem::UnknownField => {
            parts.found.offset_in(plan.text)
        }
        _ => None,
    }
}

/// All that the cause may mean of the value that begins there, in their order; `None` if there are too many, or it cannot be said.
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
            (Event::Key { at, name }, Problem::Said(said)) => {
                flattened_field(said).is_some_and(|field| name.is(field)).then_some(*at)
            }
            _ => None,
        };
        all.extend(candidate);
        if all.len() > MAX_CANDIDATES {
            return None;
        }
    }
    all.sort_unstable();
    // A name that is refused in two places is wrong in the first of them.
    if matches!(parts.problem, Problem::UnknownField | Problem::Said(_)) {
        all.truncate(1);
    }
    (!all.is_empty()).then_some(all)
}

/// With `flatten`, the field that nobody knows is only in serde's text.
pub(super) fn flattened_field(said: &str) -> Option<&str> {
    said.strip_prefix("unknown field `")?.strip_suffix('`')
}

/// Whether this is a value like the one that was found. Texts are made of nothing that cannot be the one by its length.
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
            // One without escapes has been found by its address.
            text.escaped
                && text.raw.len() > *len
                && text.decode().is_ok_and(|decoded| found.is_text(&decoded))
        }
        _ => false,
    }
}

/// The error about a place that was found.
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
            // The name of a variant: it is the object that is wrong.
            let value = path.0.pop().map(|step| step.shown());
            error(&path, value, &format!("expected {expected}")).expecting(&expected)
        }
        Problem::Variant | Problem::Type | Problem::Value | Problem::Length(_) => {
            error(&path, shown(), &format!("expected {expected}")).expecting(&expected)
        }
        Problem::Said(said) => match flattened_field(said) {
            Some(_) if name => error(&path, shown(), "unknown field"),
            _ => error(&path, shown(), &plain(said)),
        },
        Problem::Text(text) => MetadataError::of_text::<T>(text),
    }
}

/// The error about something below this, which nobody can tell from others like it.
fn within<T>(parts: &Parts, path: Path) -> MetadataError {
    let expected = words(&parts.expected);
    match &parts.problem {
        Problem::MissingField(field) => {
            MetadataError::of::<T>(&path, None, &format!("missing field `{field}` of an object in it"))
        }
        Problem::DuplicateField(field) => {
            MetadataError::of::<T>(&path.below(Step::key(field)), None, "duplicate field")
        }
        Problem::Said(said) => MetadataError::of::<T>(&path, None, &plain(said)),
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

/// serde's own words about types, in others.
fn plain(said: &str) -> String {
    if said.starts_with("data did not match any variant of untagged enum ") {
        return "fits none of the forms that are accepted here".to_owned();
    }
    said.to_owned()
}
