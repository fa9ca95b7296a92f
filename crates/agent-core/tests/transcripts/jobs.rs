//! Offers, answers, slots, load and assignments.

use agent_core::{Answer, AttemptEnd, DescriptorBudget, Input, JoinedRoom, Lifecycle};
use agent_proto::livekit as wire;
use agent_proto::livekit::server_message::Message;

use crate::connection::cut_and_reconnect;
use crate::rig::{Rig, fatal, id};

#[test]
fn a_job_from_offer_to_success() {
    let mut rig = Rig::registered(|_| {});
    rig.offer(1);
    assert_eq!(rig.worker.lifecycle(&id(1)), Some(Lifecycle::Created));
    rig.answer(1, Answer::accept().identity("guide"));
    rig.assign(1);
    assert_eq!(rig.worker.lifecycle(&id(1)), Some(Lifecycle::Assigned));
    rig.input(Input::HandlerStarted { job: id(1) });
    assert_eq!(rig.worker.lifecycle(&id(1)), Some(Lifecycle::Running));
    rig.pass(3_000);
    rig.end(1, AttemptEnd::Ok);
    assert_eq!(rig.worker.lifecycle(&id(1)), None);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_start_has_the_times_of_its_offer() {
    let mut rig = Rig::with_waiting_job();
    // One that was not offered.
    rig.assign(2);
    let log = rig.log();
    for start in
        ["start AJ_1 url None answered after 300ms waited Some(1.2s)", "start AJ_2 url None waited None"]
    {
        assert!(log.contains(start), "{start}: {log}");
    }
}

#[test]
fn an_early_outcome_is_sent_twice_before_the_room_is_left() {
    let mut rig = Rig::registered(|_| {});
    rig.run_job(1);
    rig.pass(20);
    rig.end(1, AttemptEnd::Ok);
    assert_eq!(rig.worker.slots().used(), 0, "the slot is free at once");
    assert_eq!(rig.worker.lifecycle(&id(1)), Some(Lifecycle::Success));
    rig.pass(500);
    insta::assert_snapshot!(rig.log());
}

/// The server may know the job only from this assignment on, and may have dropped what it received before.
#[test]
fn an_assignment_that_is_repeated_after_the_outcome_has_it_sent_once_more() {
    let mut rig = Rig::registered(|_| {});
    rig.answers_pings = false;
    rig.run_job(1);
    rig.end(1, fatal("no room"));
    // Sent again at 500 ms, and not yet confirmed when the job is assigned again.
    rig.pass(600);
    rig.assign(1);
    rig.pass(500);
    rig.answers_pings = true;
    rig.pong();
    rig.pong();
    // Assigned again before the second status: its time counts from the last assignment.
    rig.run_job(2);
    rig.end(2, fatal("no room"));
    rig.pass(400);
    rig.assign(2);
    rig.pass(500);
    let log = rig.log();
    let failed_at = |job: &str| -> Vec<&str> {
        let status = format!(" < send status {job} JsFailed \"no room\"");
        log.lines().filter_map(|line| line.strip_suffix(&status)).collect()
    };
    assert_eq!(failed_at("AJ_1"), ["0.000s", "0.500s", "1.100s"]);
    assert_eq!(failed_at("AJ_2"), ["1.100s", "2.000s"]);
    insta::assert_snapshot!(log);
}

#[test]
fn the_request_handler_declines_or_does_not_answer() {
    let mut rig = Rig::registered(|c| c.max_jobs = 10);
    rig.offer(1);
    rig.answer(1, Answer::Decline);
    rig.offer(2);
    rig.answer(2, Answer::Dismiss);
    rig.offer(3);
    rig.pass(1_000);
    rig.answer(3, Answer::accept()); // too late
    rig.offer(4);
    rig.answer(4, Answer::accept().identity(""));
    rig.offer(5);
    rig.answer(5, Answer::accept().identity("i".repeat(257)));
    rig.offer(6);
    rig.panic_on_request(6);
    assert_eq!(rig.worker.slots().used(), 0);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_burst_takes_every_slot_and_not_one_more() {
    let mut rig = Rig::registered(|c| c.max_jobs = 3);
    for n in 1..=5 {
        rig.offer(n);
    }
    for n in 1..=3 {
        rig.answer(n, Answer::accept());
        rig.assign(n);
        rig.input(Input::HandlerStarted { job: id(n) });
    }
    rig.pass(600);
    rig.end(2, AttemptEnd::Ok);
    rig.offer(6);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn an_offer_twice_gets_two_answers_and_one_question() {
    let mut rig = Rig::registered(|_| {});
    rig.offer(1);
    rig.offer(1);
    rig.answer(1, Answer::accept());
    rig.offer(1);
    rig.assign(1);
    rig.offer(1);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn an_assignment_that_does_not_come_frees_the_slot() {
    let mut rig = Rig::registered(|_| {});
    rig.offer(1);
    rig.answer(1, Answer::accept());
    rig.pass(7_500);
    assert_eq!(rig.worker.slots().used(), 0);
    rig.assign(1); // late: it is run all the same
    assert_eq!(rig.worker.slots().running, 1);
    rig.assign(1); // and a second one changes nothing
    insta::assert_snapshot!(rig.log());
}

#[test]
fn an_unasked_assignment_without_a_slot_is_failed() {
    let mut rig = Rig::registered(|c| c.max_jobs = 1);
    rig.run_job(1);
    rig.assign(2);
    rig.pass(500);
    assert_eq!(rig.ended[&id(2)], 1);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_job_that_is_offered_again_is_not_ended_by_its_old_status() {
    let mut rig = Rig::registered(|_| {});
    rig.run_job(1);
    rig.end(1, fatal("first"));
    rig.run_job(1);
    rig.pass(1_000);
    assert_eq!(rig.worker.slots().running, 1);
    insta::assert_snapshot!(rig.log());
}

/// A newer server may have kinds of jobs that we do not know.
#[test]
fn a_job_of_an_unknown_kind_is_declined_and_failed_but_never_dropped_in_silence() {
    let mut rig = Rig::registered(|_| {});
    let strange = |n: u32| Some(wire::Job { id: id(n).to_string(), r#type: 77, ..Default::default() });
    rig.server(Message::Availability(wire::AvailabilityRequest { job: strange(1), resuming: false }));
    rig.server(Message::Assignment(wire::JobAssignment { job: strange(1), ..Default::default() }));
    // An invalid copy of a running job's assignment changes nothing.
    rig.run_job(2);
    rig.server(Message::Assignment(wire::JobAssignment { job: strange(2), ..Default::default() }));
    assert_eq!(rig.worker.slots().running, 1);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn the_users_load_is_scaled_and_takes_it_out_of_selection() {
    let mut rig = Rig::registered(|_| {});
    let mut known = Vec::new();
    for load in [0.5, 0.503, 1.0, f32::NAN, -3.0] {
        rig.input(Input::LoadSampled(load));
        known.push(rig.worker.load());
    }
    assert_eq!(known, [0.5, 0.503, 1.0, 1.0, 0.0]);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn without_a_load_function_it_is_the_share_of_used_slots() {
    let mut rig = Rig::registered(|_| {});
    let mut known = vec![rig.worker.load()];
    for n in 1..=2 {
        rig.offer(n);
        known.push(rig.worker.load());
    }
    assert_eq!(known, [0.0, 0.5, 1.0]);
}

/// A job that is offered again after a cut, while the first request handler still runs.
#[test]
fn an_answer_to_an_earlier_offer_settles_nothing() {
    let mut rig = Rig::registered(|_| {});
    rig.offer(1);
    let earlier = rig.asked[&id(1)];
    cut_and_reconnect(&mut rig);
    rig.offer(1);
    rig.input(Input::Answered { offer: earlier, job: id(1), answer: Answer::Decline });
    rig.input(Input::RequestPanicked { offer: earlier, job: id(1) });
    assert_eq!(rig.worker.slots().offered, 1);
    rig.answer(1, Answer::accept());
    rig.answer(1, Answer::Decline);
    assert_eq!(rig.worker.slots().accepted, 1, "it has one answer");
}

#[test]
fn same_seed_and_inputs_same_outputs() {
    let run = || {
        let mut rig = Rig::registered(|_| {});
        rig.run_job(1);
        for _ in 0..5 {
            rig.input(Input::Disconnected { reason: "cut".into() });
            rig.pass_to_next();
            rig.input(Input::Connected);
        }
        rig.log()
    };
    assert_eq!(run(), run());
}

pub(crate) fn descriptors(limit: usize) -> Input {
    Input::DescriptorsFound(DescriptorBudget { limit, open: 12, per_job: 4 })
}

#[test]
fn jobs_beyond_what_descriptors_allow_are_declined() {
    let mut rig = Rig::registered(|c| c.max_jobs = 1000);
    assert_eq!(rig.worker.capacity(), 1000);
    // 64 in all, of which 16 are open and 8 reserved.
    rig.input(descriptors(64));
    assert_eq!(rig.worker.capacity(), 10);
    for n in 1..=30 {
        rig.offer(n);
    }
    assert_eq!(rig.worker.used_slots(), 10);
    let log = rig.log();
    assert_eq!(log.matches("Declined(NoDescriptors)").count(), 20);
    assert!(log.contains("Full(true)"), "{log}");
}

/// An ended job keeps its room and its descriptors until the server has read its outcome.
#[test]
fn descriptors_are_free_again_when_the_room_is_left() {
    let mut rig = Rig::registered(|c| c.max_jobs = 1000);
    rig.input(descriptors(28));
    assert_eq!(rig.worker.capacity(), 1);
    rig.answers_pings = false;
    rig.run_job(1);
    rig.input(Input::RoomJoined { job: id(1), room: JoinedRoom::default() });
    rig.pass(1_000);
    rig.end(1, AttemptEnd::Ok);
    assert_eq!((rig.worker.used_slots(), rig.worker.closing()), (0, 1));
    rig.offer(2);
    assert_eq!(rig.worker.used_slots(), 0);
    rig.pong();
    rig.offer(3);
    assert_eq!(rig.worker.used_slots(), 1);
}

/// It may be in its room, although it could not be joined.
#[test]
fn an_ended_job_whose_handler_was_not_called_has_descriptors() {
    let mut rig = Rig::registered(|c| c.max_jobs = 1000);
    rig.input(descriptors(28));
    rig.answers_pings = false;
    rig.offer(1);
    rig.answer(1, Answer::accept());
    rig.assign(1);
    rig.end(1, fatal("the room could not be joined: refused"));
    assert_eq!((rig.worker.used_slots(), rig.worker.closing()), (0, 1));
    rig.offer(2);
    assert_eq!(rig.worker.used_slots(), 0);
}

/// A cut ends the wait for that, once for each job.
#[test]
fn descriptors_are_free_again_after_a_cut() {
    let mut rig = Rig::registered(|c| c.max_jobs = 1000);
    rig.input(descriptors(64));
    rig.answers_pings = false;
    for n in 1..=3 {
        rig.run_job(n);
        rig.input(Input::RoomJoined { job: id(n), room: JoinedRoom::default() });
        rig.pass(1_000);
        rig.end(n, AttemptEnd::Ok);
    }
    assert_eq!(rig.worker.closing(), 3);
    cut_and_reconnect(&mut rig);
    (4..=30).for_each(|n| rig.offer(n));
    assert_eq!(rig.worker.used_slots(), 10);
}

/// A job whose handler was called without a room has none to leave: however many end in the time that their
/// outcomes take to be read, they take no descriptors.
#[test]
fn an_ended_job_that_had_no_room_has_no_descriptors() {
    let mut rig = Rig::registered(|c| c.max_jobs = 1000);
    rig.input(descriptors(28));
    rig.answers_pings = false;
    for n in 1..=20 {
        rig.run_job(n);
        rig.end(n, AttemptEnd::Ok);
    }
    assert_eq!((rig.worker.used_slots(), rig.worker.closing()), (0, 20));
    rig.offer(21);
    assert_eq!(rig.worker.used_slots(), 1);
}

/// Workers of one process share its descriptors.
#[test]
fn jobs_of_other_workers_count() {
    let mut rig = Rig::registered(|c| c.max_jobs = 1000);
    rig.input(descriptors(64));
    rig.input(Input::OtherJobs { count: 9 });
    (1..=3).for_each(|n| rig.offer(n));
    assert_eq!(rig.worker.used_slots(), 1);
    rig.input(Input::OtherJobs { count: 0 });
    (4..=30).for_each(|n| rig.offer(n));
    assert_eq!(rig.worker.used_slots(), 10);
}

#[test]
fn an_unasked_assignment_without_descriptors_is_failed() {
    let mut rig = Rig::registered(|_| {});
    rig.input(Input::DescriptorsExhausted);
    rig.assign(1);
    assert_eq!((rig.worker.used_slots(), rig.ended[&id(1)]), (0, 1));
    let log = rig.log();
    assert!(log.contains(r#"Fatal { reason: "no_slot" }"#), "{log}");
}

/// The estimate was wrong: the program itself has opened too many files.
#[test]
fn nothing_is_taken_for_a_while_after_there_was_no_descriptor_left() {
    let mut rig = Rig::registered(|_| {});
    rig.input(Input::DescriptorsExhausted);
    rig.pass(5_000);
    rig.input(Input::DescriptorsExhausted);
    rig.offer(1);
    rig.pass(9_900);
    rig.offer(2);
    rig.pass(200);
    rig.offer(3);
    insta::assert_snapshot!(rig.log());
}
