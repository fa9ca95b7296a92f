//! Remote procedure calls: methods of other participants, and ours.
//!
//! - `room` is what [`Room`](super::Room) offers of them, `call` a call of ours.
//! - `methods` has our methods and runs them for requests; `response` is what they may return.

mod call;
mod methods;
mod response;
mod room;

pub use call::PerformRpc;
pub(crate) use methods::Methods;
pub use response::IntoRpcResponse;
