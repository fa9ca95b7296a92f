//! State × input coverage: which inputs a test has passed to a machine in which of its states.
//!
//! A machine without I/O takes any input in any state, so a test of it is complete when each pair has come
//! up. [`kinds!`](crate::kinds) lists states and inputs; an exhaustive `match` over the machine's own types
//! chooses the kind, so that a new variant is a compile error in the test. [`Coverage`] counts the pairs, and
//! makes scripts for those that random scripts have missed; [`smallest`] makes a script that fails small.
//!
//! ```
//! use agent_proto::coverage::Coverage;
//!
//! agent_proto::kinds! {
//!     enum State { Off, On }
//! }
//! agent_proto::kinds! {
//!     enum Input { Press, Wait }
//! }
//!
//! // A lamp, and a script of inputs.
//! let run = |script: &[Input], seen: &mut Coverage<State, Input, Input>| {
//!     let mut lamp = State::Off;
//!     for (at, input) in script.iter().enumerate() {
//!         seen.reached(lamp, &script[..at]);
//!         seen.hit(lamp, *input);
//!         lamp = match (lamp, input) {
//!             (State::Off, Input::Press) => State::On,
//!             (State::On, Input::Press) => State::Off,
//!             (lamp, Input::Wait) => lamp,
//!         };
//!     }
//!     Ok::<(), String>(())
//! };
//! let mut seen = Coverage::new(State::ALL.to_vec(), Input::ALL.to_vec());
//! run(&[Input::Press, Input::Press], &mut seen)?;
//! seen.fill(|path, input, _| [path, &[input]].concat(), run)?;
//! assert_eq!(seen.to_string(), "2 × 2, 4 of 4");
//! assert_eq!(seen.gaps(), None);
//! # Ok::<(), String>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How often [`Coverage::fill`] tries to cover a pair.
const MAX_TRIES: u32 = 40;
/// The most pairs that a report of gaps lists.
const MAX_LISTED: usize = 60;

