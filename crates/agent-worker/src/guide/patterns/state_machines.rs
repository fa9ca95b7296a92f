//! State machines: a handler as a table of transitions.
//!
//! ```
//! use agent_worker::{JobContext, JobResult, patterns::StateMachine};
//! use futures_util::StreamExt;
//!
//! #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
//! enum Recording { Idle, Running, Over }
//! #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
//! enum Button { Start, Stop, Finish, Lost }
//!
//! async fn recorder(ctx: JobContext) -> JobResult {
//!     let publish = async |what| JobResult::Ok(ctx.room().publish_data("recorder", what).await?);
//!     let table = StateMachine::new(Recording::Idle)
//!         .on_do(Recording::Idle, Button::Start, Recording::Running, || publish("started"))
//!         .on_do(Recording::Running, Button::Stop, Recording::Idle, || publish("stopped"))
//!         .on(Recording::Idle, Button::Finish, Recording::Over)
//!         .on(Recording::Running, Button::Lost, Recording::Idle)
//!         .terminal(Recording::Over);
//!     let pressed = ctx.room().data("buttons").filter_map(async |press| match press {
//!         Ok(press) => match &*press.payload {
//!             b"start" => Some(Button::Start),
//!             b"stop" => Some(Button::Stop),
//!             b"finish" => Some(Button::Finish),
//!             _ => None,
//!         },
//!         Err(_) => Some(Button::Lost), // unknown buttons: the table defines the effect in each state
//!     });
//!     let summary = table.run(pressed, ctx.cancelled()).await?;
//!     ctx.room().publish_data("recorder", format!("{} steps, {} unknown", summary.steps, summary.unknown)).await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let presses = JobSpec::room("studio").script(|room| async move {
//!     let ada = room.join("ada");
//!     room.wait_for_agent().await;
//!     for button in ["start", "start", "stop", "finish"] {
//!         ada.send_data("buttons", button);
//!     }
//! });
//! let run = run_job(recorder, presses).await;
//! let sent: Vec<String> = run.sent.iter().filter(|sent| sent.topic == "recorder").map(|sent| sent.text()).collect();
//! assert_eq!(sent, ["started", "stopped", "3 steps, 1 unknown"]);
//! # run.assert_success();
//! # });
//! ```
//!
//! An action is called without arguments, and borrows what it needs: the context, the agent (`self`), or any
//! variable that lives as long as the table.
//!
//! # Events and their effects
//! | event | effect |
//! |---|---|
//! | an event with a transition from the current state | its action runs; if it succeeds, the state changes |
//! | an event without a transition | it is counted as [unknown](crate::patterns::RunSummary::unknown), logged at `debug`, and skipped |
//! | an action fails | the run ends with its error, which names state and event; the state is unchanged |
//! | a terminal state is reached | the run ends; later events stay in the stream |
//! | the events end, or it is stopped | the run ends; [`finished`](crate::patterns::RunSummary::finished) is `false`, as no terminal state was reached |
//!
//! A running action is not interrupted by the stop, so that no transition is incomplete; an action that may
//! take long should observe [`ctx.cancelled()`](crate::JobContext::cancelled) itself.
//!
//! # Diagrams
//! [`diagram`](crate::patterns::StateMachine::diagram) returns the table as a Mermaid diagram, which most
//! Markdown viewers render:
//! ```
//! use agent_worker::patterns::StateMachine;
//!
//! let door = StateMachine::new("Open").on("Open", "push", "Shut").on("Shut", "pull", "Open");
//! println!("{}", door.diagram());
//! # assert!(door.diagram().starts_with("stateDiagram-v2\n"));
//! ```
