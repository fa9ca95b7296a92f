//! The texts of errors, and unusual input that is accepted.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};

use super::super::*;
use super::{Flat, Flattish, Recording, Strict, Task, check, shown};

/// A top-level field that the SDK reads is allowed for any type; a type with a field of that name receives
/// it.
#[test]
fn fields_of_the_sdk_are_allowed_beside_those_of_a_strict_type() {
    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Own {
        a: u8,
        timeout: String,
    }
    #[derive(Deserialize, Debug)]
    #[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
    enum Closed {
        Wait { a: u8 },
        Nest { inner: Option<Strict> },
    }
    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Merged {
        #[serde(flatten)]
        own: Sub,
    }
    #[derive(Deserialize, Debug)]
    struct Sub {
        a: u8,
    }
    let all = r#""action":"wait","timeout":5,"request_id":"r""#;
    assert_eq!(shown::<Strict>(&format!(r#"{{"a":1,{all}}}"#)), "Some(Strict { a: 1, inner: None })");
    assert_eq!(shown::<Closed>(&format!(r#"{{"a":1,{all}}}"#)), "Some(Wait { a: 1 })");
    assert_eq!(shown::<Merged>(&format!(r#"{{{all},"a":1}}"#)), "Some(Merged { own: Sub { a: 1 } })");
    assert_eq!(
        shown::<Own>(r#"{"a":1,"timeout":"5m","request_id":7}"#),
        r#"Some(Own { a: 1, timeout: "5m" })"#
    );
    check::<Own>(r#"{"a":1,"request_id":7}"#, "$.timeout: missing field");
    check::<Merged>(r#"{"a":1,"timeout":1,"b":2}"#, "$.b = 2: unknown field");
    check::<Strict>(
        r#"{"a":1,"inner":{"a":1,"timeout":5}}"#,
        "$.inner.timeout = 5: unknown field, expected `a` or `inner`",
    );
    check::<Closed>(
        r#"{"action":"nest","timeout":5,"inner":{"a":1,"timeout":6}}"#,
        "$.inner.timeout = 6: unknown field, expected `a` or `inner`",
    );
    check::<Strict>(
        r#"{"a":1,"priority":"high"}"#,
        r#"$.priority = "high": unknown field, expected `a` or `inner`"#,
    );
}

/// Expectations are described in terms of JSON.
#[test]
fn expectations_are_described_in_terms_of_json() {
    #[derive(Deserialize, Debug)]
    struct Unit;
    #[derive(Deserialize, Debug)]
    struct Pair(u8, bool);
    #[derive(Deserialize, Debug)]
    enum Outside {
        Off,
        On(u8),
        Set { level: u8 },
        Two(u8, u8),
    }
    #[derive(Deserialize, Debug)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(u8),
    }
    #[derive(Deserialize, Debug)]
    #[serde(tag = "kind", content = "with")]
    enum Beside {
        A(u8),
        B,
    }
    #[track_caller]
    fn check_text<T: DeserializeOwned + fmt::Debug>(text: &str, expected: &str) {
        let error = parse_metadata::<T>(text).unwrap_err();
        let value = error.value.map(|value| format!(" = {value}")).unwrap_or_default();
        assert_eq!(format!("{}{value}: {}", error.path, error.message), expected);
    }
    check_text::<u8>("-1", "$ = -1: expected a whole number from 0 to 255");
    check_text::<i8>("128", "$ = 128: expected a whole number from -128 to 127");
    check_text::<std::num::NonZeroU16>("0", "$ = 0: expected a whole number from 1 to 65535");
    check_text::<std::num::NonZeroI8>("0", "$ = 0: expected a whole number from -128 to 127, and not 0");
    check_text::<f32>("true", "$ = true: expected a number");
    check_text::<bool>("1", "$ = 1: expected true or false");
    check_text::<char>(r#""ab""#, r#"$ = "ab": expected a single character"#);
    check_text::<Vec<u8>>("{}", "$ = {}: expected a list");
    check_text::<Unit>("1", "$ = 1: expected null");
    check_text::<Pair>("[1]", "$ = [1]: expected a list of 2 items");
    check_text::<Pair>("[1,true,3]", "$ = [1,true,3]: expected a list of 2 items");
    check_text::<(u8, u8, u8)>("7", "$ = 7: expected a list of 3 items");
    check_text::<[u8; 2]>("[1,2,3]", "$ = [1,2,3]: expected a list of 2 items");
    check_text::<BTreeMap<u8, u8>>(
        r#"{"1":2,"x":3}"#,
        "$.x: the name of the field: expected a whole number from 0 to 255",
    );
    check_text::<BTreeMap<u8, u8>>(
        r#"{"1":2,"256":3}"#,
        "$.256: the name of the field: expected a whole number from 0 to 255",
    );
    check_text::<Outside>("7", "$ = 7: expected one of `Off`, `On`, `Set`, `Two`");
    check_text::<Outside>(r#""Half""#, r#"$ = "Half": expected one of `Off`, `On`, `Set`, `Two`"#);
    check_text::<Outside>(r#"{"Half":1}"#, r#"$ = "Half": expected one of `Off`, `On`, `Set`, `Two`"#);
    check_text::<Outside>(r#""On""#, r#"$ = "On": expected an object with the field `On`"#);
    check_text::<Outside>(r#"{"On":256}"#, "$.On = 256: expected a whole number from 0 to 255");
    check_text::<Outside>(r#"{"Off":1}"#, "$.Off = 1: expected null");
    check_text::<Outside>(r#"{"Set":[]}"#, "$.Set = []: expected an object");
    check_text::<Outside>(r#"{"Two":[1]}"#, "$.Two = [1]: expected a list of 2 items");
    check_text::<Outside>(r#"{"On":1,"Off":null}"#, "$ = {…}: expected an object with one field");
    check_text::<Outside>("{}", "$ = {}: expected an object with one field");
    check_text::<Vec<Either>>(
        r#"["a",7,true]"#,
        "$[2] = true: fits none of the forms that are accepted here",
    );
    check_text::<Beside>(r#"{"kind":"C"}"#, r#"$.kind = "C": expected `A` or `B`"#);
    check_text::<Beside>(r#"{"with":300,"kind":"A"}"#, "$.with = 300: expected a whole number from 0 to 255");
    check_text::<Beside>(r#"{"kind":"A","with":300}"#, "$.with = 300: expected a whole number from 0 to 255");
    check_text::<Beside>("[]", "$ = []: expected an object");
    check_text::<Task>("[]", "$ = []: expected an object");
    check_text::<Task>("7", "$ = 7: expected an object");
    check_text::<Task>(r#"{"action":true}"#, "$.action = true: expected a string");
    check_text::<Task>(r#"{"action":"record","action":"record"}"#, "$.action: duplicate field");
    check_text::<Task>(r#"{"action":"record","format":"a","format":"b"}"#, "$.format: duplicate field");
    check_text::<Flat>(r#"{"labels":{},"format":"a","format":"b"}"#, "$.format: duplicate field");
    check_text::<BTreeMap<String, Recording>>(
        r#"{"a":{"format":"","format":""}}"#,
        "$.a.format: duplicate field",
    );
}

/// The BOM that text editors write, and the `null` of senders without metadata.
#[test]
fn a_byte_order_mark_is_skipped_and_null_is_no_metadata() {
    assert_eq!(
        shown::<Recording>("\u{feff}{\"format\":\"a\"}"),
        r#"Some(Recording { format: "a", tracks: [] })"#
    );
    for none in ["null", " null\n", "\u{feff}null", "\u{feff}", "\u{feff} \n"] {
        assert_eq!(shown::<Recording>(none), "None", "{none:?}");
        assert_eq!(
            MetadataFormat::<Flattish>::required().parse(none).err().unwrap().message,
            "there is none, and it is required"
        );
        assert_eq!((request_id(none), action(none), timeout(none)), (None, Ok(None), Ok(None)), "{none:?}");
    }
    assert_eq!(request_id("\u{feff}{\"request_id\":1}").as_deref(), Some("1"));
    // Only one, at the start.
    check::<Recording>("\u{feff}\u{feff}{}", "$: not JSON: expected value at line 1 column 1");
    check::<Recording>(r#"{"format":null}"#, "$.format = null: expected a string");
}

#[test]
fn special_types_of_serde_json_stay_possible() {
    assert_eq!(shown::<BTreeMap<String, Raw>>(r#"{"a": [1,  2]}"#), r#"Some({"a": Raw("[1,  2]")})"#);
    assert_eq!(shown::<i128>("-170141183460469231731687303715884105728"), format!("Some({})", i128::MIN));
    assert_eq!(
        shown::<BTreeMap<u128, bool>>(r#"{"340282366920938463463374607431768211455":true}"#),
        format!("Some({{{}: true}})", u128::MAX)
    );
    assert_eq!(shown::<BTreeMap<bool, ()>>(r#"{"true":null}"#), "Some({true: ()})");
    assert_eq!(
        shown::<Vec<(u8, Recording)>>(r#"[[1,["mp4",[2]]]]"#),
        r#"Some([(1, Recording { format: "mp4", tracks: [2] })])"#
    );
    assert_eq!(shown::<String>(r#""\u00e4\n\ud83d\ude00""#), r#"Some("ä\n😀")"#);
    assert_eq!(shown::<f64>("-0"), "Some(-0.0)");
}

/// Reads the text of a value like serde_json's `RawValue`, which needs a feature of it.
#[derive(Debug)]
struct Raw(String);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any valid JSON value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                assert_eq!(map.next_key::<String>()?.as_deref(), Some("$serde_json::private::RawValue"));
                Ok(Raw(map.next_value()?))
            }
        }
        deserializer.deserialize_newtype_struct("$serde_json::private::RawValue", Whole)
    }
}
