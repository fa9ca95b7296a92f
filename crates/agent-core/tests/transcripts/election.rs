//! One candidate of an election: its calls to the store and its state.

use std::fmt::Write;
use std::time::Duration;

use agent_core::{Election, ElectionInput, ElectionOutput, LeaseLoss, Time};

const LEASE: Duration = Duration::from_secs(8);

/// One machine, a clock that jumps, and a log.
struct Rig {
    election: Election,
    now: Time,
    log: String,
}

impl Rig {
    fn new() -> Self {
        let mut rig = Self { election: Election::new(LEASE, 7), now: Time::ZERO, log: String::new() };
        rig.drain();
        rig
    }

    /// A rig whose candidate leads.
    fn leading() -> Self {
        let mut rig = Self::new();
        rig.input(granted(5));
        rig
    }

    fn input(&mut self, input: ElectionInput) {
        let _ = writeln!(self.log, "{} > {input:?}", self.now);
        self.election.handle_input(input, self.now);
        self.drain();
    }

    /// Time passes and every timer fires at its time.
    fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some((at, timer)) = self.election.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = at;
            let _ = writeln!(self.log, "{at} . {timer:?}");
            self.election.handle_timeout(at);
            self.drain();
        }
        self.now = until;
    }

    /// Time passes while the process is paused.
    fn pause(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        let _ = writeln!(self.log, "{} - paused for {millis} ms", self.now);
    }

    fn drain(&mut self) {
        while let Some(output) = self.election.poll_output() {
            let shown = match output {
                ElectionOutput::Lead { token, until } => format!("Lead with {token} until {until}"),
                ElectionOutput::Extended { until } => format!("Extended until {until}"),
                other => format!("{other:?}"),
            };
            let _ = writeln!(self.log, "{} < {shown}", self.now);
        }
        if let Some((at, timer)) = self.election.poll_timeout() {
            assert!(at > self.now, "{timer:?} at {at} is not later than {}", self.now);
        }
    }
}

const fn granted(token: u64) -> ElectionInput {
    ElectionInput::Granted { token }
}

fn held(by: &str, millis: u64) -> ElectionInput {
    ElectionInput::Held { by: by.to_owned(), remaining: Duration::from_millis(millis) }
}

