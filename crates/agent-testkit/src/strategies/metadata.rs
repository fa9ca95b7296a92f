//! Documents of a JSON Schema.

use proptest::prelude::*;
use proptest::strategy::Union;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use agent_worker::metadata::parse_metadata;

use super::texts::{names, texts};

/// How often a type may occur in itself.
const DEPTH: usize = 4;
/// The most items of a list or a map, if its schema sets no other limit.
const ITEMS: usize = 3;

/// Metadata that a type takes, by its JSON Schema: every required field, half of the others, values within
/// the limits of `#[schemars(…)]` or `#[garde(…)]`, patterns and the usual formats included. A document that
/// the type refuses by a rule that its schema does not have is drawn again. Shrinks to fewer optional fields,
/// lower numbers, shorter texts and lists.
///
/// ```
/// use agent_testkit::strategies::metadata_of;
/// use agent_testkit::strategies::proptest::prelude::*;
/// use agent_worker::metadata::parse_metadata;
///
/// #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
/// struct Greeting {
///     name: String,
///     #[serde(default)]
///     times: u8,
/// }
///
/// proptest!(|(metadata in metadata_of::<Greeting>())| {
///     prop_assert!(parse_metadata::<Greeting>(&metadata)?.is_some());
/// });
/// ```
pub fn metadata_of<T: JsonSchema + DeserializeOwned>() -> impl Strategy<Value = String> {
    documents::<T>().prop_map(|document| document.to_string())
}

/// The same as values.
pub(super) fn documents<T: JsonSchema + DeserializeOwned>() -> impl Strategy<Value = Value> {
    let schema = schemars::schema_for!(T).to_value();
    let takes = |document: &Value| parse_metadata::<T>(&document.to_string()).is_ok();
    values(&schema, &schema, DEPTH).prop_filter("the type takes it", takes)
}

/// Values of a schema within the whole document's schema.
fn values(schema: &Value, root: &Value, depth: usize) -> BoxedStrategy<Value> {
    // `true`: anything.
    let Value::Object(fields) = schema else { return anything() };
    if let Some(value) = fields.get("const") {
        return Just(value.clone()).boxed();
    }
    if let Some(Value::Array(choices)) = fields.get("enum")
        && !choices.is_empty()
    {
        return prop::sample::select(choices.clone()).boxed();
    }
    if let Some(Value::String(reference)) = fields.get("$ref") {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or_else(anything, |target| values(target, root, depth.saturating_sub(1)));
    }
    let choices = ["oneOf", "anyOf"].into_iter().find_map(|key| fields.get(key)?.as_array());
    let all = fields.get("allOf").and_then(Value::as_array);
    let own = fields.contains_key("type").then(|| typed(fields, root, depth));
    let parts: Vec<BoxedStrategy<Value>> = own
        .into_iter()
        .chain(choices.map(|choices| one_of(choices, root, depth)))
        .chain(all.into_iter().flatten().map(|part| values(part, root, depth)))
        .collect();
    match <[_; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) if parts.is_empty() => anything(),
        Err(parts) => parts.prop_map(merged).boxed(),
    }
}

/// All fields of objects; of other values the last one.
fn merged(parts: Vec<Value>) -> Value {
    parts.into_iter().fold(Value::Null, |merged, part| match (merged, part) {
        (Value::Object(mut fields), Value::Object(more)) => {
            fields.extend(more);
            Value::Object(fields)
        }
        (_, part) => part,
    })
}

fn one_of(choices: &[Value], root: &Value, depth: usize) -> BoxedStrategy<Value> {
    // At the end of the depth only what does not go deeper, if there is such a choice.
    let ends = |choice: &&Value| choice.get("$ref").is_none();
    let ending: Vec<&Value> = choices.iter().filter(ends).collect();
    let choices = if depth == 0 && !ending.is_empty() { ending } else { choices.iter().collect() };
    if choices.is_empty() {
        return anything();
    }
    Union::new(choices.into_iter().map(|choice| values(choice, root, depth))).boxed()
}

/// Values of a schema that names its type, or several.
fn typed(schema: &Map<String, Value>, root: &Value, depth: usize) -> BoxedStrategy<Value> {
    let of = |name: &str| match name {
        "null" => Just(Value::Null).boxed(),
        "boolean" => any::<bool>().prop_map(Value::Bool).boxed(),
        "integer" => integers(schema),
        "number" => numbers(schema),
        "string" => strings(schema),
        "array" => arrays(schema, root, depth),
        "object" => objects(schema, root, depth),
        _ => anything(),
    };
    match schema.get("type") {
        Some(Value::String(name)) => of(name),
        Some(Value::Array(names)) if !names.is_empty() => {
            Union::new(names.iter().filter_map(Value::as_str).map(of)).boxed()
        }
        _ => anything(),
    }
}

fn anything() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::from),
        texts().prop_map(Value::String),
        Just(Value::Array(Vec::new())),
    ]
    .boxed()
}

/// The limits of a number: inclusive, exclusive.
fn limit(schema: &Map<String, Value>, inclusive: &str, exclusive: &str) -> (Option<f64>, Option<f64>) {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    (number(inclusive), number(exclusive))
}

