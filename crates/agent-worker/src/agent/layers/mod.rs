//! Wrappers around an agent that any agent can wear.
//!
//! A layer takes an agent and gives another one. The one that is added last is the outermost: it sees a job first and its end last.
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
//!     .layer(Traced::as_("greeter"));
//! # let _ = agent;
//! ```
//!
//! A layer of your own is a type with [`Layer`] that gives a type with [`Agent`]; those here are short examples.

mod limit;
mod measured;
mod timeout;
mod traced;

use crate::agent::Agent;

pub use limit::{LimitBy, Limited};
pub use measured::{Measured, Metered};
pub use timeout::{Timed, Timeout};
pub use traced::{Observed, Traced};

/// Makes one agent of another.
pub trait Layer<A: Agent> {
    /// The agent in its new coat.
    type Agent: Agent;

    /// Puts the coat on.
    fn layer(self, inner: A) -> Self::Agent;
}

/// Adds layers to an agent.
pub trait Layered: Agent + Sized {
    /// This agent within that layer.
    #[must_use]
    fn layer<L: Layer<Self>>(self, layer: L) -> L::Agent {
        layer.layer(self)
    }
}

impl<A: Agent> Layered for A {}
