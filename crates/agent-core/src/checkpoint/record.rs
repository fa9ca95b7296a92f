//! Record format of a checkpoint: a header, the value as JSON, and a checksum over both.
//!
//! ```text
//! "LKcp" | format u8 = 1 | version u32 | epoch u64 | saved at u64 (ms since 1970) | length u32 | JSON | CRC-32 u32    (little-endian)
//! ```
//! A truncated, mixed or modified record is never read as a value.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::CheckpointError;
use super::slot::Epoch;
use crate::json::{JsonError, to_json};
use crate::metadata::{json_path, short_type_name};
use crate::text::shorten;

/// The longest value, as JSON, in bytes.
pub const MAX_CHECKPOINT_LEN: usize = 16 * 1024 * 1024;

const MAX_MESSAGE: usize = 400;
const MAGIC: &[u8; 4] = b"LKcp";
const FORMAT: u8 = 1;

/// Encodes the record of a value.
///
/// `version` is the agent's version of its value format, `saved_at` is in milliseconds since 1970.
///
/// # Errors
/// [`CheckpointError::Unwritable`] when the value cannot be written as JSON, [`CheckpointError::TooLarge`].
/// [`verify_checkpoint`] checks that the record loads again as its type: call both before a record is stored.
///
/// ```
/// use agent_core::{Epoch, decode_checkpoint, encode_checkpoint};
///
/// let record = encode_checkpoint(&vec![1, 2, 3], 1, Epoch(7), 0).unwrap();
/// assert_eq!(decode_checkpoint::<Vec<u32>>(&record, 1).unwrap(), [1, 2, 3]);
/// assert!(decode_checkpoint::<Vec<u32>>(&record[..20], 1).is_err(), "half of it is nothing");
/// ```
pub fn encode_checkpoint<T: Serialize>(
    value: &T,
    version: u32,
    epoch: Epoch,
    saved_at: u64,
) -> Result<Vec<u8>, CheckpointError> {
    let type_name = short_type_name::<T>;
    let json = to_json(value, MAX_CHECKPOINT_LEN).map_err(|error| match error {
        JsonError::Value { path, message } => {
            CheckpointError::Unwritable { type_name: type_name(), path, message }
        }
        JsonError::TooLong { len, .. } => CheckpointError::TooLarge { type_name: type_name(), len },
    })?;
    let len = u32::try_from(json.len())
        .map_err(|_| CheckpointError::TooLarge { type_name: type_name(), len: json.len() })?;
    let mut record = Vec::with_capacity(json.len() + 33);
    record.extend(MAGIC);
    record.push(FORMAT);
    record.extend(version.to_le_bytes());
    record.extend(epoch.0.to_le_bytes());
    record.extend(saved_at.to_le_bytes());
    record.extend(len.to_le_bytes());
    record.extend(json);
    record.extend(crc32fast::hash(&record).to_le_bytes());
    Ok(record)
}

/// Reads the value of a record that an agent of this `version`, or an older one, has saved.
///
/// # Errors
/// [`CheckpointError::Newer`], [`CheckpointError::Damaged`], and [`CheckpointError::Unreadable`] when it is
/// no `T`.
pub fn decode_checkpoint<T: DeserializeOwned>(record: &[u8], version: u32) -> Result<T, CheckpointError> {
    let (saved, json) = open(record)?;
    if saved > version {
        return Err(CheckpointError::Newer { saved, known: version });
    }
    read(json).map_err(|(path, message)| CheckpointError::Unreadable {
        type_name: short_type_name::<T>(),
        saved,
        path,
        message,
    })
}

/// Checks that a record that was just encoded loads again: a type may write what it does not read.
///
/// # Errors
/// [`CheckpointError::Unwritable`], with the error of reading it.
///
/// ```
/// use agent_core::{Epoch, encode_checkpoint, verify_checkpoint};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Progress { done: u64, #[serde(skip_serializing)] buffer: Vec<u8> }
///
/// let record = encode_checkpoint(&Progress { done: 1, buffer: Vec::new() }, 1, Epoch(7), 0).unwrap();
/// let error = verify_checkpoint::<Progress>(&record).unwrap_err().to_string();
/// assert!(error.contains("would not load again: missing field `buffer`"), "{error}");
/// ```
pub fn verify_checkpoint<T: DeserializeOwned>(record: &[u8]) -> Result<(), CheckpointError> {
    let (_, json) = open(record)?;
    // First without the path, which is expensive.
    if serde_json::from_slice::<T>(json).is_ok() {
        return Ok(());
    }
    match read::<T>(json) {
        Ok(_) => Ok(()),
        Err((path, message)) => Err(CheckpointError::Unwritable {
            type_name: short_type_name::<T>(),
            path,
            message: format!("what is written would not load again: {message}"),
        }),
    }
}