#[expect(clippy::cast_possible_truncation, reason = "a limit of integers is one, and a cast saturates")]
fn integers(schema: &Map<String, Value>) -> BoxedStrategy<Value> {
    let (least, most) = match schema.get("format").and_then(Value::as_str) {
        Some("int8") => (i8::MIN.into(), i8::MAX.into()),
        Some("uint8") => (0, u8::MAX.into()),
        Some("int16") => (i16::MIN.into(), i16::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint64" | "uint" | "uint128") => (0, i128::from(u64::MAX)),
        _ => (i64::MIN.into(), i128::from(i64::MAX)),
    };
    let (minimum, above) = limit(schema, "minimum", "exclusiveMinimum");
    let (maximum, below) = limit(schema, "maximum", "exclusiveMaximum");
    let least = least.max(minimum.map_or(least, |limit| limit.ceil() as i128));
    let least = least.max(above.map_or(least, |limit| limit.floor() as i128 + 1));
    let most = most.min(maximum.map_or(most, |limit| limit.floor() as i128));
    let most = most.min(below.map_or(most, |limit| limit.ceil() as i128 - 1));
    (least..=most.max(least)).prop_map(|number| Value::Number(integer(number))).boxed()
}

fn integer(number: i128) -> Number {
    u64::try_from(number)
        .map_or_else(|_| Number::from(i64::try_from(number).unwrap_or(i64::MIN)), Number::from)
}

fn numbers(schema: &Map<String, Value>) -> BoxedStrategy<Value> {
    const FAR: f64 = 1e6;
    let (minimum, above) = limit(schema, "minimum", "exclusiveMinimum");
    let (maximum, below) = limit(schema, "maximum", "exclusiveMaximum");
    let least =
        minimum.or(above).unwrap_or_else(|| maximum.or(below).map_or(-FAR, |most| most.min(0.0) - FAR));
    let most = maximum.or(below).unwrap_or_else(|| least.max(0.0) + FAR);
    // In steps, without the ends: they may be excluded.
    let value = move |step: u32| least + (most - least) * (f64::from(step) / 1024.0);
    (1..1024u32)
        .prop_map(move |step| Number::from_f64(value(step)).map_or(Value::Null, Value::Number))
        .boxed()
}

/// A limit of a length.
fn length(
    schema: &Map<String, Value>,
    least: &str,
    most: &str,
    usual: usize,
) -> std::ops::RangeInclusive<usize> {
    let get = |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|len| usize::try_from(len).ok());
    let least = get(least).unwrap_or(0);
    let most = get(most).unwrap_or(usize::MAX).min(least.saturating_add(usual));
    least..=most.max(least)
}

fn strings(schema: &Map<String, Value>) -> BoxedStrategy<Value> {
    let example = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => Some("2024-02-29T23:59:60Z"),
        Some("partial-date-time") => Some("2024-02-29T23:59:59"),
        Some("date") => Some("2024-02-29"),
        Some("time" | "partial-time") => Some("23:59:59"),
        Some("uuid") => Some("67e55044-10b1-426f-9247-bb680e5fe0c8"),
        Some("uri") => Some("https://example.com/a?b=c#d"),
        Some("email") => Some("ada@example.com"),
        Some("ipv4" | "ip") => Some("192.0.2.1"),
        Some("ipv6") => Some("2001:db8::1"),
        _ => None,
    };
    if let Some(example) = example {
        return Just(Value::from(example)).boxed();
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        let whole = pattern.trim_start_matches('^').trim_end_matches('$');
        if let Ok(strings) = prop::string::string_regex(whole) {
            return strings.prop_map(Value::String).boxed();
        }
    }
    let lengths = length(schema, "minLength", "maxLength", 16);
    let letter = prop_oneof![4 => prop::char::range('a', 'z'), 1 => any::<char>()];
    prop::collection::vec(letter, lengths)
        .prop_map(|letters| Value::String(letters.into_iter().collect()))
        .boxed()
}

fn arrays(schema: &Map<String, Value>, root: &Value, depth: usize) -> BoxedStrategy<Value> {
    if let Some(Value::Array(items)) = schema.get("prefixItems") {
        let items: Vec<_> = items.iter().map(|item| values(item, root, depth)).collect();
        return items.prop_map(Value::Array).boxed();
    }
    let usual = if depth == 0 { 0 } else { ITEMS };
    let lengths = length(schema, "minItems", "maxItems", usual);
    if *lengths.end() == 0 {
        return Just(Value::Array(Vec::new())).boxed();
    }
    let item = schema.get("items").map_or_else(anything, |item| values(item, root, depth));
    let unique = schema.get("uniqueItems").and_then(Value::as_bool).unwrap_or_default();
    let distinct = move |items: &Vec<Value>| {
        !unique
            || items
                .iter()
                .enumerate()
                .all(|(at, item)| !items.iter().skip(at + 1).any(|other| other == item))
    };
    prop::collection::vec(item, lengths)
        .prop_filter("different items", distinct)
        .prop_map(Value::Array)
        .boxed()
}

fn objects(schema: &Map<String, Value>, root: &Value, depth: usize) -> BoxedStrategy<Value> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let fields: Vec<BoxedStrategy<Option<(String, Value)>>> = fields
        .filter(|(name, _)| depth > 0 || required.contains(&name.as_str()))
        .map(|(name, schema)| {
            let (needed, name) = (required.contains(&name.as_str()), name.clone());
            let field = values(schema, root, depth).prop_map(move |value| (name.clone(), value));
            if needed { field.prop_map(Some).boxed() } else { prop::option::of(field).boxed() }
        })
        .collect();
    let others = match schema.get("additionalProperties") {
        Some(others @ Value::Object(_)) if depth > 0 => {
            prop::collection::btree_map(names(), values(others, root, depth), 0..=ITEMS).boxed()
        }
        _ => Just(std::collections::BTreeMap::new()).boxed(),
    };
    (fields, others)
        .prop_map(|(fields, others)| {
            Value::Object(others.into_iter().chain(fields.into_iter().flatten()).collect())
        })
        .boxed()
}
