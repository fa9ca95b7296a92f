//! Descriptions of what a type expects, in terms of JSON instead of Rust.

/// Maximum number of listed names.
const MAX_NAMES: usize = 20;

/// Translates serde's description of what was expected into terms of JSON. A type's own description is
/// unchanged.
pub(super) fn words(expected: &str) -> String {
    if let Some(number) = expected.strip_prefix("a nonzero ") {
        return match limits(number) {
            Some((low, high)) if low == "0" => format!("a whole number from 1 to {high}"),
            Some((low, high)) => format!("a whole number from {low} to {high}, and not 0"),
            None => expected.to_owned(),
        };
    }
    if let Some((low, high)) = limits(expected) {
        return format!("a whole number from {low} to {high}");
    }
    let starts = |starts: &[&str]| starts.iter().any(|start| expected.starts_with(start));
    let fixed = match expected {
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a character" => "a single character",
        "a string" | "a borrowed string" | "str" | "path string" | "OS string" => "a string",
        "field identifier" | "variant identifier" => "a string",
        "string or map" | "enum" => "a string, or an object with one field",
        "option" | "unit" => "null",
        "a sequence" | "byte array" | "a byte array" | "a borrowed byte array" | "an array" => "a list",
        "a map" | "map" => "an object",
        _ if starts(&["unit struct ", "unit variant "]) => "null",
        _ if starts(&["an empty array", "a zero-length"]) => "an empty list",
        _ if starts(&["variant index "]) => "the name of a variant",
        _ if starts(&["a tuple of size ", "an array of length ", "tuple struct ", "tuple variant "]) => {
            let count = expected.split(' ').filter_map(|part| part.parse::<usize>().ok()).next_back();
            return match count {
                Some(1) => "a list of one item".to_owned(),
                Some(count) => format!("a list of {count} items"),
                None => "a list".to_owned(),
            };
        }
        _ if starts(&[
            "struct ",
            "struct variant ",
            "internally tagged enum ",
            "adjacently tagged enum ",
            "map with a single key",
        ]) =>
        {
            "an object"
        }
        _ if starts(&["enum "]) => "a string, or an object with one field",
        other => other,
    };
    fixed.to_owned()
}

/// Names in quotes: "`a`", "`a` or `b`", "one of `a`, `b`, `c`".
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [one, other] => format!("`{one}` or `{other}`"),
        _ => {
            let mut list: Vec<String> =
                names.iter().take(MAX_NAMES).map(|name| format!("`{name}`")).collect();
            if names.len() > MAX_NAMES {
                list.push("…".to_owned());
            }
            format!("one of {}", list.join(", "))
        }
    }
}

/// The limits of one of Rust's integer types.
fn limits(name: &str) -> Option<(String, String)> {
    macro_rules! of {
        ($($number:ident)*) => {
            match name {
                $(stringify!($number) => Some(($number::MIN.to_string(), $number::MAX.to_string())),)*
                _ => None,
            }
        };
    }
    of!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize)
}
