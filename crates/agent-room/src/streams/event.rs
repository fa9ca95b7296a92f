//! What happens to the streams that others send us.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{StreamError, StreamInfo};

/// Identifies a stream that is received, within a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IncomingStream(pub u64);

/// An event of a received stream. Each stream has one `Opened`, any number of `Content`, and one `Ended`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum StreamEvent {
    /// A stream began.
    Opened {
        /// The stream.
        stream: IncomingStream,
        /// What its header contains.
        info: Arc<StreamInfo>,
    },
    /// The next part of its content, in the form in which it was sent: compressed if the header declares it.
    Content {
        /// The stream.
        stream: IncomingStream,
        /// The content.
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
        content: Bytes,
    },
    /// The stream ended.
    Ended {
        /// The stream.
        stream: IncomingStream,
        /// The attributes of its trailer, which replace those of the header; or why it failed.
        result: Result<BTreeMap<String, String>, StreamError>,
    },
}
