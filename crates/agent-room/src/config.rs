//! What a room client needs to know before it starts.

use std::time::Duration;

use agent_proto::Secret;

/// Which tracks of others the server sends us without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum AutoSubscribe {
    /// Audio and video.
    #[default]
    All,
    /// None: data and events only.
    None,
    /// Audio only.
    AudioOnly,
    /// Video only.
    VideoOnly,
}

/// Bounds of what a room holds and waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Limits {
    /// Longest signalling frame that is read, in bytes. Default 8 MiB.
    pub signal_frame: usize,
    /// Data packets that wait for the data channel, per channel. Default 1,024.
    pub queued_packets: usize,
    /// Bytes that wait for the data channel, per channel. Default 4 MiB.
    pub queued_bytes: usize,
    /// Own metadata, name and attribute changes that wait for the server's answer. Default 64.
    pub requests: usize,
    /// Participants that are known at a time; more are counted as violations. Default 10,000.
    pub participants: usize,
    /// Events between the server's answer and the standing connection. Default 4,096.
    pub held_events: usize,
    /// Receive sections for media that the server may ask for. Default 512.
    pub media_sections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            signal_frame: 8 * 1024 * 1024,
            queued_packets: 1024,
            queued_bytes: 4 * 1024 * 1024,
            requests: 64,
            participants: 10_000,
            held_events: 4096,
            media_sections: 512,
        }
    }
}

/// What a room client needs to know before it starts.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// The server: `ws`, `wss`, `http` or `https`, with an optional base path.
    pub url: String,
    /// The token that lets us in.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::secret"))]
    pub token: Secret,
    /// Which tracks the server sends.
    pub auto_subscribe: AutoSubscribe,
    /// From [`Room::new`](crate::Room::new) to a connection over which data can go both ways. Default 10 s.
    pub join_timeout: Duration,
    /// From a metadata, name or attributes change to the server's answer. Default 5 s.
    pub request_timeout: Duration,
    /// How long a leave waits until the server has what was published reliably. Default 1 s.
    pub leave_timeout: Duration,
    /// How long a lost connection is tried to be restored before the room is over. Default 60 s.
    pub reconnect_timeout: Duration,
    /// Decides the jitter between tries to restore a connection: rooms of one program should not share it. Default 0.
    pub seed: u64,
    /// Version of the SDK, told to the server.
    pub sdk_version: String,
    /// Bounds.
    pub limits: Limits,
}

impl Config {
    /// Defaults for everything but the server and the token.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<Secret>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            auto_subscribe: AutoSubscribe::default(),
            join_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(5),
            leave_timeout: Duration::from_secs(1),
            reconnect_timeout: Duration::from_secs(60),
            seed: 0,
            sdk_version: env!("CARGO_PKG_VERSION").to_owned(),
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
}
