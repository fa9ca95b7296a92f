//! State machines: a table of states, events, transitions and actions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Write};
use std::future::Future;

use futures_util::{Stream, StreamExt};

use agent_core::JobError;
use agent_proto::BoxFuture;

use crate::telemetry::table;

type Action<'a> = Box<dyn Fn() -> BoxFuture<'a, Result<(), JobError>> + Send + Sync + 'a>;

/// A table of transitions, each with an optional action.
///
/// `S` is the state and `E` the event, usually small enums. An event without a transition from the current
/// state is counted and skipped. The run ends in a [terminal](Self::terminal) state, at the end of the
/// events, or when it is stopped. Actions may borrow what outlives the table, such as the agent and the
/// context of the handler.
///
/// ```
/// use agent_worker::patterns::StateMachine;
///
/// #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
/// enum Call { Ringing, Talking, Over }
/// #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
/// enum Input { Answer, HangUp }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let call = StateMachine::new(Call::Ringing)
///     .on_do(Call::Ringing, Input::Answer, Call::Talking, async || Ok(())) // greet the caller, for example
///     .on(Call::Ringing, Input::HangUp, Call::Over)
///     .on(Call::Talking, Input::HangUp, Call::Over)
///     .terminal(Call::Over);
/// let inputs = futures_util::stream::iter([Input::Answer, Input::Answer, Input::HangUp]);
/// let summary = call.run(inputs, std::future::pending::<()>()).await.unwrap();
/// assert_eq!((summary.state, summary.steps, summary.unknown), (Call::Over, 2, 1));
/// assert!(call.diagram().contains("Ringing --> Talking: Answer"));
/// # }
/// ```
pub struct StateMachine<'a, S, E> {
    start: S,
    transitions: BTreeMap<(S, E), (S, Option<Action<'a>>)>,
    terminal: BTreeSet<S>,
}

/// The result of a run of a [`StateMachine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSummary<S> {
    /// The last state.
    pub state: S,
    /// Number of transitions.
    pub steps: u64,
    /// Number of events without a transition from the current state.
    pub unknown: u64,
    /// Whether the last state is terminal; if not, the events ended, or it was stopped.
    pub finished: bool,
}

/// The action of a transition failed. Like [`JobError`], it does not implement [`Error`](std::error::Error),
/// so that `?` in a handler keeps its kind.
#[non_exhaustive]
pub struct StateMachineError<S, E> {
    /// The state, which is unchanged.
    pub state: S,
    /// The event that triggered the action.
    pub event: E,
    /// The error of the action, which `?` returns from the handler.
    pub error: JobError,
}

impl<'a, S, E> StateMachine<'a, S, E>
where
    S: Copy + Ord + Debug,
    E: Ord + Debug,
{
    /// A table without transitions, with this initial state.
    #[must_use]
    pub fn new(start: S) -> Self {
        Self { start, transitions: BTreeMap::new(), terminal: BTreeSet::new() }
    }

    /// Adds a transition: in `from`, `event` leads to `to`. It replaces an earlier one for the same state and
    /// event.
    #[must_use]
    pub fn on(mut self, from: S, event: E, to: S) -> Self {
        self.transitions.insert((from, event), (to, None));
        self
    }

    /// Adds a transition with an action: in `from`, `event` leads to `to` once `action` has succeeded. Each
    /// call is one of a clone of the action.
    #[must_use]
    pub fn on_do<Fut>(
        mut self,
        from: S,
        event: E,
        to: S,
        action: impl FnOnce() -> Fut + Clone + Send + Sync + 'a,
    ) -> Self
    where
        Fut: Future<Output = Result<(), JobError>> + Send + 'a,
    {
        let action: Action<'a> = Box::new(move || Box::pin(action.clone()()));
        self.transitions.insert((from, event), (to, Some(action)));
        self
    }

    /// Makes this state terminal: the run ends in it.
    #[must_use]
    pub fn terminal(mut self, state: S) -> Self {
        self.terminal.insert(state);
        self
    }

    /// Runs from the initial state, event by event, until a terminal state, the end of the events, or `stop`.
    /// A running action is not interrupted by the stop: drop the future for that.
    ///
    /// # Errors
    /// The error of the first action that fails; the state is then unchanged.
    pub async fn run(
        &self,
        events: impl Stream<Item = E>,
        stop: impl Future,
    ) -> Result<RunSummary<S>, StateMachineError<S, E>> {
        tokio::pin!(events, stop);
        let mut summary = RunSummary {
            state: self.start,
            steps: 0,
            unknown: 0,
            finished: self.terminal.contains(&self.start),
        };
        while !summary.finished {
            let event = tokio::select! {
                biased;
                _ = &mut stop => break,
                event = events.next() => event,
            };
            let Some(event) = event else { break };
            let key = (summary.state, event);
            let Some((to, action)) = self.transitions.get(&key) else {
                tracing::debug!(state = ?summary.state, event = ?key.1, "no transition");
                summary.unknown += 1;
                table::UNKNOWN_EVENTS.counter_with([]).increment(1);
                continue;
            };
            if let Some(action) = action
                && let Err(error) = action().await
            {
                return Err(StateMachineError { state: summary.state, event: key.1, error });
            }
            tracing::debug!(from = ?summary.state, event = ?key.1, ?to, "transition");
            summary.state = *to;
            summary.steps += 1;
            summary.finished = self.terminal.contains(to);
        }
        Ok(summary)
    }

    /// The table as a Mermaid diagram, for any Markdown page that renders it. States and events are named as
    /// `Debug` shows them.
    #[must_use]
    pub fn diagram(&self) -> String {
        let ends = self.transitions.iter().flat_map(|((from, _), (to, _))| [from, to]);
        let states: BTreeSet<&S> = ends.chain([&self.start]).chain(&self.terminal).collect();
        let mut text = "stateDiagram-v2\n".to_owned();
        let mut names = BTreeMap::new();
        for (number, state) in states.into_iter().enumerate() {
            let mut name = format!("{state:?}");
            if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                let _ = writeln!(text, "    state \"{}\" as s{number}", label(&name));
                name = format!("s{number}");
            }
            names.insert(state, name);
        }
        let name = |state| names.get(state).map_or("", String::as_str);
        let _ = writeln!(text, "    [*] --> {}", name(&self.start));
        for ((from, event), (to, _)) in &self.transitions {
            let _ = writeln!(text, "    {} --> {}: {}", name(from), name(to), label(&format!("{event:?}")));
        }
        for state in &self.terminal {
            let _ = writeln!(text, "    {} --> [*]", name(state));
        }
        text
    }
}

