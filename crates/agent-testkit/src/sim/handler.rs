//! A user's handler under many seeds: what others do in its room, and what goes wrong, drawn from each.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fastrand::Rng;

use agent_worker::Agent;

use super::run::panic_text;
use crate::mock::{JobSpec, RoomScript, RoomStep, Run, ServerFault, Timeline, run_job_blocking};

/// The most runs that make a found script smaller.
const MAX_SHRINKS: usize = 200;
/// The most steps and faults of a seed.
const MAX_STEPS: usize = 24;
const MAX_FAULTS: usize = 3;

/// A handler under many seeds: each draws what people do in the room, when, and what goes wrong between the
/// worker and its server. The rest is [`run_job`](crate::run_job): virtual time, no network, and the same
/// seed gives the same run.
///
/// ```
/// use agent_testkit::sim::Sim;
/// use agent_worker::{JobContext, JobResult};
///
/// /// Greets the sender of each message. The bug: the sender may have left since.
/// async fn greet(ctx: JobContext) -> JobResult {
///     let mut messages = ctx.room().data("chat");
///     while let Some(message) = ctx.run_until_cancelled(messages.next()).await.flatten() {
///         let Ok(message) = message else { continue };
///         let sender = message.sender.unwrap_or_default();
///         let person = ctx.room().participant(&sender).ok_or("nobody of this name is here")?;
///         ctx.room().publish_data("chat", format!("Hello, {}!", person.identity)).await?;
///     }
///     Ok(())
/// }
///
/// let sim = Sim::new(|| greet);
/// let found = sim.find(0..500, |run| run.outcome.error().map_or(Ok(()), |error| Err(error.to_owned())));
/// let found = found.expect("a seed finds the race");
/// assert!(found.problem.contains("nobody of this name is here"));
/// assert_eq!(sim.run(found.seed).outcome.error(), Some(&*found.problem), "and finds it again");
/// ```
pub struct Sim<F> {
    agent: F,
    job: Box<dyn Fn() -> JobSpec>,
    people: u8,
    faults: bool,
}

/// A run that a check refused.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SimFinding {
    /// Its seed.
    pub seed: u64,
    /// The error of the check.
    pub problem: String,
    /// What others did: only the steps without which it does not happen.
    pub script: RoomScript,
    /// What went wrong, and the waits before.
    pub faults: Vec<(Duration, ServerFault)>,
    /// The events on the server; `None`: the run panicked.
    pub timeline: Option<Timeline>,
}

