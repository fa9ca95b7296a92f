//! Makes an input of each kind.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::encode;
use agent_proto::livekit as wire;
use agent_proto::livekit::server_message::Message;

use crate::answer::Answer;
use crate::descriptors::DescriptorBudget;
use crate::job::JobId;
use crate::outcome::{AttemptEnd, CancelReason};
use crate::script::driver::attempt_end;
use crate::script::step::End;
use crate::worker::coverage::{Expected, InputKind};
use crate::worker::{Input, JoinedRoom, LinkError, Presence, RoomEnd, Worker};

/// A kind of a job that this version does not know.
const UNKNOWN_KIND: i32 = 77;

/// An input of this kind, about this job, with the numbers that the machine expects; `None` for time.
pub(super) fn input(kind: InputKind, job: &JobId, worker: &Worker) -> Option<Input> {
    use InputKind as K;
    let Expected { offer, attempt, ping } = Expected::of(worker, job);
    let id = || job.clone();
    let refused = |status| {
        let message = "refused".to_owned();
        Input::ConnectFailed(LinkError::Refused { status, message, retry_after: None })
    };
    let of = |kind| wire::Job { id: job.to_string(), r#type: kind, ..Default::default() };
    let offered = |job| frame(Message::Availability(wire::AvailabilityRequest { job, resuming: false }));
    let assigned = |job| frame(Message::Assignment(wire::JobAssignment { job, ..Default::default() }));
    let answered = |answer| Input::Answered { offer, job: id(), answer };
    let ended = |end, room_gone| Input::AttemptEnded { job: id(), end, room_gone };
    let room_ended = |end| Input::RoomEnded { job: id(), end };
    Some(match kind {
        K::Prepared => Input::Prepared(Ok(())),
        K::PreparedNot => Input::Prepared(Err("no model".to_owned())),
        K::Connected => Input::Connected,
        K::ConnectFailed => Input::ConnectFailed(LinkError::Failed { message: "failed".to_owned() }),
        K::ConnectRefused => refused(503),
        K::ConnectRefusedForGood => refused(401),
        K::Disconnected => Input::Disconnected { reason: "cut".to_owned() },
        K::Garbage => Input::FrameReceived(Bytes::from_static(b"\xff\xff\xff")),
        K::EmptyMessage => Input::FrameReceived(Bytes::new()),
        K::Registration => frame(Message::Register(wire::RegisterWorkerResponse::default())),
        K::Offer => offered(Some(of(0))),
        K::OfferOfUnknownKind => offered(Some(of(UNKNOWN_KIND))),
        K::OfferOfNothing => offered(None),
        K::Assignment => assigned(Some(of(0))),
        K::AssignmentOfUnknownKind => assigned(Some(of(UNKNOWN_KIND))),
        K::AssignmentOfNothing => assigned(None),
        K::Termination => frame(Message::Termination(wire::JobTermination { job_id: job.to_string() })),
        K::GoAway => frame(Message::GoAway(wire::agent_http::GoAway { reason: "redeployed".to_owned() })),
        K::Pong => frame(Message::Pong(wire::WorkerPong { last_timestamp: ping, timestamp: 0 })),
        K::Text => Input::TextReceived,
        K::Activity => Input::Activity,
        K::Accepted => answered(Answer::accept()),
        K::AcceptedUnnamed => answered(Answer::accept().identity("")),
        K::Declined => answered(Answer::Decline),
        K::Dismissed => answered(Answer::Dismiss),
        K::RequestPanicked => Input::RequestPanicked { offer, job: id() },
        K::HandlerStarted => Input::HandlerStarted { job: id() },
        K::EndedOk => ended(AttemptEnd::Ok, false),
        K::EndedCancelled => ended(AttemptEnd::Cancelled, false),
        K::EndedFatal => ended(attempt_end(End::Fatal), false),
        K::EndedRetryable => ended(attempt_end(End::Retryable(30)), false),
        K::EndedWithoutRoom => ended(attempt_end(End::RoomGone), true),
        K::EndedPanicked => ended(attempt_end(End::Panic), false),
        K::EndedAborted => ended(AttemptEnd::Aborted, false),
        K::Cleaned => Input::Cleaned { job: id(), attempt },
        K::CleanedOther => Input::Cleaned { job: id(), attempt: 0 },
        K::CancelRequested => Input::CancelRequested { job: id(), reason: CancelReason::RoomClosed },
        K::RoomJoined => {
            let departure_timeout = Some(Duration::from_secs(6));
            let room = JoinedRoom { sid: "RM_2".to_owned(), departure_timeout, ..JoinedRoom::default() };
            Input::RoomJoined { job: id(), room }
        }
        K::RoomReplaced => Input::RoomReplaced { job: id() },
        K::RoomLeft => room_ended(RoomEnd::Left),
        K::RoomDuplicate => room_ended(RoomEnd::DuplicateIdentity),
        K::RoomRemoved => room_ended(RoomEnd::Removed),
        K::RoomDeleted => room_ended(RoomEnd::Deleted),
        K::RoomClosed => room_ended(RoomEnd::Closed),
        K::RoomLost => room_ended(RoomEnd::Lost),
        K::PresenceChanged => Input::PresenceChanged { job: id(), presence: Presence::default() },
        K::Progressed => Input::Progressed { job: id() },
        K::DescriptorsFound => Input::DescriptorsFound(DescriptorBudget { limit: 64, open: 12, per_job: 20 }),
        K::OtherJobs => Input::OtherJobs { count: 1 },
        K::DescriptorsExhausted => Input::DescriptorsExhausted,
        K::LoadSampled => Input::LoadSampled(1.0),
        K::QuietRequested => Input::QuietRequested,
        K::UndrainRequested => Input::UndrainRequested,
        K::DrainRequested => Input::DrainRequested { within: Duration::from_secs(4) },
        K::StopRequested => Input::StopRequested,
        K::Timeout | K::EarlyTimeout => return None,
    })
}

fn frame(message: Message) -> Input {
    Input::FrameReceived(encode(&wire::ServerMessage { message: Some(message) }))
}
