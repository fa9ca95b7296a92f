//! A server that runs for weeks: finished things are forgotten eventually, others are not.

use agent_proto::livekit::JobStatus::{JsFailed, JsSuccess};

use super::rig::Rig;
use crate::machine::SendData;

#[test]
fn only_the_newest_finished_items_are_kept() {
    let mut rig = Rig::with(|rules| rules.history = 10);
    rig.worker("a");
    rig.dispatch("greeter", "goes-on");
    rig.accept("a");
    let goes_on = rig.offered("a");
    for n in 0..200 {
        let room = format!("room-{n}");
        let ada = rig.person_joins(&room, "ada");
        rig.dispatch("greeter", &room);
        match n % 4 {
            0 => rig.decline("a"),
            1 => rig.dismiss("a"),
            2 => {
                rig.accept("a");
                let agent = rig.agent_joins("a");
                rig.status("a", JsSuccess, "");
                rig.leaves(agent);
            }
            // The server ends the job.
            _ => {
                rig.accept("a");
                rig.agent_joins("a");
            }
        }
        let message = agent_room::Publish::new("topic", "payload");
        rig.call("a participant sends data", SendData { room: room.clone(), message }).unwrap();
        rig.leaves(ada);
        rig.delete_room(&room);
    }
    // Obsolete timers expire.
    rig.person_joins("goes-on", "bob");
    rig.pass(400_000);
    let server = &rig.server;
    assert_eq!((server.over.len(), server.jobs.len()), (10, 11), "ten finished jobs, and one that runs");
    assert!(server.jobs.contains_key(&goes_on));
    assert_eq!((server.rooms.len(), server.members.len()), (1, 1), "only bob is left");
    assert_eq!((server.timers.len(), server.workers.len()), (0, 1));
    let kept = (0..200).filter(|n| !server.sent_in(&format!("room-{n}")).is_empty());
    assert_eq!(kept.collect::<Vec<_>>(), (190..200).collect::<Vec<_>>());
    rig.worker("b");
    rig.cut("a");
    assert_eq!(rig.server.jobs.len(), 10, "the forgotten one is over, too");
}

/// Messages of an authorised worker may be large.
#[test]
fn large_jobs_that_are_over_make_it_fewer() {
    let mut rig = Rig::with(|rules| rules.history = 100_000);
    rig.worker("a");
    let error = "e".repeat(448 * 1024);
    for n in 0..200 {
        rig.dispatch("greeter", &format!("room-{n}"));
        rig.accept("a");
        rig.status("a", JsFailed, &error);
        rig.forget();
    }
    let held: usize = rig.server.over.iter().map(|(_, len)| len).sum();
    assert!((140..=146).contains(&rig.server.over.len()), "{}", rig.server.over.len());
    assert_eq!((held, rig.server.jobs.len()), (rig.server.over_len, rig.server.over.len()));
}

/// One dispatch makes a job for each participant.
#[test]
fn a_dispatch_lists_the_jobs_that_are_remembered() {
    let mut rig = Rig::with(|rules| rules.history = 10);
    rig.connect("people");
    rig.register(
        "people",
        agent_proto::livekit::RegisterWorkerRequest {
            r#type: agent_proto::livekit::JobType::JtParticipant.into(),
            ..super::rig::greeter()
        },
    );
    let dispatch = rig.dispatch("greeter", "lobby");
    for n in 0..100 {
        rig.person_joins("lobby", &format!("person-{n}"));
        rig.dismiss("people");
    }
    let listed = rig.server.list_dispatches("lobby");
    let listed = listed.iter().find(|listed| listed.id == dispatch).unwrap();
    let jobs: Vec<&str> = listed
        .state
        .iter()
        .flat_map(|state| &state.jobs)
        .map(|job| job.participant.as_ref().unwrap().identity.as_str())
        .collect();
    assert_eq!(jobs, (90..100).map(|n| format!("person-{n}")).collect::<Vec<_>>());
}
