//! The form in which a whole content is sent: in one packet or in chunks, compressed or not.

use bytes::Bytes;

use agent_proto::encode;
use agent_proto::livekit as proto;

use super::deflate;
use super::source::Source;
use super::{StreamInfo, StreamKind, StreamOptions};
use crate::RoomError;
use proto::data_packet::Value;
use proto::data_stream::Header;

/// Maximum size of the packet with the header, in bytes.
pub(crate) const MAX_HEADER_PACKET: usize = 15_000;
/// Longer content is compressed as it is sent, so that a long one does not hold up the room.
const COMPRESSED_AT_ONCE: usize = 256 * 1024;
/// How much of longer content is compressed to measure whether compression makes it smaller.
const SAMPLE: usize = 64 * 1024;

/// What all recipients of a stream can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// RPC as text streams.
    pub(crate) rpc_streams: bool,
    /// The whole content in the header.
    pub(crate) inline: bool,
    /// Raw deflate.
    pub(crate) deflate: bool,
}

impl Abilities {
    /// Of an empty room.
    pub(crate) const ALL: Self = Self { rpc_streams: true, inline: true, deflate: true };

    /// What both can read.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            rpc_streams: self.rpc_streams && other.rpc_streams,
            inline: self.inline && other.inline,
            deflate: self.deflate && other.deflate,
        }
    }
}

/// The header and the content of a stream.
pub(super) struct Form {
    pub(super) header: Header,
    /// Empty if the header contains it.
    pub(super) source: Source,
    /// Whether chunks and a trailer follow.
    pub(super) chunked: bool,
}

impl Form {
    /// Of a whole content.
    pub(super) fn whole(
        options: &StreamOptions,
        content: Bytes,
        timestamp_ms: i64,
        abilities: Abilities,
    ) -> Result<Self, RoomError> {
        let mut info = options.info(timestamp_ms);
        info.total_length = Some(content.len() as u64);
        let compresses = options.compress && abilities.deflate;
        let at_once = content.len() <= COMPRESSED_AT_ONCE;
        let compressed = if compresses && at_once { deflate::shorter(&content) } else { None };
        info.compressed = compressed.is_some()
            || compresses && !at_once && deflate::shorter(&content.slice(..SAMPLE)).is_some();
        if abilities.inline && has_no_attachments(&info) {
            let inline = match (&compressed, info.compressed) {
                (Some(compressed), _) => Some(compressed.clone()),
                (None, true) => None,
                (None, false) => Some(content.clone()),
            };
            if let Some(inline) = inline.filter(|inline| inline.len() <= MAX_HEADER_PACKET) {
                let header = Header { inline_content: Some(inline), ..info.to_wire() };
                if header_packet_len(&header, options) <= MAX_HEADER_PACKET {
                    return Ok(Self { header, source: Source::Bytes(Bytes::new()), chunked: false });
                }
            }
        }
        let source = match (compressed, info.compressed, info.is_text()) {
            (Some(compressed), ..) => Source::Bytes(compressed),
            (None, true, _) => Source::deflate(content),
            (None, false, true) => Source::Text(content),
            (None, false, false) => Source::Bytes(content),
        };
        Self::chunked(options, &info, source)
    }

    /// Of content that is written in parts.
    pub(super) fn in_parts(options: &StreamOptions, timestamp_ms: i64) -> Result<Self, RoomError> {
        Self::chunked(options, &options.info(timestamp_ms), Source::Bytes(Bytes::new()))
    }

    fn chunked(options: &StreamOptions, info: &StreamInfo, source: Source) -> Result<Self, RoomError> {
        Ok(Self { header: checked_header(options, info)?, source, chunked: true })
    }
}

impl StreamOptions {
    /// The description that the recipients get, without the sender. For those who carry streams without
    /// packets, as mock rooms do.
    ///
    /// # Errors
    /// [`RoomError::HeaderTooLarge`] if it does not fit into one packet.
    pub fn describe(&self, timestamp_ms: i64) -> Result<StreamInfo, RoomError> {
        let info = self.info(timestamp_ms);
        checked_header(self, &info)?;
        Ok(info)
    }
}

/// The header without content, if it fits into a packet.
fn checked_header(options: &StreamOptions, info: &StreamInfo) -> Result<Header, RoomError> {
    let header = info.to_wire();
    let len = header_packet_len(&header, options);
    if len > MAX_HEADER_PACKET {
        return Err(RoomError::HeaderTooLarge { len, limit: MAX_HEADER_PACKET });
    }
    Ok(header)
}

fn has_no_attachments(info: &StreamInfo) -> bool {
    match &info.kind {
        StreamKind::Text(text) => text.attached.is_empty(),
        StreamKind::Bytes { .. } => true,
    }
}

/// The size of the packet with a header, before the data channel numbers it.
fn header_packet_len(header: &Header, options: &StreamOptions) -> usize {
    let packet = proto::DataPacket {
        destination_identities: options.destinations.clone(),
        participant_identity: options.sender.clone().unwrap_or_default(),
        value: Some(Value::StreamHeader(header.clone())),
        ..Default::default()
    };
    encode(&packet).len()
}
