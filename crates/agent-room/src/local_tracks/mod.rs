//! The tracks that we publish: requests to the server, their answers, and the state of each track.
//!
//! ```text
//!  publish ──▶ Requested ──the server's answer and a section──▶ Published ──another session──▶ Requested
//!                  │                                                │
//!                  └─ refused, too slow ───── unpublish, or the server ends it ──▶ gone
//! ```
//!
//! A track has two halves in a session: the server's answer to the request, which names it, and the media
//! section of the connection, which the server finds by the track's client id (`cid`). Nothing here knows the
//! connection: what it has to do is an output. `timeline` places the frames in one stream.

mod kind;
mod options;
mod placed;
#[cfg(test)]
mod tests;
mod timeline;
mod track;
mod video_options;

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::Duration;

use agent_proto::{Time, livekit as proto};

use crate::refusal::refusal;
use crate::server_requests::ServerRequests;
use crate::{CommandId, OutgoingMedia, RoomError, Track};
use proto::request_response::Request as Refused;
use proto::signal_request::Message as Request;
use track::LocalTrack;

pub(crate) use kind::SectionKind;
pub use kind::TrackOptions;
pub use options::AudioTrackOptions;
pub(crate) use placed::{PlacedForm, PlacedFrame};
pub use video_options::{VideoLayer, VideoTrackOptions};

/// A message of the server about our tracks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LocalTrackMessage {
    /// It knows the track with this client id.
    Published(Box<proto::TrackPublishedResponse>),
    /// It has refused the track with this client id.
    Refused(String, RoomError),
    /// It has ended the track with this sid.
    Unpublished(String),
    /// It sends the track with this sid to somebody.
    Subscribed(String),
    /// It has muted or unmuted the track with this sid.
    Muted(String, bool),
}

impl LocalTrackMessage {
    /// The answer of the server to a request for a track. `None`: nothing that matters.
    pub(crate) fn refusal(response: &proto::RequestResponse) -> Option<Self> {
        match response.request.as_ref()? {
            Refused::AddTrack(request) => Some(Self::Refused(request.cid.clone(), refusal(response)?)),
            Refused::Mute(_) | Refused::PublishDataTrack(_) | Refused::UnpublishDataTrack(_) => None,
        }
    }
}

/// An output, to be carried out in order.
#[derive(Debug, PartialEq)]
pub(crate) enum LocalTrackOutput {
    /// Send a request to the server.
    Request(Box<Request>),
    /// Offer a section for the track with this client id.
    OpenSection(CommandId, String, SectionKind),
    /// Offer its section without the track.
    CloseSection(CommandId),
    /// A command is completed.
    Done(CommandId, Result<(), RoomError>),
    /// The state of the track that this command has published; `None`: it is not published any more.
    Changed(CommandId, Option<Track>),
    /// It was published.
    Published(Track),
    /// It was published again, in another session; its sid was this one.
    Republished(Track, String),
    /// It is not published any more.
    Unpublished(Track),
    /// Somebody receives it.
    Subscribed(Track),
    /// We have muted or unmuted it.
    Muted(Track),
}

/// Our tracks.
#[derive(Debug)]
pub(crate) struct LocalTracks {
    limit: usize,
    timeout: Duration,
    /// For the client ids.
    rng: fastrand::Rng,
    /// By the command that published each.
    tracks: BTreeMap<CommandId, LocalTrack>,
    requests: ServerRequests,
    outputs: VecDeque<LocalTrackOutput>,
    /// Number of frames that were not sent.
    unsent: u64,
}

impl LocalTracks {
    /// `timeout`: how long the server has to publish a track.
    pub(crate) fn new(limit: usize, timeout: Duration, seed: u64) -> Self {
        Self {
            limit,
            timeout,
            rng: fastrand::Rng::with_seed(seed),
            tracks: BTreeMap::new(),
            requests: ServerRequests::default(),
            outputs: VecDeque::new(),
            unsent: 0,
        }
    }

    /// Publishes a track. The command is completed once its frames can be sent.
    pub(crate) fn publish(&mut self, id: CommandId, options: TrackOptions, now: Time) {
        let checked = match options.check() {
            Ok(()) if self.tracks.len() >= self.limit => {
                Err(RoomError::OverLimit { detail: format!("{} tracks are published", self.limit) })
            }
            checked => checked,
        };
        match checked {
            Ok(()) => {
                self.tracks.insert(id, LocalTrack::new(options));
                self.request(id, now);
            }
            Err(error) => self.done(id, Err(error)),
        }
    }

