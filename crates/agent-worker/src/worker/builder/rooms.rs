//! How the rooms of jobs are joined.

use std::sync::Arc;
use std::time::Duration;

use agent_rtc::{AutoSubscribe, RoomConnector};

use crate::worker::builder::WorkerBuilder;

impl WorkerBuilder {
    /// Whether the room is joined before the handler is called (it is, unless set), or by the handler with
    /// [`JobContext::join`](crate::JobContext::join).
    pub fn join_room(mut self, join: bool) -> Self {
        self.settings.rooms.join_first = join;
        self
    }

    /// Which tracks of others the server sends to the agent as soon as they are published: all, unless set.
    /// An agent that wants data and events only saves the server and itself all media with
    /// [`AutoSubscribe::None`]. A handler that joins by itself may decide for its job, with
    /// [`JobContext::join_with`](crate::JobContext::join_with).
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// use agent_worker::{Worker, room::AutoSubscribe};
    ///
    /// let builder = Worker::builder(agent).auto_subscribe(AutoSubscribe::None);
    /// ```
    pub fn auto_subscribe(mut self, mode: AutoSubscribe) -> Self {
        self.settings.rooms.auto_subscribe = mode;
        self
    }

    /// Whether a job fails when its assignment names another server (host or port) than the worker's
    /// [`url`](Self::url), before its token is sent there. It is joined and logged, unless set: LiveKit Cloud
    /// may assign rooms of another region. A server without encryption (`ws://`) is always refused by a
    /// worker that is connected with it (`wss://`).
    pub fn refuse_other_servers(mut self, refuse: bool) -> Self {
        self.settings.rooms.refuse_other_servers = refuse;
        self
    }

    /// How long joining a room may take; 15 s unless set.
    pub fn join_timeout(mut self, limit: Duration) -> Self {
        self.settings.rooms.join_timeout = limit;
        self
    }

    /// How long the lost connection of a room is tried to be restored before the room counts as gone and its
    /// job ends as [`RoomGone`](crate::CancelReason::RoomGone); 60 s unless set.
    pub fn room_reconnect_timeout(mut self, limit: Duration) -> Self {
        self.settings.rooms.reconnect_timeout = limit;
        self
    }

    /// Whether a job goes on in another room of the same name: when its connection was restored into one, as
    /// after a restart of the server, and when its own room was deleted before it was joined. It does not,
    /// unless set: it ends as [`RoomGone`](crate::CancelReason::RoomGone), since the server makes another job
    /// for the new room.
    pub fn stay_in_new_room(mut self, stay: bool) -> Self {
        self.settings.rules.stay_in_new_room = stay;
        self
    }

    /// How rooms are joined, in the place of WebRTC: a mock room in tests, for one.
    pub fn connector(mut self, connector: impl RoomConnector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }
}
