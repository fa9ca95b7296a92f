#![allow(dead_code, reason = "types that are only read")]

mod bounds;
mod words;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

#[derive(Deserialize, Debug, PartialEq)]
struct Recording {
    format: String,
    #[serde(default)]
    tracks: Vec<u32>,
}

fn shown<T: serde::de::DeserializeOwned + std::fmt::Debug>(text: &str) -> String {
    parse_metadata::<T>(text).map_or_else(|error| error.to_string(), |value| format!("{value:?}"))
}

#[test]
fn accepted_metadata() {
    assert_eq!(shown::<Recording>(""), "None");
    assert_eq!(shown::<Recording>(" \n"), "None");
    assert_eq!(
        shown::<Recording>(r#"{"format":"mp4","extra":1}"#),
        r#"Some(Recording { format: "mp4", tracks: [] })"#
    );
    // What serde_json itself supports stays possible.
    assert_eq!(shown::<u128>("340282366920938463463374607431768211455"), format!("Some({})", u128::MAX));
}

#[track_caller]
fn check<T: serde::de::DeserializeOwned + std::fmt::Debug>(text: &str, expected: &str) {
    let name = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
    assert_eq!(shown::<T>(text), format!("the job's metadata is no valid {name}: {expected}"));
}

#[test]
fn errors_name_the_type_the_path_and_the_value() {
    check::<Recording>("{}", "$.format: missing field");
    check::<Recording>("[]", "$ = []: expected an object");
    check::<Recording>("7", "$ = 7: expected an object");
    check::<Recording>(r#"{"format":null}"#, "$.format = null: expected a string");
    check::<Recording>(
        r#"{"format":"mp4","tracks":[1,"x"]}"#,
        r#"$.tracks[1] = "x": expected a whole number from 0 to 4294967295"#,
    );
    let tracks = "expected a whole number from 0 to 4294967295";
    check::<Recording>(r#"{"format":"mp4","tracks":[1.5]}"#, &format!("$.tracks[0] = 1.5: {tracks}"));
    check::<Recording>(
        r#"{"format":"mp4","tracks":[5000000000]}"#,
        &format!("$.tracks[0] = 5000000000: {tracks}"),
    );
    check::<Recording>(r#"{"format":"mp4","tracks":[-1]}"#, &format!("$.tracks[0] = -1: {tracks}"));
    check::<Recording>(r#"{"format":"mp4","tracks":{"a":{}}}"#, "$.tracks = {…}: expected a list");
    check::<Recording>(r#"{"format":"mp4","tracks":{}}"#, "$.tracks = {}: expected a list");
    check::<Recording>(r#"{"format":[ 1, "a" ]}"#, r#"$.format = [1,"a"]: expected a string"#);
    check::<Recording>(r#"{"format":[{"a":1}]}"#, "$.format = […]: expected a string");
    check::<Recording>(r#"{"format":"mp4","format":"mp4"}"#, "$.format: duplicate field");
    check::<Recording>(r#"{"format":"mp4","tracks":[1e999]}"#, "$.tracks[0] = 1e999: number out of range");
    check::<Recording>(r#"{"format":"\ud800"}"#, r#"$.format = "\ud800": unexpected end of hex escape"#);
}

#[test]
fn text_that_is_not_json_is_refused_with_its_place() {
    check::<Recording>("nonsense", "$: not JSON: expected ident at line 1 column 2");
    check::<Recording>(r#"{"format":"mp4"} more"#, "$: not JSON: trailing characters at line 1 column 18");
    // The type does not match before the malformed place.
    check::<Recording>(r#"{"format":1, "#, "$: not JSON: EOF while parsing an object at line 1 column 13");
    check::<Recording>("{} \u{feff}", "$: not JSON: trailing characters at line 1 column 4");
}

#[derive(Deserialize, Debug)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Task {
    Record(Recording),
    Transcribe { language: Language, spare: Option<Language> },
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
enum Language {
    En,
    De,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Strict {
    a: u8,
    #[serde(default)]
    inner: Option<Box<Strict>>,
}

#[derive(Deserialize, Debug)]
struct Flat {
    #[serde(flatten)]
    recording: Recording,
    labels: BTreeMap<String, String>,
}

/// serde itself reports `$` for everything within such an enum or field.
#[test]
fn values_within_tagged_enums_and_flattened_fields_are_found() {
    check::<Task>("{}", "$.action: missing field");
    check::<Task>(r#"{"action":"dance"}"#, r#"$.action = "dance": expected `record` or `transcribe`"#);
    check::<Task>(r#"{"action":"record"}"#, "$.format: missing field");
    check::<Task>(
        r#"{"action":"record","format":"mp4","tracks":[1,2,"x"]}"#,
        r#"$.tracks[2] = "x": expected a whole number from 0 to 4294967295"#,
    );
    // An equal value that is valid elsewhere is not the one.
    check::<Task>(
        r#"{"action":"record","format":"record","tracks":["record"]}"#,
        r#"$.tracks[0] = "record": expected a whole number from 0 to 4294967295"#,
    );
    check::<Task>(
        r#"{"action":"transcribe","language":"en","spare":"nl"}"#,
        r#"$.spare = "nl": expected `en` or `de`"#,
    );
    check::<Flat>(
        r#"{"labels":{"a":"x","b":"y"},"format":"x","tracks":["x"]}"#,
        r#"$.tracks[0] = "x": expected a whole number from 0 to 4294967295"#,
    );
    check::<Flat>(r#"{"format":"x","labels":{"a":1}}"#, "$.labels.a = 1: expected a string");
}

#[test]
fn unknown_fields_are_allowed_unless_the_type_denies_them() {
    check::<Strict>(r#"{"a":1,"b":[2]}"#, "$.b = [2]: unknown field, expected `a` or `inner`");
    check::<Strict>(
        r#"{"a":1,"inner":{"a":1,"c":null}}"#,
        "$.inner.c = null: unknown field, expected `a` or `inner`",
    );
    let names = |text: &str| MetadataFormat::<Recording>::required().unknown_fields(text);
    assert_eq!(names(r#"{"format":"a","Tracks":[],"action":"record","timeout":3}"#), ["$.Tracks"]);
    assert_eq!(names("{}"), [""; 0]);
    let many: BTreeMap<String, u32> = (0..40).map(|n| (format!("field{n}"), n)).collect();
    let text = json!({"format": "a", "x": many}).to_string();
    assert_eq!(MetadataFormat::<Flattish>::required().unknown_fields(&text).len(), 16);
}

#[derive(Deserialize)]
struct Flattish {
    x: Nothing,
}

#[derive(Deserialize)]
struct Nothing {}

#[test]
fn limits_hold() {
    let long = format!(r#"{{"format":"{}"}}"#, "x".repeat(MAX_METADATA_LEN));
    check::<Recording>(&long, "$: 524301 bytes, the limit is 524288");
    let fits = format!(r#"{{"format":"{}"}}"#, "x".repeat(MAX_METADATA_LEN - 13));
    assert_eq!(fits.len(), MAX_METADATA_LEN);
    assert!(parse_metadata::<Recording>(&fits).is_ok());
    // Errors are short for any text.
    let error = parse_metadata::<BTreeMap<String, u8>>(&fits).unwrap_err();
    assert_eq!(error.value.as_ref().map(|value| value.chars().count()), Some(100));
    assert!(error.to_string().len() < 300, "{error}");
    let key = format!(r#"{{"{}":"x"}}"#, "k\\n".repeat(100_000));
    let error = parse_metadata::<BTreeMap<String, u8>>(&key).unwrap_err();
    assert!(error.to_string().len() < 400, "{error}");
}

#[test]
fn nesting_has_an_end() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    check::<Value>(&nested(128), "$: nested deeper than 127 levels at line 1 column 128");
    assert!(parse_metadata::<Value>(&nested(127)).is_ok());
    // A quarter of a million levels, in a field that is not even read.
    let deep = format!(r#"{{"format":"mp4","x":{}}}"#, nested(250_000));
    assert!(parse_metadata::<Recording>(&deep).is_ok());
    check::<Recording>(&deep.replace("mp4\"", "mp4\",\"format\":1"), "$.format: duplicate field");
    check::<Recording>(
        &deep.replace("x", "tracks").replace("mp4\"", "\""),
        "$.tracks[0] = […]: expected a whole number from 0 to 4294967295",
    );
    // Under an unknown name, of a type that serde buffers as a whole.
    check::<Task>(
        &deep.replace(r#""format":"mp4""#, r#""action":"record""#),
        "$: nested deeper than 127 levels at line 1 column 150",
    );
}

#[test]
fn rules_see_the_value_and_their_errors_the_document() {
    use garde::Validate;
    #[derive(Deserialize, Debug, Validate)]
    #[serde(tag = "action", rename_all = "kebab-case")]
    enum Job {
        Record(#[garde(dive)] Settings),
    }
    #[derive(Deserialize, Debug, Validate, Default)]
    #[serde(default, rename_all = "camelCase")]
    #[garde(allow_unvalidated)]
    struct Settings {
        #[garde(length(max = 2), inner(length(min = 1)))]
        track_ids: Vec<String>,
        #[garde(dive)]
        parts: BTreeMap<String, Settings>,
        label: String,
    }
    let format = MetadataFormat::<Job>::required().validated();
    let check = |text: &str, expected: &str| {
        let shown = format.parse(text).map_or_else(|error| error.to_string(), |value| format!("{value:?}"));
        assert!(shown.contains(expected), "{shown}");
    };
    check(r#"{"action":"record","trackIds":["a"]}"#, "Record(");
    check("", "$: there is none, and it is required");
    check(r#"{"action":"record","trackIds":["a",""]}"#, r#"Job: $.trackIds[1] = "": length is lower than 1"#);
    check(
        r#"{"action":"record","parts":{"a":{},"b":{"trackIds":["1","2","3"]}}}"#,
        r#"$.parts.b.trackIds = ["1","2","3"]: length is greater than 2"#,
    );
    let own = MetadataFormat::<Settings>::or_default().check(|settings| {
        if settings.label.is_empty() { Err(MetadataError::at("label", "is empty")) } else { Ok(()) }
    });
    let error = own.parse("").unwrap_err();
    assert_eq!((error.path.as_str(), error.field().as_str()), ("$.label", "label"));
    assert_eq!(error.value, None);
    assert_eq!(own.clone().parse(r#"{"label":""}"#).unwrap_err().value.as_deref(), Some("\"\""));
    assert!(own.parse(r#"{"label":"x"}"#).is_ok());
}

#[test]
fn paths_are_written_and_read_alike() {
    use path::{Path, Step};
    let key = |key: &str| Step::Key(key.into());
    let path = Path(vec![key("a key"), Step::Index(3), key("plain"), key("dotted.[0]"), key("")]);
    assert_eq!(path.to_string(), r#"$["a key"][3].plain["dotted.[0]"][""]"#);
    assert_eq!(Path::parse(&path.to_string()), path);
    assert_eq!(Path::parse("tracks[1]").to_string(), "$.tracks[1]");
    for malformed in ["", "$", "[", "[\"", "$[x", "..", "]", "$[\"a\"", "ä[ö"] {
        let _ = Path::parse(malformed);
    }
}

#[test]
fn the_ready_type() {
    let all = r#"{"action":"record","parameters":{"format":"mp4","tracks":[1]},"priority":null,"request_id":"r","timeout":1.5,"x":1}"#;
    let metadata = parse_metadata::<JobMetadata>(all).unwrap().unwrap();
    assert_eq!(metadata.parameters_as::<Recording>().unwrap().tracks, [1]);
    assert_eq!((metadata.priority.as_str(), metadata.request_id.as_str()), ("", "r"));
    assert_eq!(metadata.timeout().unwrap().as_millis(), 1500);
    let error = metadata.parameters_as::<Strict>().unwrap_err();
    assert_eq!((error.type_name.as_str(), error.path.as_str()), ("Strict", "$.parameters.format"));
    for timeout in [json!(0), json!(-3), json!(null), json!(1e300)] {
        let metadata: JobMetadata = serde_json::from_value(json!({"timeout": timeout})).unwrap();
        assert_eq!(metadata.timeout(), None);
    }
    check::<JobMetadata>(r#"{"parameters":"fast"}"#, r#"$.parameters = "fast": expected an object"#);
}

#[test]
fn the_request_id_is_found_for_any_type() {
    let check =
        |text: &str, expected: Option<&str>| assert_eq!(request_id(text).as_deref(), expected, "{text}");
    check(r#"{"request_id":"r-1","other":[1]}"#, Some("r-1"));
    check(r#" {"request_id":17}"#, Some("17"));
    for none in ["", "[\"r\"]", "{}", r#"{"request_id":""}"#, r#"{"request_id":{}}"#, r#"{"request_id":"r""#]
    {
        check(none, None);
    }
    let long = json!({"request_id": "ä".repeat(1000)}).to_string();
    assert_eq!(request_id(&long).unwrap().chars().count(), 128);
}

/// A recursive type with all kinds of values.
#[derive(Deserialize, Debug)]
struct Tree {
    number: u8,
    text: String,
    word: Language,
    flag: bool,
    list: Vec<Tree>,
    map: BTreeMap<String, Tree>,
    maybe: Option<Box<Tree>>,
    tagged: Option<Box<Tagged>>,
    flat: Option<Box<Flattened>>,
}

#[derive(Deserialize, Debug)]
#[serde(tag = "kind")]
enum Tagged {
    A(Tree),
    B { tree: Tree },
}

#[derive(Deserialize, Debug)]
struct Flattened {
    #[serde(flatten)]
    tree: Tree,
}

/// A valid document of it.
fn tree() -> impl Strategy<Value = Value> {
    // Few values, so that many are equal.
    let plain = (0u8..3, "[a-c]?", any::<bool>(), prop_oneof!["en", "de"]).prop_map(|(number, text, flag, word)| {
        json!({"number": number, "text": text, "flag": flag, "word": word, "list": [], "map": {}})
    });
    plain.prop_recursive(5, 12, 3, |inner| {
        let fields = (
            prop::collection::vec(inner.clone(), 0..3),
            prop::collection::btree_map("[a-b .]{0,2}", inner.clone(), 0..2),
            prop::option::of(inner.clone()),
            prop::option::of((any::<bool>(), inner.clone())),
            prop::option::of(inner.clone()),
            inner,
        );
        fields.prop_map(|(list, map, maybe, tagged, flat, mut tree)| {
            tree["list"] = json!(list);
            tree["map"] = json!(map);
            tree["maybe"] = json!(maybe);
            tree["flat"] = json!(flat);
            tree["tagged"] = match tagged {
                None => Value::Null,
                Some((true, mut inner)) => {
                    inner["kind"] = "A".into();
                    inner
                }
                Some((false, inner)) => json!({"kind": "B", "tree": inner}),
            };
            tree
        })
    })
}

fn get_mut<'a>(path: &path::Path, document: &'a mut Value) -> Option<&'a mut Value> {
    path.0.iter().try_fold(document, |node, step| match step {
        Step::Key(key) => node.get_mut(key),
        Step::Index(index) => node.get_mut(index),
    })
}

/// Every place in a tree, with the name of its field, or `[]` for an item.
fn places(node: &Value, at: &path::Path, found: &mut Vec<(path::Path, String)>) {
    use path::Step;
    let fields = node.as_object().unwrap();
    for (name, value) in fields {
        let at = at.below(Step::Key(name.clone()));
        found.push((at.clone(), name.clone()));
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("maybe" | "flat" | "tagged" | "tree", tree) => places(tree, &at, found),
            ("list", Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let at = at.below(Step::Index(index));
                    found.push((at.clone(), "[]".to_owned()));
                    places(item, &at, found);
                }
            }
            ("map", Value::Object(items)) => {
                for (key, item) in items {
                    let at = at.below(Step::Key(key.clone()));
                    found.push((at.clone(), "[]".to_owned()));
                    places(item, &at, found);
                }
            }
            _ => {}
        }
    }
}

fn wrong_for(field: &str) -> Vec<Value> {
    let all = [
        json!(1),
        json!(-1),
        json!(256),
        json!(0.5),
        json!("a"),
        json!(true),
        json!(null),
        json!([]),
        json!({}),
    ];
    let fits = |value: &Value| match field {
        "number" => value.as_u64().is_some_and(|n| n < 256),
        "text" => value.is_string(),
        "flag" => value.is_boolean(),
        // An empty list or object lacks fields, which is another error at another place.
        "list" => value.is_array(),
        "map" => value.is_object(),
        "maybe" | "flat" | "tagged" => value.is_null() || value.is_object() || value.is_array(),
        "[]" | "tree" => value.is_object() || value.is_array(),
        // serde accepts the index of a variant as its tag.
        "kind" => value.is_object() || *value == 1,
        "word" => value.is_object(),
        other => panic!("no field {other}"),
    };
    all.into_iter().filter(|value| !fits(value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(512), ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,0-9a-e\\\\ntrue]*") {
        for text in [&*String::from_utf8_lossy(&bytes), &text] {
            let _ = parse_metadata::<BTreeMap<String, Recording>>(text);
            let _ = parse_metadata::<Task>(text);
            let _ = MetadataFormat::<Flat>::required().unknown_fields(text);
            let _ = request_id(text);
            let _ = MetadataError::at(text, text).to_string();
        }
    }

    #[test]
    fn no_json_panics(document in tree(), cut in any::<prop::sample::Index>()) {
        let text = document.to_string();
        let cut: String = text.chars().take(cut.index(text.len())).collect();
        let _ = parse_metadata::<Task>(&text);
        prop_assert!(parse_metadata::<Tree>(&cut).map_or(true, |tree| tree.is_none()));
    }

    #[test]
    fn the_path_of_a_wrong_value_is_right_at_any_depth(
        mut document in tree(), place in any::<prop::sample::Index>(), wrong in any::<prop::sample::Index>(),
    ) {
        prop_assert!(parse_metadata::<Tree>(&document.to_string()).is_ok());
        let mut all = Vec::new();
        places(&document, &path::Path::default(), &mut all);
        let (path, field) = place.get(&all);
        let wrong = wrong.get(&wrong_for(field)).clone();
        *get_mut(path, &mut document).unwrap() = wrong.clone();
        let error = parse_metadata::<Tree>(&document.to_string()).unwrap_err();
        prop_assert_eq!(&error.path, &path.to_string(), "{}\n{}", error, document);
        prop_assert_eq!(error.value, Some(wrong.to_string()));
        prop_assert!(error.expected.is_some(), "{}", error.message);
    }

    #[test]
    fn the_path_of_a_missing_field_is_right_at_any_depth(
        mut document in tree(), place in any::<prop::sample::Index>(),
    ) {
        let mut all = Vec::new();
        places(&document, &path::Path::default(), &mut all);
        all.retain(|(_, field)| !["maybe", "flat", "tagged", "[]"].contains(&field.as_str()));
        let (path, field) = place.get(&all);
        let (_, above) = path.0.split_last().unwrap();
        get_mut(&path::Path(above.to_vec()), &mut document).unwrap().as_object_mut().unwrap().remove(field);
        let error = parse_metadata::<Tree>(&document.to_string()).unwrap_err();
        prop_assert_eq!(&error.path, &path.to_string(), "{}\n{}", error, document);
        prop_assert_eq!((error.message.as_str(), error.value), ("missing field", None));
    }
}
