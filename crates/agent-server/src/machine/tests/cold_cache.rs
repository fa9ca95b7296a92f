//! Jobs that a room does not know of in the first seconds after the server has looked up its workers. On
//! livekit-server these were measured to be 5 s, and each of the cases below to end as here.

use std::time::Duration;

use agent_proto::livekit as wire;
use agent_proto::livekit::JobStatus::JsSuccess;

use super::rig::{Rig, greeter};

fn cold() -> Rig {
    Rig::with(|rules| rules.cold_cache = Duration::from_secs(5))
}

/// Whether the end of a job that is dispatched now and loses its room after `lasts` milliseconds is reported.
fn is_reported(rig: &mut Rig, room: &str, lasts: u64) -> bool {
    rig.dispatch("greeter", room);
    rig.accept("a");
    rig.agent_joins("a");
    rig.pass(lasts);
    rig.forget();
    rig.delete_room(room);
    rig.pass(10);
    let reported = rig.text().contains("is terminated");
    assert_eq!(reported, rig.text().contains("agent worker left the room"), "{}", rig.text());
    reported
}

#[test]
fn a_room_that_ends_too_early_ends_no_job() {
    let mut rig = cold();
    rig.running("a", "lobby");
    rig.person_joins("lobby", "ada");
    rig.forget();
    rig.delete_room("lobby");
    rig.pass(10_000);
    // The worker's own status is all there is.
    rig.status("a", JsSuccess, "");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn an_agent_that_leaves_too_early_is_not_missed() {
    let mut rig = cold();
    let (_, agent) = rig.running("a", "lobby");
    rig.forget();
    rig.leaves(agent);
    rig.pass(10_000);
    rig.status("a", JsSuccess, "");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_deleted_dispatch_ends_its_job_when_the_room_knows_of_it() {
    let mut rig = cold();
    let (dispatch, _) = rig.running("a", "lobby");
    rig.pass(1_000);
    rig.forget();
    rig.delete_dispatch("lobby", &dispatch);
    rig.pass(10_000);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn the_cache_is_cold_for_5_s_after_a_lookup_which_happens_each_minute() {
    let mut rig = cold();
    rig.worker("a");
    assert!(!is_reported(&mut rig, "at 0 s", 4_980));
    assert!(is_reported(&mut rig, "at 4.99 s", 20), "known from 5 s on");
    assert!(is_reported(&mut rig, "at 5.02 s", 0));
    rig.pass(54_900);
    assert!(is_reported(&mut rig, "at 59.93 s", 3_000), "it was known before the next look");
    // The next lookup is that of the next job.
    rig.pass(10_000);
    assert!(!is_reported(&mut rig, "at 73 s", 1_000));
    assert!(is_reported(&mut rig, "at 74 s", 5_000));
}

#[test]
fn a_new_kind_of_worker_triggers_a_lookup() {
    let mut rig = cold();
    rig.worker("a");
    assert!(is_reported(&mut rig, "first", 6_000));
    rig.worker("another");
    rig.cut("another");
    assert!(is_reported(&mut rig, "with another worker of the kind", 0));
    rig.connect("b");
    rig.register("b", wire::RegisterWorkerRequest { agent_name: "other".to_owned(), ..greeter() });
    assert!(!is_reported(&mut rig, "with a new kind", 0));
}
