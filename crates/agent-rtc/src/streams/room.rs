//! Streams of a room.

use std::path::PathBuf;

use bytes::Bytes;

use agent_room::{RoomCommand, RoomError, StreamKind, StreamOptions};

use super::builder::StreamBuilder;
use super::content::{ByteParts, TextParts, WholeBytes, WholeText};
use super::file::WholeFile;
use super::receiver::{ByteStreams, TextStreams};
use super::writer::Writer;
use crate::Room;

impl Room {
    /// Sends a text of any length on a topic. The topic of chats is `lk.chat`.
    ///
    /// It completes when the connection has accepted all of it; if it is cancelled, the text may be sent
    /// nevertheless. At most 64 MiB of all streams wait to be sent.
    ///
    /// # Errors
    /// When awaited: [`RoomError`], for example because the room has ended.
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// room.send_text("lk.chat", "Hello!").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_text(&self, topic: impl Into<String>, text: impl Into<String>) -> StreamBuilder<WholeText> {
        StreamBuilder::new(self.clone(), topic, StreamKind::text(), WholeText(text.into()))
    }

    /// Sends bytes of any length on a topic. As [`send_text`](Self::send_text).
    ///
    /// # Errors
    /// When awaited: as [`send_text`](Self::send_text).
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room, png: Vec<u8>) -> Result<(), agent_worker::room::RoomError> {
    /// room.send_bytes("pictures", png).name("chart.png").mime_type("image/png").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_bytes(&self, topic: impl Into<String>, bytes: impl Into<Bytes>) -> StreamBuilder<WholeBytes> {
        StreamBuilder::new(self.clone(), topic, StreamKind::bytes(), WholeBytes(bytes.into()))
    }

    /// Sends a file as a byte stream, which has its name unless [changed](StreamBuilder::name). It is read as
    /// it is sent.
    ///
    /// # Errors
    /// When awaited: [`FileError`](crate::FileError).
    ///
    /// ```no_run
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::FileError> {
    /// room.send_file("documents", "/srv/menu.pdf").mime_type("application/pdf").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_file(&self, topic: impl Into<String>, path: impl Into<PathBuf>) -> StreamBuilder<WholeFile> {
        let kind = StreamKind::Bytes { name: String::new() };
        StreamBuilder::new(self.clone(), topic, kind, WholeFile(path.into()))
    }

    /// Opens a text that is written in parts, for example as a language model generates it.
    ///
    /// # Errors
    /// When awaited: as [`send_text`](Self::send_text).
    pub fn stream_text(&self, topic: impl Into<String>) -> StreamBuilder<TextParts> {
        StreamBuilder::new(self.clone(), topic, StreamKind::text(), TextParts(()))
    }

    /// Opens a stream of bytes that is written in parts.
    ///
    /// # Errors
    /// When awaited: as [`send_text`](Self::send_text).
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// let mut log = room.stream_bytes("logs").name("today.log").await?;
    /// log.write(vec![1, 2, 3]).await?;
    /// log.close().await
    /// # }
    /// ```
    pub fn stream_bytes(&self, topic: impl Into<String>) -> StreamBuilder<ByteParts> {
        StreamBuilder::new(self.clone(), topic, StreamKind::bytes(), ByteParts(()))
    }

    /// The text streams that others send on a topic.
    ///
    /// Streams that arrive while nothing receives their topic wait for the first receiver, also for that of
    /// the job's next attempt: at most 64 streams and 1 MiB of all topics, beyond which the oldest are
    /// dropped, logged and counted. Of several receivers of one topic each stream goes to one.
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult};
    /// async fn transcript(ctx: JobContext) -> JobResult {
    ///     let mut transcriptions = ctx.room().text_streams("lk.transcription");
    ///     while let Some(Ok(mut text)) = ctx.run_until_cancelled(transcriptions.next()).await.flatten() {
    ///         print!("{}: ", text.info().sender);
    ///         while let Some(part) = ctx.run_until_cancelled(text.next()).await.flatten() {
    ///             print!("{}", part?);
    ///         }
    ///         println!();
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    #[doc(alias = "register_text_stream_handler")]
    pub fn text_streams(&self, topic: impl AsRef<str>) -> TextStreams {
        TextStreams::open(self.shared(), self.attempt(), topic.as_ref())
    }

    /// The byte streams that others send on a topic. As [`text_streams`](Self::text_streams).
    ///
    /// ```no_run
    /// # use agent_worker::{JobContext, JobResult};
    /// async fn upload(ctx: JobContext) -> JobResult {
    ///     let mut uploads = ctx.room().byte_streams("documents");
    ///     let mut number = 0;
    ///     while let Some(Ok(upload)) = ctx.run_until_cancelled(uploads.next()).await.flatten() {
    ///         number += 1; // not the sender's name: it may be any text
    ///         upload.save(format!("/srv/uploads/{number}")).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    #[doc(alias = "register_byte_stream_handler")]
    pub fn byte_streams(&self, topic: impl AsRef<str>) -> ByteStreams {
        ByteStreams::open(self.shared(), self.attempt(), topic.as_ref())
    }

    /// Sends a whole content, and returns the id of the stream.
    pub(crate) async fn send_stream(
        &self,
        options: StreamOptions,
        content: Bytes,
    ) -> Result<String, RoomError> {
        let id = options.id.clone();
        self.command(RoomCommand::SendStream { options: Box::new(options), content }).await?;
        Ok(id)
    }

    pub(crate) async fn open_stream(room: Self, options: StreamOptions) -> Result<Writer, RoomError> {
        let (command, id) = (room.next_command(), options.id.clone());
        // Before it is opened: a cancelled request is closed, too.
        let writer = Writer::new(room, command, id);
        writer.open(options).await?;
        Ok(writer)
    }
}
