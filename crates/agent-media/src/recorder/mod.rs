//! Records one participant: frames of audio and video become files, one after the other.
//!
//! A [`Recorder`] is a machine without I/O: it takes frames as they come from a room, and returns which files
//! to create and what to append to them. Its driver calls [`handle_input`](Recorder::handle_input) for what
//! happens and [`handle_timeout`](Recorder::handle_timeout) when [`poll_timeout`](Recorder::poll_timeout) is
//! due, and after each carries out all of [`poll_output`](Recorder::poll_output).
//!
//! # Files
//! A file contains the participant's audio and video. Another file, a **part**, begins with a key frame of
//! another codec, size or profile, and when audio or video comes for which the current file has no track. The
//! file's kind is that of the options, or MP4 if that kind does not support the codec. A connection that is
//! re-established does not begin another file.
//!
//! # Times
//! Each frame is placed at the time at which it was captured: by its timestamp, and by the fastest of the
//! frames around it. Video is placed beside audio by the times of the publisher's clock, once they are known.
//! Frames are kept for half a second and put in order. Frames that come later are dropped.
//! - While timestamps of audio run on, no packet is dropped, and nothing is put between packets, because the
//!   network's delay changes or the publisher's clock is not exact. That is corrected in pauses, for sound
//!   and pictures alike. Without a pause, sound is corrected only if it comes more than half a second too
//!   late, or 2.5 s too early, for several seconds.
//! - A frame whose timestamp is off by more than a second is dropped, unless the next one continues it: then
//!   the timestamps have jumped, and the recording goes on with them.
//! - Audio has no holes: lost packets are concealed by the player, for up to a second; after that there is
//!   silence, also for as long as the track is muted.
//! - Video stays as it is until its next frame, also while it is muted: the pictures of at most 8 × 8 pixels
//!   that a server sends then are left out. After lost frames it is left out up to a key frame, which is
//!   requested.
//!
//! ```
//! use agent_media::container::Container;
//! use agent_media::recorder::{RecordedAudio, Recorder, RecorderInput, RecorderOptions, RecorderOutput};
//! use agent_proto::Time;
//! use std::time::Duration;
//!
//! let mut recorder = Recorder::new(RecorderOptions::new("ada", Container::OggOpus));
//! let mut now = Time::ZERO;
//! for number in 0..100 {
//!     // 20 ms of silence.
//!     let packet = RecordedAudio::new(&[0xf8, 0xff, 0xfe][..], 960 * number, 7);
//!     recorder.handle_input(RecorderInput::Audio(packet), now);
//!     now = now + Duration::from_millis(20);
//! }
//! recorder.handle_input(RecorderInput::Finish, now);
//! let first = recorder.poll_output();
//! assert!(matches!(first, Some(RecorderOutput::Begin { file_name, .. }) if file_name == "ada-001.ogg"));
//! ```

mod clock;
mod frame;
mod machine;
mod options;
mod part;
mod queue;
#[cfg(test)]
mod tests;

pub use frame::{RecordedAudio, RecordedVideo, RecorderInput, RecorderOutput};
pub use machine::Recorder;
pub use options::{RecorderOptions, RecorderStats};
