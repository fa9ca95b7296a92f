//! The data tracks that we publish: requests to the server, and their answers.
//!
//! ```text
//!  publish ──▶ Requested ──answer──▶ Published ──another session──▶ Requested
//!                  │                     │
//!                  └─ refused, too slow ─┴─ unpublish, or the server ends it ──▶ gone
//! ```

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::{Time, livekit as proto};

use super::packet::Packet;
use super::packetizer::Packetizer;
use super::sealed::SealedData;
use super::{DataTrackFrame, DataTrackLimits, MAX_DATA_FRAME_LEN};
use crate::refusal::refusal;
use crate::server_requests::ServerRequests;
use crate::{CommandId, RoomError};
use proto::request_response::Reason;
use proto::signal_request::Message as Request;

/// Maximum length of a name, in bytes, as the server checks it.
const MAX_NAME_LEN: usize = 256;

/// Our data tracks.
#[derive(Debug)]
pub(super) struct Published {
    limit: usize,
    timeout: Duration,
    /// Whether their frames are encrypted; the server is informed of it.
    encrypted: bool,
    /// Keyed by the command that published the track.
    tracks: BTreeMap<CommandId, Track>,
    last_handle: u16,
    /// Handles of tracks that the server has not removed yet.
    leaving: Vec<u16>,
}

#[derive(Debug)]
struct Track {
    name: String,
    handle: u16,
    state: State,
    packetizer: Packetizer,
}

#[derive(Debug)]
enum State {
    /// The server has not answered yet.
    Requested {
        /// Whether the command waits for the answer; otherwise the track was published in another session.
        awaited: bool,
        /// Whether the request was sent more than once in this session.
        resent: bool,
        until: Time,
    },
    /// With the server's id, which is empty if the answer that contained it was lost.
    Published { sid: String },
}

impl Published {
    pub(super) fn new(limits: &DataTrackLimits, timeout: Duration, encrypted: bool) -> Self {
        Self {
            limit: limits.published,
            timeout,
            encrypted,
            tracks: BTreeMap::new(),
            last_handle: 0,
            leaving: Vec::new(),
        }
    }

    /// Publishes a track, whose command is completed with the server's answer.
    pub(super) fn publish(
        &mut self,
        id: CommandId,
        name: String,
        requests: &mut ServerRequests,
        now: Time,
    ) -> Result<(), RoomError> {
        if name.is_empty() || name.len() > MAX_NAME_LEN {
            return Err(RoomError::InvalidTrackName { len: name.len() });
        }
        if self.tracks.len() + self.leaving.len() >= self.limit {
            let detail = format!("{} data tracks are published", self.limit);
            return Err(RoomError::OverLimit { detail });
        }
        if self.tracks.values().any(|track| track.name == name) {
            return Err(RoomError::Refused { detail: format!("there is a data track of the name {name:?}") });
        }
        let handle = self.free_handle();
        let state = State::Requested { awaited: true, resent: false, until: now + self.timeout };
        let track = Track { name, handle, state, packetizer: Packetizer::new(handle) };
        requests.send(track.request(self.encrypted));
        self.tracks.insert(id, track);
        Ok(())
    }

    /// The next number that no track has. There are more numbers than tracks.
    fn free_handle(&mut self) -> u16 {
        loop {
            self.last_handle = self.last_handle.checked_add(1).unwrap_or(1);
            let taken = self.tracks.values().any(|track| track.handle == self.last_handle);
            if !taken && !self.leaving.contains(&self.last_handle) {
                return self.last_handle;
            }
        }
    }

    /// The packets of a frame, which `seal` encrypts. None while the track is being published again.
    pub(super) fn push(
        &mut self,
        track: CommandId,
        frame: &DataTrackFrame,
        seal: impl FnOnce(Bytes) -> Result<SealedData, RoomError>,
        now: Time,
    ) -> Result<Vec<Bytes>, RoomError> {
        let len = frame.payload.len();
        if len > MAX_DATA_FRAME_LEN {
            return Err(RoomError::FrameTooLarge { len });
        }
        let track = self.tracks.get_mut(&track).ok_or(RoomError::TrackUnpublished)?;
        Ok(match track.state {
            State::Published { .. } => {
                let SealedData { payload, encryption } = seal(frame.payload.clone())?;
                let frame = DataTrackFrame { payload, ..frame.clone() };
                track.packetizer.packets(&frame, encryption, now).iter().map(Packet::encode).collect()
            }
            State::Requested { .. } => Vec::new(),
        })
    }

    /// Ends a track.
    pub(super) fn unpublish(
        &mut self,
        track: CommandId,
        requests: &mut ServerRequests,
    ) -> Result<(), RoomError> {
        let track = self.tracks.remove(&track).ok_or(RoomError::TrackUnpublished)?;
        self.remove(track.handle, requests);
        Ok(())
    }

    fn remove(&mut self, handle: u16, requests: &mut ServerRequests) {
        self.leaving.push(handle);
        requests.send(unpublish_request(handle));
    }

