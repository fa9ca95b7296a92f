//! The trait of pub/sub backends, which channels use.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use agent_proto::BoxFuture;

use super::CoordinationError;

/// The longest topic, in bytes.
pub const MAX_TOPIC_LEN: usize = 512;
/// The longest message, in bytes: the limit of room data, so that a message that works with one backend works
/// with all.
pub const MAX_MESSAGE_LEN: usize = 60_000;

/// A pub/sub backend for messages between jobs: in memory, over Redis, or your own.
pub trait PubSub: Send + Sync + 'static {
    /// Subscribes to a topic. Once it returns, everything that is sent there is delivered to the inbox, in
    /// the order of each sender, until the subscription is dropped; one's own frames may be delivered, too.
    /// The topic has at most [`MAX_TOPIC_LEN`] bytes.
    fn subscribe<'a>(
        &'a self,
        topic: &'a str,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, CoordinationError>>;
}

/// A job's subscription to a topic. Dropping it unsubscribes.
pub trait Subscription: Send + Sync + 'static {
    /// Sends a frame to all subscribers of the topic. A frame is a message of at most [`MAX_MESSAGE_LEN`]
    /// bytes and a header of at most 1 KiB. Calls do not overlap.
    fn send(&self, frame: Bytes) -> BoxFuture<'_, Result<(), CoordinationError>>;
}

/// The sink of a [`PubSub`] for the frames of one channel. Cheap to clone.
#[derive(Clone)]
pub struct Inbox(Arc<dyn Receive>);

/// The receiver behind an [`Inbox`]. No method may block.
pub trait Receive: fmt::Debug + Send + Sync + 'static {
    /// Takes a frame as it was sent; `sender` is empty if the backend does not know it.
    fn receive(&self, sender: &str, frame: &Bytes);
    /// Frames may have been lost, an unknown number of them.
    fn interrupted(&self);
    /// No more frames will arrive.
    fn close(&self);
}

impl Inbox {
    /// The inbox of a receiver.
    pub fn new(receiver: Arc<dyn Receive>) -> Self {
        Self(receiver)
    }

    /// Delivers a frame as it was sent. Invalid frames are dropped and logged.
    pub fn deliver(&self, frame: &Bytes) {
        self.0.receive("", frame);
    }

    /// Like [`deliver`](Self::deliver), with a sender that the backend has authenticated: no other sender can
    /// use its publisher id then.
    pub fn deliver_from(&self, sender: &str, frame: &Bytes) {
        self.0.receive(sender, frame);
    }

    /// Reports that frames may have been lost, an unknown number of them.
    pub fn interrupted(&self) {
        self.0.interrupted();
    }

    /// Reports that no more frames will arrive.
    pub fn close(&self) {
        self.0.close();
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
