//! Makes a script smaller that fails.

use super::step::{End, Reply, Step};
use super::steps::Script;
use crate::worker::RoomEnd;

/// The search for a smaller script that fails as well: first without parts of it (halves, quarters, single
/// steps), then with simpler steps (shorter waits, plainer answers and ends), and so on until neither helps.
///
/// Reports of whether [`current`](Self::current) fails go to [`failed`](Self::failed) and
/// [`passed`](Self::passed), which return whether there is another script to try. [`Script::minimize`] does
/// this in a loop. The search ends: each script that fails is smaller than the last one.
#[derive(Clone, Debug)]
pub struct Shrinker {
    /// The smallest script that is known to fail.
    smallest: Script,
    /// The script to try.
    trial: Option<Script>,
    search: Search,
    /// Whether a step became simpler since all steps were tried to be left out.
    simplified: bool,
}

#[derive(Clone, Copy, Debug)]
enum Search {
    /// Without `len` steps from `at` on.
    Without { at: usize, len: usize },
    /// With the `choice`th simpler form of step `at`.
    Simpler { at: usize, choice: usize },
}

impl Shrinker {
    /// A search that begins with this script.
    #[must_use]
    pub fn new(script: Script) -> Self {
        let len = script.steps.len().div_ceil(2);
        Self { smallest: script, trial: None, search: Search::Without { at: 0, len }, simplified: false }
    }

    /// The script to try; after the search, the smallest that failed.
    #[must_use]
    pub fn current(&self) -> &Script {
        self.trial.as_ref().unwrap_or(&self.smallest)
    }

    /// The current script fails. Returns whether there is a smaller one to try.
    pub fn failed(&mut self) -> bool {
        if let Some(trial) = self.trial.take() {
            self.smallest = trial;
            if let Search::Simpler { choice, .. } = &mut self.search {
                *choice = 0;
                self.simplified = true;
            }
        }
        self.propose()
    }

    /// The current script does not fail. Returns whether there is another one to try.
    pub fn passed(&mut self) -> bool {
        if self.trial.take().is_some() {
            self.search = match self.search {
                Search::Without { at, len } => Search::Without { at: at + len, len },
                Search::Simpler { at, choice } => Search::Simpler { at, choice: choice + 1 },
            };
        }
        self.propose()
    }

    /// Makes the next script to try, from the present place of the search on.
    fn propose(&mut self) -> bool {
        let steps = &self.smallest.steps;
        loop {
            match self.search {
                Search::Without { at, len } if at < steps.len() => {
                    let kept = steps.iter().take(at).chain(steps.iter().skip(at + len));
                    self.trial = Some(Script::new(kept.cloned()));
                    return true;
                }
                Search::Without { len, .. } if len > 1 => {
                    self.search = Search::Without { at: 0, len: len / 2 };
                }
                Search::Without { .. } => self.search = Search::Simpler { at: 0, choice: 0 },
                Search::Simpler { at, choice } => {
                    let Some(step) = steps.get(at) else {
                        if std::mem::take(&mut self.simplified) {
                            self.search = Search::Without { at: 0, len: 1 };
                            continue;
                        }
                        return false;
                    };
                    if let Some(simpler) = simpler(step).into_iter().nth(choice) {
                        let mut steps = steps.clone();
                        if let Some(step) = steps.get_mut(at) {
                            *step = simpler;
                        }
                        self.trial = Some(Script { steps });
                        return true;
                    }
                    self.search = Search::Simpler { at: at + 1, choice: 0 };
                }
            }
        }
    }
}

impl Script {
    /// The smallest script found for which `fails` is still true, beginning with this one.
    #[must_use]
    pub fn minimize(self, mut fails: impl FnMut(&Self) -> bool) -> Self {
        let mut shrinker = Shrinker::new(self);
        let mut more = shrinker.failed();
        while more {
            more = if fails(shrinker.current()) { shrinker.failed() } else { shrinker.passed() };
        }
        shrinker.smallest
    }
}

/// Simpler forms of a step, the simplest first. Following them comes to an end.
fn simpler(step: &Step) -> Vec<Step> {
    match step {
        Step::Wait(millis) => lower(*millis).into_iter().map(Step::Wait).collect(),
        Step::Drain(seconds) => lower((*seconds).into())
            .into_iter()
            .filter_map(|s| u16::try_from(s).ok())
            .map(Step::Drain)
            .collect(),
        Step::Frame(bytes) if !bytes.is_empty() => {
            let half = bytes.iter().copied().take(bytes.len() / 2).collect();
            vec![Step::Frame(half), Step::Frame(bytes.iter().copied().skip(1).collect())]
        }
        Step::Answer(job, reply) if *reply != Reply::Accept => vec![Step::Answer(*job, Reply::Accept)],
        Step::End(job, end) => match end {
            End::Ok => Vec::new(),
            End::Fatal => vec![Step::End(*job, End::Ok)],
            End::Retryable(0) => vec![Step::End(*job, End::Ok), Step::End(*job, End::Fatal)],
            End::Retryable(_) => vec![Step::End(*job, End::Ok), Step::End(*job, End::Retryable(0))],
            End::Cancelled | End::Panic | End::Aborted | End::RoomGone => {
                vec![Step::End(*job, End::Ok), Step::End(*job, End::Fatal)]
            }
        },
        Step::Room { job, sid, departure, empty } => {
            let mut simpler = Vec::new();
            let room = |sid, departure, empty| Step::Room { job: *job, sid, departure, empty };
            if *empty > 0 {
                simpler.push(room(*sid, *departure, 0));
            }
            if *departure > 0 {
                simpler.push(room(*sid, 0, *empty));
            }
            if *sid > 0 {
                simpler.push(room(sid - 1, *departure, *empty));
            }
            simpler
        }
        Step::Present { job, people, target } => {
            let mut simpler = Vec::new();
            if *target > 0 {
                simpler.push(Step::Present { job: *job, people: *people, target: target - 1 });
            }
            if *people > 0 {
                simpler.push(Step::Present { job: *job, people: people - 1, target: *target });
            }
            simpler
        }
        Step::RoomEnds(job, end) if *end != RoomEnd::Lost => vec![Step::RoomEnds(*job, RoomEnd::Lost)],
        Step::Refuse(status) if *status > 0 => vec![Step::Refuse(0)],
        Step::Load(percent) if *percent > 0 => vec![Step::Load(0), Step::Load(percent / 2)],
        _ => Vec::new(),
    }
}

/// Lower numbers, above zero.
fn lower(number: u32) -> Vec<u32> {
    let mut lower: Vec<u32> =
        [1, 100, number / 1000 * 1000, number / 2, number - number / 10, number.saturating_sub(1)]
            .into_iter()
            .filter(|lower| (1..number).contains(lower))
            .collect();
    lower.dedup();
    lower
}
