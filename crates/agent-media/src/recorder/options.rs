//! Settings and counters of a recorder.

use std::time::Duration;

use crate::container::Container;

/// Maximum length of a name, in characters: the rest is cut off.
const MAX_NAME: usize = 100;

/// How a participant is recorded.
///
/// ```
/// use agent_media::container::Container;
/// use agent_media::recorder::RecorderOptions;
///
/// let options = RecorderOptions::new("Ada Lovelace/1", Container::WebM);
/// assert_eq!(options.file_name(Container::WebM, 2), "Ada_Lovelace_1-002.webm");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderOptions {
    name: String,
    pub(super) container: Container,
    pub(super) stereo: bool,
    pub(super) max_duration: Option<Duration>,
    pub(super) delay: Duration,
}

impl RecorderOptions {
    /// Files whose names begin with `name`, of this kind if it supports the codec: video of H.264 is recorded
    /// as MP4 in any case, and Ogg Opus has no video. In the name, characters other than ASCII letters and
    /// digits, `-`, `_` and `.` become `_`, and at most 100 characters are used.
    #[must_use]
    pub fn new(name: &str, container: Container) -> Self {
        let is_kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name: String = name.chars().take(MAX_NAME).map(|c| if is_kept(c) { c } else { '_' }).collect();
        // No hidden file, and no path.
        let name = if name.is_empty() || name.starts_with('.') { format!("_{name}") } else { name };
        Self { name, container, stereo: false, max_duration: None, delay: Duration::from_millis(500) }
    }

    /// Whether files declare their audio as stereo in any case. By default a file is stereo if there are
    /// stereo packets when it begins.
    #[must_use]
    pub fn stereo(mut self, stereo: bool) -> Self {
        self.stereo = stereo;
        self
    }

    /// Maximum duration of the recording, counted from its first frame.
    #[must_use]
    pub fn max_duration(mut self, max_duration: Duration) -> Self {
        self.max_duration = Some(max_duration);
        self
    }

    /// How long frames are kept before they are written, so that those of audio and video, and those that
    /// come late, can be put in order: 500 ms if this is not set, and at most 5 s.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay.min(Duration::from_secs(5));
        self
    }

    /// The name of the file of a part.
    #[must_use]
    pub fn file_name(&self, container: Container, part: u32) -> String {
        format!("{}-{part:03}.{}", self.name, container.extension())
    }
}

/// What a recorder has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderStats {
    /// Frames that were written.
    pub frames: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Frames that were not written: they came too late, came before a key frame, or are invalid.
    pub dropped: u64,
    /// Files.
    pub parts: u32,
}
