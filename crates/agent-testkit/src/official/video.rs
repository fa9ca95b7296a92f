//! What a client shows, and sees.

use serde_json::{Value, json};

use agent_worker::room::VideoCodec;

use super::client::{OfficialClient, text_of};
use super::error::ClientError;

/// What an [`OfficialClient`](crate::OfficialClient) shows on a track of its own, with
/// [`publish_video`](crate::OfficialClient::publish_video): its SDK encodes moving noise, that of a browser
/// an orange picture.
///
/// ```no_run
/// # async fn example(ada: agent_testkit::OfficialClient) -> Result<(), agent_testkit::ClientError> {
/// use agent_testkit::ClientVideo;
/// use agent_worker::room::VideoCodec;
///
/// let camera = ada.publish_video(ClientVideo::new(VideoCodec::H264).size(640, 480)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ClientVideo {
    codec: VideoCodec,
    width: u32,
    height: u32,
    fps: u32,
    name: String,
    simulcast: bool,
}

impl ClientVideo {
    /// A camera of 320 × 240 pixels and 30 pictures a second, in one layer.
    #[must_use]
    pub fn new(codec: VideoCodec) -> Self {
        Self { codec, width: 320, height: 240, fps: 30, name: "camera".to_owned(), simulcast: false }
    }

    /// The size in pixels; both even.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// Pictures per second.
    #[must_use]
    pub fn fps(mut self, fps: u32) -> Self {
        self.fps = fps.max(1);
        self
    }

    /// The name of the track.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether it is encoded in several sizes.
    #[must_use]
    pub fn simulcast(mut self, simulcast: bool) -> Self {
        self.simulcast = simulcast;
        self
    }

    fn request(&self) -> Value {
        let codec = match self.codec {
            VideoCodec::Vp9 => "VP9",
            VideoCodec::H264 => "H264",
            VideoCodec::H265 => "H265",
            VideoCodec::Av1 => "AV1",
            _ => "VP8",
        };
        json!({
            "name": self.name,
            "codec": codec,
            "width": self.width,
            "height": self.height,
            "fps": self.fps,
            "simulcast": self.simulcast,
        })
    }
}

impl OfficialClient {
    /// Publishes a camera that shows this, with the Python SDKs and the browser; returns its sid.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn publish_video(&self, video: ClientVideo) -> Result<String, ClientError> {
        let answer = self.ask("publish_video", video.request()).await?;
        Ok(text_of(&answer, "sid"))
    }

    /// Publishes a camera of this size, codec and rate, and a microphone, that are in sync: black and
    /// silence, and in the first tenth of each second white and a tone of 1 kHz. Returns the sids of the
    /// camera and the microphone. Only the Python SDKs do.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn publish_flashes(&self, video: ClientVideo) -> Result<(String, String), ClientError> {
        let answer = self.ask("publish_flashes", video.request()).await?;
        Ok((text_of(&answer, "video"), text_of(&answer, "audio")))
    }

    /// Watches a video track that it is [subscribed to](super::ClientEvent::TrackSubscribed), and reports
    /// every ten pictures as [`ClientEvent::Seen`](super::ClientEvent::Seen). Only the Python SDKs and the
    /// browser do.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn watch(&self, track_sid: &str) -> Result<(), ClientError> {
        self.ask("watch_track", json!({ "sid": track_sid })).await.map(drop)
    }
}
