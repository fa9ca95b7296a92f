//! A handler's channel of a topic.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::ser::Error;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tracing::Instrument;

use agent_core::{
    CoordinationError, Frame, JobId, JsonError, MAX_MESSAGE_LEN, MAX_TOPIC_LEN, PubSub, Sequencer,
    Subscription, check_len, check_name, to_json,
};
use agent_proto::text::line;

use super::mailbox::Mailbox;
use super::{Announcement, ChannelEvent};
use crate::telemetry::Meter;

/// Minimum interval between repetitions of an announcement, so that many newcomers at once get one answer.
const REPEAT_PAUSE: Duration = Duration::from_millis(250);

/// A topic on which jobs exchange messages, from [`JobContext::channel`](crate::JobContext::channel).
///
/// A channel receives every message that others publish after it was opened, in the order of each publisher.
/// Losses in transit are reported ([`ChannelEvent::Missed`], [`ChannelEvent::Interrupted`]). At most 1,024
/// events and 4 MiB are queued for a slow reader; beyond that the oldest are dropped, and their number is
/// reported ([`ChannelEvent::Lagged`]). Dropping the channel leaves the topic.
///
/// ```
/// use agent_worker::{JobContext, JobResult, coordination::ChannelEvent};
///
/// async fn meet(ctx: JobContext) -> JobResult {
///     let mut jobs = ctx.jobs_channel().await?; // room:{name}:jobs
///     jobs.announce("transcribe").await?;
///     loop {
///         tokio::select! {
///             _ = ctx.cancelled() => return Ok(()),
///             event = jobs.next() => match event {
///                 Some(ChannelEvent::Announced(other)) => println!("{} can {}", other.job_id, other.capability),
///                 Some(ChannelEvent::Message(message)) => println!("{}: {}", message.from, message.text()),
///                 Some(other) => println!("{other:?}"), // messages were lost
///                 None => return Ok(()),
///             },
///         }
///     }
/// }
/// ```
pub struct Channel {
    topic: String,
    publisher: Publisher,
    inbox: Mailbox,
    /// Answers newcomers.
    repeater: AbortHandle,
}

/// The sending half of a [`Channel`], for other tasks of the job. Cheap to clone. The topic is left when the
/// channel and all its publishers are dropped.
#[derive(Clone)]
pub struct Publisher {
    sender: Arc<Sender>,
    worker_id: Arc<str>,
    job: JobId,
    meter: Arc<Meter>,
}

/// Numbers and sends frames under one lock, so that both have the same order.
struct Sender {
    state: Mutex<(Sequencer, Box<dyn Subscription>)>,
}

