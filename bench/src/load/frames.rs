//! Frames to a subject. All jobs are alike, so a frame is encoded once and then copied, with the id and the
//! time filled in.

use bytes::Bytes;

use agent_proto::encode;
use agent_proto::livekit as wire;
use agent_proto::livekit::server_message::Message;

/// The agent name of the subjects.
pub(crate) const AGENT_NAME: &str = "bench";

/// As long as the ids of a server.
const ID_DIGITS: usize = 12;
const ID_PREFIX: &str = "AJ_";
/// The time of writing, in the metadata: enough digits for any `u64`.
const STAMP_DIGITS: usize = 20;

/// The frames of all jobs.
pub(super) struct Frames {
    offer: Template,
    assignment: Template,
    termination: Template,
}

impl Frames {
    pub(super) fn new() -> Self {
        let job = wire::Job {
            id: id(0),
            r#type: wire::JobType::JtRoom.into(),
            room: Some(wire::Room {
                sid: "RM_aaaaaaaaaaaa".to_owned(),
                name: "a-room-of-the-benchmark".to_owned(),
                ..Default::default()
            }),
            metadata: "0".repeat(STAMP_DIGITS),
            agent_name: AGENT_NAME.to_owned(),
            dispatch_id: "AD_aaaaaaaaaaaa".to_owned(),
            ..Default::default()
        };
        let offer = wire::AvailabilityRequest { job: Some(job.clone()), resuming: false };
        // A token for a room is about as long.
        let assignment = wire::JobAssignment { job: Some(job), token: "t".repeat(500), url: None };
        Self {
            offer: Template::new(Message::Availability(offer)),
            assignment: Template::new(Message::Assignment(assignment)),
            termination: Template::new(Message::Termination(wire::JobTermination { job_id: id(0) })),
        }
    }

    pub(super) fn offer(&self, job: usize, now_ns: u64) -> Bytes {
        self.offer.fill(job, now_ns)
    }

    pub(super) fn assignment(&self, job: usize, now_ns: u64) -> Bytes {
        self.assignment.fill(job, now_ns)
    }

    pub(super) fn termination(&self, job: usize) -> Bytes {
        self.termination.fill(job, 0)
    }
}

/// The answer to a registration.
pub(super) fn registered() -> Bytes {
    frame(Message::Register(wire::RegisterWorkerResponse {
        worker_id: "AW_aaaaaaaaaaaa".to_owned(),
        ..Default::default()
    }))
}

/// The answer to a ping.
pub(super) fn pong(last_timestamp: i64) -> Bytes {
    frame(Message::Pong(wire::WorkerPong { last_timestamp, timestamp: last_timestamp }))
}

/// The number of the job with this id.
pub(super) fn number(id: &str) -> Option<usize> {
    id.strip_prefix(ID_PREFIX)?.parse().ok()
}

fn id(job: usize) -> String {
    format!("{ID_PREFIX}{job:0ID_DIGITS$}")
}

fn frame(message: Message) -> Bytes {
    encode(&wire::ServerMessage { message: Some(message) })
}

/// An encoded frame with placeholders.
struct Template {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    stamp_at: Option<usize>,
}

impl Template {
    fn new(message: Message) -> Self {
        let bytes = frame(message).to_vec();
        let find = |text: &str| bytes.windows(text.len()).position(|window| window == text.as_bytes());
        let id_at = find(&id(0)).map(|at| at + ID_PREFIX.len());
        let stamp_at = find(&"0".repeat(STAMP_DIGITS));
        Self { bytes, id_at, stamp_at }
    }

    fn fill(&self, job: usize, now_ns: u64) -> Bytes {
        let mut bytes = self.bytes.clone();
        write_number(&mut bytes, self.id_at, ID_DIGITS, job as u64);
        write_number(&mut bytes, self.stamp_at, STAMP_DIGITS, now_ns);
        bytes.into()
    }
}

/// Writes a number with leading zeros.
fn write_number(bytes: &mut [u8], at: Option<usize>, digits: usize, mut number: u64) {
    let Some(place) = at.and_then(|at| bytes.get_mut(at..at + digits)) else { return };
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frame: &Bytes) -> Message {
        agent_proto::decode::<wire::ServerMessage>(frame, 10_000).unwrap().message.unwrap()
    }

    #[test]
    fn frames_are_those_of_their_job() {
        let frames = Frames::new();
        let Message::Availability(offer) = read(&frames.offer(123, u64::MAX)) else { panic!("no offer") };
        let job = offer.job.unwrap();
        assert_eq!((job.id.as_str(), job.metadata.as_str()), ("AJ_000000000123", "18446744073709551615"));
        assert_eq!(number(&job.id), Some(123));
        let Message::Assignment(assignment) = read(&frames.assignment(7, 42)) else {
            panic!("no assignment")
        };
        let job = assignment.job.unwrap();
        assert_eq!((job.id.as_str(), job.metadata.parse()), ("AJ_000000000007", Ok(42)));
        assert_eq!((job.agent_name.as_str(), assignment.token.len()), (AGENT_NAME, 500));
        let Message::Termination(termination) = read(&frames.termination(999_999_999_999)) else {
            panic!("no termination")
        };
        assert_eq!(termination.job_id, "AJ_999999999999");
    }

    #[test]
    fn other_ids_have_no_number() {
        for other in ["", "AJ_", "AJ_x", "123", "AJ_-1"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
