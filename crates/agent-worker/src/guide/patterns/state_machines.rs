//! A state machine: a handler as a table of what leads from where to where.
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
//!     let say = |ctx: &JobContext, what: &'static str| {
//!         let ctx = ctx.clone();
//!         move || {
//!             let ctx = ctx.clone();
//!             async move { Ok(ctx.room().publish_data("recorder", what).await?) }
//!         }
//!     };
//!     let table = StateMachine::new(Recording::Idle)
//!         .on_do(Recording::Idle, Button::Start, Recording::Running, say(&ctx, "started"))
//!         .on_do(Recording::Running, Button::Stop, Recording::Idle, say(&ctx, "stopped"))
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
//!         Err(_) => Some(Button::Lost), // nobody knows which: the table says what that means in which state
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
//! let said: Vec<String> = run.sent.iter().filter(|sent| sent.topic == "recorder").map(|sent| sent.text()).collect();
//! assert_eq!(said, ["started", "stopped", "3 steps, 1 unknown"]);
//! # run.assert_success();
//! # });
//! ```
//!
//! # What happens when
//! | what happens | then |
//! |---|---|
//! | an event has a transition from here | its action runs; when it has succeeded, the state is the next one |
//! | an event has none | it is counted as [unknown](crate::patterns::RunSummary::unknown), logged at `debug`, and skipped |
//! | an action fails | the walk ends with its error, which names state and event; the state was not left |
//! | a terminal state is reached | the walk ends; what comes later stays in the stream |
//! | the events end, or it is told to stop | the walk ends; [`finished`](crate::patterns::RunSummary::finished) says that no terminal state was reached |
//!
//! An action that has begun is not interrupted by the stop, so that no transition is made by half; an action
//! that may take long looks at [`ctx.cancelled()`](crate::JobContext::cancelled) itself.
//!
//! # See it
//! [`diagram`](crate::patterns::StateMachine::diagram) prints the table for Mermaid, which most pages for
//! Markdown draw:
//! ```
//! use agent_worker::patterns::StateMachine;
//!
//! let door = StateMachine::new("Open").on("Open", "push", "Shut").on("Shut", "pull", "Open");
//! println!("{}", door.diagram());
//! # assert!(door.diagram().starts_with("stateDiagram-v2\n"));
//! ```
