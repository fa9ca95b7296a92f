//! The schedule of an auto-saved value.

use std::fmt::Write;
use std::time::Duration;

use proptest::prelude::*;

use agent_core::{
    CheckpointError, CheckpointRetention, SaveFailure, SaveInput, SaveOutput, SaveSchedule, StoreError, Time,
};

const INTERVAL: Duration = Duration::from_secs(30);
const KEEP: SaveInput = SaveInput::Ended(CheckpointRetention::Keep);
const DISCARD: SaveInput = SaveInput::Ended(CheckpointRetention::Discard);

/// One machine, its value, and a store with a configured answer.
struct Rig {
    schedule: SaveSchedule,
    now: Time,
    /// The number of changes of the value, and that of the last save.
    changes: u64,
    saved: u64,
    /// The store's answer; `None`: it does not answer.
    answer: Option<SaveInput>,
    /// The number of changes in the save in progress.
    saving: Option<u64>,
    finished: bool,
    log: String,
}

impl Rig {
    fn new() -> Self {
        Self {
            schedule: SaveSchedule::new(INTERVAL, Time::ZERO),
            now: Time::ZERO,
            changes: 0,
            saved: 0,
            answer: Some(SaveInput::Saved),
            saving: None,
            finished: false,
            log: String::new(),
        }
    }

    fn change(&mut self) {
        self.changes += 1;
        let _ = writeln!(self.log, "{} - change {}", self.now, self.changes);
    }

    fn input(&mut self, input: SaveInput) {
        let _ = writeln!(self.log, "{} > {input:?}", self.now);
        if let Some(changes) = self.saving.take_if(|_| input == SaveInput::Saved) {
            self.saved = self.saved.max(changes);
        }
        self.schedule.handle_input(input, self.now);
        self.drain();
    }

