//! The description of a video track of ours.

use agent_proto::livekit as proto;
use agent_proto::livekit::VideoQuality;

use super::options::check_names;
use crate::{MAX_VIDEO_LAYERS, RoomError, TrackSource, VideoCodec};

/// The description of a video track of ours.
///
/// ```
/// use agent_room::{TrackSource, VideoCodec, VideoTrackOptions};
///
/// let options = VideoTrackOptions::new("slides", VideoCodec::Vp8, 1280, 720);
/// let options = options.source(TrackSource::ScreenShare);
/// assert!(options.layers.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct VideoTrackOptions {
    /// The name that others see; may be empty. At most 256 bytes.
    pub name: String,
    /// The codec of its frames.
    pub codec: VideoCodec,
    /// Width in pixels, as others see it before the first picture.
    pub width: u32,
    /// Height in pixels, as `width`.
    pub height: u32,
    /// The source. Default: camera.
    pub source: TrackSource,
    /// The name of the group of tracks that others play in sync; empty: the server's default for the source.
    /// At most 256 bytes.
    pub stream: String,
    /// The same pictures in several sizes (simulcast), of which the server sends each participant one: the
    /// smallest first, at most [`MAX_VIDEO_LAYERS`]. Default: none, so there is one size.
    pub layers: Vec<VideoLayer>,
}

/// One of the sizes of a video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct VideoLayer {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bits per second, at most. The server compares it with what a participant can receive.
    pub bitrate: u32,
}

impl VideoLayer {
    /// A layer of this size, and of this many bits per second.
    #[must_use]
    pub const fn new(width: u32, height: u32, bitrate: u32) -> Self {
        Self { width, height, bitrate }
    }
}

impl VideoTrackOptions {
    /// A camera of this name, codec and size, in pixels.
    #[must_use]
    pub fn new(name: impl Into<String>, codec: VideoCodec, width: u32, height: u32) -> Self {
        Self {
            name: name.into(),
            codec,
            width,
            height,
            source: TrackSource::Camera,
            stream: String::new(),
            layers: Vec::new(),
        }
    }

    /// Sets the source.
    #[must_use]
    pub fn source(mut self, source: TrackSource) -> Self {
        self.source = source;
        self
    }

    /// Sets the group of tracks that others play in sync.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = stream.into();
        self
    }

    /// Sets the sizes in which it is sent, the smallest first.
    #[must_use]
    pub fn layers(mut self, layers: impl IntoIterator<Item = VideoLayer>) -> Self {
        self.layers = layers.into_iter().collect();
        self
    }

    /// Checks the lengths of the names, and the layers.
    ///
    /// # Errors
    /// [`RoomError::TrackNameTooLong`] and [`RoomError::InvalidLayers`]
    pub fn check(&self) -> Result<(), RoomError> {
        check_names(&self.name, &self.stream)?;
        let sized = self.layers.iter().all(|layer| layer.width > 0 && layer.height > 0);
        match self.layers.len() {
            0..=MAX_VIDEO_LAYERS if sized => Ok(()),
            len => Err(RoomError::InvalidLayers { len }),
        }
    }

    /// The number of streams that are sent.
    pub(crate) fn streams(&self) -> usize {
        self.layers.len().max(1)
    }

    /// The request to the server.
    pub(super) fn request(&self, cid: &str, muted: bool) -> proto::AddTrackRequest {
        let one = [VideoLayer::new(self.width, self.height, 0)];
        let layers = if self.layers.is_empty() { &one[..] } else { &self.layers };
        let layers: Vec<proto::VideoLayer> = qualities(layers.len())
            .zip(layers)
            .map(|(quality, layer)| proto::VideoLayer {
                quality: quality as i32,
                width: layer.width,
                height: layer.height,
                bitrate: layer.bitrate,
                ..Default::default()
            })
            .collect();
        let codec = self.codec.mime_type().trim_start_matches("video/").to_ascii_lowercase();
        proto::AddTrackRequest {
            cid: cid.to_owned(),
            name: self.name.clone(),
            r#type: proto::TrackType::Video as i32,
            width: self.width,
            height: self.height,
            muted,
            source: self.source.into(),
            stream: self.stream.clone(),
            layers: layers.clone(),
            simulcast_codecs: vec![proto::SimulcastCodec { codec, cid: cid.to_owned(), layers }],
            ..Default::default()
        }
    }
}

/// The server's names of this many layers. One alone is the best.
fn qualities(layers: usize) -> impl Iterator<Item = VideoQuality> {
    let all = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
    let from = if layers == 1 { 2 } else { 0 };
    all.into_iter().skip(from)
}