    /// Requests a track, unless there is no connection: then the next one does.
    fn request(&mut self, id: CommandId, now: Time) {
        let Some(track) = self.tracks.get_mut(&id).filter(|_| !self.requests.is_paused()) else { return };
        // The server finds the section by it: a track that is requested again is another one for it.
        let cid = cid(&mut self.rng);
        let request = track.request(cid.clone(), now + self.timeout);
        let sends = track.sends();
        self.requests.send(Request::AddTrack(request));
        self.flush();
        self.outputs.push_back(LocalTrackOutput::OpenSection(id, cid, sends));
    }

    /// Ends the track that a command has published.
    pub(crate) fn unpublish(&mut self, id: CommandId) -> Result<(), RoomError> {
        let track = self.tracks.remove(&id).ok_or(RoomError::TrackUnpublished)?;
        if track.is_awaited() {
            self.done(id, Err(RoomError::TrackUnpublished));
        }
        self.gone(id, track);
        Ok(())
    }

    /// Mutes or unmutes the track that a command has published.
    pub(crate) fn mute(&mut self, id: CommandId, muted: bool) -> Result<(), RoomError> {
        let track = self.tracks.get_mut(&id).ok_or(RoomError::TrackUnpublished)?;
        if mem::replace(&mut track.muted, muted) != muted
            && let Some(shown) = track.shown()
        {
            self.outputs.push_back(LocalTrackOutput::Changed(id, Some(shown.clone())));
            self.outputs.push_back(LocalTrackOutput::Muted(shown));
        }
        self.report_mute(id);
        Ok(())
    }

    /// Notifies the server if it has another state.
    fn report_mute(&mut self, id: CommandId) {
        let Some(track) = self.tracks.get_mut(&id).filter(|_| !self.requests.is_paused()) else { return };
        if let Some(request) = track.mute_request() {
            self.requests.send(Request::Mute(request));
            self.flush();
        }
    }

    /// The server has answered the section of a track. `sends`: it takes the frames.
    pub(crate) fn section_answered(&mut self, id: CommandId, sends: bool) {
        let Some(track) = self.tracks.get_mut(&id) else { return };
        if sends {
            track.has_section = true;
            self.complete(id);
        } else if !track.is_published() {
            self.fail(id, RoomError::Refused { detail: "it takes no media of the track".to_owned() });
        }
    }

    /// Completes a publication, if both halves are there.
    fn complete(&mut self, id: CommandId) {
        let Some(track) = self.tracks.get_mut(&id) else { return };
        let Some(track::Completed { shown, previous_sid, first }) = track.complete() else { return };
        self.outputs.push_back(LocalTrackOutput::Changed(id, Some(shown.clone())));
        self.outputs.push_back(match previous_sid {
            Some(sid) => LocalTrackOutput::Republished(shown, sid),
            None => LocalTrackOutput::Published(shown),
        });
        if first {
            self.done(id, Ok(()));
        }
        self.report_mute(id);
    }

    /// A track cannot be published.
    fn fail(&mut self, id: CommandId, error: RoomError) {
        let Some(track) = self.tracks.remove(&id) else { return };
        if track.is_awaited() {
            self.done(id, Err(error));
        }
        self.gone(id, track);
    }

    /// A track is not published any more.
    fn gone(&mut self, id: CommandId, track: LocalTrack) {
        self.outputs.push_back(LocalTrackOutput::CloseSection(id));
        self.outputs.push_back(LocalTrackOutput::Changed(id, None));
        if let Some(shown) = track.shown() {
            self.outputs.push_back(LocalTrackOutput::Unpublished(shown));
        }
    }

    /// Handles a message of the server.
    pub(crate) fn message(&mut self, message: LocalTrackMessage) {
        match message {
            LocalTrackMessage::Published(response) => {
                let proto::TrackPublishedResponse { cid, track: Some(info) } = *response else { return };
                // Otherwise it is not requested any more: without a section it ends by itself.
                let found = self.tracks.iter_mut().find(|(_, track)| track.cid == cid);
                if let Some((&id, track)) = found {
                    track.info = Some(info);
                    self.complete(id);
                }
            }
            LocalTrackMessage::Refused(cid, error) => {
                let found = self.tracks.iter().find(|(_, track)| track.cid == cid);
                if let Some((&id, _)) = found.filter(|(_, track)| track.info.is_none()) {
                    self.fail(id, error);
                }
            }
            LocalTrackMessage::Unpublished(sid) => {
                if let Some(id) = self.by_sid(&sid) {
                    self.fail(id, RoomError::TrackUnpublished);
                }
            }
            LocalTrackMessage::Subscribed(sid) => {
                let track = self.by_sid(&sid).and_then(|id| self.tracks.get(&id)?.shown());
                self.outputs.extend(track.map(LocalTrackOutput::Subscribed));
            }
            LocalTrackMessage::Muted(sid, muted) => {
                let Some(id) = self.by_sid(&sid) else { return };
                let Some(track) = self.tracks.get_mut(&id) else { return };
                (track.muted, track.reported_muted) = (muted, muted);
                if let Some(shown) = track.shown() {
                    self.outputs.push_back(LocalTrackOutput::Changed(id, Some(shown)));
                }
            }
        }
    }

