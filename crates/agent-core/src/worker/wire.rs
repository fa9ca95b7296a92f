//! Conversion between the machine's types and frames.

use bytes::Bytes;

use agent_proto::Secret;
use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};
use agent_proto::{MAX_FRAME_LEN, decode_borrowed, encode};

use super::entries::{Entry, ReportedLoad};
use crate::answer::Accept;
use crate::config::Config;
use crate::job::{Job, JobId, JobLabels};
use crate::outcome::Outcome;

/// The most jobs in a message, of about 1 KB at most each: a server takes 2 MiB.
const MAX_MIGRATED: usize = 1_000;

/// A message of the server.
pub(super) enum FromServer {
    Registered { worker_id: String, server_version: String },
    Offer { job: Result<Job, Unusable> },
    Assignment { job: Result<Job, Unusable>, token: Secret, url: Option<String> },
    Termination { job: JobId },
    Pong { stamp: i64 },
    GoAway { reason: String },
    Unknown,
}

/// A job that this version cannot run, with its labels if it has an id.
pub(super) type Unusable = Option<JobLabels>;

/// Decodes one frame; `None` when it is not a valid message.
pub(super) fn read(frame: &Bytes) -> Option<FromServer> {
    use server_message::Message;
    let message: wire::ServerMessage = decode_borrowed(frame, MAX_FRAME_LEN).ok()?;
    Some(match message.message {
        Some(Message::Register(m)) => FromServer::Registered {
            worker_id: m.worker_id,
            server_version: m.server_info.map(|s| s.version).unwrap_or_default(),
        },
        Some(Message::Availability(m)) => FromServer::Offer { job: read_job(m.job, m.resuming) },
        Some(Message::Assignment(m)) => FromServer::Assignment {
            job: read_job(m.job, false),
            token: Secret::from(m.token),
            url: m.url.filter(|url| !url.is_empty()),
        },
        Some(Message::Termination(m)) => FromServer::Termination { job: JobId::new(&m.job_id) },
        Some(Message::Pong(m)) => FromServer::Pong { stamp: m.last_timestamp },
        Some(Message::GoAway(m)) => FromServer::GoAway { reason: m.reason },
        None => FromServer::Unknown,
    })
}

fn read_job(job: Option<wire::Job>, resuming: bool) -> Result<Job, Unusable> {
    let job = job.ok_or(None)?;
    if wire::JobType::try_from(job.r#type).is_err() {
        return Err(JobLabels::from_wire(&job));
    }
    Job::from_wire(job, resuming).ok_or(None)
}

pub(super) fn register(config: &Config) -> Bytes {
    let may = &config.permissions;
    frame(worker_message::Message::Register(wire::RegisterWorkerRequest {
        r#type: config.kind.to_wire().into(),
        agent_name: config.agent_name.clone(),
        deployment: config.deployment.clone(),
        version: config.version.clone(),
        ping_interval: u32::try_from(config.ping_interval.as_secs()).unwrap_or(u32::MAX),
        namespace: None,
        allowed_permissions: Some(wire::ParticipantPermission {
            can_subscribe: may.can_subscribe,
            can_publish: may.can_publish,
            can_publish_data: may.can_publish_data,
            can_publish_sources: may.can_publish_sources.iter().map(|source| i32::from(*source)).collect(),
            can_update_metadata: may.can_update_metadata,
            can_subscribe_metrics: may.can_subscribe_metrics,
            hidden: may.hidden,
            agent: true,
            ..Default::default()
        }),
    }))
}

pub(super) fn accept(job: &JobId, accept: Accept) -> Bytes {
    frame(worker_message::Message::Availability(wire::AvailabilityResponse {
        job_id: job.as_str().to_owned(),
        available: true,
        participant_identity: accept.identity_in(job),
        participant_name: accept.name,
        participant_metadata: accept.metadata,
        participant_attributes: accept.attributes,
        ..Default::default()
    }))
}

