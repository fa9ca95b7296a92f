//! Connecting, registering, losing the connection and reconnecting.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use agent_core::{
    Answer, AttemptEnd, Config, Input, LinkError, MAX_RETRY_AFTER, Output, Time, TrackSource, Violation,
    Worker,
};
use agent_proto::livekit as wire;
use agent_proto::livekit::server_message::Message;

use crate::rig::{Rig, fatal, id};

/// The connection is lost, and the worker registers again as soon as it may.
pub(crate) fn cut_and_reconnect(rig: &mut Rig) {
    rig.input(Input::Disconnected { reason: "cut".into() });
    rig.pass_to_next();
    rig.input(Input::Connected);
    rig.register();
}

fn cut(rig: &mut Rig) {
    rig.input(Input::Disconnected { reason: "reset by peer".into() });
}

/// Waits out the backoff and registers again.
fn reconnect(rig: &mut Rig) {
    rig.pass_to_next();
    rig.input(Input::Connected);
    rig.register();
}

fn refused(status: u16) -> Input {
    refused_until(status, None)
}

fn refused_until(status: u16, retry_after: Option<Duration>) -> Input {
    Input::ConnectFailed(LinkError::Refused { status, message: "no".into(), retry_after })
}

#[test]
fn registers_and_pings() {
    let mut rig = Rig::new(|c| c.deployment = "blue".into());
    rig.input(Input::Connected);
    rig.register();
    rig.pass(10_000);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn all_permissions_are_in_the_registration() {
    let mut rig = Rig::new(|c| {
        let may = &mut c.permissions;
        may.can_publish_sources = vec![TrackSource::Microphone, TrackSource::ScreenShareAudio];
        (may.can_subscribe, may.can_subscribe_metrics, may.hidden) = (false, true, true);
    });
    rig.input(Input::Connected);
    let log = rig.log();
    for part in ["can_subscribe: false", "can_publish: true", "can_publish_data: true", "hidden: true"] {
        assert!(log.contains(part), "{part} in {log}");
    }
    assert!(log.contains("can_publish_sources: [Microphone, ScreenShareAudio]"), "{log}");
    assert!(log.contains("agent: true, can_subscribe_metrics: true"), "{log}");
}

#[test]
fn the_first_connection_refused_for_good_is_an_error() {
    for status in [301, 308, 401, 403, 404] {
        let mut rig = Rig::new(|_| {});
        rig.input(refused(status));
        assert!(rig.log().contains(&format!("Stopped(Err(Refused {{ status: {status}")));
    }
}

#[test]
fn a_first_connection_refused_for_now_is_retried() {
    for status in [302, 303, 307, 400, 407, 429, 500, 503] {
        let mut rig = Rig::new(|_| {});
        rig.input(refused(status));
        rig.pass_to_next();
        assert!(rig.log().ends_with("Connect\n"), "{status}");
    }
}

/// An ingress without endpoints, or a server that is being replaced, refuses for a while: no worker stops
/// then.
#[test]
fn a_refused_reconnect_is_retried_with_and_without_jobs() {
    for jobs in [0, 1] {
        for status in [301, 308, 401, 403, 404, 503] {
            let mut rig = Rig::registered(|_| {});
            (0..jobs).for_each(|_| rig.run_job(1));
            cut(&mut rig);
            for _ in 0..20 {
                rig.pass_to_next();
                rig.input(refused(status));
            }
            reconnect(&mut rig);
            assert!(rig.worker.is_registered(), "{status}, {jobs} jobs");
        }
    }
}

#[test]
fn a_refused_reconnect_reports_that_it_is_retried() {
    let mut rig = Rig::registered(|_| {});
    cut(&mut rig);
    rig.pass_to_next();
    rig.input(refused(401));
    rig.pass_to_next();
    insta::assert_snapshot!(rig.log());
}

/// How long a worker waits after such a refusal.
fn wait_after(status: u16, retry_after: Option<Duration>, seed: u64) -> Duration {
    let mut worker = Worker::new(Config::default(), seed);
    while worker.poll_output().is_some() {}
    worker.handle_input(refused_until(status, retry_after), Time::ZERO);
    worker.poll_timeout().expect("a retry").0 - Time::ZERO
}

#[test]
fn retry_after_is_honoured_within_limits() {
    let seconds = Duration::from_secs;
    for status in [429, 503, 307] {
        let mut waits: Vec<_> = (0..20).map(|seed| wait_after(status, Some(seconds(30)), seed)).collect();
        assert!(waits.iter().all(|wait| (seconds(30)..seconds(31)).contains(wait)), "{waits:?}");
        waits.dedup();
        assert_eq!(waits.len(), 20, "workers that were refused together do not return together");
    }
    for seed in 0..20 {
        let backoff = wait_after(503, None, seed);
        assert!(backoff >= Duration::from_millis(100));
        // Never below the backoff, and never longer than the limit and the backoff.
        assert_eq!(wait_after(503, Some(Duration::ZERO), seed), backoff);
        assert_eq!(wait_after(503, Some(Duration::MAX), seed), MAX_RETRY_AFTER + backoff);
    }
}

#[test]
fn gives_up_only_at_the_configured_limit() {
    let mut rig = Rig::new(|c| c.max_connect_attempts = Some(3));
    for _ in 0..3 {
        rig.input(Input::ConnectFailed(LinkError::Failed { message: "connection refused".into() }));
        rig.pass_to_next();
    }
    insta::assert_snapshot!(rig.log());
}

/// At most 10 connects in any 10 s, for any seed.
#[test]
fn a_server_that_accepts_and_closes_is_not_stormed() {
    // The last seed would be too fast by the backoff alone.
    for seed in (0..1_000).chain([11_771]) {
        let mut worker = Worker::new(Config::default(), seed);
        let mut now = Time::ZERO;
        let mut connects = VecDeque::new();
        for _ in 0..20 {
            while let Some(output) = worker.poll_output() {
                if output == Output::Connect {
                    connects.push_back(now);
                }
            }
            worker.handle_input(Input::Connected, now);
            worker.handle_input(Input::Disconnected { reason: "closed".into() }, now);
            now = worker.poll_timeout().expect("it retries").0;
            worker.handle_timeout(now);
        }
        let within = |first: &Time, last: &Time| *last - *first < Duration::from_secs(10);
        let stormed = connects.iter().zip(connects.iter().skip(10)).any(|(first, last)| within(first, last));
        assert!(!stormed, "seed {seed}: {connects:?}");
    }
}

#[test]
fn no_answer_to_the_registration() {
    let mut rig = Rig::new(|_| {});
    rig.input(Input::Connected);
    rig.pass(10_000);
    insta::assert_snapshot!(rig.log());
}

/// A server reports a worker as registered a moment before it offers it jobs, and reads the worker's messages
/// after that.
#[test]
fn a_registration_is_confirmed_by_what_the_server_does_after_it() {
    let mut rig = Rig::new(|_| {});
    rig.answers_pings = false;
    rig.input(Input::Connected);
    rig.register();
    assert!(rig.worker.is_registered() && !rig.worker.is_confirmed());
    rig.pong();
    assert!(rig.worker.is_confirmed());

    // A lost connection resets it, and the answer to a ping of the old connection does not restore it.
    cut(&mut rig);
    assert!(!rig.worker.is_confirmed());
    reconnect(&mut rig);
    rig.server(Message::Pong(wire::WorkerPong { last_timestamp: 0, timestamp: 0 }));
    assert!(!rig.worker.is_confirmed());
    // An offer confirms it, too.
    rig.offer(1);
    assert!(rig.worker.is_confirmed());
}

#[test]
fn a_silent_connection_is_dead_after_25_s() {
    let mut rig = Rig::registered(|_| {});
    rig.answers_pings = false;
    rig.pass(24_000);
    rig.input(Input::Activity);
    rig.pass(24_000);
    assert!(rig.worker.is_registered(), "any sign of life counts");
    rig.pass(1_000);
    assert!(!rig.worker.is_registered());
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_cut_frees_offers_and_stops_no_job() {
    let mut rig = Rig::registered(|c| c.max_jobs = 3);
    rig.run_job(1);
    rig.offer(2);
    rig.offer(3);
    rig.answer(3, Answer::accept());
    cut(&mut rig);
    assert_eq!((rig.worker.slots().used(), rig.worker.slots().running), (1, 1));
    rig.answer(2, Answer::accept()); // comes for a connection that is gone
    reconnect(&mut rig);
    rig.end(1, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

/// Its jobs continue, and the next server learns of them.
#[test]
fn a_server_that_goes_away_is_left_at_once() {
    let mut rig = Rig::registered(|c| c.max_jobs = 3);
    rig.run_job(1);
    rig.offer(2);
    rig.server(Message::GoAway(wire::agent_http::GoAway { reason: "redeployed".into() }));
    assert_eq!((rig.worker.slots().used(), rig.worker.slots().running), (1, 1));
    reconnect(&mut rig);
    rig.end(1, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

/// A server may get them in another order.
#[test]
fn reported_states_of_the_worker_are_numbered_over_all_connections() {
    let mut worker = Worker::new(Config::default(), 0);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        worker.handle_input(Input::Connected, Time::ZERO);
        let register = wire::ServerMessage { message: Some(Message::Register(Default::default())) };
        worker.handle_input(Input::FrameReceived(agent_proto::encode(&register)), Time::ZERO);
        while let Some(output) = worker.poll_output() {
            let Output::Send(frame) = output else { continue };
            let message: wire::WorkerMessage = agent_proto::decode(&frame, 1 << 20).unwrap();
            if let Some(wire::worker_message::Message::UpdateWorker(update)) = message.message {
                numbers.push(update.seq);
            }
        }
        worker.handle_input(Input::Disconnected { reason: "cut".into() }, Time::ZERO);
        let (due, _) = worker.poll_timeout().unwrap();
        worker.handle_timeout(due);
    }
    assert_eq!(numbers, [1, 2, 3]);
}

/// A server takes messages of 2 MiB.
#[test]
fn thousands_of_jobs_are_listed_in_several_messages() {
    let mut rig = Rig::registered(|c| c.max_jobs = 2_500);
    for n in 1..=2_001 {
        rig.run_job(n);
    }
    cut(&mut rig);
    reconnect(&mut rig);
    let log = rig.log();
    let listed = log.lines().filter(|line| line.contains("send migrate"));
    let counts: Vec<usize> = listed.map(|line| line.matches("\"agent-AJ_").count()).collect();
    assert_eq!(counts, [1_000, 1_000, 1]);
}

#[test]
fn a_job_that_ends_without_a_connection_is_reported_after_it() {
    let mut rig = Rig::registered(|_| {});
    rig.run_job(1);
    cut(&mut rig);
    rig.end(1, fatal("text"));
    assert_eq!(rig.worker.slots().used(), 0, "the slot is free at once");
    reconnect(&mut rig);
    assert_eq!(rig.worker.closing(), 0);
    insta::assert_snapshot!(rig.log());
}

/// A status that was sent just before the connection was lost may be lost, too: it is repeated until one is
/// read.
#[test]
fn a_status_in_settling_is_sent_again_after_a_cut() {
    let mut rig = Rig::registered(|_| {});
    rig.answers_pings = false;
    rig.run_job(1);
    rig.end(1, AttemptEnd::Ok);
    cut(&mut rig);
    reconnect(&mut rig);
    cut(&mut rig);
    reconnect(&mut rig);
    rig.pong();
    assert_eq!(rig.worker.closing(), 0);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn unexpected_messages_are_counted() {
    let mut rig = Rig::registered(|_| {});
    rig.input(Input::FrameReceived(Bytes::from_static(b"\xff\xff\xff")));
    rig.input(Input::FrameReceived(Bytes::new()));
    rig.input(Input::TextReceived);
    rig.server(Message::Availability(wire::AvailabilityRequest { job: None, resuming: false }));
    rig.server(Message::Assignment(wire::JobAssignment::default()));
    rig.register();
    rig.terminate(9);
    let strange = wire::Job { id: id(8).to_string(), r#type: 77, ..Default::default() };
    rig.server(Message::Availability(wire::AvailabilityRequest { job: Some(strange), resuming: false }));
    assert!(rig.worker.is_registered(), "none of it is fatal");
    let counts: Vec<_> = rig.worker.violations().iter().map(|(v, n)| (*v, *n)).collect();
    assert_eq!(
        counts,
        [
            (Violation::BadFrame, 1),
            (Violation::UnknownMessage, 1),
            (Violation::TextFrame, 1),
            (Violation::NoJob, 3),
            (Violation::Registration, 1),
            (Violation::UnknownTermination, 1),
        ]
    );
}

/// Labels are values of a metric: a changed one breaks what reads them.
#[test]
fn each_violation_has_its_label() {
    let labels = [
        (Violation::BadFrame, "bad_frame"),
        (Violation::UnknownMessage, "unknown_message"),
        (Violation::TextFrame, "text_frame"),
        (Violation::NoJob, "no_job"),
        (Violation::Registration, "registration"),
        (Violation::Early, "early"),
        (Violation::DuplicateAssignment, "duplicate_assignment"),
        (Violation::UnexpectedAssignment, "unexpected_assignment"),
        (Violation::UnknownTermination, "unknown_termination"),
        (Violation::UnexpectedJobInput, "unexpected_job_input"),
        (Violation::ClosingOverflow, "closing_overflow"),
    ];
    for (violation, label) in labels {
        assert_eq!(violation.label(), label);
    }
}

#[test]
fn the_text_of_a_failed_connection_is_its_message() {
    let refused = LinkError::Refused { status: 401, message: "wrong key".into(), retry_after: None };
    let failed = LinkError::Failed { message: "no route".into() };
    assert_eq!((refused.to_string(), failed.to_string()), ("wrong key".into(), "no route".into()));
}

/// A frame with invalid UTF-8 is not a valid frame: it is counted, and nothing else happens.
#[test]
fn metadata_that_is_no_utf8_is_counted() {
    let mut rig = Rig::registered(|_| {});
    let job = wire::Job { id: id(1).to_string(), metadata: "{\"a\":\"MARK\"}".into(), ..Default::default() };
    let offer = wire::AvailabilityRequest { job: Some(job), resuming: false };
    let frame = agent_proto::encode(&wire::ServerMessage { message: Some(Message::Availability(offer)) });
    let at = frame.windows(4).position(|bytes| bytes == b"MARK").expect("the mark is in the frame");
    for bad in [*b"\xff\xff\xff\xff", *b"\xc3\x28ab", *b"\xed\xa0\x80x", *b"ab\xe2\x82"] {
        let mut frame = frame.to_vec();
        frame.splice(at..at + 4, bad);
        rig.input(Input::FrameReceived(frame.into()));
    }
    let counts: Vec<_> = rig.worker.violations().iter().map(|(v, n)| (*v, *n)).collect();
    assert_eq!(counts, [(Violation::BadFrame, 4)]);
    assert_eq!(rig.worker.slots().used(), 0);
}
