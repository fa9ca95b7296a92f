//! JSON that reads back unchanged: what serde_json would write as something else, or could not read again, is
//! refused with its path.
//!
//! serde_json writes NaN and infinities as `null`, and reads at most 127 levels of nesting but writes any
//! number.

mod probe;

use std::cell::Cell;
use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::metadata::shown_path;
use crate::text::shorten;
use probe::{MAX_DEPTH, Probe, Refusal, TOO_DEEP};

const MAX_MESSAGE: usize = 400;

/// Why a value cannot be written as JSON that reads back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A part of it cannot be written.
    #[error("at `{path}`: {message}")]
    Value {
        /// Where, as `$.field[index]`; `$` is the value itself.
        path: String,
        /// The problem there.
        message: String,
    },
    /// It is longer than allowed.
    #[error("{len} bytes as JSON, the limit is {limit}")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Writes a value as JSON of at most `limit` bytes, and holds no more than that in memory.
///
/// Refused, besides what serde_json refuses: a float that is not finite, `Some(None)`, and nesting that
/// serde_json would not read again.
///
/// # Errors
/// [`JsonError`].
///
/// ```
/// use std::collections::BTreeMap;
///
/// let scores = |score: f64| agent_core::to_json(&BTreeMap::from([("score", score)]), 1_000);
/// assert_eq!(scores(0.5).unwrap(), br#"{"score":0.5}"#);
/// let error = scores(f64::NAN).unwrap_err().to_string();
/// assert!(error.starts_with("at `$.score`: NaN is no number in JSON"));
/// ```
pub fn to_json<T: Serialize + ?Sized>(value: &T, limit: usize) -> Result<Vec<u8>, JsonError> {
    let mut out = Bounded { bytes: Vec::new(), len: 0, limit };
    let has_null = Cell::new(false);
    let strict = Strict { depth: 0, has_null: &has_null };
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, strict));
    // Another pass finds where it failed, and which nulls represent something else.
    match written {
        Err(error) => {
            value.serialize(Probe::default()).map_err(refused)?;
            Err(refused(serde::ser::Error::custom(error)))
        }
        Ok(()) if out.len > limit => Err(JsonError::TooLong { len: out.len, limit }),
        Ok(()) if has_null.get() => {
            value.serialize(Probe::default()).map_err(refused)?;
            Ok(out.bytes)
        }
        Ok(()) => Ok(out.bytes),
    }
}

fn refused(refusal: Refusal) -> JsonError {
    let message = shorten(&refusal.message, MAX_MESSAGE);
    JsonError::Value { path: shown_path(refusal.into_steps()), message }
}

/// Counts all bytes, and keeps those within the limit.
struct Bounded {
    bytes: Vec<u8>,
    len: usize,
    limit: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.len = self.len.saturating_add(bytes.len());
        if self.len <= self.limit {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes compact JSON of limited depth; records whether it contains a null.
struct Strict<'a> {
    depth: usize,
    has_null: &'a Cell<bool>,
}

impl Strict<'_> {
    fn open<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(io::Error::other(TOO_DEEP));
        }
        writer.write_all(bracket)
    }

    fn close<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        writer.write_all(bracket)
    }
}

