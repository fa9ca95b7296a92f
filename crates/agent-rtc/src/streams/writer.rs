//! Streams that are written in parts.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use agent_room::{CommandId, RoomCommand, RoomError, StreamOptions};

use crate::Room;

/// Writes a text in parts, from [`Room::stream_text`].
///
/// Recipients get each part as soon as it arrives. [`close`](Self::close) ends the text; a writer that is
/// dropped before ends it as incomplete.
///
/// ```
/// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
/// let mut text = room.stream_text("lk.transcription").await?;
/// for word in ["It ", "works."] {
///     text.write(word).await?;
/// }
/// text.close().await
/// # }
/// ```
pub struct TextWriter(pub(crate) Writer);

/// Writes bytes in parts, from [`Room::stream_bytes`].
///
/// Recipients get each part as soon as it arrives. [`close`](Self::close) ends the stream; a writer that is
/// dropped before ends it as incomplete.
pub struct ByteWriter(pub(super) Writer);

pub(crate) struct Writer {
    room: Room,
    /// The command that opened the stream.
    stream: CommandId,
    id: String,
    closed: bool,
}

impl Writer {
    pub(super) const fn new(room: Room, stream: CommandId, id: String) -> Self {
        Self { room, stream, id, closed: false }
    }

    pub(super) async fn open(&self, options: StreamOptions) -> Result<(), RoomError> {
        self.room.command_as(self.stream, RoomCommand::OpenStream(Box::new(options))).await
    }

    async fn write(&mut self, content: Bytes) -> Result<(), RoomError> {
        self.room.command(RoomCommand::WriteStream { stream: self.stream, content }).await
    }

    async fn close(&mut self, reason: String, attributes: BTreeMap<String, String>) -> Result<(), RoomError> {
        let command = RoomCommand::CloseStream { stream: self.stream, reason, attributes };
        let done = self.room.queue_command(command).await?;
        // Only now: without its request nothing else would end the stream.
        self.closed = true;
        done.get().await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.closed {
            let (reason, attributes) = ("the writer was dropped".to_owned(), BTreeMap::new());
            let command = RoomCommand::CloseStream { stream: self.stream, reason, attributes };
            // Also after the end of the attempt, as the stream is still open.
            self.room.shared().send_later(command);
        }
    }
}

/// The methods of both writers.
macro_rules! writer {
    ($writer:ty, $content:ty) => {
        impl $writer {
            /// The id of the stream.
            #[must_use]
            pub fn id(&self) -> &str {
                &self.0.id
            }

            /// Writes the next part. It completes when the connection has accepted it; a slow connection
            /// delays that. If it is cancelled, the part may be sent nevertheless.
            ///
            /// # Errors
            /// [`RoomError`], for example because the room has ended.
            pub async fn write(&mut self, part: impl Into<$content>) -> Result<(), RoomError> {
                let part: $content = part.into();
                self.0.write(part.into()).await
            }

            /// Ends the stream.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            pub async fn close(self) -> Result<(), RoomError> {
                self.close_with([("", ""); 0]).await
            }

            /// Ends the stream with these attributes, which replace those that it began with.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            pub async fn close_with<K: Into<String>, V: Into<String>>(
                mut self,
                attributes: impl IntoIterator<Item = (K, V)>,
            ) -> Result<(), RoomError> {
                let attributes =
                    attributes.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
                self.0.close(String::new(), attributes).await
            }

            /// Ends the stream as incomplete, which its recipients get as an error with this reason.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            pub async fn abort(mut self, reason: impl Into<String>) -> Result<(), RoomError> {
                self.0.close(reason.into(), BTreeMap::new()).await
            }
        }

        impl fmt::Debug for $writer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($writer)).field("id", &self.0.id).finish_non_exhaustive()
            }
        }
    };
}

writer!(TextWriter, String);
writer!(ByteWriter, Bytes);
