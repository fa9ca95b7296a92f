//! The check of a script finds planted faults, each by the promise that it breaks, and makes the script that
//! shows it small.

use std::collections::VecDeque;

use agent_core::{
    BrokenPromise, Config, Input, JobId, Lifecycle, Notice, Output, Script, Time, Worker, WorkerMachine,
};
use agent_proto::livekit as wire;
use agent_proto::livekit::worker_message::Message;
use agent_proto::recording::Machine;
use agent_proto::{MAX_FRAME_LEN, decode, encode};

/// A worker whose outputs a fault changes.
struct Faulty {
    worker: Worker,
    fault: Fault,
    out: VecDeque<Output>,
}

impl Machine for Faulty {
    type Input = Input;
    type Output = Output;

    fn handle_input(&mut self, input: Input, now: Time) {
        self.worker.handle_input(input, now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.worker.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        while self.out.is_empty() {
            (self.fault)(self.worker.poll_output()?, &mut self.out);
        }
        self.out.pop_front()
    }
}

impl WorkerMachine for Faulty {
    fn worker(&self) -> &Worker {
        &self.worker
    }
}

/// Passes an output on, changed.
type Fault = fn(Output, &mut VecDeque<Output>);

fn run(script: &Script, fault: Fault) -> Result<(), BrokenPromise> {
    let mut config = Config::default();
    config.max_jobs = 2;
    script.run(&mut Faulty { worker: Worker::new(config, 0), fault, out: VecDeque::new() }).map(drop)
}

/// The first seed that finds the fault, what was broken, and the minimal script.
fn found(fault: Fault) -> String {
    let seed = (0..200).find(|seed| run(&Script::random(*seed), fault).is_err());
    let seed = seed.expect("no script finds it");
    let minimal = Script::random(seed).minimize(|script| run(script, fault).is_err());
    format!("{}\n{minimal:?}\n", run(&minimal, fault).unwrap_err())
}

fn message(output: &Output) -> Option<Message> {
    match output {
        Output::Send(frame) => decode::<wire::WorkerMessage>(frame, MAX_FRAME_LEN).unwrap().message,
        _ => None,
    }
}

/// Leaves an output out, or has it twice.
macro_rules! times {
    ($times:literal, $which:pat $(if $guard:expr)?) => {
        |output, out| {
            let times = match &output {
                $which $(if $guard)? => $times,
                _ => 1,
            };
            out.extend(std::iter::repeat_n(output, times));
        }
    };
}

#[test]
fn each_planted_fault_is_found() {
    let faults: [(&str, Fault); 15] = [
        (
            "an answer is not sent",
            times!(0, output @ Output::Send(_) if matches!(message(output), Some(Message::Availability(_)))),
        ),
        (
            "an answer is sent twice",
            times!(2, output @ Output::Send(_) if matches!(message(output), Some(Message::Availability(_)))),
        ),
        ("an answer is not reported", times!(0, Output::Notice(Notice::OfferAnswered { .. }))),
        ("a job is started twice", times!(2, Output::Start { .. })),
        ("an attempt is left out", times!(0, Output::Retry { attempt: 2, .. })),
        ("two attempts run", times!(2, Output::Retry { .. })),
        ("a room is left before the server has read the outcome", |output, out| {
            let ended = match message(&output) {
                Some(Message::UpdateJob(update)) if update.status() != wire::JobStatus::JsRunning => {
                    Some(Output::Leave { job: JobId::new(&update.job_id) })
                }
                _ => None,
            };
            out.push_back(output);
            out.extend(ended);
        }),
        ("the stop is not reported", times!(0, Output::Stopped(_))),
        ("an outcome is not reported", times!(0, Output::Ended(_))),
        ("an outcome is reported twice", times!(2, Output::Ended(_))),
        ("a cleanup is left out", times!(0, Output::Clean { .. })),
        ("a cleanup runs twice", times!(2, Output::Clean { .. })),
        ("a room is not left", times!(0, Output::Leave { .. })),
        ("a success becomes a failure when it is repeated", |output, out| {
            let changed = match message(&output) {
                Some(Message::UpdateJob(mut update)) if update.status() == wire::JobStatus::JsSuccess => {
                    update.set_status(wire::JobStatus::JsFailed);
                    let message = Some(Message::UpdateJob(update));
                    Some(Output::Send(encode(&wire::WorkerMessage { message })))
                }
                _ => None,
            };
            out.push_back(output);
            out.extend(changed);
        }),
        (
            "a final state is not reported",
            times!(0, Output::Moved { to: Lifecycle::Failed | Lifecycle::Success, .. }),
        ),
    ];
    let found: String = faults.map(|(name, fault)| format!("{name}:\n{}\n", found(fault))).concat();
    insta::assert_snapshot!(found);
}

/// What it prints is the code that makes it.
#[test]
fn a_script_prints_as_code() {
    use agent_core::{End, Reply, RoomEnd, Step};
    let script = Script::new([
        Step::Connect,
        Step::Open,
        Step::Register,
        Step::Refuse(503),
        Step::Cut,
        Step::Offer(1),
        Step::Answer(1, Reply::Accept),
        Step::Answer(1, Reply::AcceptUnnamed),
        Step::Answer(1, Reply::Decline),
        Step::Answer(1, Reply::Dismiss),
        Step::Answer(1, Reply::Panic),
        Step::Assign(1),
        Step::Terminate(1),
        Step::Pong,
        Step::Frame(vec![]),
        Step::Frame(vec![1, 255]),
        Step::Text,
        Step::Started(1),
        Step::Progress(1),
        Step::End(1, End::Ok),
        Step::End(1, End::Fatal),
        Step::End(1, End::Retryable(3)),
        Step::End(1, End::Cancelled),
        Step::End(1, End::Panic),
        Step::End(1, End::Aborted),
        Step::End(1, End::RoomGone),
        Step::Cleaned(1),
        Step::Cancel(1),
        Step::Room { job: 1, sid: 2, departure: 20, empty: 0 },
        Step::Replaced(1),
        Step::RoomEnds(1, RoomEnd::Lost),
        Step::RoomEnds(1, RoomEnd::DuplicateIdentity),
        Step::Present { job: 1, people: 2, target: 1 },
        Step::Load(50),
        Step::NoDescriptors,
        Step::Wait(500),
        Step::Drain(5),
        Step::Stop,
    ]);
    // The text above, as the compiler reads it.
    let source = include_str!("planted.rs").replace("\n    ", "\n");
    assert!(source.contains(&format!("let script = {script:?};\n")), "{script:?}");
    assert_eq!(format!("{script:#?}"), format!("{script:?}"));
}
