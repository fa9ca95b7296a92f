//! The room of a job, joined once for all its attempts.

use std::sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, SetOnce};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use agent_core::{Input, Job};
use agent_net::AssignedUrlError;
use agent_rtc::{Dropped, JoinError, JoinFailure, JoinRequest, JoinSession, RoomConnection};

use crate::job::join_options::JoinOptions;
use crate::job::room_watch::RoomWatch;
use crate::telemetry::JoinSpan;
use crate::worker::parts::Parts;

/// The connection to the job's room once it is joined, and what joining needs. Shared by all attempts.
pub(crate) struct RoomSlot {
    job: Arc<Job>,
    parts: Arc<Parts>,
    /// The error if the room must not be joined.
    request: Result<JoinRequest, AssignedUrlError>,
    pub(crate) connection: Arc<SetOnce<RoomConnection>>,
    /// What the room was joined with, the settings of the worker included.
    joined_with: OnceLock<JoinOptions>,
    /// Keeps the session of a failed or cancelled join in the room, until the job ends or the join is
    /// retried.
    pub(crate) session: JoinSession,
    /// Held while joining, so that concurrent calls join once: a second agent with the same identity would
    /// kick the first.
    joining: Mutex<()>,
    on_dropped: Arc<dyn Fn(Dropped) + Send + Sync>,
    inputs: UnboundedSender<Input>,
    /// The task that watches the room, once it is joined.
    watch: OnceLock<AbortHandle>,
    /// Whether the job is over, so that the room must not be joined any more.
    over: StdMutex<bool>,
}

impl RoomSlot {
    pub(crate) fn new(
        job: Arc<Job>,
        parts: Arc<Parts>,
        request: Result<JoinRequest, AssignedUrlError>,
        on_dropped: impl Fn(Dropped) + Send + Sync + 'static,
        inputs: UnboundedSender<Input>,
    ) -> Self {
        let (connection, joining) = (Arc::new(SetOnce::new()), Mutex::new(()));
        Self {
            job,
            parts,
            request,
            connection,
            joined_with: OnceLock::new(),
            session: JoinSession::new(),
            joining,
            on_dropped: Arc::new(on_dropped),
            inputs,
            watch: OnceLock::new(),
            over: StdMutex::default(),
        }
    }

    /// The connection; joins the room if it is not joined yet.
    pub(crate) async fn get_or_join(&self, options: JoinOptions) -> Result<&RoomConnection, JoinError> {
        let asked = options.clone();
        if self.connection.get().is_none() {
            let _one_at_a_time = self.joining.lock().await;
            if self.connection.get().is_none() {
                let begun = Instant::now();
                let mut request = self.request.clone()?;
                request.session = Some(self.session.clone());
                request.auto_subscribe = options.auto_subscribe.unwrap_or(request.auto_subscribe);
                request.e2ee = options.e2ee.or(request.e2ee);
                request.force_relay = options.force_relay.unwrap_or(request.force_relay);
                let with = JoinOptions {
                    auto_subscribe: Some(request.auto_subscribe),
                    e2ee: request.e2ee.clone(),
                    force_relay: Some(request.force_relay),
                };
                let span = JoinSpan::begin(request.e2ee.is_some());
                let joined = self.parts.connector.connect(request).await;
                span.end(&joined);
                let took = begun.elapsed();
                self.parts.meter.joined(took, joined.is_ok());
                if joined.as_ref().is_err_and(JoinError::is_out_of_descriptors) {
                    let _ = self.inputs.send(Input::DescriptorsExhausted);
                }
                let room = joined?;
                if let Some(path) = room.network_path() {
                    self.parts.meter.room_path(&path);
                }
                let _ = self.joined_with.set(with);
                let (connection, report) = (RoomConnection::new(room), Arc::clone(&self.on_dropped));
                connection.on_dropped(move |dropped| report(dropped));
                if let Err(late) = self.keep(connection, took) {
                    late.leave().await;
                    return Err(JoinError::Failed(JoinFailure::Cancelled));
                }
            }
        }
        let connection = self.connection.wait().await;
        self.check(&asked)?;
        Ok(connection)
    }

    /// Refuses options that the joined room does not have: a handler that asks for encryption must not
    /// publish without it.
    pub(crate) fn check(&self, options: &JoinOptions) -> Result<(), JoinError> {
        match self.joined_with.get().and_then(|with| options.other_than(with)) {
            Some(option) => Err(JoinError::OtherOptions { option }),
            None => Ok(()),
        }
    }

    /// Keeps and watches a joined room, unless the job is over: then nothing else would leave it.
    fn keep(&self, connection: RoomConnection, took: Duration) -> Result<(), RoomConnection> {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if *over {
            return Err(connection);
        }
        let _ = self.connection.set(connection);
        let (job, room) = (Arc::clone(&self.job), Arc::clone(&self.connection));
        let watch = tokio::spawn(RoomWatch::begin(job, room, took, self.inputs.clone()).run());
        let _ = self.watch.set(watch.abort_handle());
        Ok(())
    }

    /// Ends the job: a join that completes from now on leaves the room again.
    fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Ends the job. Returns whether there is a room to [leave](Self::leave).
    pub(crate) fn end_before_leaving(&self) -> bool {
        self.end();
        let has_room = self.connection.get().is_some() || self.session.is_held();
        if !has_room {
            // A join that is still under way is not kept when it fails. There is none to wait for here.
            let _ = self.session.leave().now_or_never();
        }
        has_room
    }

    /// Leaves the room, if it was joined.
    pub(crate) async fn leave(&self) {
        match self.connection.get() {
            Some(connection) => connection.leave().await,
            None => self.session.leave().await,
        }
    }

    /// Ends the job without leaving: stops reporting about the room.
    pub(crate) fn abandon(&self) {
        self.end();
        self.watch.get().inspect(|watch| watch.abort());
    }
}
