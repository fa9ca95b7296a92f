//! The server's state: its workers, jobs, rooms and dispatches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;

use agent_proto::Time;
use agent_proto::livekit as wire;
use agent_room::{
    AutoSubscribe, CommandId, IncomingStream, Participant, ParticipantKind, RoomInfo, RpcCall, StreamInfo,
    SubscriptionChoice, Track, TrackKind,
};

use super::event::RecordedStatus;
use super::io::WorkerId;
use super::request::{JobFlags, MemberId};

/// One connection of a worker.
#[derive(Default)]
pub(super) struct WorkerEntry {
    /// Increases with every connection.
    pub(super) number: u64,
    /// Set when the worker registers.
    pub(super) registration: Option<Registration>,
    pub(super) full: bool,
    pub(super) load: f32,
    /// The jobs that the worker runs, as far as the server knows, and the identity of each one's agent.
    pub(super) running: BTreeMap<String, String>,
}

pub(super) struct Registration {
    pub(super) id: String,
    pub(super) agent_name: String,
    pub(super) namespace: String,
    pub(super) job_type: i32,
    pub(super) deployment: String,
    pub(super) permissions: wire::ParticipantPermission,
}

/// The properties that a worker and a job must share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) agent_name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) job_type: i32,
    pub(super) deployment: &'a str,
}

impl<'a> Key<'a> {
    pub(super) fn of(job: &'a wire::Job) -> Self {
        Self {
            agent_name: &job.agent_name,
            namespace: &job.namespace,
            job_type: job.r#type,
            deployment: &job.deployment,
        }
    }
}

impl Registration {
    pub(super) fn key(&self) -> Key<'_> {
        Key {
            agent_name: &self.agent_name,
            namespace: &self.namespace,
            job_type: self.job_type,
            deployment: &self.deployment,
        }
    }
}

/// One job. All unfinished jobs and the newest of the finished ones are kept.
pub(super) struct JobEntry {
    /// The job as the API shows it: its state is still RUNNING long after the job has ended.
    pub(super) job: wire::Job,
    pub(super) phase: Phase,
    /// Workers that were offered the job.
    pub(super) asked: BTreeSet<WorkerId>,
    /// Workers that have answered.
    pub(super) answered: BTreeSet<WorkerId>,
    /// The number of connections at the time of the assignment: later workers have a higher
    /// [number](WorkerEntry::number).
    pub(super) assigned_at: Option<u64>,
    /// Whether the room that started the job knows of it. Before that the room does not recognize its agent,
    /// and ends no job.
    pub(super) room_knows: bool,
    /// Whether the job has to end as soon as it is assigned and the room knows of it.
    pub(super) undispatched: bool,
    /// The only worker that is asked, as it requested the job for itself.
    pub(super) only: Option<WorkerId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Asked(WorkerId),
    /// `known`: the server has recorded the job, so that its status updates are understood.
    Assigned {
        worker: WorkerId,
        known: bool,
    },
    /// Its worker is gone. The outcome is never recorded.
    Forgotten,
    Ended {
        worker: WorkerId,
        status: RecordedStatus,
        error: String,
        by_server: bool,
    },
    Unserved,
}

impl JobEntry {
    /// Whether the API shows it: once it is known what became of the offer. One that nobody took is not
    /// shown.
    pub(super) const fn is_listed(&self) -> bool {
        match self.phase {
            Phase::Waiting | Phase::Asked(_) | Phase::Assigned { known: false, .. } | Phase::Unserved => {
                false
            }
            Phase::Assigned { known: true, .. } | Phase::Forgotten | Phase::Ended { .. } => true,
        }
    }

    /// Approximate size of the job, in bytes.
    pub(super) fn len(&self) -> usize {
        let error = if let Phase::Ended { error, .. } = &self.phase { error.len() } else { 0 };
        size_of::<Self>() + self.job.encoded_len() + error
    }
}

