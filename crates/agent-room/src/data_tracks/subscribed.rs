//! The data tracks of others that we subscribe to, and the frames of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use agent_proto::livekit as proto;

use super::packet::Packet;
use super::reassembly::{Reassembled, Reassembly};
use super::sealed::SealedData;
use super::{DataTrackFrame, DataTrackLimits};
use crate::server_requests::ServerRequests;
use crate::{CommandId, RoomError};
use proto::signal_request::Message as Request;
use proto::update_data_subscription::Update;

/// The subscriptions.
#[derive(Debug)]
pub(super) struct Subscribed {
    limits: DataTrackLimits,
    /// By track sid.
    tracks: BTreeMap<Arc<str>, Track>,
    /// The track of each of the server's numbers. It chooses them for each subscription.
    handles: BTreeMap<u16, Arc<str>>,
    /// The size of all incomplete frames.
    incomplete: usize,
    /// Frames that could not be completed, or not be read.
    dropped: u64,
}

#[derive(Debug, Default)]
struct Track {
    frames: Reassembly,
    /// The commands that have subscribed to it.
    subscriptions: BTreeSet<CommandId>,
}

impl Subscribed {
    pub(super) const fn new(limits: DataTrackLimits) -> Self {
        Self { limits, tracks: BTreeMap::new(), handles: BTreeMap::new(), incomplete: 0, dropped: 0 }
    }

    pub(super) fn subscribe(
        &mut self,
        id: CommandId,
        sid: &str,
        requests: &mut ServerRequests,
    ) -> Result<(), RoomError> {
        if self.tracks.values().map(|track| track.subscriptions.len()).sum::<usize>()
            >= self.limits.subscribed
        {
            let detail = format!("there are {} subscriptions to data tracks", self.limits.subscribed);
            return Err(RoomError::OverLimit { detail });
        }
        let new = !self.tracks.contains_key(sid);
        self.tracks.entry(sid.into()).or_default().subscriptions.insert(id);
        if new {
            requests.send(update(sid, true));
        }
        Ok(())
    }

    /// Ends a subscription; the last one of a track ends its frames.
    pub(super) fn unsubscribe(&mut self, id: CommandId, requests: &mut ServerRequests) {
        let ended = self.tracks.iter_mut().find_map(|(sid, track)| {
            let ended = track.subscriptions.remove(&id);
            ended.then(|| (Arc::clone(sid), track.subscriptions.is_empty()))
        });
        if let Some((sid, true)) = ended {
            self.forget(&sid);
            requests.send(update(&sid, false));
        }
    }

    /// A track is not published any more.
    pub(super) fn forget(&mut self, sid: &str) {
        if let Some(track) = self.tracks.remove(sid) {
            self.incomplete -= track.frames.bytes();
            self.handles.retain(|_, track| **track != *sid);
        }
    }

    /// Sets the server's numbers of all tracks that it sends us. Numbers of tracks without a subscription are
    /// ignored. `false`: some are not valid numbers.
    pub(super) fn set_handles(&mut self, handles: &proto::DataTrackSubscriberHandles) -> bool {
        self.handles.clear();
        let mut valid = true;
        for (handle, track) in &handles.sub_handles {
            match u16::try_from(*handle) {
                Ok(handle) if handle != 0 => {
                    if let Some((sid, _)) = self.tracks.get_key_value(track.track_sid.as_str()) {
                        self.handles.insert(handle, Arc::clone(sid));
                    }
                }
                _ => valid = false,
            }
        }
        valid
    }

    /// Takes a packet; returns the frame that it completes, and its track. `open` decrypts the payload.
    pub(super) fn receive(
        &mut self,
        packet: Packet,
        open: impl FnOnce(&str, SealedData) -> Option<Bytes>,
    ) -> Option<(Arc<str>, DataTrackFrame)> {
        let sid = self.handles.get(&packet.handle)?;
        let track = &mut self.tracks.get_mut(sid)?.frames;
        let before = track.bytes();
        let whole = track.push(packet);
        if self.incomplete - before + track.bytes() > self.limits.incomplete_bytes {
            track.give_up();
        }
        self.incomplete = self.incomplete - before + track.bytes();
        self.dropped = self.dropped.saturating_add(track.take_dropped());
        let Reassembled { frame, encryption } = whole?;
        let Some(payload) = open(sid, SealedData { payload: frame.payload, encryption }) else {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        };
        Some((Arc::clone(sid), DataTrackFrame { payload, ..frame }))
    }

    /// Our session is gone, and the server's numbers with it.
    pub(super) fn interrupted(&mut self) {
        self.handles.clear();
        self.incomplete = 0;
        self.tracks.values_mut().for_each(|track| track.frames = Reassembly::default());
    }

    /// The connection is established again: what the server may not know is repeated.
    pub(super) fn repeat(&self, requests: &mut ServerRequests) {
        let all = self.subscription();
        if !all.updates.is_empty() {
            requests.send(Request::UpdateDataSubscription(all));
        }
    }

    /// All subscriptions.
    pub(super) fn subscription(&self) -> proto::UpdateDataSubscription {
        let update = |sid: &Arc<str>| Update { track_sid: sid.to_string(), subscribe: true };
        proto::UpdateDataSubscription { updates: self.tracks.keys().map(update).collect() }
    }

    /// The number of frames that could not be completed, or not be read.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn update(sid: &str, subscribe: bool) -> Request {
    let updates = vec![Update { track_sid: sid.to_owned(), subscribe }];
    Request::UpdateDataSubscription(proto::UpdateDataSubscription { updates })
}
