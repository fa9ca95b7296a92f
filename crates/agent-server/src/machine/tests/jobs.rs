//! From the offer to the recorded end.

use std::time::Duration;

use agent_proto::livekit as wire;
use agent_proto::livekit::JobStatus::{JsFailed, JsRunning, JsSuccess};
use agent_proto::livekit::worker_message::Message;

use super::rig::Rig;

fn accept(job_id: String) -> Message {
    let answer = wire::AvailabilityResponse { job_id, available: true, ..Default::default() };
    Message::Availability(answer)
}

fn success(job_id: String) -> Message {
    Message::UpdateJob(wire::UpdateJobStatus { job_id, status: JsSuccess.into(), ..Default::default() })
}

#[test]
fn a_job_from_the_offer_to_its_end() {
    let mut rig = Rig::new();
    rig.worker("a");
    rig.dispatch("greeter", "lobby");
    rig.accept("a");
    let agent = rig.agent_joins("a");
    rig.status("a", JsRunning, "");
    rig.pass(60_000);
    rig.status("a", JsSuccess, "");
    rig.leaves(agent);
    // A correct worker may repeat its final status.
    rig.status("a", JsSuccess, "");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn every_outcome_and_what_comes_after_it() {
    let mut rig = Rig::new();
    rig.worker("a");
    for (room, first, second) in [
        ("failed", (JsFailed, "no such voice"), (JsFailed, "no such voice")),
        ("changed-its-outcome", (JsSuccess, ""), (JsFailed, "no such voice")),
        ("changed-its-error", (JsFailed, "no such voice"), (JsFailed, "no such ear")),
        ("continued", (JsSuccess, ""), (JsRunning, "")),
    ] {
        rig.dispatch("greeter", room);
        rig.accept("a");
        rig.status("a", first.0, first.1);
        rig.status("a", second.0, second.1);
    }
    rig.dispatch("greeter", "dismissed");
    rig.dismiss("a");
    rig.status("a", JsSuccess, "");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_declined_job_is_offered_to_the_next_worker() {
    let mut rig = Rig::new();
    rig.worker("a");
    rig.worker("b");
    rig.dispatch("greeter", "lobby");
    rig.decline("b");
    rig.decline("a");
    insta::assert_snapshot!(rig.log());
}

/// The 3 s are shared by all workers: time that one uses is lost for the next.
#[test]
fn the_budget_is_shared() {
    let mut rig = Rig::new();
    rig.worker("a");
    rig.worker("b");
    rig.forget();
    rig.dispatch("greeter", "lobby");
    rig.pass(2_000);
    rig.decline("b");
    rig.pass(999);
    rig.accept("a");
    rig.status("a", JsSuccess, "");

    rig.dispatch("greeter", "lost");
    rig.pass(2_000);
    rig.decline("b");
    rig.pass(1_200);
    rig.accept("a");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn unsolicited_answers_and_ends() {
    let mut rig = Rig::new();
    rig.worker("a");
    rig.worker("b");
    rig.dispatch("greeter", "lobby");
    rig.forget();
    let job = rig.offered("b");
    rig.sends("a", accept(job.clone()));
    rig.accept("b");
    rig.accept("b");
    rig.sends("b", accept("AJ_never".to_owned()));
    rig.sends("b", success("AJ_never".to_owned()));
    rig.sends("a", success(job.clone()));
    rig.status("b", JsSuccess, "");
    rig.sends("a", success(job));
    insta::assert_snapshot!(rig.log());
}

/// A worker whose connection is cut has no jobs any more, and their ends are never recorded; the agents stay.
#[test]
fn a_cut_forgets_jobs_and_passes_offers_on() {
    let mut rig = Rig::new();
    rig.running("a", "lobby");
    let running = rig.offered("a");
    rig.worker("b");
    rig.forget();
    rig.dispatch("greeter", "stairs");
    assert_ne!(rig.offered("a"), running, "the seed has it that a is asked first");
    rig.cut("a");
    assert_eq!(rig.server.participants("lobby").map(|there| there.len()), Some(1));
    // With its new id it reports the end of the job that it still ran.
    rig.worker("a");
    rig.sends(
        "a",
        Message::MigrateJob(wire::MigrateJobRequest { job_ids: vec![running.clone()], jobs: Vec::new() }),
    );
    rig.sends("a", success(running));
    insta::assert_snapshot!(rig.log());
}

/// The server had decided before the cut; the worker did not receive it.
#[test]
fn an_end_after_a_cut_is_no_violation() {
    let mut rig = Rig::new();
    let (_, agent) = rig.running("a", "lobby");
    let job = rig.offered("a");
    rig.member_left("the agent is removed", agent, agent_room::DisconnectReason::Removed);
    rig.cut("a");
    rig.worker("a");
    rig.forget();
    rig.sends("a", success(job));
    insta::assert_snapshot!(rig.log());
}

/// A half-open connection: the worker has reconnected, and the server does not know that it is the same
/// worker.
#[test]
fn an_end_over_a_second_connection_is_no_violation() {
    let mut rig = Rig::new();
    rig.running("a", "lobby");
    let job = rig.offered("a");
    rig.worker("a again");
    rig.forget();
    rig.sends("a again", success(job));
    insta::assert_snapshot!(rig.log());
}

/// The last candidate is gone.
#[test]
fn an_offer_to_a_disconnecting_worker_is_lost() {
    let mut rig = Rig::new();
    rig.worker("a");
    rig.forget();
    rig.dispatch("greeter", "lobby");
    rig.cut("a");
    rig.pass(5_000);
    insta::assert_snapshot!(rig.log());
}

/// Microseconds on the real server; here the delay is configurable.
#[test]
fn a_status_that_comes_before_the_server_knows_the_job_is_lost() {
    let mut rig = Rig::with(|rules| rules.bookkeeping = Duration::from_millis(100));
    rig.worker("a");
    rig.forget();
    rig.dispatch("greeter", "lobby");
    rig.accept("a");
    rig.pass(99);
    rig.status("a", JsSuccess, "");
    rig.pass(1);
    rig.status("a", JsSuccess, "");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_dispatch_takes_its_time() {
    let mut rig = Rig::with(|rules| rules.dispatch_delay = Duration::from_millis(200));
    rig.worker("a");
    rig.forget();
    rig.dispatch("greeter", "lobby");
    rig.pass(199);
    assert!(!rig.log().contains("will you take"));

    let mut rig = Rig::with(|rules| rules.dispatch_delay = Duration::from_millis(200));
    rig.worker("a");
    rig.forget();
    rig.dispatch("greeter", "lobby");
    rig.pass(200);
    // The 3 s begin with the offer.
    rig.pass(2_999);
    rig.accept("a");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_worker_simulates_jobs_of_its_own() {
    let mut rig = Rig::new();
    rig.worker("a");
    rig.worker("b");
    rig.forget();
    let room = || Some(wire::Room { name: "lobby".to_owned(), ..Default::default() });
    rig.sends("a", Message::SimulateJob(wire::SimulateJobRequest { room: room(), ..Default::default() }));
    rig.decline("a");
    let participant = Some(wire::ParticipantInfo { identity: "ada".to_owned(), ..Default::default() });
    rig.sends(
        "a",
        Message::SimulateJob(wire::SimulateJobRequest { room: room(), participant, ..Default::default() }),
    );
    rig.accept("a");
    rig.status("a", JsSuccess, "");
    insta::assert_snapshot!(rig.log());
}
