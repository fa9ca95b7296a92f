//! What a stream of ours consists of.

use bytes::Bytes;

use agent_proto::BoxFuture;
use agent_room::{RoomError, StreamKind, StreamOptions, TextStreamInfo};

use super::builder::private::Sealed;
use super::builder::{StreamBuilder, StreamContent};
use super::writer::{ByteWriter, TextWriter};
use crate::Room;

/// A whole text, from [`Room::send_text`].
#[derive(Debug)]
pub struct WholeText(pub(super) String);

/// Whole bytes, from [`Room::send_bytes`].
#[derive(Debug)]
pub struct WholeBytes(pub(super) Bytes);

/// A text that is written in parts, from [`Room::stream_text`].
#[derive(Debug)]
pub struct TextParts(pub(super) ());

/// Bytes that are written in parts, from [`Room::stream_bytes`].
#[derive(Debug)]
pub struct ByteParts(pub(super) ());

impl StreamContent for WholeText {
    type Sent = Result<String, RoomError>;

    fn send(builder: StreamBuilder<Self>) -> BoxFuture<'static, Self::Sent> {
        let StreamBuilder { room, options, content } = builder;
        Box::pin(async move { room.send_stream(options, content.0.into()).await })
    }
}

impl StreamContent for WholeBytes {
    type Sent = Result<String, RoomError>;

    fn send(builder: StreamBuilder<Self>) -> BoxFuture<'static, Self::Sent> {
        let StreamBuilder { room, options, content } = builder;
        Box::pin(async move { room.send_stream(options, content.0).await })
    }
}

impl StreamContent for TextParts {
    type Sent = Result<TextWriter, RoomError>;

    fn send(builder: StreamBuilder<Self>) -> BoxFuture<'static, Self::Sent> {
        Box::pin(async move { Room::open_stream(builder.room, builder.options).await.map(TextWriter) })
    }
}

impl StreamContent for ByteParts {
    type Sent = Result<ByteWriter, RoomError>;

    fn send(builder: StreamBuilder<Self>) -> BoxFuture<'static, Self::Sent> {
        Box::pin(async move { Room::open_stream(builder.room, builder.options).await.map(ByteWriter) })
    }
}

impl Sealed for WholeText {}
impl Sealed for WholeBytes {}
impl Sealed for TextParts {}
impl Sealed for ByteParts {}

/// What only texts have.
macro_rules! text_options {
    ($content:ty) => {
        impl StreamBuilder<$content> {
            /// The text is a reply to the stream with this id.
            pub fn reply_to(mut self, id: impl Into<String>) -> Self {
                set_text(&mut self.options, |text| text.reply_to = id.into());
                self
            }

            /// Byte streams with these ids belong to the text.
            pub fn attached<I: Into<String>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
                let ids = ids.into_iter().map(Into::into).collect();
                set_text(&mut self.options, |text| text.attached = ids);
                self
            }

            /// Sends it for another participant, whose identity recipients see as the sender, as for the
            /// transcription of a person's speech. Servers permit it to agents.
            pub fn on_behalf_of(mut self, identity: impl Into<String>) -> Self {
                self.options.sender = Some(identity.into());
                self
            }
        }
    };
}

/// What only bytes have.
macro_rules! byte_options {
    ($content:ty) => {
        impl StreamBuilder<$content> {
            /// A name for the recipients, for example that of a file.
            pub fn name(mut self, name: impl Into<String>) -> Self {
                self.options.kind = StreamKind::Bytes { name: name.into() };
                self
            }
        }
    };
}

text_options!(WholeText);
text_options!(TextParts);
byte_options!(WholeBytes);
byte_options!(ByteParts);

impl StreamBuilder<ByteParts> {
    /// The length of what will be written, in bytes: recipients show progress by it, and refuse a content of
    /// another length.
    pub fn total_length(mut self, bytes: u64) -> Self {
        self.options.total_length = Some(bytes);
        self
    }
}

/// Changes the description of a text, which bytes do not have.
fn set_text(options: &mut StreamOptions, change: impl FnOnce(&mut TextStreamInfo)) {
    if let StreamKind::Text(text) = &mut options.kind {
        change(text);
    }
}