    /// A frame of a track as it is sent. `None`: it is not sent, and counted.
    pub(crate) fn place(&mut self, id: CommandId, frame: OutgoingMedia, now: Time) -> Option<PlacedFrame> {
        let track = self.tracks.get_mut(&id).filter(|track| track.is_published() && !track.muted);
        if track.as_ref().is_some_and(|track| track.waits_for_key_frame(&frame)) {
            self.unsent = self.unsent.saturating_add(1);
            return None;
        }
        let placed = track.and_then(|track| track.place(frame, now));
        if placed.is_none() {
            self.not_sent(id);
        }
        placed
    }

    /// A frame of a track was not sent.
    pub(crate) fn not_sent(&mut self, id: CommandId) {
        self.unsent = self.unsent.saturating_add(1);
        if let Some(track) = self.tracks.get_mut(&id) {
            track.interrupt();
        }
    }

    /// The sid of a track, once the server has named it.
    pub(crate) fn sid(&self, id: CommandId) -> Option<&str> {
        self.tracks.get(&id)?.info.as_ref().map(|info| info.sid.as_str())
    }

    /// The number of frames that were not sent: of tracks that are muted or not published (yet).
    pub(crate) const fn unsent(&self) -> u64 {
        self.unsent
    }

    /// The connection is lost.
    pub(crate) const fn disconnected(&mut self) {
        self.requests.pause();
    }

    /// The session is gone: others see our tracks end.
    pub(crate) fn interrupted(&mut self) {
        self.tracks.values_mut().for_each(LocalTrack::forget_session);
    }

    /// There is a connection again.
    pub(crate) fn reconnected(&mut self, resumed: bool, now: Time) {
        self.requests.resume();
        let ids: Vec<CommandId> = self.tracks.keys().copied().collect();
        for id in ids {
            let Some(track) = self.tracks.get_mut(&id) else { continue };
            if !resumed || track.info.is_none() {
                // The request or its answer may be lost, and with it what the section belongs to.
                track.forget_session();
                self.outputs.push_back(LocalTrackOutput::CloseSection(id));
                self.request(id, now);
            } else {
                track.until = Some(now + self.timeout).filter(|_| !track.is_published());
                // The last request may be lost.
                track.reported_muted = !track.muted;
                self.report_mute(id);
            }
        }
    }

    /// The room is over.
    pub(crate) fn room_ended(&mut self) {
        for (id, track) in mem::take(&mut self.tracks) {
            if track.is_awaited() {
                self.done(id, Err(RoomError::NotConnected));
            }
            self.outputs.push_back(LocalTrackOutput::Changed(id, None));
        }
    }

    /// What the server must know when it takes over our session.
    pub(crate) fn state(&self) -> Vec<proto::TrackPublishedResponse> {
        let one = |track: &LocalTrack| {
            let info = proto::TrackInfo { muted: track.muted, ..track.info.clone()? };
            Some(proto::TrackPublishedResponse { cid: track.cid.clone(), track: Some(info) })
        };
        self.tracks.values().filter_map(one).collect()
    }

    pub(crate) fn poll_output(&mut self) -> Option<LocalTrackOutput> {
        self.outputs.pop_front()
    }

    /// Without a connection the server cannot answer.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let until = self.tracks.values().filter_map(|track| track.until).min();
        until.filter(|_| !self.requests.is_paused())
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        let late = |track: &LocalTrack| track.until.is_some_and(|until| until <= now);
        let ids: Vec<_> = self.tracks.iter().filter(|(_, track)| late(track)).map(|(id, _)| *id).collect();
        for id in ids {
            self.fail(id, RoomError::TimedOut);
        }
    }

    fn by_sid(&self, sid: &str) -> Option<CommandId> {
        let named = |track: &LocalTrack| track.info.as_ref().is_some_and(|info| info.sid == sid);
        self.tracks.iter().find(|(_, track)| named(track)).map(|(id, _)| *id)
    }

    fn done(&mut self, id: CommandId, result: Result<(), RoomError>) {
        self.outputs.push_back(LocalTrackOutput::Done(id, result));
    }

    /// Keeps requests in order with the other outputs.
    fn flush(&mut self) {
        while let Some(request) = self.requests.next() {
            self.outputs.push_back(LocalTrackOutput::Request(Box::new(request)));
        }
    }
}

/// A new client id, in the form of a UUID.
fn cid(rng: &mut fastrand::Rng) -> String {
    // Version 4, variant 1.
    let bits = rng.u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].map(|(from, to)| &hex[from..to]).join("-")
}
