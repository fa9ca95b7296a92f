//! Single inputs of the worker machine, sensible or not.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use agent_proto::livekit as wire;
use agent_proto::livekit::server_message::Message;
use agent_proto::{MAX_FRAME_LEN, encode};
use agent_worker::Answer;

use super::texts::{names, texts};
use crate::machine::{
    AttemptEnd, CancelReason, DescriptorBudget, Input, JobErrorKind, JobId, JoinedRoom, LinkError, OfferId,
    Presence, RoomEnd,
};

/// Jobs `AJ_0` to `AJ_3`.
fn ids() -> impl Strategy<Value = JobId> + Clone {
    (0..4u8).prop_map(|n| JobId::new(&format!("AJ_{n}")))
}

/// Frames as a server sends them, with unusual texts, and garbage. About 4 jobs of all kinds; up to some KiB.
/// Shrinks to answers of a registration, lower numbers, shorter texts and fewer bytes.
pub fn server_frames() -> impl Strategy<Value = Bytes> {
    let message = prop_oneof![
        1 => texts().prop_map(|worker_id| {
            Message::Register(wire::RegisterWorkerResponse { worker_id, server_info: None })
        }),
        4 => (wire_jobs(), any::<bool>())
            .prop_map(|(job, resuming)| Message::Availability(wire::AvailabilityRequest { job, resuming })),
        4 => (wire_jobs(), texts(), prop::option::of(texts()))
            .prop_map(|(job, token, url)| Message::Assignment(wire::JobAssignment { job, token, url })),
        2 => ids().prop_map(|id| Message::Termination(wire::JobTermination { job_id: id.to_string() })),
        2 => (-1i64..100_000).prop_map(|last_timestamp| {
            Message::Pong(wire::WorkerPong { last_timestamp, timestamp: 0 })
        }),
    ];
    let message =
        prop::option::weighted(0.95, message).prop_map(|message| encode(&wire::ServerMessage { message }));
    prop_oneof![
        9 => message,
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
    ]
}

/// A job as the server describes it, if it does.
fn wire_jobs() -> BoxedStrategy<Option<wire::Job>> {
    let target = prop::option::of((names(), texts()));
    let job = (ids(), 0..4i32, (names(), texts()), target, texts()).prop_map(
        |(id, kind, (room, room_metadata), target, metadata)| wire::Job {
            id: id.to_string(),
            r#type: kind,
            room: Some(wire::Room {
                sid: format!("RM_{room}"),
                name: room,
                metadata: room_metadata,
                ..Default::default()
            }),
            participant: target.map(|(identity, metadata)| wire::ParticipantInfo {
                sid: format!("PA_{identity}"),
                identity,
                metadata,
                ..Default::default()
            }),
            metadata,
            ..Default::default()
        },
    );
    prop::option::weighted(0.98, job).boxed()
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(()).prop_map(|()| Answer::accept()),
        1 => texts().prop_map(|identity| Answer::accept().identity(identity)),
        1 => Just(()).prop_map(|()| Answer::Decline),
        1 => Just(()).prop_map(|()| Answer::Dismiss),
    ]
}

fn ends() -> impl Strategy<Value = AttemptEnd> {
    let error = prop_oneof![
        Just(JobErrorKind::Cancelled),
        Just(JobErrorKind::TimedOut),
        (0..10u64).prop_map(|after| JobErrorKind::Retryable { after: Duration::from_secs(after) }),
        names().prop_map(|reason| JobErrorKind::Fatal { reason: reason.into() }),
    ];
    prop_oneof![
        Just(AttemptEnd::Ok),
        Just(AttemptEnd::Cancelled),
        Just(AttemptEnd::Aborted),
        texts().prop_map(AttemptEnd::Panicked),
        (error, texts()).prop_map(|(kind, text)| AttemptEnd::Error { kind, text }),
    ]
}

