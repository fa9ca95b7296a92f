//! The description of a stream that we send.

use std::future::IntoFuture;

use agent_proto::BoxFuture;
use agent_room::{StreamKind, StreamOptions};

use crate::Room;

/// A stream that is sent, or opened for writing, when this is awaited: to everybody in the room, unless
/// changed before.
///
/// From [`Room::send_text`], [`Room::send_bytes`] and [`Room::send_file`], which return the stream's id when
/// the connection has accepted all of it, and from [`Room::stream_text`] and [`Room::stream_bytes`], which
/// return a writer.
///
/// The topic, the attributes and the identities of the recipients together have at most 15,000 bytes.
///
/// ```
/// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
/// let question = room.send_text("lk.chat", "Ready?").to(["ada"]).attributes([("tone", "friendly")]).await?;
/// room.send_text("lk.chat", "Take your time.").to(["ada"]).reply_to(question).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it is sent when it is awaited"]
pub struct StreamBuilder<C: StreamContent> {
    pub(super) room: Room,
    pub(super) options: StreamOptions,
    pub(super) content: C,
}

/// What a [`StreamBuilder`] sends. Implemented by the types of this crate only.
pub trait StreamContent: private::Sealed + Sized + Send + 'static {
    /// What sending it returns.
    type Sent;

    #[doc(hidden)]
    fn send(builder: StreamBuilder<Self>) -> BoxFuture<'static, Self::Sent>;
}

impl<C: StreamContent> StreamBuilder<C> {
    pub(super) fn new(room: Room, topic: impl Into<String>, kind: StreamKind, content: C) -> Self {
        Self { room, options: StreamOptions::new(crate::id::unique(), topic, kind), content }
    }

    /// Sends it to these identities only. An empty list means everybody.
    pub fn to<I: Into<String>>(mut self, identities: impl IntoIterator<Item = I>) -> Self {
        self.options.destinations = identities.into_iter().map(Into::into).collect();
        self
    }

    /// Adds key-value pairs for the recipients.
    pub fn attributes<K: Into<String>, V: Into<String>>(
        mut self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let attributes = attributes.into_iter().map(|(key, value)| (key.into(), value.into()));
        self.options.attributes.extend(attributes);
        self
    }

    /// The MIME type. Default `text/plain` for texts, `application/octet-stream` for bytes.
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.options.mime_type = Some(mime_type.into());
        self
    }

    /// The id of the stream, which no other one in the room may have. Default: a random UUID.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.options.id = id.into();
        self
    }

    /// Whether it may be compressed, if all recipients can decompress it. Default `true`. What is written in
    /// parts, and a file, is never compressed.
    pub fn compress(mut self, compress: bool) -> Self {
        self.options.compress = compress;
        self
    }
}

impl<C: StreamContent> IntoFuture for StreamBuilder<C> {
    type Output = C::Sent;
    type IntoFuture = BoxFuture<'static, C::Sent>;

    fn into_future(self) -> Self::IntoFuture {
        C::send(self)
    }
}

pub(super) mod private {
    pub trait Sealed {}
}