    /// The server has published a track; returns the command that waits for it.
    pub(super) fn accepted(
        &mut self,
        info: proto::DataTrackInfo,
        requests: &mut ServerRequests,
    ) -> Option<CommandId> {
        let handle = u16::try_from(info.pub_handle).ok()?;
        let Some((id, track)) = self.by_handle(handle) else {
            // The command has timed out.
            if handle != 0 && !self.leaving.contains(&handle) && self.leaving.len() < self.limit {
                self.remove(handle, requests);
            }
            return None;
        };
        match mem::replace(&mut track.state, State::Published { sid: info.sid }) {
            State::Requested { awaited: true, .. } => Some(id),
            State::Requested { awaited: false, .. } | State::Published { .. } => None,
        }
    }

    /// The server has refused a track: the command that waits for it, and its result.
    pub(super) fn refused(
        &mut self,
        handle: u32,
        response: &proto::RequestResponse,
    ) -> Option<(CommandId, Result<(), RoomError>)> {
        let (id, track) = self.by_handle(u16::try_from(handle).ok()?)?;
        let State::Requested { awaited, resent, .. } = track.state else { return None };
        // The answer to an earlier request was lost with the connection.
        if resent && response.reason() == Reason::DuplicateHandle {
            track.state = State::Published { sid: String::new() };
            return awaited.then_some((id, Ok(())));
        }
        // Without an error it is only queued.
        let error = refusal(response)?;
        self.tracks.remove(&id);
        awaited.then_some((id, Err(error)))
    }

    /// The server has ended a track, on request or by itself.
    pub(super) fn removed(&mut self, handle: u32) {
        let Ok(handle) = u16::try_from(handle) else { return };
        self.leaving.retain(|leaving| *leaving != handle);
        self.tracks
            .retain(|_, track| track.handle != handle || !matches!(track.state, State::Published { .. }));
    }

    /// The session continues over another connection: unanswered requests are repeated.
    pub(super) fn resumed(&mut self, requests: &mut ServerRequests, now: Time) {
        for track in self.tracks.values_mut() {
            if let State::Requested { resent, until, .. } = &mut track.state {
                (*resent, *until) = (true, now + self.timeout);
                requests.send(track.request(self.encrypted));
            }
        }
        self.leaving.iter().for_each(|handle| requests.send(unpublish_request(*handle)));
    }

    /// The session is gone, and the tracks with it.
    pub(super) fn interrupted(&mut self) {
        self.leaving.clear();
        for track in self.tracks.values_mut() {
            let awaited = matches!(track.state, State::Requested { awaited: true, .. });
            track.state = State::Requested { awaited, resent: false, until: Time::ZERO };
        }
    }

    /// There is another session: the tracks are published in it.
    pub(super) fn another_session(&mut self, requests: &mut ServerRequests, now: Time) {
        for track in self.tracks.values_mut() {
            if let State::Requested { until, .. } = &mut track.state {
                *until = now + self.timeout;
                requests.send(track.request(self.encrypted));
            }
        }
    }

    /// The room is over: the commands that wait.
    pub(super) fn take_all(&mut self) -> Vec<CommandId> {
        let tracks = mem::take(&mut self.tracks).into_iter();
        tracks.filter(|(_, track)| track.is_awaited()).map(|(id, _)| id).collect()
    }

    /// Tracks whose answer did not come in time: the commands that wait for it.
    pub(super) fn expired(&mut self, now: Time) -> Vec<CommandId> {
        let expired = self.tracks.extract_if(.., |_, track| track.until().is_some_and(|until| until <= now));
        expired.filter(|(_, track)| track.is_awaited()).map(|(id, _)| id).collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.tracks.values().filter_map(Track::until).min()
    }

    /// The published tracks, for a server that takes over the session.
    pub(super) fn responses(&self) -> Vec<proto::PublishDataTrackResponse> {
        let info = |track: &Track| match &track.state {
            State::Published { sid } if !sid.is_empty() => Some(proto::DataTrackInfo {
                pub_handle: track.handle.into(),
                sid: sid.clone(),
                name: track.name.clone(),
                encryption: encryption(self.encrypted),
            }),
            _ => None,
        };
        let infos = self.tracks.values().filter_map(info);
        infos.map(|info| proto::PublishDataTrackResponse { info: Some(info) }).collect()
    }

    fn by_handle(&mut self, handle: u16) -> Option<(CommandId, &mut Track)> {
        self.tracks.iter_mut().find(|(_, track)| track.handle == handle).map(|(id, track)| (*id, track))
    }
}

impl Track {
    fn request(&self, encrypted: bool) -> Request {
        Request::PublishDataTrackRequest(proto::PublishDataTrackRequest {
            pub_handle: self.handle.into(),
            name: self.name.clone(),
            encryption: encryption(encrypted),
        })
    }

    const fn is_awaited(&self) -> bool {
        matches!(self.state, State::Requested { awaited: true, .. })
    }

    const fn until(&self) -> Option<Time> {
        match self.state {
            State::Requested { until, .. } => Some(until),
            State::Published { .. } => None,
        }
    }
}

fn encryption(encrypted: bool) -> i32 {
    let kind = if encrypted { proto::encryption::Type::Gcm } else { proto::encryption::Type::None };
    kind as i32
}

fn unpublish_request(handle: u16) -> Request {
    Request::UnpublishDataTrackRequest(proto::UnpublishDataTrackRequest { pub_handle: handle.into() })
}
