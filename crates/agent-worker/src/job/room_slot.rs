//! The room of a job, joined once for all its attempts.

use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, SetOnce};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use agent_core::{Input, Job};
use agent_net::AssignedUrlError;
use agent_rtc::{Dropped, JoinError, JoinRequest, JoinSession, RoomConnection};

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
                let _ = self.connection.set(connection);
                let (job, room) = (Arc::clone(&self.job), Arc::clone(&self.connection));
                let watch = tokio::spawn(RoomWatch::begin(job, room, took, self.inputs.clone()).run());
                let _ = self.watch.set(watch.abort_handle());
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

    /// Stops reporting about the room, as its job is over.
    pub(crate) fn stop_watching(&self) {
        self.watch.get().inspect(|watch| watch.abort());
    }
}
