//! The seam between channels and what carries their messages.

use super::CoordinationError;
use agent_proto::BoxFuture;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// A topic has at most so many bytes.
pub const MAX_TOPIC_LEN: usize = 512;
/// A message has at most so many bytes: as much as room data takes, so that what works with one backend works with all.
pub const MAX_MESSAGE_LEN: usize = 60_000;

/// Carries messages between jobs: in memory, over Redis, or your own.
pub trait PubSub: Send + Sync + 'static {
    /// Joins a topic. When it is done, everything that anybody sends there from then on comes to the inbox, in the order of
    /// each sender, until the carrier is dropped; one's own frames may come too. The topic is at most [`MAX_TOPIC_LEN`] bytes.
    fn join<'a>(
        &'a self,
        topic: &'a str,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Carrier>, CoordinationError>>;
}

/// One job's place on a topic. Dropping it leaves.
pub trait Carrier: Send + Sync + 'static {
    /// Sends a frame to everybody on the topic. A frame is a message of at most [`MAX_MESSAGE_LEN`] bytes and a header of at most
    /// 1 KiB. One is sent at a time.
    fn send(&self, frame: Bytes) -> BoxFuture<'_, Result<(), CoordinationError>>;
}

/// Where a [`PubSub`] puts what arrives for one channel. Cheap to clone.
#[derive(Clone)]
pub struct Inbox(Arc<dyn Receive>);

/// What stands behind an [`Inbox`]. No call may block.
pub trait Receive: fmt::Debug + Send + Sync + 'static {
    /// Takes a frame as it was sent; `sender` is empty where the carrier does not know it.
    fn receive(&self, sender: &str, frame: &Bytes);
    /// The way was interrupted.
    fn interrupted(&self);
    /// Nothing comes any more.
    fn close(&self);
}

impl Inbox {
    /// The inbox of whoever receives.
    pub fn new(receiver: Arc<dyn Receive>) -> Self {
        Self(receiver)
    }

    /// Takes a frame as it was sent. Anything else is dropped, with a line in the log.
    pub fn deliver(&self, frame: &Bytes) {
        self.0.receive("", frame);
    }

    /// As [`deliver`](Self::deliver), where the carrier knows who has sent it: nobody else can speak under the same id then.
    pub fn deliver_from(&self, sender: &str, frame: &Bytes) {
        self.0.receive(sender, frame);
    }

    /// Says that messages may have been lost, nobody knows how many.
    pub fn interrupted(&self) {
        self.0.interrupted();
    }

    /// Says that nothing comes any more.
    pub fn close(&self) {
        self.0.close();
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
