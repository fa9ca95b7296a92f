//! One audio track of ours.

use agent_proto::Time;
use agent_proto::livekit as proto;

use super::AudioTrackOptions;
use super::timeline::Timeline;
use crate::Track;

#[derive(Debug)]
pub(super) struct LocalTrack {
    options: AudioTrackOptions,
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
    /// What the server believes.
    pub(super) reported_muted: bool,
    /// When the publication times out.
    pub(super) until: Option<Time>,
    pub(super) timeline: Timeline,
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
    pub(super) const fn new(options: AudioTrackOptions) -> Self {
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
            timeline: Timeline::new(),
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
        self.timeline.interrupt();
    }
}