/// Converts `Debug` output to a Mermaid label: without the quotes of a string, and with special characters
/// escaped.
fn label(shown: &str) -> String {
    let text = shown.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let text = text.map_or_else(|| shown.to_owned(), |text| text.replace("\\\"", "\""));
    let mut label = String::new();
    for c in text.chars() {
        match c {
            '#' => label += "#35;",
            ';' => label += "#59;",
            '"' => label += "#quot;",
            '\n' => label.push(' '),
            c => label.push(c),
        }
    }
    label
}

impl<S: Debug, E: Debug> Debug for StateMachine<'_, S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMachine")
            .field("start", &self.start)
            .field("transitions", &self.transitions.keys())
            .field("terminal", &self.terminal)
            .finish()
    }
}

impl<S: Debug, E: Debug> fmt::Display for StateMachineError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in state {:?}, on {:?}: {}", self.state, self.event, self.error)
    }
}

impl<S: Debug, E: Debug> Debug for StateMachineError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ends the job with the action's error.
impl<S, E> From<StateMachineError<S, E>> for JobError {
    fn from(error: StateMachineError<S, E>) -> Self {
        error.error
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum S {
        Idle,
        Busy,
        Done,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum E {
        Go,
        Finish,
        Reset,
    }

    fn never() -> impl Future<Output = ()> {
        std::future::pending()
    }

    fn machine<'a>(log: &'a Mutex<Vec<&'static str>>) -> StateMachine<'a, S, E> {
        let action = |name| {
            async move || {
                log.lock().unwrap().push(name);
                Ok(())
            }
        };
        StateMachine::new(S::Idle)
            .on_do(S::Idle, E::Go, S::Busy, action("go"))
            .on_do(S::Busy, E::Finish, S::Done, action("finish"))
            .on(S::Busy, E::Reset, S::Idle)
            .terminal(S::Done)
    }

    #[tokio::test]
    async fn transitions_are_followed_and_unknown_events_are_counted() {
        let log = Mutex::default();
        let machine = machine(&log);
        let events = stream::iter([E::Finish, E::Go, E::Reset, E::Reset, E::Go, E::Finish, E::Go]);
        let summary = machine.run(events, never()).await.unwrap();
        assert_eq!(summary, RunSummary { state: S::Done, steps: 4, unknown: 2, finished: true });
        assert_eq!(*log.lock().unwrap(), ["go", "go", "finish"]);
    }

    #[tokio::test]
    async fn a_failed_action_leaves_the_state_and_keeps_its_kind() {
        let machine = StateMachine::new(S::Idle).on(S::Idle, E::Go, S::Busy).on_do(
            S::Busy,
            E::Finish,
            S::Done,
            || async { Err(JobError::fatal("no_space")) },
        );
        let error = machine.run(stream::iter([E::Go, E::Finish]), never()).await.unwrap_err();
        assert_eq!(error.to_string(), "in state Busy, on Finish: no_space");
        let JobError { .. } = JobError::from(error);
    }

    #[tokio::test]
    async fn a_stop_ends_the_run_in_the_current_state() {
        let log = Mutex::default();
        let machine = machine(&log);
        let summary = machine.run(stream::pending(), std::future::ready(())).await.unwrap();
        assert_eq!(summary, RunSummary { state: S::Idle, steps: 0, unknown: 0, finished: false });
    }

    #[test]
    fn the_table_is_a_diagram() {
        let expected = "stateDiagram-v2\n    [*] --> Idle\n    Idle --> Busy: Go\n    Busy --> Done: Finish\n    \
                        Busy --> Idle: Reset\n    Done --> [*]\n";
        assert_eq!(machine(&Mutex::default()).diagram(), expected);
    }

    proptest! {
        /// Each event up to the end is a transition or unknown, in any order.
        #[test]
        fn every_event_is_accounted_for(events in prop::collection::vec(prop_oneof![Just(E::Go), Just(E::Finish), Just(E::Reset)], 0..40)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let log = Mutex::default();
            let machine = machine(&log);
            let summary = runtime.block_on(machine.run(stream::iter(events.clone()), never())).unwrap();
            let seen = usize::try_from(summary.steps + summary.unknown).unwrap();
            prop_assert_eq!(summary.finished, summary.state == S::Done);
            let all_but_the_rest = if summary.finished { seen <= events.len() } else { seen == events.len() };
            prop_assert!(all_but_the_rest);
        }
    }

    #[test]
    fn names_that_mermaid_does_not_take_are_labels() {
        let door = StateMachine::new("Shut").on("Shut", "push; \"now\"\n", "half open").terminal("half open");
        assert_eq!(
            door.diagram(),
            "stateDiagram-v2\n    state \"Shut\" as s0\n    state \"half open\" as s1\n    [*] --> s0\n    s0 --> s1: push#59; #quot;now#quot;\\n\n    s1 --> [*]\n"
        );
    }
}