/// Reads the value, or returns the path and message of the problem.
fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, (String, String)> {
    let mut json = serde_json::Deserializer::from_slice(json);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| (json_path(error.path()), shorten(&error.inner().to_string(), MAX_MESSAGE)))
}

/// The epoch of the writer that saved a record; `None` for other bytes. The rest of the record is not
/// checked.
///
/// ```
/// use agent_core::{Epoch, checkpoint_epoch, encode_checkpoint};
///
/// let record = encode_checkpoint(&"half way", 1, Epoch(7), 0).unwrap();
/// assert_eq!(checkpoint_epoch(&record), Some(Epoch(7)));
/// ```
#[must_use]
pub fn checkpoint_epoch(record: &[u8]) -> Option<Epoch> {
    let rest = record.strip_prefix(MAGIC)?.strip_prefix(&[FORMAT])?;
    let (_version, rest) = rest.split_first_chunk::<4>()?;
    Some(Epoch(u64::from_le_bytes(*rest.first_chunk()?)))
}

/// Version and JSON of an intact record.
fn open(record: &[u8]) -> Result<(u32, &[u8]), CheckpointError> {
    let damaged = |problem| CheckpointError::Damaged { problem };
    let (head, rest) = record.split_first_chunk::<5>().ok_or(damaged("it is cut short"))?;
    let [magic @ .., format] = head;
    if magic != MAGIC {
        return Err(damaged("it is no checkpoint"));
    }
    if *format != FORMAT {
        return Err(damaged("its format is one that this version of the library does not know"));
    }
    let (body, checksum) = record.split_last_chunk::<4>().ok_or(damaged("it is cut short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(damaged("its checksum is wrong"));
    }
    let (version, rest) = rest.split_first_chunk::<4>().ok_or(damaged("it is cut short"))?;
    let (_epoch_and_time, rest) = rest.split_first_chunk::<16>().ok_or(damaged("it is cut short"))?;
    let (len, rest) = rest.split_first_chunk::<4>().ok_or(damaged("it is cut short"))?;
    let (json, _checksum) = rest.split_last_chunk::<4>().ok_or(damaged("it is cut short"))?;
    if usize::try_from(u32::from_le_bytes(*len)) != Ok(json.len()) {
        return Err(damaged("its length is wrong"));
    }
    Ok((u32::from_le_bytes(*version), json))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Progress {
        done: u64,
        #[serde(default)]
        note: String,
    }

    fn record(version: u32) -> Vec<u8> {
        let progress = Progress { done: 7, note: "seven".to_owned() };
        encode_checkpoint(&progress, version, Epoch(3), 1_000).unwrap()
    }

    fn problem<T: DeserializeOwned>(record: &[u8], version: u32) -> String {
        decode_checkpoint::<T>(record, version)
            .err()
            .map_or_else(|| "none".to_owned(), |error| error.to_string())
    }

    #[test]
    fn older_versions_are_read_and_newer_ones_are_not() {
        let old = encode_checkpoint(&BTreeMap::from([("done", 7)]), 1, Epoch(1), 0).unwrap();
        let read: Progress = decode_checkpoint(&old, 2).unwrap();
        assert_eq!(read, Progress { done: 7, note: String::new() });
        assert_eq!(
            problem::<Progress>(&record(3), 2),
            "the checkpoint was saved by version 3 of this agent, and this one is version 2: run the newer agent, or delete the checkpoint"
        );
    }

    #[test]
    fn another_shape_is_named() {
        assert_eq!(
            problem::<BTreeMap<String, u64>>(&record(1), 1),
            "the checkpoint, saved by version 1 of this agent, is no valid BTreeMap<alloc::string::String, u64>: at `$.note`: invalid type: string \"seven\", expected u64 at line 1 column 24; make the type read the older form, or delete the checkpoint"
        );
        let unwritable = BTreeMap::from([((1, 2), 3)]);
        let error = encode_checkpoint(&unwritable, 1, Epoch(1), 0).unwrap_err();
        assert!(error.to_string().contains("key must be a string"), "{error}");
    }

    #[test]
    fn a_value_that_is_too_large_is_refused() {
        let error = encode_checkpoint(&"x".repeat(MAX_CHECKPOINT_LEN), 1, Epoch(1), 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the checkpoint (a String) has 16777218 bytes as JSON, the limit is 16777216: save less, or a reference to it"
        );
    }

    /// The error of saving a value; empty if there is none.
    fn refusal<T: Serialize + DeserializeOwned>(value: T) -> String {
        let saved = encode_checkpoint(&value, 1, Epoch(1), 0)
            .and_then(|record| verify_checkpoint::<T>(&record).map(|()| record));
        match saved {
            Ok(record) => {
                decode_checkpoint::<T>(&record, 1).expect("what was saved loads");
                String::new()
            }
            Err(error) => error.to_string(),
        }
    }

    fn check<T: Serialize + DeserializeOwned>(value: T, place_and_problem: &str) {
        let refusal = refusal(value);
        assert!(refusal.contains(&format!("cannot be saved: at {place_and_problem}")), "{refusal}");
    }

    #[derive(Serialize, serde::Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Large { number: u128 },
    }

    #[derive(Serialize, serde::Deserialize)]
    enum Renamed {
        #[serde(rename(serialize = "new", deserialize = "old"))]
        Variant,
    }

    #[derive(Serialize, serde::Deserialize)]
    #[expect(dead_code, reason = "it is there to be skipped")]
    struct Skipping {
        done: u64,
        #[serde(skip_serializing)]
        buffer: Vec<u8>,
    }

    #[derive(Serialize, serde::Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u8),
        #[serde(serialize_with = "as_number")]
        Text(String),
    }

    fn as_number<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(-i64::try_from(text.len()).unwrap_or_default())
    }

    #[derive(Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[serde(rename(serialize = "total"))]
        count: Option<u8>,
    }

    #[derive(Default, Serialize, serde::Deserialize)]
    struct Deep {
        next: Option<Box<Deep>>,
    }

    #[test]
    fn values_that_would_not_load_are_refused_with_their_path() {
        for (name, number) in
            [("NaN", f64::NAN), ("infinity", f64::INFINITY), ("-infinity", f64::NEG_INFINITY)]
        {
            check(vec![0.0, number], &format!("`$[1]`: {name} is no number in JSON"));
            check(
                BTreeMap::from([("a".to_owned(), Some(number))]),
                &format!("`$.a`: {name} is no number in JSON"),
            );
        }
        check(vec![Some(f32::NAN)], "`$[0]`: NaN is no number in JSON");
        check(vec![Tagged::Large { number: u128::MAX }], "`$[0]`: ");
        check(vec![Renamed::Variant], "`$[0]`: what is written would not load again: unknown variant `new`");
        check(
            Skipping { done: 1, buffer: Vec::new() },
            "`$`: what is written would not load again: missing field `buffer`",
        );
        check(Either::Text("x".to_owned()), "`$`: what is written would not load again: data did not match");
        check(
            Strict { count: Some(1) },
            "`$.total`: what is written would not load again: unknown field `total`",
        );
        let deep = |depth| (1..depth).fold(Deep::default(), |next, _| Deep { next: Some(Box::new(next)) });
        assert_eq!(refusal(deep(127)), "");
        check(deep(128), "`$.next.next");
    }

    /// Fields that are skipped and have a default are allowed.
    #[test]
    fn values_that_load_are_saved() {
        #[derive(Serialize, serde::Deserialize)]
        #[expect(dead_code, reason = "some are there to be skipped")]
        struct Progress {
            score: Option<f64>,
            large: u128,
            by_number: BTreeMap<u64, i128>,
            #[serde(skip)]
            cache: Vec<f64>,
            #[serde(default, skip_serializing)]
            buffer: Vec<u8>,
        }
        let progress = Progress {
            score: None,
            large: u128::MAX,
            by_number: BTreeMap::from([(7, i128::MIN)]),
            cache: vec![f64::NAN],
            buffer: vec![1],
        };
        assert_eq!(refusal(progress), "");
        assert_eq!(refusal(Either::Number(1)), "");
        assert_eq!(refusal(()), "");
        assert_eq!(refusal(f64::MIN_POSITIVE), "");
    }

    proptest! {
        /// A truncated record, or one with a changed byte, is refused.
        #[test]
        fn only_a_whole_record_is_read(cut in 0usize..60, at in 0usize..60, flip in 1u8..=255) {
            let whole = record(1);
            let cut = cut % whole.len();
            prop_assert!(decode_checkpoint::<Progress>(&whole[..cut], 1).is_err());
            let mut changed = whole.clone();
            let at = at % whole.len();
            changed[at] ^= flip;
            prop_assert!(decode_checkpoint::<Progress>(&changed, 1).is_err());
            // The start of one and the end of another.
            let other = encode_checkpoint(&Progress { done: 8, note: "eight".to_owned() }, 1, Epoch(4), 2_000).unwrap();
            let mixed = [&whole[..cut], &other[cut.min(other.len())..]].concat();
            let read = decode_checkpoint::<Progress>(&mixed, 1);
            prop_assert!(mixed == other || mixed == whole || read.is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode_checkpoint::<Progress>(&bytes, 1);
            let _ = checkpoint_epoch(&bytes);
        }
    }
}
