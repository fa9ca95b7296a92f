//! Model test of room rules: any order of changes in a room; a job ends when it must, and only then.

use std::time::Duration;

use proptest::prelude::*;

use agent_core::{EndWhen, Input, JoinedRoom, Presence, Time};
use agent_proto::livekit as wire;

use crate::rig::{Rig, id};

/// Joins the job's room, with a departure timeout in seconds.
fn joined(rig: &mut Rig, departure: u64) {
    let departure_timeout = Some(Duration::from_secs(departure));
    let room = JoinedRoom { sid: "RM_1".to_owned(), departure_timeout, ..JoinedRoom::default() };
    rig.input(Input::RoomJoined { job: id(1), room });
}

/// A change of a room.
#[derive(Clone, Debug)]
enum Change {
    /// The number of people besides the target, whether the target is present, and the number of ingress
    /// streams.
    There {
        people: usize,
        target: bool,
        streams: usize,
    },
    Departure(u64),
}

fn changes() -> impl Strategy<Value = Vec<(u64, Change)>> {
    let there = (0usize..3, any::<bool>(), 0usize..2).prop_map(|(people, target, streams)| Change::There {
        people,
        target,
        streams,
    });
    let change = prop_oneof![6 => there, 1 => (0u64..40).prop_map(Change::Departure)];
    proptest::collection::vec((0u64..200, change), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// A job ends only while the subject is absent, and in time, by the configured wait and by the room's
    /// timeout.
    #[test]
    fn a_job_ends_when_it_must_and_only_then(changes in changes(), kind in 0u8..4, after in 0u64..30) {
        let (after, about_target) = (Duration::from_secs(after), kind == 1);
        let policy = match kind {
            0 | 1 => EndWhen::TargetLeft { after },
            2 => EndWhen::Empty { after },
            _ => EndWhen::Never,
        };
        let mut rig = Rig::quiet(|config| config.end_when = policy);
        rig.run_job_of(1, |job| {
            let ada = wire::ParticipantInfo { identity: "ada".into(), sid: "PA_1".into(), ..Default::default() };
            job.participant = about_target.then_some(ada);
        });
        let mut departure = 20;
        joined(&mut rig, departure);
        // Whether the subject was ever present, and whether the room was ever kept open; since when not.
        let (mut seen, mut kept) = (false, about_target);
        let (mut away, mut empty): (Option<Time>, Option<Time>) = (None, None);
        for (wait, change) in changes {
            let until = rig.now() + Duration::from_millis(wait * 100);
            rig.pass_until(wait * 100, |rig| rig.cancelled.contains_key(&id(1)));
            if rig.cancelled.contains_key(&id(1)) {
                break;
            }
            if policy != EndWhen::Never {
                let late = away.is_some_and(|away| seen && until >= away + after);
                prop_assert!(!late, "it continues {after:?} after the subject has left");
                let allowed = Duration::from_secs(departure).checked_sub(Duration::from_millis(4_500));
                if let (Some(_), Some(empty), Some(allowed), true) = (away, empty, allowed, kept) {
                    prop_assert!(until < empty + allowed, "the room is about to be closed");
                }
            }
            match change {
                Change::There { people, target, streams } => {
                    let now = rig.now();
                    let all = people + usize::from(target);
                    let there = if about_target { target } else { all > 0 };
                    (seen, kept) = (seen || there, kept || all + streams > 0);
                    away = if there { None } else { away.or(Some(now)) };
                    empty = if all + streams > 0 { None } else { empty.or(Some(now)) };
                    let target = target.then(|| "PA_1".to_owned());
                    let presence = Presence { people: all, keepers: all + streams, target };
                    rig.input(Input::PresenceChanged { job: id(1), presence });
                }
                Change::Departure(seconds) => {
                    departure = seconds;
                    joined(&mut rig, seconds);
                }
            }
        }
        if rig.cancelled.contains_key(&id(1)) {
            prop_assert!(away.is_some() && policy != EndWhen::Never, "the subject is present");
        }
    }
}