impl Channel {
    pub(in crate::job::coordination) async fn open(
        pubsub: &dyn PubSub,
        topic: String,
        job: &JobId,
        worker_id: Arc<str>,
        random: u64,
        meter: Arc<Meter>,
    ) -> Result<Self, CoordinationError> {
        check_name("topic of the channel", &topic, MAX_TOPIC_LEN)?;
        let publisher = format!("{job}/{random:016x}");
        check_name("job's id", &publisher, agent_core::MAX_PUBLISHER_LEN)?;
        let inbox = Mailbox::new(&publisher, Arc::clone(&meter));
        let subscription = pubsub.subscribe(&topic, inbox.inbox()).await?;
        let sequencer = Sequencer::new(publisher);
        let hello = sequencer.hello();
        let sender = Arc::new(Sender { state: Mutex::new((sequencer, subscription)) });
        sender.send(|_| hello).await?;
        let repeating = repeat(Arc::clone(&sender), inbox.clone()).in_current_span();
        let repeater = tokio::spawn(repeating).abort_handle();
        let publisher = Publisher { sender, worker_id, job: job.clone(), meter };
        Ok(Self { topic, publisher, inbox, repeater })
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The sending half, for other tasks of the job.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// Publishes a message to all others on the topic: see [`Publisher::publish`].
    ///
    /// # Errors
    /// As there.
    pub async fn publish(&self, payload: impl Into<Bytes>) -> Result<(), CoordinationError> {
        self.publisher.publish(payload).await
    }

    /// Publishes a value as JSON: see [`Publisher::publish_json`].
    ///
    /// # Errors
    /// As there.
    pub async fn publish_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CoordinationError> {
        self.publisher.publish_json(value).await
    }

    /// Announces this job and what it can do: see [`Publisher::announce`].
    ///
    /// # Errors
    /// As there.
    pub async fn announce(&self, capability: impl Into<String>) -> Result<(), CoordinationError> {
        self.publisher.announce(capability).await
    }

    /// The next event; `None` after the end of the room that carries them. Cancel-safe.
    pub async fn next(&mut self) -> Option<ChannelEvent> {
        self.inbox.next().await
    }
}

#[cfg(test)]
impl Channel {
    pub(super) const fn mailbox(&self) -> &Mailbox {
        &self.inbox
    }
}

impl Publisher {
    /// Publishes a message to all others on the topic: at most [`MAX_MESSAGE_LEN`] bytes.
    ///
    /// # Errors
    /// [`CoordinationError::TooLarge`]; or the send failed: the others may or may not receive the message
    /// then, and if not, they see the loss with the next one. It is not retried.
    pub async fn publish(&self, payload: impl Into<Bytes>) -> Result<(), CoordinationError> {
        let payload = payload.into();
        check_len("message", payload.len(), MAX_MESSAGE_LEN)?;
        self.sender.send(|sequencer| sequencer.message(payload)).await?;
        self.meter.published();
        Ok(())
    }

    /// Publishes a value as JSON, like [`publish`](Self::publish). A float that is not finite is refused:
    /// JSON has no such number.
    ///
    /// # Errors
    /// [`CoordinationError::Json`], and those of `publish`.
    pub async fn publish_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CoordinationError> {
        let json = to_json(value, MAX_MESSAGE_LEN).map_err(|error| match error {
            JsonError::TooLong { len, limit } => CoordinationError::TooLarge { what: "message", len, limit },
            error @ JsonError::Value { .. } => CoordinationError::Json(serde_json::Error::custom(error)),
        })?;
        self.publish(json).await
    }

    /// Announces this job and what it can do, to all present jobs and to all that join later. A new
    /// announcement replaces the old one.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn announce(&self, capability: impl Into<String>) -> Result<(), CoordinationError> {
        let announcement = Announcement::now(&self.job, &self.worker_id, capability.into());
        let payload = serde_json::to_vec(&announcement).map_err(CoordinationError::Json)?;
        check_len("announcement", payload.len(), MAX_MESSAGE_LEN)?;
        self.sender.send(|sequencer| sequencer.announce(payload)).await?;
        self.meter.published();
        Ok(())
    }
}

impl Sender {
    async fn send(&self, frame: impl FnOnce(&mut Sequencer) -> Frame) -> Result<(), CoordinationError> {
        let mut state = self.state.lock().await;
        let (sequencer, subscription) = &mut *state;
        subscription.send(frame(sequencer).encode()).await
    }
}

async fn repeat(sender: Arc<Sender>, inbox: Mailbox) {
    loop {
        let greet = inbox.asked().await;
        let sent = async {
            if greet {
                sender.send(|sequencer| sequencer.hello()).await?;
            }
            sender.send(|sequencer| sequencer.answer()).await
        };
        if let Err(error) = sent.await {
            tracing::debug!("could not announce this job to a new subscriber: {}", line(error));
        }
        tokio::time::sleep(REPEAT_PAUSE).await;
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.repeater.abort();
        // A publisher may still exist and keep the topic open.
        self.inbox.abandon();
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("job", &self.job).finish_non_exhaustive()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("topic", &self.topic)
            .field("inbox", &self.inbox)
            .finish_non_exhaustive()
    }
}
