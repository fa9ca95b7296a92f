//! Which of the sizes of a video track the server sends.

use agent_proto::livekit as proto;

/// Which of the sizes of a video track of another participant the server sends, if its publisher sends
/// several (simulcast, or SVC), and how many pictures a second. Default: the best.
///
/// ```
/// use agent_room::{VideoChoice, VideoQuality};
///
/// assert_eq!(VideoChoice::default(), VideoChoice::quality(VideoQuality::High));
/// let small = VideoChoice::size(320, 180).fps(15);
/// assert_eq!((small.width, small.fps), (320, 15));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct VideoChoice {
    /// The quality, if there is no `width`.
    pub quality: VideoQuality,
    /// Width in pixels at which it is shown: the server chooses the smallest layer that is not smaller. 0: by
    /// `quality`.
    pub width: u32,
    /// Height in pixels, as `width`.
    pub height: u32,
    /// Pictures per second, at most, if the publisher's encoder permits it (temporal layers); 0: all.
    pub fps: u32,
}

/// The quality of a video track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum VideoQuality {
    /// The smallest size.
    Low,
    /// The one in the middle, of three.
    Medium,
    /// The largest size.
    #[default]
    High,
}

impl VideoChoice {
    /// By quality.
    #[must_use]
    pub fn quality(quality: VideoQuality) -> Self {
        Self { quality, ..Self::default() }
    }

    /// By the size in pixels at which it is shown.
    #[must_use]
    pub fn size(width: u32, height: u32) -> Self {
        Self { width, height, ..Self::default() }
    }

    /// Sets the pictures per second, at most.
    #[must_use]
    pub fn fps(mut self, fps: u32) -> Self {
        self.fps = fps;
        self
    }

    /// The request to the server.
    pub(crate) fn settings(self, track_sids: Vec<String>, enabled: bool) -> proto::UpdateTrackSettings {
        let quality = match self.quality {
            VideoQuality::Low => proto::VideoQuality::Low,
            VideoQuality::Medium => proto::VideoQuality::Medium,
            VideoQuality::High => proto::VideoQuality::High,
        };
        proto::UpdateTrackSettings {
            track_sids,
            disabled: !enabled,
            quality: quality as i32,
            width: self.width,
            height: self.height,
            fps: self.fps,
            ..Default::default()
        }
    }
}