/// `dismiss`: no worker should run the job.
pub(super) fn refuse(job: &JobId, dismiss: bool) -> Bytes {
    frame(worker_message::Message::Availability(wire::AvailabilityResponse {
        job_id: job.as_str().to_owned(),
        terminate: dismiss,
        ..Default::default()
    }))
}

pub(super) fn running(job: &JobId, join_timing: Option<wire::JobJoinTiming>) -> Bytes {
    status(job, wire::JobStatus::JsRunning, String::new(), join_timing)
}

pub(super) fn ended(job: &JobId, outcome: &Outcome) -> Bytes {
    match outcome {
        Outcome::Success => status(job, wire::JobStatus::JsSuccess, String::new(), None),
        Outcome::Failed { error } => status(job, wire::JobStatus::JsFailed, error.clone(), None),
    }
}

pub(super) fn load(reported: &ReportedLoad, seq: u64) -> Bytes {
    let ReportedLoad { full, load, jobs, draining, .. } = *reported;
    let status = if full { wire::WorkerStatus::WsFull } else { wire::WorkerStatus::WsAvailable };
    frame(worker_message::Message::UpdateWorker(wire::UpdateWorkerStatus {
        status: Some(status.into()),
        load,
        job_count: u32::try_from(jobs).unwrap_or(u32::MAX),
        draining,
        seq,
    }))
}

/// The jobs that run, as many as fit into each message.
pub(super) fn migrate(jobs: &[&Entry]) -> impl Iterator<Item = Bytes> {
    jobs.chunks(MAX_MIGRATED).map(|entries| {
        let job_ids = entries.iter().map(|entry| entry.job.id.to_string()).collect();
        let of = |entry: &&Entry| entry.job.to_wire(entry.accept.identity_in(&entry.job.id));
        let jobs = entries.iter().map(of).collect();
        frame(worker_message::Message::MigrateJob(wire::MigrateJobRequest { job_ids, jobs }))
    })
}

/// The timestamp is only returned to us, so it need not be the time of day.
pub(super) fn ping(timestamp: i64) -> Bytes {
    frame(worker_message::Message::Ping(wire::WorkerPing { timestamp }))
}

fn status(
    job: &JobId,
    status: wire::JobStatus,
    error: String,
    join_timing: Option<wire::JobJoinTiming>,
) -> Bytes {
    frame(worker_message::Message::UpdateJob(wire::UpdateJobStatus {
        job_id: job.as_str().to_owned(),
        status: status.into(),
        error,
        join_timing,
    }))
}

fn frame(message: worker_message::Message) -> Bytes {
    encode(&wire::WorkerMessage { message: Some(message) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_answer_says_what_participant_the_agent_will_be() {
        let accept = Accept {
            identity: Some("helper".into()),
            name: "Helper".into(),
            metadata: r#"{"voice":"low"}"#.into(),
            attributes: BTreeMap::from([("mood".into(), "calm".into())]),
        };
        let sent: wire::WorkerMessage =
            decode_borrowed(&super::accept(&JobId::new("AJ_1"), accept), MAX_FRAME_LEN).unwrap();
        let expected = wire::AvailabilityResponse {
            job_id: "AJ_1".into(),
            available: true,
            participant_identity: "helper".into(),
            participant_name: "Helper".into(),
            participant_metadata: r#"{"voice":"low"}"#.into(),
            participant_attributes: [("mood".into(), "calm".into())].into(),
            ..Default::default()
        };
        assert_eq!(sent.message, Some(worker_message::Message::Availability(expected)));
    }

    #[test]
    fn an_assignment_may_have_a_url_of_its_own() {
        for (url, expected) in [(None, None), (Some(""), None), (Some("wss://other"), Some("wss://other"))] {
            let job = wire::Job { id: "AJ_1".into(), ..Default::default() };
            let assignment =
                wire::JobAssignment { job: Some(job), url: url.map(str::to_owned), token: "token".into() };
            let message = Some(server_message::Message::Assignment(assignment));
            let Some(FromServer::Assignment { url, .. }) = read(&encode(&wire::ServerMessage { message }))
            else {
                panic!("no assignment")
            };
            assert_eq!(url.as_deref(), expected);
        }
    }
}