impl<F, A> Sim<F>
where
    F: Fn() -> A,
    A: Agent,
{
    /// Simulates a handler: the function makes one for each run.
    pub fn new(agent: F) -> Self {
        Self { agent, job: Box::new(|| JobSpec::room("lobby")), people: 3, faults: true }
    }

    /// Sets the job, in place of one for a room without metadata.
    #[must_use]
    pub fn job(mut self, job: impl Fn() -> JobSpec + 'static) -> Self {
        self.job = Box::new(job);
        self
    }

    /// Sets how many people there are at most, `person-1`, `person-2` and so on; 3 unless set.
    #[must_use]
    pub const fn people(mut self, most: u8) -> Self {
        self.people = if most == 0 { 1 } else { most };
        self
    }

    /// Leaves out the faults between the worker and its server.
    #[must_use]
    pub const fn without_faults(mut self) -> Self {
        self.faults = false;
        self
    }

    /// Runs one seed.
    ///
    /// # Panics
    /// As [`run_job`](crate::run_job).
    pub fn run(&self, seed: u64) -> Run {
        let (script, faults) = self.draw(seed);
        self.play(seed, script, faults)
    }

    /// Runs the seeds until the check returns an error for one of them, or its run panics, as the job does
    /// not end; then it leaves out what is not needed for that.
    pub fn find(&self, seeds: Range<u64>, check: impl Fn(&Run) -> Result<(), String>) -> Option<SimFinding> {
        seeds.into_iter().find_map(|seed| {
            let (script, faults) = self.draw(seed);
            let mut finding = self.check(seed, script, faults, &check)?;
            self.shrink(&mut finding, &check);
            Some(finding)
        })
    }

    fn check(
        &self,
        seed: u64,
        script: RoomScript,
        faults: Vec<(Duration, ServerFault)>,
        check: &impl Fn(&Run) -> Result<(), String>,
    ) -> Option<SimFinding> {
        let ran = catch_unwind(AssertUnwindSafe(|| self.play(seed, script.clone(), faults.clone())));
        let (problem, timeline) = match ran {
            Ok(run) => (check(&run).err()?, Some(run.timeline)),
            Err(panic) => (panic_text(panic.as_ref()), None),
        };
        Some(SimFinding { seed, problem, script, faults, timeline })
    }

    /// Leaves out one step or fault after the other, as long as the problem stays the same.
    fn shrink(&self, finding: &mut SimFinding, check: &impl Fn(&Run) -> Result<(), String>) {
        let mut runs = 0;
        let mut smaller = |finding: &mut SimFinding, script: RoomScript, faults| {
            runs += 1;
            let found = self.check(finding.seed, script, faults, check);
            let same = found.filter(|found| found.problem == finding.problem);
            match same {
                Some(same) if runs <= MAX_SHRINKS => {
                    *finding = same;
                    true
                }
                _ => false,
            }
        };
        loop {
            let before = finding.script.steps().len() + finding.faults.len();
            for at in (0..finding.faults.len()).rev() {
                let mut faults = finding.faults.clone();
                faults.remove(at);
                let script = finding.script.clone();
                smaller(finding, script, faults);
            }
            for at in (0..finding.script.steps().len()).rev() {
                let mut steps = finding.script.steps().to_vec();
                steps.remove(at);
                let faults = finding.faults.clone();
                smaller(finding, RoomScript::new(steps), faults);
            }
            if finding.script.steps().len() + finding.faults.len() == before {
                return;
            }
        }
    }

    fn play(&self, seed: u64, script: RoomScript, faults: Vec<(Duration, ServerFault)>) -> Run {
        let job = (self.job)().seed(seed).faults(faults).script(|room| script.play(room));
        run_job_blocking((self.agent)(), job)
    }

    /// What a seed draws.
    fn draw(&self, seed: u64) -> (RoomScript, Vec<(Duration, ServerFault)>) {
        let mut rng = Rng::with_seed(seed);
        let steps = rng.usize(1..=MAX_STEPS);
        let steps = std::iter::repeat_with(|| step(self.people, &mut rng)).take(steps);
        let script = RoomScript::new(std::iter::once(RoomStep::Join(1)).chain(steps.collect::<Vec<_>>()));
        let most = if self.faults { rng.usize(0..=MAX_FAULTS) } else { 0 };
        (script, std::iter::repeat_with(|| fault(&mut rng)).take(most).collect())
    }
}

fn step(people: u8, rng: &mut Rng) -> RoomStep {
    let who = rng.u8(1..=people);
    match rng.u8(..20) {
        0..4 => RoomStep::Join(who),
        4..7 => RoomStep::Leave(who),
        7 => RoomStep::Lose(who),
        // Often nothing comes between two steps.
        8..11 => RoomStep::Wait(if rng.bool() { rng.u32(0..50) } else { rng.u32(0..20_000) }),
        11..15 => {
            let payload = std::iter::repeat_with(|| rng.alphanumeric() as u8).take(5).collect();
            RoomStep::Data { from: who, topic: "chat".to_owned(), payload }
        }
        15 => RoomStep::Text { from: who, topic: "lk.chat".to_owned(), text: "hello".to_owned() },
        16 => RoomStep::Attribute { of: who, key: "mood".to_owned(), value: rng.alphanumeric().to_string() },
        17 => RoomStep::Publish(who),
        18 => RoomStep::Mute(who, rng.bool()),
        _ => RoomStep::Unpublish(who),
    }
}

fn fault(rng: &mut Rng) -> (Duration, ServerFault) {
    let wait = Duration::from_millis(rng.u64(0..30_000));
    let millis = rng.u32(1..8_000);
    let fault = match rng.u8(..7) {
        0 => ServerFault::Cut,
        1 => ServerFault::HalfOpen,
        2 => ServerFault::Freeze(millis),
        3 => ServerFault::Mute(millis),
        4 => ServerFault::Double(millis),
        5 => ServerFault::Refuse(millis),
        _ => ServerFault::Delay { by: rng.u32(1..2_000), millis },
    };
    (wait, fault)
}

/// What was found, as code, and how to run it again.
impl fmt::Display for SimFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, problem, script, faults, .. } = self;
        write!(f, "seed {seed}: {problem}\nscript: {script:?}\nfaults: {faults:?}")
    }
}