    /// Time passes and the timer fires at its time.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.schedule.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.schedule.handle_timeout(at);
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(output) = self.schedule.poll_output() {
            assert!(!self.finished, "{output:?} after the end\n{}", self.log);
            let _ = writeln!(self.log, "{} < {output:?}", self.now);
            match output {
                SaveOutput::Look => {
                    let unsaved = (self.changes != self.saved).then_some(self.changes);
                    self.schedule.handle_input(SaveInput::Looked { unsaved }, self.now);
                }
                SaveOutput::Save => {
                    self.saving = Some(self.changes);
                    if let Some(answer) = self.answer.clone() {
                        self.input(answer);
                    }
                }
                SaveOutput::Finish => self.finished = true,
                SaveOutput::Report(_) | SaveOutput::Supersede => {}
            }
        }
        if let Some(at) = self.schedule.poll_timeout() {
            assert!(at > self.now, "{at} is not later than {}", self.now);
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn refused(reason: &str) -> SaveInput {
    SaveInput::Failed(SaveFailure::Value { reason: reason.to_owned() })
}

#[test]
fn changes_are_saved_at_each_interval_and_at_the_end() {
    let mut rig = Rig::new();
    rig.pass(seconds(30)); // nothing has changed
    rig.pass(seconds(10));
    rig.change();
    rig.change();
    rig.pass(seconds(25));
    rig.change();
    rig.input(KEEP);
    assert!(rig.finished && rig.saved == 3);
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_cancelled_job_saves_at_once_and_continues() {
    let mut rig = Rig::new();
    rig.change();
    rig.pass(seconds(10));
    rig.input(SaveInput::Cancelled);
    rig.change();
    rig.input(SaveInput::Cancelled); // only the first one counts
    rig.pass(seconds(31));
    rig.input(KEEP);
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_value_that_will_be_deleted_is_not_saved_first() {
    let mut rig = Rig::new();
    rig.change();
    rig.input(DISCARD);
    rig.input(KEEP);
    rig.input(SaveInput::Cancelled);
    assert!(rig.finished && rig.saved == 0);
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_store_that_fails_is_retried_with_backoff() {
    let mut rig = Rig::new();
    rig.change();
    rig.answer = Some(SaveInput::Failed(SaveFailure::Store));
    rig.pass(seconds(100));
    rig.answer = Some(SaveInput::Saved);
    rig.pass(seconds(30));
    rig.change();
    rig.answer = Some(SaveInput::Failed(SaveFailure::Store));
    rig.pass(seconds(30)); // the count of failures starts over
    rig.input(KEEP);
    insta::assert_snapshot!(rig.log);
}

#[test]
fn a_slow_store_has_its_pauses() {
    let mut rig = Rig::new();
    rig.change();
    rig.answer = None;
    rig.pass(seconds(90));
    rig.input(SaveInput::Saved);
    rig.change();
    rig.pass(seconds(3));
    rig.pass(seconds(1));
    rig.input(SaveInput::Saved);
    rig.pass(seconds(60));
    insta::assert_snapshot!(rig.log);
}

#[test]
fn changes_during_a_save_are_saved_after_it() {
    let mut stopped = Rig::new();
    stopped.change();
    stopped.answer = None;
    stopped.input(SaveInput::Cancelled);
    stopped.change(); // not in the save in progress
    stopped.input(KEEP);
    stopped.input(SaveInput::Saved);
    stopped.input(SaveInput::Saved);
    assert!(stopped.finished && stopped.saved == 2);
    stopped.log += "---\n";
    let mut discarded = Rig::new();
    discarded.change();
    discarded.answer = None;
    discarded.input(SaveInput::Cancelled);
    discarded.input(DISCARD);
    discarded.input(SaveInput::Failed(SaveFailure::Store));
    assert!(discarded.finished);
    insta::assert_snapshot!(stopped.log + &discarded.log);
}

#[test]
fn a_refused_value_is_retried_when_it_has_changed() {
    let mut rig = Rig::new();
    rig.change();
    rig.answer = Some(refused("NaN"));
    rig.pass(seconds(60)); // unchanged: not saved again
    rig.change();
    rig.pass(seconds(30)); // the same reason: not reported again
    rig.change();
    rig.answer = Some(refused("too large"));
    rig.pass(seconds(30));
    rig.input(KEEP);
    rig.log += "---\n";
    let mut fixed = Rig::new();
    fixed.change();
    fixed.answer = Some(refused("NaN"));
    fixed.pass(seconds(30));
    fixed.change();
    fixed.answer = Some(SaveInput::Saved);
    fixed.pass(seconds(30));
    fixed.change();
    fixed.answer = Some(refused("NaN")); // after one that was saved it is reported again
    fixed.pass(seconds(30));
    fixed.change();
    fixed.answer = Some(SaveInput::Saved);
    fixed.input(KEEP);
    insta::assert_snapshot!(rig.log + &fixed.log);
}

#[test]
fn a_permanent_failure_ends_the_schedule() {
    let mut log = String::new();
    for failure in [SaveFailure::Over, SaveFailure::Superseded] {
        let mut rig = Rig::new();
        rig.change();
        rig.answer = Some(SaveInput::Failed(failure));
        rig.pass(seconds(100));
        assert!(rig.finished);
        log += &(rig.log + "---\n");
    }
    insta::assert_snapshot!(log);
}

#[test]
fn an_error_decides_about_later_saves() {
    let too_large = CheckpointError::TooLarge { type_name: "Progress".to_owned(), len: 17_000_000 };
    let reason = too_large.to_string();
    let unavailable = StoreError::Unavailable { problem: "the disk is full".to_owned(), source: None };
    for (error, failure) in [
        (CheckpointError::HalfChanged, SaveFailure::Over),
        (CheckpointError::JobOver, SaveFailure::Over),
        (CheckpointError::Superseded, SaveFailure::Superseded),
        (too_large, SaveFailure::Value { reason }),
        (CheckpointError::Store(unavailable), SaveFailure::Store),
    ] {
        assert_eq!(SaveFailure::of(&error), failure, "{error}");
    }
}

#[test]
fn an_answer_to_nothing_changes_nothing() {
    let mut rig = Rig::new();
    let before = rig.schedule.poll_timeout();
    for unexpected in [SaveInput::Saved, SaveInput::Looked { unsaved: Some(1) }, refused("NaN")] {
        rig.input(unexpected);
    }
    assert_eq!(rig.schedule.poll_timeout(), before);
}

#[derive(Clone, Debug)]
enum Op {
    Change,
    Pass(u64),
    Store(Option<SaveInput>),
    Answer(SaveInput),
    Cancel,
}

fn op() -> impl Strategy<Value = Op> {
    let answer = prop_oneof![
        3 => Just(SaveInput::Saved),
        2 => Just(SaveInput::Failed(SaveFailure::Store)),
        1 => Just(refused("NaN")),
    ];
    prop_oneof![
        4 => Just(Op::Change),
        4 => (0..120_000_u64).prop_map(Op::Pass),
        2 => proptest::option::of(answer.clone()).prop_map(Op::Store),
        2 => answer.prop_map(Op::Answer),
        1 => Just(Op::Cancel),
    ]
}

proptest! {
    /// After any events: with a store that works, a kill loses the changes of at most one interval, and the
    /// end of the attempt loses none; there is one end, and nothing after it.
    #[test]
    fn with_a_store_that_works_nothing_is_lost(ops in prop::collection::vec(op(), 0..40)) {
        let mut rig = Rig::new();
        for op in ops {
            match op {
                Op::Change => rig.change(),
                Op::Pass(millis) => rig.pass(Duration::from_millis(millis)),
                Op::Store(answer) => rig.answer = answer,
                Op::Answer(answer) => rig.input(answer),
                Op::Cancel => rig.input(SaveInput::Cancelled),
            }
        }
        rig.answer = Some(SaveInput::Saved);
        // The save in progress ends.
        rig.input(SaveInput::Saved);
        rig.change();
        let changed = rig.now;
        let mut within = INTERVAL;
        while rig.saved != rig.changes {
            prop_assert!(within > Duration::ZERO, "unsaved since {changed}\n{}", rig.log);
            rig.pass(seconds(1));
            within -= seconds(1);
        }
        rig.change();
        rig.input(KEEP);
        prop_assert!(rig.finished && rig.saved == rig.changes, "{}", rig.log);
        rig.input(SaveInput::Saved);
        rig.pass(seconds(3600));
    }
}
