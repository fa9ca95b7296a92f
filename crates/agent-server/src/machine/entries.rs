//! What the server knows: its workers, jobs, rooms and dispatches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use agent_proto::livekit as wire;
use agent_room::{Participant, ParticipantKind, RoomInfo};
use prost::Message;

use super::event::RecordedStatus;
use super::io::WorkerId;
use super::request::{JobFlags, MemberId};

/// One connection of a worker.
#[derive(Default)]
pub(super) struct WorkerEntry {
    /// Workers that connected later have a higher one.
    pub(super) number: u64,
    /// Since it registered.
    pub(super) registration: Option<Registration>,
    pub(super) full: bool,
    pub(super) load: f32,
    /// The jobs that the server knows it to run.
    pub(super) running: BTreeSet<String>,
}

pub(super) struct Registration {
    pub(super) id: String,
    pub(super) key: Key,
    pub(super) permissions: wire::ParticipantPermission,
}

/// What has to match for a job to be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) agent_name: String,
    pub(super) namespace: String,
    pub(super) job_type: i32,
    pub(super) deployment: String,
}

impl Key {
    pub(super) fn of(job: &wire::Job) -> Self {
        Self {
            agent_name: job.agent_name.clone(),
            namespace: job.namespace.clone(),
            job_type: job.r#type,
            deployment: job.deployment.clone(),
        }
    }
}

/// One job. The newest of those that are over are remembered, the others for as long as they go on.
pub(super) struct JobEntry {
    /// As it is shown by the API: its state says RUNNING long after it has ended.
    pub(super) job: wire::Job,
    pub(super) phase: Phase,
    /// Workers that were asked.
    pub(super) asked: BTreeSet<WorkerId>,
    /// Workers that have answered.
    pub(super) answered: BTreeSet<WorkerId>,
    /// Workers that connected after it was assigned have a higher [number](WorkerEntry::number).
    pub(super) assigned_at: Option<u64>,
    /// The room that started it knows of it. Until then it sees no agent in who leaves, and ends no job.
    pub(super) room_knows: bool,
    /// It is to be ended as soon as the room knows of it.
    pub(super) undispatched: bool,
    /// Only this worker is asked: it made the job up itself.
    pub(super) only: Option<WorkerId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Asked(WorkerId),
    /// `known`: the server has written it down, so that a status of it is understood.
    Assigned {
        worker: WorkerId,
        known: bool,
    },
    /// Its worker is gone. What becomes of it is never recorded.
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
    /// How much it holds, in bytes.
    pub(super) fn len(&self) -> usize {
        let error = if let Phase::Ended { error, .. } = &self.phase { error.len() } else { 0 };
        size_of::<Self>() + self.job.encoded_len() + error
    }
}

/// A room that is open.
pub(super) struct RoomEntry {
    pub(super) info: RoomInfo,
    /// By identity.
    pub(super) members: BTreeMap<String, Member>,
    pub(super) dispatches: BTreeMap<String, DispatchEntry>,
    pub(super) departure_timeout: Duration,
    /// Counts the times without people, so that a timer of an earlier one does nothing.
    pub(super) spell: u64,
}

/// One stay of one participant.
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) participant: Arc<Participant>,
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
