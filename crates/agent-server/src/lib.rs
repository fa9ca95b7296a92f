//! The rules of a LiveKit server towards agents, and a network front for them.
//!
//! [`Server`] is the machine: workers, jobs, dispatches and rooms, without I/O. [`Hub`] drives it with
//! tokio's clock, and [`Hub::serve`] is its network: HTTP, tokens, Twirp calls and workers' WebSockets over
//! any byte stream. The mock server of `agent-testkit` is built from them.

mod accept;
mod api_call;
mod backend;
mod event_log;
mod front;
mod hub;
mod machine;
mod stay;
mod token;

pub use accept::{Accept, accept_all};
pub use api_call::ApiCall;
pub use front::{JoinRefusal, ToWorker};
pub use hub::{Faults, Hub};
pub use machine::{
    Call, Change, ChangeParticipant, CloseRoom, CreateDispatch, DeleteDispatch, Grant, Input, JobFlags, Join,
    MAX_HISTORY_LEN, MemberCommand, MemberId, MuteTrack, OfferAnswer, OpenRoom, Output, PublishTrack,
    RecordedCall, RecordedStatus, Refusal, RemoveParticipant, Reply, Request, RequestId, RoutedFrame, Rules,
    SendData, Sent, SentFrame, SentStream, Server, ServerEvent, SetRoomMetadata, UnpublishTrack, Violation,
    WorkerId,
};
pub use stay::{FrameReceiver, MemberEvent, Stay};
pub use token::{BadToken, read_token};