/// An open room.
pub(super) struct RoomEntry {
    pub(super) info: RoomInfo,
    /// Keyed by identity.
    pub(super) members: BTreeMap<String, Member>,
    pub(super) dispatches: BTreeMap<String, DispatchEntry>,
    pub(super) departure_timeout: Duration,
    /// Counts the periods without people, so that a timer of an earlier period does nothing.
    pub(super) spell: u64,
}

/// One participant's time in the room.
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) participant: Arc<Participant>,
    /// What it is sent without a request.
    pub(super) auto_subscribe: AutoSubscribe,
    /// What it has chosen of the tracks of others, by sid.
    pub(super) choices: BTreeMap<String, SubscriptionChoice>,
}

impl Member {
    /// Whether it is subscribed to this track of another member.
    pub(super) fn is_subscribed(&self, track: &Track) -> bool {
        self.is_wanted(track) && self.participant.permissions.can_subscribe
    }

    /// Whether it would be subscribed to this track if it had the permission.
    pub(super) fn is_wanted(&self, track: &Track) -> bool {
        let automatic = self.auto_subscribe.includes(track.kind);
        let chosen = self.choices.get(&track.sid).map_or(automatic, |choice| choice.is_wanted(automatic));
        let exists = matches!(track.kind, TrackKind::Audio | TrackKind::Video);
        chosen && exists
    }

    /// Whether it has not paused this track.
    pub(super) fn is_enabled(&self, track_sid: &str) -> bool {
        self.choices.get(track_sid).is_none_or(SubscriptionChoice::is_enabled)
    }
}

impl RoomEntry {
    pub(super) fn people(&self) -> usize {
        self.members.values().filter(|member| member.participant.kind != ParticipantKind::Agent).count()
    }
}

/// A dispatch and its jobs.
pub(super) struct DispatchEntry {
    pub(super) dispatch: wire::AgentDispatch,
    pub(super) flags: JobFlags,
    pub(super) jobs: Vec<String>,
}

/// A stream that a member writes in parts.
pub(super) struct OpenStream {
    /// When it began.
    pub(super) at: Time,
    pub(super) room: String,
    /// Identity of the member.
    pub(super) sender: String,
    pub(super) info: Arc<StreamInfo>,
    /// The identities of the recipients; empty: everybody.
    pub(super) to: Vec<String>,
    /// The members that receive it, each with the number that it knows the stream by.
    pub(super) recipients: Vec<(MemberId, IncomingStream)>,
    /// The start of what was written, as far as it is kept for tests.
    pub(super) content: Vec<u8>,
    /// The length of what was written, in bytes.
    pub(super) len: u64,
}

/// A call of a method that waits for its result.
pub(super) struct PendingCall {
    /// When it was made.
    pub(super) at: Time,
    pub(super) room: String,
    pub(super) caller: (MemberId, String),
    /// The caller's id of the call.
    pub(super) id: CommandId,
    /// The member that was requested; `None`: there was none.
    pub(super) callee: Option<MemberId>,
    /// The end of its timeout.
    pub(super) until: Time,
    pub(super) call: RpcCall,
}

/// The data tracks of all rooms.
#[derive(Default)]
pub(super) struct DataTracks {
    /// The sid of each, by the command that published it.
    pub(super) published: BTreeMap<(MemberId, CommandId), String>,
    /// The sid of the track, by the command that subscribed to it.
    pub(super) subscribed: BTreeMap<(MemberId, CommandId), String>,
}

impl DataTracks {
    /// Those who are subscribed to a track, each once.
    pub(super) fn receivers(&self, sid: &str) -> Vec<MemberId> {
        let mut receivers: Vec<_> =
            self.subscribed.iter().filter(|(_, of)| *of == sid).map(|((member, _), _)| *member).collect();
        receivers.dedup();
        receivers
    }

    /// A member is out of its room.
    pub(super) fn remove(&mut self, member: MemberId) {
        self.published.retain(|(publisher, _), sid| {
            let stays = *publisher != member;
            if !stays {
                self.subscribed.retain(|_, of| of != sid);
            }
            stays
        });
        self.subscribed.retain(|(subscriber, _), _| *subscriber != member);
    }
}
