//! The work on a document is bounded, for any type. Steps are counted, as machines differ in speed: the
//! benchmark `metadata` measures time and memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::read::parse_counted;
use super::super::scan::Work;
use super::super::*;

/// How often every byte may be read: parsed, searched, located, shown; twice as often where fields of the SDK
/// are hidden.
const MAX_STEPS: usize = 12;
/// Additional reading to distinguish candidates: the longest document four times, or a shorter one more
/// often.
const MAX_TRIALS: usize = 4 * MAX_METADATA_LEN;

#[derive(Deserialize, Debug)]
struct Plain {
    x: u32,
}

#[derive(Deserialize, Debug)]
#[serde(tag = "kind")]
enum Tagged {
    A { x: u32, list: Option<Vec<Plain>> },
    B(Plain),
}

#[derive(Deserialize, Debug)]
#[serde(untagged)]
enum Untagged {
    A { x: u32 },
    Many(Vec<Untagged>),
    Map(BTreeMap<String, u8>),
    B(u32),
}

#[derive(Deserialize, Debug)]
struct Flattened {
    y: Option<u8>,
    #[serde(flatten)]
    inner: Plain,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Everything {
    x: Option<u8>,
    plain: Option<Vec<Plain>>,
    tagged: Option<Vec<Tagged>>,
    untagged: Option<Vec<Untagged>>,
    flattened: Option<Vec<Flattened>>,
    map: Option<BTreeMap<u16, Plain>>,
}

/// Reads a text as a type, and counts.
fn one<T: serde::de::DeserializeOwned>(text: &str) {
    let work = Work::default();
    let error = parse_counted::<T>(text, &work).err();
    let shown = error.as_ref().map(ToString::to_string).unwrap_or_default();
    let head: String = text.chars().take(200).collect();
    let allowed = MAX_STEPS * text.len() + MAX_TRIALS;
    assert!(work.steps() <= allowed, "{} steps for {} bytes: {shown}\n{head}", work.steps(), text.len());
    assert!(shown.chars().count() <= 1200, "{} bytes of error", shown.len());
}

fn of_each_shape(text: &str) {
    one::<Plain>(text);
    one::<Tagged>(text);
    one::<Untagged>(text);
    one::<Flattened>(text);
}

fn all(text: &str) {
    of_each_shape(text);
    one::<Everything>(text);
    one::<Vec<Tagged>>(text);
    one::<JobMetadata>(text);
    one::<Value>(text);
    let names = MetadataFormat::<Plain>::required().unknown_fields(text);
    assert!(names.len() <= 16 && names.iter().all(|name| name.len() < 10_000));
    let _ = (request_id(text), timeout(text), action(text));
}

/// Fills a text up to a length, between a start and an end.
fn filled(len: usize, begin: &str, part: &str, end: &str) -> String {
    let many = (len - begin.len() - end.len() - 2) / (part.len() + 1);
    format!("{begin}{}{end}", vec![part; many].join(","))
}

/// Half of it is one name, the other half a list.
fn half_a_name(len: usize, head: &str, value: &str) -> String {
    let name = "k".repeat(len / 2);
    filled(len, &format!(r#"{head}"{name}":["#), value, "]}}")
}

/// An object with as many fields as there may be.
fn fields(len: usize, name: &dyn Fn(usize) -> String, value: &str) -> String {
    let mut text = String::from("{");
    let mut number = 0;
    while text.len() + 60 < len {
        text.push_str(&format!("{}:{value},", name(number)));
        number += 1;
    }
    text + r#""kind":"A"}"#
}

/// The worst kinds of documents, each of maximum length.
#[test]
fn the_longest_documents_are_refused_within_the_bound() {
    let len = MAX_METADATA_LEN;
    of_each_shape(&half_a_name(len, r#"{"x":{"#, "{}"));
    of_each_shape(&half_a_name(len, r#"{"kind":"A","x":{"#, "{}"));
    of_each_shape(&filled(len, r#"{"kind":"A","x":["#, "1", "]}"));
    of_each_shape(&filled(len, r#"{"kind":"A","x":1,"list":["#, "{}", "]}"));
    of_each_shape(&filled(len, r#"{"kind":"A","list":["#, r#"{"x":-1}"#, "]}"));
    of_each_shape(&format!(r#"{{"kind":"A","x":"{}"}}"#, "😀".repeat(len / 4 - 20)));
    of_each_shape(&fields(len, &|_| r#""\u0078""#.to_owned(), "1"));
    of_each_shape(&fields(len, &|_| "\"timeout\"".to_owned(), "null"));
}

#[test]
fn documents_of_every_kind_are_refused_within_the_bound() {
    let len = 12 * 1024;
    let values = [
        "{}",
        "[]",
        "1",
        "-1",
        "0.5",
        "null",
        "true",
        r#""""#,
        r#""\n""#,
        r#""a""#,
        r#"{"x":1}"#,
        r#"{"x":-1}"#,
        r#"{"":0}"#,
        "[[]]",
        r#"{"kind":"A","x":"1"}"#,
    ];
    for value in values {
        for (begin, end) in [
            ("[", "]"),
            (r#"{"x":["#, "]}"),
            (r#"{"kind":"A","x":["#, "]}"),
            (r#"{"kind":"A","list":["#, "]}"),
            (r#"{"kind":"B","x":1,"y":["#, "]}"),
            (r#"{"plain":["#, "]}"),
            (r#"{"untagged":["#, "]}"),
            (r#"{"flattened":["#, "]}"),
        ] {
            all(&filled(len, begin, value, end));
        }
        for head in [r#"{"x":{"#, r#"{"kind":"A","x":{"#, r#"{"kind":"B","x":1,"y":{"#] {
            all(&half_a_name(len, head, value));
        }
    }
    for (open, close) in
        [("[", "]"), (r#"{"x":"#, "}"), (r#"{"kind":"A","x":"#, "}"), (r#"{"a":1,"x":["#, "]}")]
    {
        for levels in [126, 127, 128, len / (open.len() + close.len()) - 10] {
            all(&format!("{}1{}", open.repeat(levels), close.repeat(levels)));
        }
        // The innermost of 100 levels is long.
        all(&format!("{}{}{}", open.repeat(100), filled(len, "[", "1", "]"), close.repeat(100)));
    }
    for value in ["1", "null", r#""x""#, "{}"] {
        for name in ["", "x", "kind", r"\u0078", "timeout", "action"] {
            let text = fields(
                len,
                &|number| if name.is_empty() { format!("\"{number}\"") } else { format!("\"{name}\"") },
                value,
            );
            all(&text);
            all(&format!(r#"{{"map":{}}}"#, text.replace(r#","kind":"A""#, "")));
        }
    }
    let texts = ["😀", r"\ud83d\ude00", "\u{7f}", "9", "\u{202e}"];
    for text in texts.map(|part| part.repeat(len / part.len())) {
        all(&format!(r#"{{"x":"{text}"}}"#));
        all(&format!(r#"{{"{text}":1}}"#));
        all(&format!(r#"{{"kind":"A","x":"{text}"}}"#));
        all(&format!(r#"{{"kind":"{text}"}}"#));
        all(&format!(r#"{{"map":{{"{text}":1}}}}"#));
        all(&format!(r#"{{"timeout":"{text}","action":"{text}","request_id":"{text}"}}"#));
        all(&format!(r#"["{text}"]"#));
    }
    let digits = "9".repeat(len);
    all(&format!(r#"{{"x":{digits}}}"#));
    all(&format!(r#"{{"kind":"A","x":{digits}}}"#));
    all(&format!(r#"{{"x":0.{digits}}}"#));
}

/// Documents of any shape, of few different values and names, so that many are equal.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("-1".to_owned()),
        Just("0.5".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
        Just(r#""A""#.to_owned()),
        Just(r#""\u0041""#.to_owned()),
        (1_usize..400).prop_map(|len| format!("\"{}\"", "é".repeat(len))),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            "x",
            "y",
            "kind",
            "list",
            "plain",
            "tagged",
            "untagged",
            "flattened",
            "map",
            r"\u0078",
            "timeout"
        ])
        .prop_map(str::to_owned),
        (1_usize..400).prop_map(|len| "k".repeat(len)),
    ];
    leaf.prop_recursive(8, 256, 8, move |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..8), 1_usize..20).prop_map(|(items, times)| {
                format!("[{}]", vec![items.join(","); times].join(",").trim_matches(','))
            }),
            prop::collection::vec((name.clone(), inner), 0..8).prop_map(|fields| {
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn the_steps_are_bounded_by_the_length(text in document()) {
        all(&text);
    }

    /// The result is the same as serde_json's for the same text.
    #[test]
    fn a_document_is_read_as_serde_json_reads_it(text in document()) {
        fn same<T: serde::de::DeserializeOwned + std::fmt::Debug>(text: &str) {
            if text == "null" || text.len() > MAX_METADATA_LEN {
                return;
            }
            let theirs = serde_json::from_str::<T>(text).map(|value| format!("{value:?}"));
            let ours = parse_metadata::<T>(text).map(|value| format!("{:?}", value.unwrap()));
            assert_eq!(ours.as_ref().ok(), theirs.as_ref().ok(), "{ours:?} {theirs:?} {text}");
        }
        same::<Plain>(&text);
        same::<Tagged>(&text);
        same::<Untagged>(&text);
        same::<Flattened>(&text);
        same::<Vec<Tagged>>(&text);
        same::<BTreeMap<String, Untagged>>(&text);
        same::<Value>(&text);
    }
}

/// A list is the name of a variant and its fields; the name is never a number.
#[test]
fn a_variant_is_not_named_by_a_number() {
    for text in ["[1,1]", r#"["B",1]"#, r#"{"kind":1,"x":1}"#] {
        let theirs = serde_json::from_str::<Tagged>(text).map(|value| format!("{value:?}"));
        let ours = parse_metadata::<Tagged>(text).map(|value| format!("{:?}", value.unwrap()));
        assert_eq!(ours.ok(), theirs.ok(), "{text}");
    }
}

/// serde's buffers are limited, far below 20 MB; types without buffers accept everything within the text
/// limit.
#[test]
fn values_that_are_kept_are_bounded() {
    let numbers = filled(MAX_METADATA_LEN, r#"{"kind":"A","x":["#, "1", "]}");
    let error = parse_metadata::<Tagged>(&numbers).unwrap_err();
    assert_eq!(error.path, "$.x[131072]");
    assert_eq!(
        error.message,
        "too many values: a part with alternatives takes about 131072 plain ones, or 24000 small objects"
    );
    assert_eq!(
        parse_metadata::<Vec<u8>>(&filled(MAX_METADATA_LEN, "[", "1", "]")).unwrap().unwrap().len(),
        262_142
    );
    // As much as people write.
    let objects =
        filled(MAX_METADATA_LEN, r#"{"kind":"A","x":1,"list":["#, r#"{"x":1000,"name":"TR_abcdef"}"#, "]}");
    assert!(parse_metadata::<Tagged>(&objects).is_ok());
}

/// The work is bounded, however many values equal the invalid one. It is not timed, as machines differ.
#[test]
fn the_longest_document_full_of_decoys_is_given_up_in_time() {
    #[derive(Deserialize, Debug)]
    #[serde(tag = "kind")]
    enum Wide {
        A { labels: BTreeMap<String, Option<Vec<u8>>>, last: Vec<u8> },
    }
    let labels: BTreeMap<String, Value> = (0..40_000).map(|n| (format!("{n}"), Value::Null)).collect();
    let text = json!({"kind": "A", "labels": labels, "last": null}).to_string();
    assert!((400_000..MAX_METADATA_LEN).contains(&text.len()), "{}", text.len());
    let error = parse_metadata::<Wide>(&text).unwrap_err();
    // Too many candidates: the place where serde stopped is reported.
    assert_eq!((error.path.as_str(), error.value.as_deref()), ("$", None));
    assert_eq!(error.message, "expected a list instead of `null` for a value in it");
}
