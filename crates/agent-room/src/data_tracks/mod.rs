//! Data tracks: frames of bytes, of which each subscriber gets the newest, over the lossy data channel
//! `_data_track`.
//!
//! A track is published and subscribed to by signalling (`published`, `subscribed`). A frame is divided into
//! packets (`packetizer`, `packet`), which may be lost; `reassembly` puts those of the newest frame together.
//! Nothing here knows the connection: requests to the server are outputs.

mod frame;
mod limits;
mod packet;
mod packetizer;
mod published;
mod reassembly;
mod sealed;
mod subscribed;
#[cfg(test)]
mod tests;
mod track;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::{Time, livekit as proto};

use crate::server_requests::ServerRequests;
use crate::{CommandId, RoomError};
use packet::Packet;
use proto::signal_request::Message as Request;
use published::Published;
use subscribed::Subscribed;

pub(crate) use packet::FrameEncryption;
pub(crate) use sealed::SealedData;

pub use frame::{DataTrackFrame, MAX_DATA_FRAME_LEN};
pub use limits::DataTrackLimits;
pub use track::DataTrack;

/// A message of the server about data tracks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DataTrackMessage {
    /// It has published a track of ours.
    Published(proto::DataTrackInfo),
    /// It has refused to publish the track of this number.
    Refused(u32, Box<proto::RequestResponse>),
    /// The track of this number is not published any more.
    Unpublished(u32),
    /// Its numbers of the tracks that it sends us.
    Handles(proto::DataTrackSubscriberHandles),
}

impl DataTrackMessage {
    /// The answer of the server to a request for a data track. `None`: it changes nothing. A track that the
    /// server does not find is not published.
    pub(crate) fn refusal(response: proto::RequestResponse) -> Option<Self> {
        use proto::request_response::{Reason, Request};
        match response.request.as_ref()? {
            Request::PublishDataTrack(request) => Some(Self::Refused(request.pub_handle, Box::new(response))),
            Request::UnpublishDataTrack(request) => {
                (response.reason() == Reason::NotFound).then_some(Self::Unpublished(request.pub_handle))
            }
            Request::AddTrack(_) | Request::Mute(_) => None,
        }
    }
}

/// An output.
#[derive(Debug, PartialEq)]
pub(crate) enum DataTrackOutput {
    /// Send a request to the server.
    Request(Box<Request>),
    /// A command is completed.
    Done(CommandId, Result<(), RoomError>),
}

/// A received packet.
#[derive(Debug, PartialEq)]
pub(crate) enum DataTrackPacket {
    /// It completes a frame of this track.
    Frame(Arc<str>, DataTrackFrame),
    /// It is a part of a frame, or of a track that is not read.
    Nothing,
    /// It is no packet.
    Garbage,
}

/// What the server must know of our data tracks when it takes over our session.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct DataTrackState {
    pub(crate) published: Vec<proto::PublishDataTrackResponse>,
    pub(crate) subscription: proto::UpdateDataSubscription,
}

/// The data tracks of a room, ours and those of others.
#[derive(Debug)]
pub(crate) struct DataTracks {
    published: Published,
    subscribed: Subscribed,
    requests: ServerRequests,
    done: VecDeque<(CommandId, Result<(), RoomError>)>,
}

impl DataTracks {
    /// `timeout`: how long the server has to publish a track. `encrypted`: whether the frames of ours are.
    pub(crate) fn new(limits: DataTrackLimits, timeout: Duration, encrypted: bool) -> Self {
        Self {
            published: Published::new(&limits, timeout, encrypted),
            subscribed: Subscribed::new(limits),
            requests: ServerRequests::default(),
            done: VecDeque::new(),
        }
    }

    /// Publishes a track. The command is completed with the server's answer.
    pub(crate) fn publish(&mut self, id: CommandId, name: String, now: Time) {
        if let Err(error) = self.published.publish(id, name, &mut self.requests, now) {
            self.done.push_back((id, Err(error)));
        }
    }

