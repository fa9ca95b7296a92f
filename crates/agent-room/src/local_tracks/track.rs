//! One track of ours.

use agent_proto::Time;
use agent_proto::livekit as proto;

use super::kind::{SectionKind, TrackOptions};
use super::placed::{PlacedForm, PlacedFrame};
use super::timeline::Timeline;
use crate::{AudioLevel, OutgoingFrame, OutgoingMedia, OutgoingVideoFrame, Track, video};

/// Units of a timestamp of Opus in a millisecond.
const AUDIO_CLOCK: u32 = 48;
/// Units of a timestamp of video in a millisecond.
const VIDEO_CLOCK: u32 = 90;

#[derive(Debug)]
pub(super) struct LocalTrack {
    options: TrackOptions,
    /// The client id of the last request; empty: it was not requested in this session.
    pub(super) cid: String,
    /// The server's answer in this session.
    pub(super) info: Option<proto::TrackInfo>,
    /// Whether its section was answered in this session.
    pub(super) has_section: bool,
    /// Whether both halves were there in this session.
    completed: bool,
    /// As the last publication was shown to the user, but for `muted`.
    shown: Option<Track>,
    pub(super) muted: bool,
    /// The state that the server has of it.
    pub(super) reported_muted: bool,
    /// When the publication times out.
    pub(super) until: Option<Time>,
    /// One, or one of each layer.
    timelines: Vec<Timeline>,
}

/// A publication that was completed.
pub(super) struct Completed {
    pub(super) shown: Track,
    /// The sid of the previous session.
    pub(super) previous_sid: Option<String>,
    /// Whether the command waits for it.
    pub(super) first: bool,
}

impl LocalTrack {
    pub(super) fn new(options: TrackOptions) -> Self {
        let timelines = match options.sends() {
            SectionKind::Audio => vec![Timeline::new(AUDIO_CLOCK)],
            SectionKind::Video { streams, .. } => (0..streams).map(|_| Timeline::new(VIDEO_CLOCK)).collect(),
        };
        Self {
            options,
            cid: String::new(),
            info: None,
            has_section: false,
            completed: false,
            shown: None,
            muted: false,
            reported_muted: false,
            until: None,
            timelines,
        }
    }

    /// Whether the command that publishes it waits.
    pub(super) const fn is_awaited(&self) -> bool {
        self.shown.is_none()
    }

    /// Whether its frames can be sent.
    pub(super) const fn is_published(&self) -> bool {
        self.completed
    }

    /// What its section sends.
    pub(super) fn sends(&self) -> SectionKind {
        self.options.sends()
    }

    /// Frames are missing before the next one.
    pub(super) fn interrupt(&mut self) {
        self.timelines.iter_mut().for_each(Timeline::interrupt);
    }

    /// Whether a frame of video cannot be decoded, as frames of its layer before it were not sent. It does
    /// not affect the other layers.
    pub(super) fn waits_for_key_frame(&self, frame: &OutgoingMedia) -> bool {
        match (frame, &self.options) {
            (OutgoingMedia::Video(frame), TrackOptions::Video(options)) => {
                let timeline = self.timelines.get(frame.layer);
                timeline.is_some_and(Timeline::is_interrupted)
                    && !video::is_key_frame(options.codec, &frame.payload)
            }
            _ => false,
        }
    }

    /// Places a frame that is sent now. `None`: it is not a frame of this track.
    pub(super) fn place(&mut self, frame: OutgoingMedia, now: Time) -> Option<PlacedFrame> {
        match (frame, &self.options) {
            (OutgoingMedia::Audio(frame), TrackOptions::Audio(_)) => {
                frame.check().ok()?;
                let OutgoingFrame { payload, timestamp, audio_level, marker } = frame;
                let (timestamp, interrupted) = self.timelines.first_mut()?.place(timestamp, now);
                let level = audio_level.unwrap_or(AudioLevel::SILENCE);
                let form = PlacedForm::Audio { marker: marker || interrupted, level };
                Some(PlacedFrame { payload, timestamp, form })
            }
            (OutgoingMedia::Video(frame), TrackOptions::Video(options)) => {
                let codec = options.codec;
                frame.check(codec).ok()?;
                let OutgoingVideoFrame { payload, timestamp, layer } = frame;
                let timeline = self.timelines.get_mut(layer)?;
                let (timestamp, _) = timeline.place(units(timestamp), now);
                Some(PlacedFrame { payload, timestamp, form: PlacedForm::Video { codec, layer } })
            }
            _ => None,
        }
    }

    /// The track as the user knows it; `None`: it was not published yet.
    pub(super) fn shown(&self) -> Option<Track> {
        self.shown.clone().map(|shown| Track { muted: self.muted, ..shown })
    }

    /// The request for it, with this client id.
    pub(super) fn request(&mut self, cid: String, until: Time) -> proto::AddTrackRequest {
        let request = self.options.request(&cid, self.muted);
        (self.cid, self.until, self.reported_muted) = (cid, Some(until), self.muted);
        request
    }

    /// The request by which the server learns whether it is muted.
    pub(super) fn mute_request(&mut self) -> Option<proto::MuteTrackRequest> {
        let shown = self.shown.as_ref().filter(|_| self.completed && self.reported_muted != self.muted)?;
        let sid = shown.sid.clone();
        self.reported_muted = self.muted;
        Some(proto::MuteTrackRequest { sid, muted: self.muted })
    }

    /// Completes the publication, if both halves are there and it is not complete.
    pub(super) fn complete(&mut self) -> Option<Completed> {
        let info = self.info.as_ref().filter(|_| self.has_section && !self.completed)?;
        let shown = Track { muted: self.muted, ..Track::from(info.clone()) };
        (self.completed, self.until) = (true, None);
        let previous_sid = self.shown.replace(shown.clone()).map(|before| before.sid);
        Some(Completed { shown, first: previous_sid.is_none(), previous_sid })
    }

    /// Another session: the server does not know the track any more.
    pub(super) fn forget_session(&mut self) {
        self.cid.clear();
        (self.info, self.has_section, self.completed, self.until) = (None, false, false, None);
        self.interrupt();
    }
}

/// A timestamp of video in its units; it wraps around.
#[expect(clippy::cast_possible_truncation, reason = "timestamps wrap around")]
const fn units(timestamp: std::time::Duration) -> u32 {
    // Rounded, as a received timestamp in nanoseconds was.
    ((timestamp.as_nanos() * (VIDEO_CLOCK as u128 * 1_000) + 500_000_000) / 1_000_000_000) as u32
}
