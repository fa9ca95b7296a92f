//! Why a command was not carried out, and the limits of what is sent.

use agent_proto::text::name;

use crate::{E2eeError, MAX_DATA_FRAME_LEN, VideoCodec};

/// Maximum payload of one data message, in bytes.
///
/// A packet must fit the server's message limit of 65,535 bytes together with its topic and addresses.
pub const MAX_PAYLOAD_LEN: usize = 64_000;

/// Maximum packet that a server accepts, in bytes: payload, topic and destinations together.
pub const MAX_PACKET_LEN: usize = 65_535;

/// Maximum change of our own metadata, name or attributes that is sent, in bytes.
///
/// By default a server accepts 512 KiB of metadata and 64 KiB of attributes. A change longer than a frame of
/// the connection would end the connection.
pub const MAX_CHANGE_LEN: usize = 1024 * 1024;

/// Maximum length of an encoded audio frame that is sent, in bytes: it must fit one packet.
pub const MAX_AUDIO_FRAME_LEN: usize = 1_400;

/// Maximum length of an encoded video frame that is sent, in bytes.
pub const MAX_VIDEO_FRAME_LEN: usize = 2 * 1024 * 1024;

/// Maximum number of layers of a video track.
pub const MAX_VIDEO_LAYERS: usize = 3;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum RoomError {
    /// The payload exceeds [`MAX_PAYLOAD_LEN`].
    #[error("the payload of {len} bytes is over the limit of {MAX_PAYLOAD_LEN} bytes; split it")]
    PayloadTooLarge {
        /// The payload's length, in bytes.
        len: usize,
    },
    /// Payload, topic and destinations together exceed a packet.
    #[error(
        "payload, topic and destinations make a packet of {len} bytes, over the limit of {limit} bytes; shorten them"
    )]
    PacketTooLarge {
        /// The packet's length, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// It could not be encrypted.
    #[error("end-to-end encryption: {0}")]
    E2ee(E2eeError),
    /// No telephone key.
    #[error("{digit:?} is no DTMF digit: the digits are 0-9, *, # and A-D")]
    InvalidDtmf {
        /// The character in question.
        digit: char,
    },
    /// The name of a data track is empty or too long.
    #[error("a name of {len} bytes: a data track needs a name of 1 to 256 bytes")]
    InvalidTrackName {
        /// The name's length, in bytes.
        len: usize,
    },
    /// A frame of a data track exceeds [`MAX_DATA_FRAME_LEN`].
    #[error("the frame of {len} bytes is over the limit of {MAX_DATA_FRAME_LEN} bytes; split it")]
    FrameTooLarge {
        /// The frame's length, in bytes.
        len: usize,
    },
    /// No other participant publishes a track with this sid.
    #[error(
        "no other participant publishes the track {}: take its sid from an event (`TrackPublished`) or from `Participant::tracks`",
        name(sid)
    )]
    TrackNotFound {
        /// The sid.
        sid: String,
    },
    /// A frame of an audio track is empty, or exceeds [`MAX_AUDIO_FRAME_LEN`].
    #[error("an encoded audio frame of {len} bytes: it has 1 to {MAX_AUDIO_FRAME_LEN} bytes")]
    AudioFrameSize {
        /// The frame's length, in bytes.
        len: usize,
    },
    /// A frame of a video track is empty, or exceeds [`MAX_VIDEO_FRAME_LEN`].
    #[error("an encoded video frame of {len} bytes: it has 1 to {MAX_VIDEO_FRAME_LEN} bytes")]
    VideoFrameSize {
        /// The frame's length, in bytes.
        len: usize,
    },
    /// A frame cannot be one of the track's codec.
    #[error(
        "the frame is none of {codec}, the codec of its track: VP8 and VP9 are sent without a container, H.264 and H.265 with start codes \
         (Annex B), AV1 as OBUs with their sizes"
    )]
    NoVideoFrame {
        /// The codec.
        codec: VideoCodec,
    },
    /// A frame belongs to a layer that its track does not have.
    #[error("layer {layer} of a track with {layers}: they count from 0, the smallest")]
    NoSuchLayer {
        /// The layer.
        layer: usize,
        /// The number of layers.
        layers: usize,
    },
    /// The layers of a video track cannot be sent.
    #[error(
        "{len} layers, or one without a size: a track has at most {MAX_VIDEO_LAYERS}, each with width and height, the smallest first"
    )]
    InvalidLayers {
        /// Their number.
        len: usize,
    },
    /// The name of a track, or of its stream, is too long.
    #[error("a name of {len} bytes: the name of a track and of its stream have 256 bytes at most")]
    TrackNameTooLong {
        /// The name's length, in bytes.
        len: usize,
    },
    /// The track was unpublished, by us or by the server.
    #[error("the track is not published any more; publish another one")]
    TrackUnpublished,
    /// New metadata, a name or attributes exceed [`MAX_CHANGE_LEN`].
    #[error(
        "metadata, name or attributes of {len} bytes are over the limit of {MAX_CHANGE_LEN} bytes; shorten them"
    )]
    ChangeTooLarge {
        /// Their length, in bytes.
        len: usize,
    },
    /// The header of a stream, with its attributes and recipients, exceeds a packet.
    #[error(
        "topic, attributes and recipients make a header of {len} bytes, over the limit of {limit} bytes; shorten them"
    )]
    HeaderTooLarge {
        /// The length of the header's packet, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The stream was closed, or has failed.
    #[error("the stream is closed; open another one")]
    StreamClosed,
    /// A new session began while the stream was being sent: its recipients have received a part of it.
    #[error("the connection was re-established with a new session, which ended the stream; send it again")]
    StreamInterrupted,
    /// Too much is queued or unanswered.
    #[error("the send queue is full; send less, or retry later")]
    QueueFull,
    /// The token or the permissions do not permit it.
    #[error(
        "not allowed: {detail}; the token needs the matching grant (`.permissions(…)` of the worker that was given the job)"
    )]
    NotAllowed {
        /// The server's message.
        detail: String,
    },
    /// A value exceeds the server's limit.
    #[error("over a limit of the server: {detail}; shorten it")]
    OverLimit {
        /// The server's message.
        detail: String,
    },
    /// The server refused the command.
    #[error("refused by the server: {detail}")]
    Refused {
        /// The server's message.
        detail: String,
    },
    /// The server did not answer in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The attempt of this room handle is over.
    #[error("the attempt of this room handle is over: use the one of the current attempt (`ctx.room()`)")]
    AttemptOver,
    /// There is no room (any more).
    #[error("not in the room: it was left, or it is over")]
    NotConnected,
}