    /// The packets of a frame of the track that a command has published, whose payload `seal` encrypts. None:
    /// the track is being published again, and the frame is dropped.
    pub(crate) fn push(
        &mut self,
        track: CommandId,
        frame: &DataTrackFrame,
        seal: impl FnOnce(Bytes) -> Result<SealedData, RoomError>,
        now: Time,
    ) -> Result<Vec<Bytes>, RoomError> {
        self.published.push(track, frame, seal, now)
    }

    /// Ends the track that a command has published.
    pub(crate) fn unpublish(&mut self, track: CommandId) -> Result<(), RoomError> {
        self.published.unpublish(track, &mut self.requests)
    }

    /// Subscribes to a track.
    pub(crate) fn subscribe(&mut self, id: CommandId, sid: &str) -> Result<(), RoomError> {
        self.subscribed.subscribe(id, sid, &mut self.requests)
    }

    /// Ends the subscription that this command has made.
    pub(crate) fn unsubscribe(&mut self, id: CommandId) {
        self.subscribed.unsubscribe(id, &mut self.requests);
    }

    /// A track of another participant is not published any more.
    pub(crate) fn gone(&mut self, sid: &str) {
        self.subscribed.forget(sid);
    }

    /// Handles a message of the server. `false`: it is invalid, at least in part.
    pub(crate) fn message(&mut self, message: DataTrackMessage) -> bool {
        match message {
            DataTrackMessage::Published(info) => {
                let id = self.published.accepted(info, &mut self.requests);
                self.done.extend(id.map(|id| (id, Ok(()))));
                true
            }
            DataTrackMessage::Refused(handle, response) => {
                self.done.extend(self.published.refused(handle, &response));
                true
            }
            DataTrackMessage::Unpublished(handle) => {
                self.published.removed(handle);
                true
            }
            DataTrackMessage::Handles(handles) => self.subscribed.set_handles(&handles),
        }
    }

    /// Takes a packet of the data channel. `open` decrypts the payload of a frame of this track.
    pub(crate) fn receive(
        &mut self,
        bytes: &Bytes,
        open: impl FnOnce(&str, SealedData) -> Option<Bytes>,
    ) -> DataTrackPacket {
        let Some(packet) = Packet::decode(bytes) else { return DataTrackPacket::Garbage };
        match self.subscribed.receive(packet, open) {
            Some((track, frame)) => DataTrackPacket::Frame(track, frame),
            None => DataTrackPacket::Nothing,
        }
    }

    /// The connection is lost.
    pub(crate) const fn disconnected(&mut self) {
        self.requests.pause();
    }

    /// The session is gone: others see our tracks end.
    pub(crate) fn interrupted(&mut self) {
        self.published.interrupted();
        self.subscribed.interrupted();
    }

    /// There is a connection again.
    pub(crate) fn reconnected(&mut self, resumed: bool, now: Time) {
        self.requests.resume();
        if resumed {
            self.published.resumed(&mut self.requests, now);
        } else {
            self.published.another_session(&mut self.requests, now);
        }
        self.subscribed.repeat(&mut self.requests);
    }

    /// The room is over.
    pub(crate) fn room_ended(&mut self) {
        let ids = self.published.take_all();
        self.done.extend(ids.into_iter().map(|id| (id, Err(RoomError::NotConnected))));
    }

    /// What the server must know when it takes over our session.
    pub(crate) fn state(&self) -> DataTrackState {
        let (published, subscription) = (self.published.responses(), self.subscribed.subscription());
        DataTrackState { published, subscription }
    }

    /// The number of received frames that could not be completed or read. Each was dropped.
    pub(crate) const fn dropped(&self) -> u64 {
        self.subscribed.dropped()
    }

    pub(crate) fn poll_output(&mut self) -> Option<DataTrackOutput> {
        let request = self.requests.next().map(|request| DataTrackOutput::Request(Box::new(request)));
        request.or_else(|| self.done.pop_front().map(|(id, result)| DataTrackOutput::Done(id, result)))
    }

    /// Without a connection the server cannot answer.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.published.next_timeout().filter(|_| !self.requests.is_paused())
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            let ids = self.published.expired(now);
            self.done.extend(ids.into_iter().map(|id| (id, Err(RoomError::TimedOut))));
        }
    }
}
