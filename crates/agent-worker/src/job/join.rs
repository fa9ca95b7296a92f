//! The room of a job, and how it is joined: once for all attempts.

use crate::job::join_options::JoinOptions;
use crate::worker::parts::Parts;
use agent_core::Input;
use agent_net::AssignedUrlError;
use agent_rtc::{Dropped, JoinError, JoinRequest, Room};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, SetOnce};
use tokio::time::Instant;

/// How the job's room is joined, and the room once it is: one for all attempts.
pub(crate) struct Join {
    parts: Arc<Parts>,
    /// Or why the room must not be joined.
    request: Result<JoinRequest, AssignedUrlError>,
    pub(crate) room: Arc<SetOnce<Room>>,
    /// Held while joining, so that two calls at once join once: a second agent of one identity kicks the first.
    joining: Mutex<()>,
    on_dropped: Arc<dyn Fn(Dropped) + Send + Sync>,
    tell: UnboundedSender<Input>,
}

impl Join {
    pub(crate) fn new(
        parts: Arc<Parts>,
        request: Result<JoinRequest, AssignedUrlError>,
        on_dropped: impl Fn(Dropped) + Send + Sync + 'static,
        tell: UnboundedSender<Input>,
    ) -> Self {
        let (room, joining) = (Arc::new(SetOnce::new()), Mutex::new(()));
        Self { parts, request, room, joining, on_dropped: Arc::new(on_dropped), tell }
    }

    pub(crate) async fn room(&self, options: JoinOptions) -> Result<&Room, JoinError> {
        if self.room.get().is_none() {
            let _one_at_a_time = self.joining.lock().await;
            if self.room.get().is_none() {
                let begun = Instant::now();
                let mut request = self.request.clone()?;
                request.auto_subscribe = options.auto_subscribe.unwrap_or(request.auto_subscribe);
                let joined = self.parts.connector.connect(request).await;
                self.parts.meter.joined(begun.elapsed(), joined.is_ok());
                if joined.as_ref().is_err_and(JoinError::is_out_of_descriptors) {
                    let _ = self.tell.send(Input::DescriptorsExhausted);
                }
                let (room, report) = (joined?, Arc::clone(&self.on_dropped));
                room.on_dropped(move |dropped| report(dropped));
                let _ = self.room.set(room);
            }
        }
        Ok(self.room.wait().await)
    }
}
