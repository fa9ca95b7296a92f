//! Why something could not be encrypted or decrypted.

/// Why something could not be encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum E2eeError {
    /// There is no key with this index.
    #[error("there is no key {index} for this participant: set it with its passphrase")]
    MissingKey {
        /// Its index.
        index: u8,
    },
    /// It was encrypted with another key, or changed in transit.
    #[error("key {index} does not fit: the participants must use the same passphrase, salt and derivation")]
    WrongKey {
        /// Its index.
        index: u8,
    },
    /// A frame is not encrypted, although its track is announced as encrypted.
    #[error("it is not encrypted, although its track is announced as encrypted")]
    NotEncrypted,
    /// The room was joined without end-to-end encryption.
    #[error("the room was joined without it: pass its options to the join")]
    Off,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    NoRandomness,
    /// Frames of this codec cannot be encrypted: packetisers could not split them.
    #[error("frames of VP9 and AV1 cannot be encrypted: publish VP8, H.264 or H.265")]
    Codec,
    /// It is not a frame of its codec.
    #[error("it cannot be encrypted: it is not a frame of its codec")]
    NoFrame,
}
