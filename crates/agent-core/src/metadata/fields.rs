//! The fields of the metadata that the SDK reads itself, independently of the agent's type.

use std::time::Duration;

use super::document::{MAX_METADATA_LEN, check_len, content, well_formed};
use super::error::MetadataError;
use super::path::{Path, Step, cut};
use super::scan::{Cursor, Token, Work};
use super::show::show;

/// The top-level fields that the SDK reads; no type has to know them.
pub(crate) const SDK_FIELDS: [&str; 3] = ["action", "request_id", "timeout"];

/// The longest request id that is logged, in characters.
const MAX_REQUEST_ID: usize = 128;

/// The longest time limit that a job can ask for, in seconds: 136 years.
const MAX_TIMEOUT: f64 = u32::MAX as f64;

/// The top-level fields of a document.
struct Fields<'de> {
    cursor: Cursor<'de>,
}

enum Field<'de> {
    Absent,
    Null,
    Twice,
    Value(Cursor<'de>),
}

impl<'de> Fields<'de> {
    /// `None` when the text is not an object; it need not be well-formed.
    fn of(text: &'de str, work: &'de Work) -> Option<Self> {
        let mut cursor = Cursor::new(content(text).filter(|text| text.len() <= MAX_METADATA_LEN)?, work);
        (cursor.token() == Some(Token::Object)).then_some(Self { cursor })
    }

    fn get(&self, name: &str) -> Field<'de> {
        let mut cursor = self.cursor.clone();
        let mut found = None;
        let mut first = true;
        cursor.enter();
        while let Some((_, key)) = cursor.next_key(first) {
            first = false;
            if key.is(name) {
                if found.is_some() {
                    return Field::Twice;
                }
                found = Some(cursor.clone());
            }
            cursor.skip();
        }
        match found {
            Some(value) if value.clone().token() == Some(Token::Null) => Field::Null,
            Some(value) => Field::Value(value),
            None => Field::Absent,
        }
    }
}

/// The request id, a string or a number; cut to 128 characters.
pub(crate) fn request_id(text: &str) -> Option<String> {
    let work = Work::default();
    let Field::Value(mut value) = Fields::of(text, &work)?.get("request_id") else { return None };
    // The whole text must be JSON, not only its beginning.
    well_formed::<()>(content(text)?).ok()?;
    let id = match value.token()? {
        Token::String => value.string().decode().ok()?,
        Token::Number => number(value.literal()).into(),
        _ => return None,
    };
    (!id.is_empty()).then(|| cut(&id, MAX_REQUEST_ID))
}

/// The time limit in the metadata; `None` without one, or when it is not a JSON object.
pub(crate) fn timeout(text: &str) -> Result<Option<Duration>, MetadataError> {
    let work = Work::default();
    let Some(fields) = Fields::of(text, &work) else { return Ok(None) };
    let field = fields.get("timeout");
    if matches!(field, Field::Absent | Field::Null)
        || content(text).is_some_and(|text| well_formed::<()>(text).is_err())
    {
        return Ok(None);
    }
    let Field::Value(mut value) = field else { return Err(twice("timeout")) };
    let shown = show(value.clone());
    let seconds = match value.token() {
        Some(Token::Number) => value.literal().parse::<f64>().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds <= MAX_TIMEOUT);
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        // A positive number below a nanosecond counts as one.
        Some(limit) => Ok(Some(limit.max(Duration::from_nanos(1)))),
        None => Err(wrong("timeout", shown, &format!("a number of seconds above 0, at most {}", u32::MAX))),
    }
}

/// The action in the metadata; `None` without one, or without metadata.
pub(crate) fn action(text: &str) -> Result<Option<String>, MetadataError> {
    let work = Work::default();
    check_len::<serde::de::IgnoredAny>(text)?;
    let Some(document) = content(text) else { return Ok(None) };
    well_formed::<()>(document).map_err(untyped)?;
    let Some(fields) = Fields::of(text, &work) else {
        let shown = show(Cursor::new(document, &work));
        return Err(untyped(
            MetadataError::of::<()>(&Path::default(), shown, "expected an object").expecting("an object"),
        ));
    };
    match fields.get("action") {
        Field::Absent | Field::Null => Ok(None),
        Field::Twice => Err(twice("action")),
        Field::Value(mut value) => match value.token() {
            Some(Token::String) => match value.string().decode() {
                Ok(action) => Ok(Some(action.into_owned())),
                Err(problem) => Err(wrong("action", show(value), &format!("a string: {problem}"))),
            },
            _ => Err(wrong("action", show(value), "a string")),
        },
    }
}

/// The value of a field that is a name.
pub(crate) enum NameField {
    Absent,
    /// Present but not a name: null, empty, not a string or a number, or duplicate.
    Other,
    Name(String),
}

/// Reads a top-level field as a name.
pub(crate) fn name_field(text: &str, name: &str) -> Result<NameField, MetadataError> {
    let work = Work::default();
    if let Some(document) = content(text) {
        well_formed::<()>(document).map_err(untyped)?;
    }
    let Some(fields) = Fields::of(text, &work) else { return Ok(NameField::Absent) };
    let name = match fields.get(name) {
        Field::Absent => return Ok(NameField::Absent),
        Field::Value(mut value) => match value.token() {
            Some(Token::String) => value.string().decode().unwrap_or_default().into_owned(),
            Some(Token::Number) => number(value.literal()),
            _ => String::new(),
        },
        Field::Twice | Field::Null => String::new(),
    };
    Ok(if name.is_empty() { NameField::Other } else { NameField::Name(name) })
}

/// A number as a name, normalised: 1e2 is 100.0.
fn number(literal: &str) -> String {
    let number: Result<serde_json::Number, _> = serde_json::from_str(literal);
    number.map_or_else(|_| literal.to_owned(), |number| number.to_string())
}

fn untyped(error: MetadataError) -> MetadataError {
    MetadataError { type_name: String::new(), ..error }
}

fn twice(field: &str) -> MetadataError {
    untyped(MetadataError::of::<()>(&Path(vec![Step::key(field)]), None, "duplicate field"))
}

fn wrong(field: &str, value: Option<String>, expected: &str) -> MetadataError {
    let path = Path(vec![Step::key(field)]);
    untyped(MetadataError::of::<()>(&path, value, &format!("expected {expected}")).expecting(expected))
}
