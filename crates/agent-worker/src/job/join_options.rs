//! Options for joining a room.

use agent_rtc::AutoSubscribe;

/// Options for joining a room with [`JobContext::join_with`](crate::JobContext::join_with).
///
/// ```
/// use agent_worker::{JobContext, JobResult, room::{AutoSubscribe, JoinOptions}};
///
/// // For a worker that was built with `join_room(false)`.
/// async fn agent(ctx: JobContext) -> JobResult {
///     let room = ctx.join_with(JoinOptions::new().auto_subscribe(AutoSubscribe::None)).await?;
///     room.publish_data("status", "joined without audio").await?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct JoinOptions {
    pub(crate) auto_subscribe: Option<AutoSubscribe>,
}

impl JoinOptions {
    /// The worker's settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which tracks of other participants the server sends us, instead of the worker's
    /// [`auto_subscribe`](crate::WorkerBuilder::auto_subscribe).
    pub fn auto_subscribe(mut self, mode: AutoSubscribe) -> Self {
        self.auto_subscribe = Some(mode);
        self
    }
}
