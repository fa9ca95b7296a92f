//! Scripts of seeds: mostly sensible, and anything in between.

use fastrand::Rng;

use super::step::{End, Reply, Step};
use super::steps::Script;
use crate::worker::RoomEnd;

/// The most steps of a random script.
pub const MAX_RANDOM_STEPS: usize = 80;

/// Jobs of a random script; with fewer slots than jobs some are refused.
const JOBS: u8 = 4;

const ROOM_ENDS: [RoomEnd; 6] = [
    RoomEnd::Left,
    RoomEnd::DuplicateIdentity,
    RoomEnd::Removed,
    RoomEnd::Deleted,
    RoomEnd::Closed,
    RoomEnd::Lost,
];

impl Script {
    /// A script of this seed, the same for each seed: 1 to [`MAX_RANDOM_STEPS`] steps about 4 jobs.
    ///
    /// Nearly all begin with [`Step::Connect`]. About half of the other steps advance the life of a job (its
    /// offer, answer, assignment, start, room, end and cleanup), and the others are anything: cuts, waits,
    /// terminations, repeats, refused connections, garbage, quiet, drains.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let len = rng.usize(1..=MAX_RANDOM_STEPS);
        let mut steps = Vec::with_capacity(len);
        if rng.u8(..16) > 0 {
            steps.push(Step::Connect);
        }
        let mut lives = [0u8; JOBS as usize];
        while steps.len() < len {
            let job = rng.u8(..JOBS);
            let step = match lives.get_mut(usize::from(job)) {
                Some(life) if rng.bool() => next_of_life(job, life, &mut rng),
                _ => any_step(job, &mut rng),
            };
            steps.push(step);
        }
        Self { steps }
    }
}

/// The next step in the life of a job, without a surprise.
fn next_of_life(job: u8, life: &mut u8, rng: &mut Rng) -> Step {
    let step = match *life {
        0 => Step::Offer(job),
        1 => Step::Answer(job, Reply::Accept),
        2 => Step::Assign(job),
        3 => Step::Started(job),
        4 => Step::Room { job, sid: 1, departure: 20, empty: 0 },
        5 => Step::Present { job, people: rng.u8(1..3), target: 1 },
        6 => Step::Wait(rng.u32(1..90_000)),
        7 => Step::End(job, if rng.bool() { End::Ok } else { end(rng) }),
        8 => Step::Cleaned(job),
        _ => Step::Pong,
    };
    *life = (*life + 1) % 10;
    step
}

/// Any step, about this job if it is about one.
fn any_step(job: u8, rng: &mut Rng) -> Step {
    // The weights add up to this.
    match rng.u8(..77) {
        0..6 => Step::Offer(job),
        6..12 => Step::Answer(job, reply(rng)),
        12..18 => Step::Assign(job),
        18..22 => Step::Started(job),
        22..28 => Step::End(job, end(rng)),
        28..33 => Step::Cleaned(job),
        33..35 => Step::Cancel(job),
        35..37 => Step::Terminate(job),
        37..40 => Step::Room { job, sid: rng.u8(..3), departure: rng.u8(..30), empty: rng.u8(..30) },
        40 => Step::Replaced(job),
        41 => Step::RoomEnds(job, rng.choice(ROOM_ENDS).unwrap_or(RoomEnd::Lost)),
        42..48 => Step::Present { job, people: rng.u8(..3), target: rng.u8(..3) },
        48..53 => Step::Pong,
        53..55 => Step::Cut,
        55..59 => Step::Connect,
        59 => Step::Refuse(rng.choice([0, 401, 404, 503]).unwrap_or(0)),
        60 => Step::Open,
        61 => Step::Register,
        62 => Step::Frame((0..rng.usize(..20)).map(|_| rng.u8(..)).collect()),
        63 => Step::Text,
        64 => Step::Progress(job),
        65 => Step::Load(rng.u8(..=120)),
        66 => Step::NoDescriptors,
        67..72 => Step::Wait(rng.u32(1..9000)),
        72 => Step::Quiet,
        73..75 => Step::Undrain,
        75 => Step::Drain(rng.u16(..20)),
        _ => Step::Stop,
    }
}

fn reply(rng: &mut Rng) -> Reply {
    match rng.u8(..6) {
        0 | 1 => Reply::Accept,
        2 => Reply::AcceptUnnamed,
        3 => Reply::Decline,
        4 => Reply::Dismiss,
        _ => Reply::Panic,
    }
}

fn end(rng: &mut Rng) -> End {
    match rng.u8(..9) {
        0 => End::Ok,
        1 => End::Fatal,
        2 => End::Cancelled,
        3 => End::Panic,
        4 => End::Aborted,
        5 => End::RoomGone,
        6 => End::Retryable(3),
        _ => End::Retryable(0),
    }
}
