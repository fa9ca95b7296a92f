//! Documents with one mistake.

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use agent_worker::metadata::parse_metadata;

use super::metadata::documents;

/// What is wrong with a document.
#[derive(Clone, Copy, Debug)]
enum Mistake {
    /// A field is missing.
    Missing,
    /// A field is written differently.
    Misspelled,
    /// A value has another type.
    OtherType(usize),
    /// A number or a text is too large, or a number is not whole.
    TooLarge,
    Negative,
    Fraction,
    /// The whole is an item of a list.
    InList,
    /// The text ends early.
    Truncated,
    /// The text goes on.
    TooLong,
}

/// Metadata with one mistake, which a type refuses: a document of [`metadata_of`](super::metadata_of) without
/// a field, with a misspelled one, with a value of another type or beyond a limit, in a list, or cut off. A
/// document that the type takes anyway is drawn again, so it has to refuse some. Shrinks as the document, to
/// a missing field.
///
/// ```
/// use agent_testkit::strategies::near_miss_metadata_of;
/// use agent_testkit::strategies::proptest::prelude::*;
/// use agent_testkit::{JobSpec, run_job_blocking};
/// use agent_worker::metadata::MetadataFormat;
/// use agent_worker::{JobContext, JobResult, Outcome, typed};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Greeting {
///     name: String,
///     times: u8,
/// }
///
/// async fn greet(_: JobContext, _: Greeting) -> JobResult {
///     Ok(())
/// }
///
/// proptest!(ProptestConfig::with_cases(16), |(metadata in near_miss_metadata_of::<Greeting>())| {
///     let handler = typed(MetadataFormat::required(), greet);
///     let run = run_job_blocking(handler, JobSpec::room("lobby").metadata(metadata));
///     let refused = matches!(run.outcome, Outcome::Failed { error } if error.contains("invalid_input"));
///     prop_assert!(refused);
/// });
/// ```
pub fn near_miss_metadata_of<T: JsonSchema + DeserializeOwned>() -> impl Strategy<Value = String> {
    let mistakes = prop_oneof![
        Just(Mistake::Missing),
        Just(Mistake::Misspelled),
        (0..OTHERS).prop_map(Mistake::OtherType),
        Just(Mistake::TooLarge),
        Just(Mistake::Negative),
        Just(Mistake::Fraction),
        Just(Mistake::InList),
        Just(Mistake::Truncated),
        Just(Mistake::TooLong),
    ];
    (documents::<T>(), mistakes, any::<prop::sample::Index>()).prop_filter_map(
        "the type refuses it",
        |(document, mistake, place)| {
            let text = with_mistake(document, mistake, place)?;
            parse_metadata::<T>(&text).is_err().then_some(text)
        },
    )
}

/// The document as text; `None`: it has no place for this mistake.
fn with_mistake(mut document: Value, mistake: Mistake, place: prop::sample::Index) -> Option<String> {
    match mistake {
        Mistake::InList => return Some(json!([document]).to_string()),
        Mistake::Truncated => {
            let mut text = document.to_string();
            text.pop();
            return Some(text);
        }
        Mistake::TooLong => return Some(format!("{document},")),
        _ => {}
    }
    let mut paths = Vec::new();
    note_paths(&document, &mut Vec::new(), &mut paths);
    let path = if paths.is_empty() { return None } else { place.get(&paths) };
    match mistake {
        Mistake::Missing | Mistake::Misspelled => {
            let (name, parent) = path.split_last()?;
            let fields = at(&mut document, parent)?.as_object_mut()?;
            let value = fields.remove(name)?;
            if matches!(mistake, Mistake::Misspelled) {
                fields.insert(format!("{name}_"), value);
            }
        }
        Mistake::OtherType(other) => *at(&mut document, path)? = others().into_iter().nth(other)?,
        Mistake::TooLarge => match at(&mut document, path)? {
            Value::Number(number) => *number = serde_json::Number::from_f64(1e30)?,
            Value::String(text) => *text = "x".repeat(10_000),
            _ => return None,
        },
        Mistake::Negative => {
            let value = at(&mut document, path)?;
            *value = json!(-1 - value.as_i64()?.saturating_abs().min(i64::MAX - 1));
        }
        Mistake::Fraction => {
            let value = at(&mut document, path)?;
            value.as_number()?;
            *value = json!(0.5);
        }
        Mistake::InList | Mistake::Truncated | Mistake::TooLong => {}
    }
    Some(document.to_string())
}

const OTHERS: usize = 6;

/// One value of each type.
fn others() -> [Value; OTHERS] {
    [Value::Null, json!(true), json!(7), json!("seven"), json!([]), json!({})]
}

/// The paths of all values below the whole.
fn note_paths(value: &Value, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, part) in parts {
        path.push(name);
        paths.push(path.clone());
        note_paths(part, path, paths);
        path.pop();
    }
}

fn at<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, name| match value {
        Value::Object(fields) => fields.get_mut(name),
        Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    })
}