/// Inputs of the worker machine, in any order: about 4 jobs, whether they exist or not.
///
/// What a driver would not report is among them, such as the end of an attempt that does not run, so the
/// promises of a [`Script`](crate::machine::Script) cannot be demanded. What can: the machine does not panic,
/// its next timer is in the future, and it keeps its limits. Shrinks to the inputs of the connection, lower
/// numbers and shorter texts.
pub fn inputs() -> impl Strategy<Value = Input> {
    let offers = || (0..8u64).prop_map(OfferId::new);
    let seconds = || (0..60u64).prop_map(Duration::from_secs);
    let cancel = prop_oneof![
        Just(CancelReason::Kicked),
        Just(CancelReason::Deadline),
        texts().prop_map(CancelReason::Shutdown)
    ];
    let room_ends = prop::sample::select(
        &[
            RoomEnd::Lost,
            RoomEnd::Left,
            RoomEnd::Removed,
            RoomEnd::Deleted,
            RoomEnd::Closed,
            RoomEnd::DuplicateIdentity,
        ][..],
    );
    let times = (seconds(), seconds());
    let rooms = (names(), times, prop::option::of(seconds()), prop::option::of(seconds())).prop_map(
        |(sid, (age, took), empty_timeout, departure_timeout)| JoinedRoom {
            sid,
            age,
            took,
            empty_timeout,
            departure_timeout,
        },
    );
    let presence = (0..4usize, 0..4usize, prop::option::of(names()))
        .prop_map(|(people, keepers, target)| Presence { people, keepers, target });
    let link = prop_oneof![
        texts().prop_map(|message| LinkError::Failed { message }),
        (300..600u16, texts(), prop::option::of(seconds()))
            .prop_map(|(status, message, retry_after)| LinkError::Refused { status, message, retry_after }),
    ];
    let of_link = prop_oneof![
        1 => prop::result::maybe_err(Just(()), texts()).prop_map(Input::Prepared),
        4 => Just(Input::Connected),
        1 => Just(Input::Activity),
        1 => Just(Input::TextReceived),
        2 => texts().prop_map(|reason| Input::Disconnected { reason }),
        1 => link.prop_map(Input::ConnectFailed),
        12 => server_frames().prop_map(Input::FrameReceived).boxed(),
        1 => (1..4usize).prop_map(|by| Input::FrameReceived(Bytes::from(vec![0; MAX_FRAME_LEN + by]))),
    ];
    let of_jobs = prop_oneof![
        4 => (offers(), ids(), answers()).prop_map(|(offer, job, answer)| Input::Answered { offer, job, answer }),
        1 => (offers(), ids()).prop_map(|(offer, job)| Input::RequestPanicked { offer, job }),
        4 => ids().prop_map(|job| Input::HandlerStarted { job }),
        4 => (ids(), ends(), any::<bool>())
            .prop_map(|(job, end, room_gone)| Input::AttemptEnded { job, end, room_gone }),
        4 => (ids(), 0..4u32).prop_map(|(job, attempt)| Input::Cleaned { job, attempt }),
        1 => (ids(), cancel).prop_map(|(job, reason)| Input::CancelRequested { job, reason }),
        2 => (ids(), rooms).prop_map(|(job, room)| Input::RoomJoined { job, room }),
        1 => ids().prop_map(|job| Input::RoomReplaced { job }),
        1 => (ids(), room_ends).prop_map(|(job, end)| Input::RoomEnded { job, end }),
        3 => (ids(), presence).prop_map(|(job, presence)| Input::PresenceChanged { job, presence }),
        1 => ids().prop_map(|job| Input::Progressed { job }),
    ];
    let of_process = prop_oneof![
        (0..2000usize, 0..100usize, 0..8usize)
            .prop_map(|(limit, open, per_job)| DescriptorBudget { limit, open, per_job })
            .prop_map(Input::DescriptorsFound),
        (0..8usize).prop_map(|count| Input::OtherJobs { count }),
        Just(Input::DescriptorsExhausted),
        any::<f32>().prop_map(Input::LoadSampled),
        Just(Input::QuietRequested),
        Just(Input::UndrainRequested),
        seconds().prop_map(|within| Input::DrainRequested { within }),
        Just(Input::StopRequested),
    ];
    // Boxed: the stack of a test's thread is small.
    prop_oneof![8 => of_link.boxed(), 8 => of_jobs.boxed(), 1 => of_process.boxed()]
}
