//! The payloads of frames, encrypted or not.

use bytes::Bytes;

use super::packet::FrameEncryption;

/// The payload of a frame, as it is sent.
#[derive(Debug, PartialEq)]
pub(crate) struct SealedData {
    pub(crate) payload: Bytes,
    /// `None`: it is not encrypted.
    pub(crate) encryption: Option<FrameEncryption>,
}