#[test]
fn a_leader_renews_its_lease() {
    let mut rig = Rig::new();
    rig.pass(10);
    rig.input(granted(5));
    rig.pass(2_700);
    rig.input(ElectionInput::Renewed);
    rig.pass(2_700);
    rig.input(ElectionInput::Renewed);
    rig.input(ElectionInput::Resigned);
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_follower_asks_when_the_lease_ends_and_now_and_then_before() {
    let mut rig = Rig::new();
    rig.input(held("a", 7_000));
    rig.pass(3_000); // the leader has renewed
    rig.input(held("a", 8_000));
    rig.pass(3_000);
    rig.input(held("b", 500)); // another one meanwhile
    rig.pass(800);
    rig.input(granted(9));
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_store_that_cannot_be_asked_at_first_is_an_error() {
    let mut rig = Rig::new();
    rig.pass(5);
    rig.input(ElectionInput::Failed);
    assert!(rig.election.is_over());
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_store_that_does_not_answer_at_first_is_an_error_and_may_have_given_us_the_lead() {
    let mut rig = Rig::new();
    rig.pass(60_000);
    assert!(rig.election.is_over());
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_follower_survives_an_outage_of_its_store() {
    let mut rig = Rig::new();
    rig.input(held("a", 1_000));
    for _ in 0..4 {
        rig.pass(1_300);
        rig.input(ElectionInput::Failed);
    }
    rig.pass(4_800); // then nothing answers
    rig.input(granted(9));
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_leader_without_its_store_stops_believing_before_the_store_does() {
    let mut rig = Rig::leading();
    rig.pass(20_000); // no answer any more
    assert!(rig.election.is_over());
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_renewal_that_fails_is_retried_until_it_succeeds() {
    let mut rig = Rig::leading();
    rig.pass(2_700);
    rig.input(ElectionInput::Failed);
    rig.pass(450);
    rig.input(ElectionInput::Failed);
    rig.pass(450);
    rig.input(ElectionInput::Renewed);
    rig.pass(100);
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_lease_that_the_store_does_not_know_is_lost_at_once() {
    let mut rig = Rig::leading();
    rig.pass(2_700);
    rig.input(ElectionInput::Refused);
    insta::assert_snapshot!(rig.log);
}

#[test]
fn an_answer_that_was_read_late_does_not_bring_a_lease_back() {
    let mut rig = Rig::leading();
    rig.pass(2_700);
    rig.pause(9_000); // paused; the answer to the renewal was in the socket all the time
    rig.input(ElectionInput::Renewed);
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_grant_that_was_read_late_is_no_lead() {
    let mut rig = Rig::new();
    rig.input(held("a", 100));
    rig.pass(400);
    rig.pause(1_999);
    rig.input(granted(9));
    rig.pause(9_000);
    rig.input(ElectionInput::Renewed);
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_candidate_that_resigns_releases_a_lease_it_may_have() {
    let mut asking = Rig::new();
    asking.input(ElectionInput::Resigned);
    asking.log += "---\n";
    let mut renewing = Rig::leading();
    renewing.pass(2_700);
    renewing.input(ElectionInput::Resigned);
    renewing.log += "---\n";
    let mut following = Rig::new();
    following.input(held("a", 1_000));
    following.input(ElectionInput::Resigned);
    insta::assert_snapshot!(asking.log + &renewing.log + &following.log);
}

#[test]
fn an_unexpected_answer_changes_nothing() {
    let mut rig = Rig::leading();
    let before = rig.election.poll_timeout();
    for unexpected in
        [granted(9), held("b", 1), ElectionInput::Renewed, ElectionInput::Refused, ElectionInput::Failed]
    {
        rig.input(unexpected);
    }
    assert_eq!(rig.election.poll_timeout(), before);
    assert!(!rig.election.is_over());
}

/// A short lease is renewed often, and is free soon: the jitter of a follower is a tenth of the lease.
#[test]
fn the_wait_of_a_follower_is_a_part_of_the_lease() {
    let lease = Duration::from_secs(1);
    let waits = (0..100).map(|seed| {
        let mut rig = Rig { election: Election::new(lease, seed), now: Time::ZERO, log: String::new() };
        rig.input(held("a", 10_000));
        rig.election.poll_timeout().unwrap().0 - Time::ZERO
    });
    let (least, most) = (lease / 3, lease / 3 + lease / 10);
    assert!(waits.clone().all(|wait| (least..=most).contains(&wait)), "{:?}", waits.collect::<Vec<_>>());
    assert!(waits.max() > Some(most - lease / 50), "the jitter is used");
}

/// Labels are values of a metric: a changed one breaks what reads them.
#[test]
fn each_loss_has_its_label() {
    let losses = [LeaseLoss::Expired, LeaseLoss::Refused, LeaseLoss::Released];
    assert_eq!(losses.map(LeaseLoss::label), ["expired", "refused", "released"]);
}

/// Leaders that were elected at the same time, as after a restart of their store, do not renew at the same
/// time.
#[test]
fn leaders_that_began_together_renew_one_by_one() {
    let leaders = 1_000;
    let mut per_slot = std::collections::BTreeMap::<u128, u32>::new();
    for seed in 0..leaders {
        let mut rig = Rig { election: Election::new(LEASE, seed), now: Time::ZERO, log: String::new() };
        rig.input(granted(5));
        let (at, _) = rig.election.poll_timeout().unwrap();
        let after = Duration::from_nanos(at.as_nanos());
        assert!(after >= LEASE / 4 && after <= LEASE / 3, "{after:?}");
        *per_slot.entry(after.as_millis() / 100).or_default() += 1;
    }
    let most = per_slot.values().max().unwrap();
    assert!(*most < 300, "{most} of {leaders} within a tenth of a second: {per_slot:?}");
}