/// Declares an enum without fields, with the list of all its variants as `ALL`.
///
/// ```
/// agent_proto::kinds! {
///     /// A colour.
///     enum Colour { Red, Green }
/// }
/// assert_eq!(Colour::ALL, [Colour::Red, Colour::Green]);
/// ```
#[macro_export]
macro_rules! kinds {
    ($(#[$of_enum:meta])* $vis:vis enum $name:ident { $($(#[$of_kind:meta])* $kind:ident),+ $(,)? }) => {
        $(#[$of_enum])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name { $($(#[$of_kind])* $kind),+ }

        impl $name {
            /// All of them, in the order of their declaration.
            $vis const ALL: &'static [Self] = &[$(Self::$kind),+];
        }
    };
}

/// The pairs of state (`S`) and input (`I`) that have occurred, and how to get to each state: a script of
/// steps (`O`).
#[derive(Clone, Debug)]
pub struct Coverage<S, I, O> {
    states: BTreeSet<S>,
    inputs: BTreeSet<I>,
    hits: BTreeMap<(S, I), u64>,
    /// The shortest script that was seen to lead to each state.
    paths: BTreeMap<S, Vec<O>>,
    unlisted: BTreeSet<S>,
}

impl<S: Copy + Ord + fmt::Debug, I: Copy + Ord + fmt::Debug, O: Clone> Coverage<S, I, O> {
    /// Nothing of the product of these states and inputs.
    pub fn new(states: impl IntoIterator<Item = S>, inputs: impl IntoIterator<Item = I>) -> Self {
        Self {
            states: states.into_iter().collect(),
            inputs: inputs.into_iter().collect(),
            hits: BTreeMap::new(),
            paths: BTreeMap::new(),
            unlisted: BTreeSet::new(),
        }
    }

    /// A machine is in this state after this script. One that is not listed is a gap, too.
    pub fn reached(&mut self, state: S, script: &[O]) {
        if !self.states.contains(&state) {
            self.unlisted.insert(state);
        } else if self.paths.get(&state).is_none_or(|path| path.len() > script.len()) {
            self.paths.insert(state, script.to_vec());
        }
    }

    /// An input is passed to a machine in this state.
    pub fn hit(&mut self, state: S, input: I) {
        *self.hits.entry((state, input)).or_default() += 1;
    }

    /// Runs scripts for the pairs that are still missing: to the state, then the input. `script` makes one of
    /// the way to the state, the input, and the number of the try; `run` runs it, and counts.
    ///
    /// # Errors
    /// The first error of `run`.
    pub fn fill<E>(
        &mut self,
        mut script: impl FnMut(&[O], I, u32) -> Vec<O>,
        mut run: impl FnMut(&[O], &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        for number in 0..MAX_TRIES {
            let missing = self.missing();
            if missing.is_empty() {
                break;
            }
            for (state, input) in missing {
                let Some(path) = self.paths.get(&state).filter(|_| !self.hits.contains_key(&(state, input)))
                else {
                    continue;
                };
                let script = script(path, input, number);
                run(&script, self)?;
            }
        }
        Ok(())
    }

    /// What is not covered: pairs that have not occurred, and states that occurred and are not listed.
    /// `None`: nothing.
    #[must_use]
    pub fn gaps(&self) -> Option<String> {
        let missing = self.missing();
        if missing.is_empty() && self.unlisted.is_empty() {
            return None;
        }
        let unreached: Vec<&S> = self.states.iter().filter(|state| !self.paths.contains_key(state)).collect();
        let listed: Vec<String> = missing
            .iter()
            .take(MAX_LISTED)
            .map(|(state, input)| format!("\n    {state:?} × {input:?}"))
            .collect();
        Some(format!(
            "{self}\n  states that are not listed: {:?}\n  states that were not reached: {unreached:?}\n  missing pairs:{}",
            self.unlisted,
            listed.concat()
        ))
    }

    fn missing(&self) -> Vec<(S, I)> {
        let pairs = self.states.iter().flat_map(|state| self.inputs.iter().map(|input| (*state, *input)));
        pairs.filter(|pair| !self.hits.contains_key(pair)).collect()
    }
}

/// The size: states × inputs, and how many of all pairs have occurred.
impl<S: Copy + Ord + fmt::Debug, I: Copy + Ord + fmt::Debug, O: Clone> fmt::Display for Coverage<S, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (states, inputs) = (self.states.len(), self.inputs.len());
        write!(f, "{states} × {inputs}, {} of {}", states * inputs - self.missing().len(), states * inputs)
    }
}

/// The smallest script found for which `fails` is still true, by leaving out steps of this one: halves,
/// quarters, and so on, single steps until none can be left out.
pub fn smallest<O: Clone>(script: Vec<O>, mut fails: impl FnMut(&[O]) -> bool) -> Vec<O> {
    let mut smallest = script;
    let mut len = smallest.len().div_ceil(2).max(1);
    loop {
        let (before, mut at) = (smallest.len(), 0);
        while at < smallest.len() {
            let kept = smallest.iter().take(at).chain(smallest.iter().skip(at + len));
            let trial: Vec<O> = kept.cloned().collect();
            if fails(&trial) {
                smallest = trial;
            } else {
                at += len;
            }
        }
        if len == 1 && smallest.len() == before {
            return smallest;
        }
        len = (len / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::kinds! {
        enum State { Low, High, Never }
    }

    crate::kinds! {
        enum Input { Up, Down, Look }
    }

    type Seen = Coverage<State, Input, Input>;

    fn run(script: &[Input], seen: &mut Seen) -> Result<(), String> {
        let mut state = State::Low;
        for (at, input) in script.iter().enumerate() {
            seen.reached(state, &script[..at]);
            seen.hit(state, *input);
            state = match input {
                Input::Up => State::High,
                Input::Down => State::Low,
                Input::Look => state,
            };
        }
        Ok(())
    }

    fn filled(states: &[State]) -> Seen {
        let mut seen = Coverage::new(states.to_vec(), Input::ALL.to_vec());
        run(&[Input::Up, Input::Down], &mut seen).unwrap();
        assert_eq!(seen.to_string(), format!("{} × 3, 2 of {}", states.len(), states.len() * 3));
        seen.fill(|path, input, _| [path, &[input]].concat(), run).unwrap();
        seen
    }

    #[test]
    fn missing_pairs_are_covered_by_scripts_to_their_states() {
        let seen = filled(&[State::Low, State::High]);
        assert_eq!((seen.to_string().as_str(), seen.gaps()), ("2 × 3, 6 of 6", None));
        assert_eq!(seen.paths[&State::High], [Input::Up]);
    }

    #[test]
    fn gaps_name_pairs_that_were_not_reached_and_states_that_are_not_listed() {
        let gaps = filled(State::ALL).gaps().unwrap();
        assert!(gaps.contains("3 × 3, 6 of 9") && gaps.contains("not reached: [Never]"), "{gaps}");
        assert!(gaps.contains("Never × Up") && !gaps.contains("Low × Up"), "{gaps}");
        let mut seen = Seen::new([State::Low], Input::ALL.to_vec());
        run(&[Input::Up, Input::Down, Input::Down, Input::Look], &mut seen).unwrap();
        seen.fill(|path, input, _| [path, &[input]].concat(), run).unwrap();
        assert!(seen.gaps().unwrap().contains("not listed: {High}"));
    }

    #[test]
    fn an_error_ends_it() {
        let mut seen = Seen::new(State::ALL.to_vec(), Input::ALL.to_vec());
        seen.reached(State::Low, &[]);
        assert_eq!(
            seen.fill(|_, input, _| vec![input], |script, _| Err(script.to_vec())),
            Err(vec![Input::Up])
        );
    }

    #[test]
    fn a_script_becomes_as_small_as_it_can() {
        let fails = |script: &[u32]| script.contains(&7) && script.iter().filter(|n| **n == 3).count() >= 2;
        let script: Vec<u32> = (0..50).map(|n| n % 10).collect();
        assert_eq!(smallest(script, fails), [3, 3, 7]);
        assert_eq!(smallest(vec![1], |_| true), [0u32; 0]);
        assert_eq!(smallest(Vec::<u32>::new(), |_| true), [0u32; 0]);
    }
}
