//! Middleware for agents.
//!
//! A layer wraps an agent in another one. The last added layer is the outermost: it sees a job first and its
//! end last.
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
//! // A job waits until no other one runs in its room; the timeout counts from then on; the trace includes both.
//! let agent = greet
//!     .layer(Timeout::after(Duration::from_secs(60)))
//!     .layer(LimitBy::room(1))
//!     .layer(Traced::named("greeter"));
//! # let _ = agent;
//! ```
//!
//! To write a layer around the handler, implement [`AroundHandler`], like the layers here. To change more,
//! implement [`Layer`] with your own [`Agent`](crate::Agent).

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
