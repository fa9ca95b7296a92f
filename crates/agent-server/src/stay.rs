//! A participant's time in a room, as the driver of the participant sees it.

use tokio::sync::mpsc;

use agent_proto::BoxFuture;
use agent_room::{
    CommandId, Connected, DataTrackFrame, MediaFrame, RoomEvent, RpcRequest, StreamEvent, Track,
};

use crate::machine::MemberId;

/// A participant in a room.
pub struct Stay {
    /// The id of this participation.
    pub member: MemberId,
    /// The room and its participants at the time of the join.
    pub connected: Connected,
    /// What it is notified of from then on; the last one is [`RoomEvent::Disconnected`].
    pub events: mpsc::UnboundedReceiver<MemberEvent>,
}

/// What a participant is notified of.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberEvent {
    /// An event of the room.
    Room(RoomEvent),
    /// An event of a stream that it receives.
    Stream(StreamEvent),
    /// A frame of a data track that it is subscribed to.
    DataFrame {
        /// The track's sid.
        sid: String,
        /// The frame.
        frame: DataTrackFrame,
    },
    /// The state of a track that it has published with the command of this id; `None`: it is not published
    /// any more.
    LocalTrack(CommandId, Option<Track>),
    /// A request to one of its methods.
    Requested(RpcRequest),
}

/// Where a member gets the frames that it is sent.
pub trait FrameReceiver: Send + Sync + 'static {
    /// Takes a frame of the track with this sid.
    fn receive(&self, track_sid: &str, frame: MediaFrame);

    /// Waits until somebody reads the track with this sid.
    fn reader(&self, track_sid: &str) -> BoxFuture<'static, ()>;
}