impl Formatter for Strict<'_> {
    fn write_null<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.has_null.set(true);
        writer.write_all(b"null")
    }

    fn begin_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn check<T: Serialize>(value: T, expected: &str) {
        let shown = match to_json(&value, 1_000) {
            Ok(json) => String::from_utf8(json).expect("UTF-8"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[derive(Serialize)]
    struct Point {
        x: f32,
        y: Option<f64>,
    }

    #[derive(Serialize)]
    #[serde(tag = "kind")]
    enum Shape {
        Circle { radius: f64 },
        Inner(Holder),
    }

    #[derive(Serialize)]
    struct Holder {
        #[serde(flatten)]
        rest: BTreeMap<String, f64>,
    }

    #[derive(Serialize)]
    enum Plain {
        Unit,
        New(f64),
        Pair(u8, f64),
        Named { at: f64 },
    }

    #[derive(Serialize)]
    struct Wide {
        more: Option<Option<u8>>,
    }

    #[test]
    fn readable_values_are_written_as_serde_json_writes_them() {
        let point = || Point { x: 1.5, y: None };
        check(point(), &serde_json::to_string(&point()).expect("JSON"));
        check((u128::MAX, i128::MIN), &format!("[{},{}]", u128::MAX, i128::MIN));
        check([Some(()), None], "[null,null]");
        check(
            (Plain::Unit, Plain::New(1.0), Plain::Pair(1, 2.0)),
            r#"["Unit",{"New":1.0},{"Pair":[1,2.0]}]"#,
        );
        check(Wide { more: Some(Some(1)) }, r#"{"more":1}"#);
        check(Wide { more: None }, r#"{"more":null}"#);
        check(serde_json::json!({"a": [null, 1, "x"]}), r#"{"a":[null,1,"x"]}"#);
        check('x', r#""x""#);
        check(b"ab", "[97,98]");
        check(BTreeMap::from([(7, true)]), r#"{"7":true}"#);
    }

    #[test]
    fn a_non_finite_float_is_refused_with_its_place() {
        let no_number = |path: &str, text: &str| {
            format!(
                "at `{path}`: {text} is no number in JSON, and would not load again: save a finite number, or leave it out"
            )
        };
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        check(nan, &no_number("$", "NaN"));
        check(Point { x: f32::NEG_INFINITY, y: None }, &no_number("$.x", "-infinity"));
        check(Point { x: 0.0, y: Some(nan) }, &no_number("$.y", "NaN"));
        check([vec![Some(1.0), None], vec![None, Some(infinity)]], &no_number("$[1][1]", "infinity"));
        check(BTreeMap::from([("a key", nan)]), &no_number(r#"$["a key"]"#, "NaN"));
        check(Shape::Circle { radius: nan }, &no_number("$.radius", "NaN"));
        let rest = || BTreeMap::from([("deep".to_owned(), nan)]);
        check(Shape::Inner(Holder { rest: rest() }), &no_number("$.deep", "NaN"));
        check(Plain::New(nan), &no_number("$.New", "NaN"));
        check(Plain::Pair(1, nan), &no_number("$.Pair[1]", "NaN"));
        check(Plain::Named { at: nan }, &no_number("$.Named.at", "NaN"));
        check(Some(Plain::New(nan)), &no_number("$.New", "NaN"));
        check(BTreeMap::from([("scores", (1, Box::new(nan)))]), &no_number("$.scores[1]", "NaN"));
    }

    #[test]
    fn other_refused_values_have_their_path() {
        check(
            Wide { more: Some(None) },
            "at `$.more`: `Some(None)` is written like `None`, and would load as that: use an enum of your own",
        );
        check(BTreeMap::from([("a", BTreeMap::from([((1, 2), 3)]))]), "at `$.a`: key must be a string");
        check("x".repeat(999), "1001 bytes as JSON, the limit is 1000");
        assert_eq!(to_json(&"x".repeat(998), 1_000).map(|json| json.len()), Ok(1_000));
    }

    /// A chain as deep as it is long.
    #[derive(Serialize, serde::Deserialize)]
    struct Link(Vec<Link>);

    fn chain(depth: usize) -> Link {
        (1..depth).fold(Link(Vec::new()), |link, _| Link(vec![link]))
    }

    #[test]
    fn nesting_that_would_not_read_back_is_refused_however_deep_it_is() {
        let deepest = to_json(&chain(MAX_DEPTH), 1_000).expect("JSON");
        serde_json::from_slice::<Link>(&deepest).expect("serde_json reads as much");
        let too_deep = to_json(&chain(MAX_DEPTH + 1), 1_000).expect_err("too deep").to_string();
        assert!(too_deep.ends_with(TOO_DEEP) && too_deep.starts_with("at `$[0][0]"), "{too_deep}");
        let json = serde_json::to_vec(&chain(MAX_DEPTH + 1)).expect("written without a limit");
        assert!(serde_json::from_slice::<Link>(&json).is_err(), "the limit is serde_json's own");
        let too_deep = to_json(&chain(1_500), 1_000).expect_err("too deep").to_string();
        assert!(too_deep.len() < 1_000, "{too_deep}");
    }

    proptest! {
        #[test]
        fn every_finite_float_reads_back_unchanged(bits: u64) {
            let (float, short) = (f64::from_bits(bits), f32::from_bits(bits as u32));
            prop_assume!(float.is_finite() && short.is_finite());
            let json = to_json(&(float, short), 1_000).expect("JSON");
            let (read, read_short): (f64, f32) = serde_json::from_slice(&json).expect("read");
            prop_assert_eq!((read.to_bits(), read_short.to_bits()), (float.to_bits(), short.to_bits()));
        }
    }
}
