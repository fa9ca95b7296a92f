//! Options for joining rooms.

use std::sync::Arc;
use std::time::Duration;

use agent_rtc::{AutoSubscribe, E2eeOptions, RoomConnector};

use crate::worker::builder::WorkerBuilder;

impl WorkerBuilder {
    /// Whether the room is joined before the handler is called (the default), or by the handler with
    /// [`JobContext::join`](crate::JobContext::join).
    pub fn join_room(mut self, join: bool) -> Self {
        self.settings.rooms.join_first = join;
        self
    }

    /// Which tracks of other participants the server sends to the agent as soon as they are published: all,
    /// unless set. An agent that needs only data and events avoids all media with [`AutoSubscribe::None`]. A
    /// handler that joins the room itself may choose for its job, with
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

    /// End-to-end encryption of all rooms, with the same key. Unless set, nothing is encrypted, and the
    /// frames of encrypted tracks are dropped. A handler that joins the room itself may choose the key for
    /// its job, with [`JobContext::join_with`](crate::JobContext::join_with).
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// use agent_worker::Worker;
    /// use agent_worker::room::{E2eeKey, E2eeOptions};
    ///
    /// let key = E2eeKey::new("a passphrase that the front end knows, too");
    /// let builder = Worker::builder(agent).e2ee(E2eeOptions::shared(key));
    /// ```
    pub fn e2ee(mut self, options: E2eeOptions) -> Self {
        self.settings.rooms.e2ee = Some(options);
        self
    }

    /// Whether media and data of all rooms go through TURN servers only, as the server names them. Unless
    /// set, they are tried after a second without a direct path ([guide](crate::guide::networks)).
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// use agent_worker::Worker;
    ///
    /// // On a network from which nothing but a TURN server on port 443 can be reached.
    /// let builder = Worker::builder(agent).force_relay(true);
    /// ```
    pub fn force_relay(mut self, force: bool) -> Self {
        self.settings.rooms.force_relay = force;
        self
    }

    /// Whether a job fails when its assignment names another server (host or port) than the worker's
    /// [`url`](Self::url), before its token is sent there. Unless set, it is joined, and the difference is
    /// logged: LiveKit Cloud may assign rooms of another region. A worker that is connected with encryption
    /// (`wss://`) always refuses a server without it (`ws://`).
    pub fn refuse_other_servers(mut self, refuse: bool) -> Self {
        self.settings.rooms.refuse_other_servers = refuse;
        self
    }

    /// Time limit of joining a room; 15 s unless set.
    pub fn join_timeout(mut self, limit: Duration) -> Self {
        self.settings.rooms.join_timeout = limit;
        self
    }

    /// Time limit of re-establishing the lost connection to a room, before its job ends as
    /// [`RoomGone`](crate::CancelReason::RoomGone); 60 s unless set.
    pub fn room_reconnect_timeout(mut self, limit: Duration) -> Self {
        self.settings.rooms.reconnect_timeout = limit;
        self
    }

    /// Whether a job continues in another room of the same name: if its connection was re-established to such
    /// a room, as after a restart of the server, or its own room was deleted before it was joined. Unless
    /// set, the job ends as [`RoomGone`](crate::CancelReason::RoomGone), since the server creates another job
    /// for the new room.
    pub fn stay_in_new_room(mut self, stay: bool) -> Self {
        self.settings.rules.stay_in_new_room = stay;
        self
    }

    /// How rooms are joined, instead of by WebRTC: mock rooms in tests, for example.
    pub fn connector(mut self, connector: impl RoomConnector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }
}
