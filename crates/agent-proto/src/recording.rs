//! Recordings of machines: a [`Machine`] whose inputs are recorded with their times can be replayed, as a new
//! one with the same settings gives the same outputs.
//!
//! With the feature `serde` a recording can be written and read. The modules here are exact serde forms, for
//! `#[serde(with = "…")]`: each value has to read back unchanged, in any format.
//!
//! **A recording holds what the wire holds.** The bytes of a frame are written as they came, including
//! tokens, and so is the token with which a room is joined: protect a recording like a secret. Only what a
//! machine itself outputs as a [`Secret`](crate::Secret) is redacted.

mod recorder;

pub use recorder::{Machine, Recorder, Recording};

/// Bytes as hexadecimal text.
#[cfg(feature = "serde")]
pub mod bytes {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::hex;

    /// Writes them.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(bytes: &impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::write(bytes.as_ref()))
    }

    /// Reads them.
    ///
    /// # Errors
    /// Those of the format, and one for text that is not hexadecimal.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        hex::read(&String::deserialize(deserializer)?).map(Bytes::from)
    }
}

/// A message as the hexadecimal text of its protobuf form.
#[cfg(feature = "serde")]
pub mod message {
    use prost::Message;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::hex;

    /// Writes it.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<M: Message, S: Serializer>(message: &M, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::write(&message.encode_to_vec()))
    }

    /// Reads it.
    ///
    /// # Errors
    /// Errors of the format, and one for bytes that are not such a message.
    pub fn deserialize<'de, M: Message + Default, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<M, D::Error> {
        let bytes = hex::read(&String::deserialize(deserializer)?)?;
        M::decode(bytes.as_slice()).map_err(D::Error::custom)
    }
}

/// A number as text: in JSON, numbers that are not finite are lost, and others may come back rounded.
#[cfg(feature = "serde")]
pub mod float {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes it.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    /// Reads it.
    ///
    /// # Errors
    /// Those of the format, and one for text that is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A secret as it is. Only where it has to come back: [`Secret`](crate::Secret) itself is written as
/// `[redacted]`.
#[cfg(feature = "serde")]
pub mod secret {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::Secret;

    /// Writes it.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads it.
    ///
    /// # Errors
    /// Those of the format.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::from)
    }
}

#[cfg(feature = "serde")]
mod hex {
    use std::fmt::Write;

    use serde::de::Error;

    pub(super) fn write(bytes: &[u8]) -> String {
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    pub(super) fn read<E: Error>(text: &str) -> Result<Vec<u8>, E> {
        let digit = |at: u8| char::from(at).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        match bytes.collect() {
            Some(bytes) if rest.is_empty() => Ok(bytes),
            _ => Err(E::custom("not hexadecimal: an even number of the digits 0-9 and a-f is expected")),
        }
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use crate::{Secret, Time, livekit};

    #[derive(Debug, Serialize, Deserialize)]
    struct Values {
        at: Time,
        #[serde(with = "super::bytes")]
        bytes: Bytes,
        #[serde(with = "super::message")]
        message: livekit::UpdateWorkerStatus,
        #[serde(with = "super::float")]
        number: f32,
        #[serde(with = "super::secret")]
        secret: Secret,
    }

    proptest! {
        #[test]
        fn everything_survives_a_round_trip(at: u64, bytes: Vec<u8>, bits: u32, status: Option<i32>, secret: String) {
            let number = f32::from_bits(bits);
            let message = livekit::UpdateWorkerStatus { status, load: number, job_count: bits, ..Default::default() };
            let values = Values { at: Time::from_nanos(at), bytes: bytes.into(), message, number, secret: secret.into() };
            let json = serde_json::to_string(&values).unwrap();
            let back: Values = serde_json::from_str(&json).unwrap();
            prop_assert_eq!((back.at, &back.bytes, &back.secret), (values.at, &values.bytes, &values.secret));
            prop_assert!(back.number.to_bits() == bits || (number.is_nan() && back.number.is_nan()));
            prop_assert_eq!(back.message.load.to_bits(), bits);
            prop_assert_eq!(serde_json::to_string(&back).unwrap(), json);
        }
    }

    #[test]
    fn invalid_recordings_are_refused() {
        let with = |bytes: &str, message: &str, number: &str| {
            let json = format!(
                r#"{{"at":0,"bytes":"{bytes}","message":"{message}","number":"{number}","secret":""}}"#
            );
            serde_json::from_str::<Values>(&json).map_or_else(|error| error.to_string(), |_| "ok".to_owned())
        };
        assert_eq!(with("00fF", "", "inf"), "ok");
        for bytes in ["0", "0g", "+1", "ä"] {
            assert!(with(bytes, "", "0").starts_with("not hexadecimal"), "{bytes}");
        }
        assert!(with("", "ff", "0").contains("failed to decode Protobuf message"));
        assert!(with("", "", "much").contains("invalid float"));
    }

    #[test]
    fn a_secret_is_not_written_by_itself() {
        assert_eq!(serde_json::to_string(&Secret::from("hunter2")).unwrap(), "\"[redacted]\"");
    }
}
