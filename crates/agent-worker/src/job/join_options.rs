//! Options for joining a room.

use agent_rtc::{AutoSubscribe, E2eeOptions};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct JoinOptions {
    pub(crate) auto_subscribe: Option<AutoSubscribe>,
    pub(crate) e2ee: Option<E2eeOptions>,
    pub(crate) force_relay: Option<bool>,
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

    /// End-to-end encryption, instead of the worker's [`e2ee`](crate::WorkerBuilder::e2ee): for rooms that
    /// have a key each.
    ///
    /// ```
    /// use agent_worker::room::{E2eeKey, E2eeOptions, JoinOptions};
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// #[derive(Default, serde::Deserialize)]
    /// struct Call { passphrase: String }
    ///
    /// // For a worker that was built with `join_room(false)`.
    /// async fn agent(ctx: JobContext) -> JobResult {
    ///     let Call { passphrase } = ctx.metadata()?;
    ///     let key = E2eeOptions::shared(E2eeKey::new(passphrase));
    ///     let room = ctx.join_with(JoinOptions::new().e2ee(key)).await?;
    ///     room.publish_data("status", "nobody else reads this").await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn e2ee(mut self, options: E2eeOptions) -> Self {
        self.e2ee = Some(options);
        self
    }

    /// Whether media and data go through TURN servers only, instead of the worker's
    /// [`force_relay`](crate::WorkerBuilder::force_relay).
    pub fn force_relay(mut self, force: bool) -> Self {
        self.force_relay = Some(force);
        self
    }

    /// The name of an option that is set here and is another one there, if there is one.
    pub(crate) fn other_than(&self, with: &Self) -> Option<&'static str> {
        let Self { auto_subscribe, e2ee, force_relay } = self;
        [
            ("auto_subscribe", auto_subscribe.is_some() && *auto_subscribe != with.auto_subscribe),
            ("e2ee", e2ee.is_some() && *e2ee != with.e2ee),
            ("force_relay", force_relay.is_some() && *force_relay != with.force_relay),
        ]
        .into_iter()
        .find_map(|(option, differs)| differs.then_some(option))
    }
}
