//! Configuration of a room client.

use std::time::Duration;

use agent_proto::Secret;

use crate::{DataTrackLimits, E2eeOptions, RpcLimits, StreamLimits, TrackKind};

/// Which tracks of others are subscribed to automatically. Others are when they are read, or by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum AutoSubscribe {
    /// Audio and video.
    #[default]
    All,
    /// None: data and events only, until a track is read.
    None,
    /// Audio only.
    AudioOnly,
    /// Video only.
    VideoOnly,
}

impl AutoSubscribe {
    /// Whether tracks of this kind are subscribed to automatically.
    #[must_use]
    pub fn includes(self, kind: TrackKind) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::AudioOnly => kind == TrackKind::Audio,
            Self::VideoOnly => kind == TrackKind::Video,
        }
    }
}

/// Limits of a room's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Limits {
    /// Maximum size of a received signalling frame, in bytes. Default 8 MiB.
    pub signal_frame: usize,
    /// Maximum number of queued data packets, per channel. Default 1,024.
    pub queued_packets: usize,
    /// Maximum size of queued data packets, in bytes, per channel. Default 4 MiB.
    pub queued_bytes: usize,
    /// Maximum number of streams that are sent at a time. Default 1,024.
    pub outgoing_streams: usize,
    /// Maximum content of streams that is not sent yet, in bytes. Default 64 MiB.
    pub outgoing_bytes: usize,
    /// Limits of the streams of others.
    pub streams: StreamLimits,
    /// Limits of data tracks.
    pub data_tracks: DataTrackLimits,
    /// Maximum number of audio tracks that we publish. Default 64.
    pub local_tracks: usize,
    /// Limits of calls and requests.
    pub rpc: RpcLimits,
    /// Maximum number of unanswered changes of our own metadata, name and attributes. Default 64.
    pub requests: usize,
    /// Maximum number of participants; more are counted as violations. Default 10,000.
    pub participants: usize,
    /// Maximum number of messages between the server's answer and the established connection, which are
    /// limited to 4 MiB as well; beyond it the oldest are dropped. Of more changes of the room's state than
    /// these, those without a lasting effect are dropped. Default 4,096.
    pub held_events: usize,
    /// Maximum number of receive sections for media that the server may request. Default 512.
    pub media_sections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            signal_frame: 8 * 1024 * 1024,
            queued_packets: 1024,
            queued_bytes: 4 * 1024 * 1024,
            outgoing_streams: 1024,
            outgoing_bytes: 64 * 1024 * 1024,
            streams: StreamLimits::default(),
            data_tracks: DataTrackLimits::default(),
            local_tracks: 64,
            rpc: RpcLimits::default(),
            requests: 64,
            participants: 10_000,
            held_events: 4096,
            media_sections: 512,
        }
    }
}

/// Configuration of a room client.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// The server's URL: `ws`, `wss`, `http` or `https`, with an optional base path.
    pub url: String,
    /// The token to join with.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::secret"))]
    pub token: Secret,
    /// Which tracks the server sends.
    pub auto_subscribe: AutoSubscribe,
    /// Timeout from [`Room::new`](crate::Room::new) to a connection with data in both directions. Default 10
    /// s.
    pub join_timeout: Duration,
    /// Timeout from a change of metadata, name or attributes, or a new data track, to the server's answer.
    /// Default 5 s.
    pub request_timeout: Duration,
    /// Timeout from a new audio track to the server's answer. Default 10 s.
    pub track_timeout: Duration,
    /// How long a leave waits until the server has received the reliable messages. Default 1 s.
    pub leave_timeout: Duration,
    /// How long to try to re-establish a lost connection before the room ends. Default 60 s.
    pub reconnect_timeout: Duration,
    /// Seed of the jitter between retries: rooms of one program should not share it. Default 0.
    pub seed: u64,
    /// The time at which the room is created, in milliseconds since 1970: for the timestamps of streams.
    /// Default 0.
    pub created_at_ms: i64,
    /// Version of the SDK, sent to the server.
    pub sdk_version: String,
    /// End-to-end encryption of what we send, and the keys of what we receive. Default: none.
    pub e2ee: Option<E2eeOptions>,
    /// Media and data go through TURN servers only. Default: only if the server requests it.
    pub force_relay: bool,
    /// Limits.
    pub limits: Limits,
}

impl Config {
    /// Defaults for everything except the server and the token.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<Secret>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            auto_subscribe: AutoSubscribe::default(),
            join_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(5),
            track_timeout: Duration::from_secs(10),
            leave_timeout: Duration::from_secs(1),
            reconnect_timeout: Duration::from_secs(60),
            seed: 0,
            created_at_ms: 0,
            sdk_version: env!("CARGO_PKG_VERSION").to_owned(),
            e2ee: None,
            force_relay: false,
            limits: Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_shown() {
        let shown = format!("{:?}", Config::new("ws://host", "sesame"));
        assert!(!shown.contains("sesame"), "{shown}");
    }

    #[test]
    fn automatic_subscription_depends_on_the_kind() {
        use AutoSubscribe::{All, AudioOnly, None, VideoOnly};
        let of = |kind| [All, None, AudioOnly, VideoOnly].map(|mode| mode.includes(kind));
        assert_eq!(of(TrackKind::Audio), [true, false, true, false]);
        assert_eq!(of(TrackKind::Video), [true, false, false, true]);
        assert_eq!(of(TrackKind::Unknown(7)), [true, false, false, false]);
    }
}
