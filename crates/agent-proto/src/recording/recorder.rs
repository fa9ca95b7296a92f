//! Recording and replay of a machine.

use std::ops::Deref;

use crate::Time;

/// A machine without I/O, as far as it is recorded: the calls that change it, and their outputs.
pub trait Machine {
    /// What happened.
    type Input: Clone;
    /// What to do.
    type Output: Clone;

    /// Takes what happened.
    fn handle_input(&mut self, input: Self::Input, now: Time);

    /// Takes the passing of time.
    fn handle_timeout(&mut self, now: Time);

    /// The next output.
    fn poll_output(&mut self) -> Option<Self::Output>;
}

/// What a replay needs: the settings of the machine and its inputs.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Recording<S, I> {
    /// The settings of the machine, including its seed.
    pub settings: S,
    /// The time and input of each call; without an input it was a timeout.
    pub calls: Vec<(Time, Option<I>)>,
}

impl<S, I> Recording<S, I> {
    /// Creates a machine, repeats the inputs, and returns its outputs.
    pub fn replay<M: Machine<Input = I>>(self, make: impl FnOnce(S) -> M) -> Vec<M::Output> {
        let mut machine = make(self.settings);
        let mut outputs: Vec<M::Output> = std::iter::from_fn(|| machine.poll_output()).collect();
        for (now, input) in self.calls {
            match input {
                Some(input) => machine.handle_input(input, now),
                None => machine.handle_timeout(now),
            }
            outputs.extend(std::iter::from_fn(|| machine.poll_output()));
        }
        outputs
    }
}

/// A machine with a recording of its inputs and outputs. It keeps everything, so it is for tests and for
/// debugging.
///
/// Read access goes to the machine, its [`Deref`] target.
///
/// ```
/// use agent_proto::Time;
/// use agent_proto::recording::{Machine, Recorder};
/// use std::collections::VecDeque;
///
/// /// Adds its inputs up.
/// struct Sum(u32, VecDeque<u32>);
///
/// impl Machine for Sum {
///     type Input = u32;
///     type Output = u32;
///
///     fn handle_input(&mut self, input: u32, _: Time) {
///         self.0 += input;
///         self.1.push_back(self.0);
///     }
///
///     fn handle_timeout(&mut self, _: Time) {}
///
///     fn poll_output(&mut self) -> Option<u32> {
///         self.1.pop_front()
///     }
/// }
///
/// let start_with = |first| Sum(first, VecDeque::new());
/// let mut sum = Recorder::new(40, start_with);
/// for input in [1, 1] {
///     sum.handle_input(input, Time::ZERO);
///     while let Some(output) = sum.poll_output() {
///         println!("{output}");
///     }
/// }
/// assert_eq!(sum.outputs(), [41, 42]);
/// assert_eq!(sum.recording().clone().replay(start_with), sum.outputs());
/// ```
#[derive(Debug)]
pub struct Recorder<S, M: Machine> {
    machine: M,
    recording: Recording<S, M::Input>,
    outputs: Vec<M::Output>,
}

impl<S: Clone, M: Machine> Recorder<S, M> {
    /// Creates a machine and records it from the beginning.
    pub fn new(settings: S, make: impl FnOnce(S) -> M) -> Self {
        let machine = make(settings.clone());
        Self { machine, recording: Recording { settings, calls: Vec::new() }, outputs: Vec::new() }
    }

    /// The recorded inputs.
    #[must_use]
    pub const fn recording(&self) -> &Recording<S, M::Input> {
        &self.recording
    }

    /// The outputs so far.
    #[must_use]
    pub fn outputs(&self) -> &[M::Output] {
        &self.outputs
    }

    /// Records an input and passes it to the machine.
    pub fn handle_input(&mut self, input: M::Input, now: Time) {
        self.recording.calls.push((now, Some(input.clone())));
        self.machine.handle_input(input, now);
    }

    /// Records a timeout and passes it to the machine.
    pub fn handle_timeout(&mut self, now: Time) {
        self.recording.calls.push((now, None));
        self.machine.handle_timeout(now);
    }

    /// Returns and records the next output.
    pub fn poll_output(&mut self) -> Option<M::Output> {
        let output = self.machine.poll_output();
        self.outputs.extend(output.clone());
        output
    }
}

/// It is recorded also where any machine can be used.
impl<S: Clone, M: Machine> Machine for Recorder<S, M> {
    type Input = M::Input;
    type Output = M::Output;

    fn handle_input(&mut self, input: M::Input, now: Time) {
        self.handle_input(input, now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<M::Output> {
        self.poll_output()
    }
}

impl<S, M: Machine> Deref for Recorder<S, M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}
