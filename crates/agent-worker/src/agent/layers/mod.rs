//! Wrappers around an agent that any agent can wear.
//!
//! A layer takes an agent and gives another one. The one that is added last is the outermost: it sees a job
//! first and its end last.
//!
//! ```
//! use agent_worker::{JobContext, JobResult};
//! use agent_worker::layers::{Layered, LimitBy, Timeout, Traced};
//! use std::time::Duration;
//!
//! async fn greet(ctx: JobContext) -> JobResult {
//!     ctx.room().publish_data("chat", "hello").await?;
//!     Ok(())
//! }
//!
//! // A job waits until no other one runs in its room; the minute counts from then on; both are in the trace.
//! let agent = greet
//!     .layer(Timeout::after(Duration::from_secs(60)))
//!     .layer(LimitBy::room(1))
//!     .layer(Traced::named("greeter"));
//! # let _ = agent;
//! ```
//!
//! A layer of your own around the handler is a type with [`AroundHandler`], as those here are. One that
//! changes more is a type with [`Layer`] that gives a type with [`Agent`](crate::Agent).

mod layer;
mod limit;
mod measured;
mod timeout;
mod traced;

pub use layer::{Around, AroundHandler, Layer, Layered};
pub use limit::{LimitBy, Limited};
pub use measured::{Measured, MeasuredAgent};
pub use timeout::{Timeout, TimeoutAgent};
pub use traced::{Traced, TracedAgent};
