//! The content of one stream, as it is received.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use agent_room::{OpenedStream, StreamError, StreamInfo, StreamProgress};

use crate::shared::Shared;

/// Maximum length of a content that is collected in memory, unless another one is given: 64 MiB.
const MAX_COLLECTED: usize = 64 * 1024 * 1024;

/// A text stream of another participant.
///
/// Its content can be read piece by piece while it is received ([`next`](Self::next)), for example a
/// transcription, or as a whole ([`read_all`](Self::read_all)). At most 16 MiB of a stream may be received
/// but unread, and 64 MiB of all streams of the room: a stream that exceeds this fails with
/// [`StreamError::BufferFull`], without effect on others.
///
/// ```
/// # use agent_worker::{JobContext, JobResult};
/// # use std::time::Duration;
/// async fn chat(ctx: JobContext) -> JobResult {
///     let mut messages = ctx.room().text_streams("lk.chat");
///     while let Some(message) = ctx.run_until_cancelled(messages.next()).await.flatten() {
///         let Ok(message) = message else { continue }; // some were missed
///         let sender = message.info().sender.clone();
///         // One that never ends must not hold up the others.
///         let text = tokio::time::timeout(Duration::from_secs(5), message.read_all());
///         let Some(Ok(Ok(text))) = ctx.run_until_cancelled(text).await else { continue };
///         ctx.room().send_text("lk.chat", format!("You wrote: {text}")).to([sender]).await?;
///     }
///     Ok(())
/// }
/// ```
pub struct TextReader(Reader);

/// A byte stream of another participant, for example a file.
///
/// Its content can be read piece by piece while it is received ([`next`](Self::next)), as a whole
/// ([`read_all`](Self::read_all)), or into a file ([`save`](Self::save)). The limits are those of
/// [`TextReader`].
pub struct ByteReader(Reader);

struct Reader {
    shared: Arc<Shared>,
    opened: OpenedStream,
    /// Whether the end was read.
    over: bool,
}

impl Reader {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let polled = self.shared.streams.poll_content(self.opened.stream, cx);
        self.over = matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    async fn next(&mut self) -> Option<Result<Bytes, StreamError>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    async fn collect(&mut self, limit: usize) -> Result<Bytes, StreamError> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if all.len() + piece.len() > limit {
                return Err(StreamError::PayloadTooLarge { limit: limit as u64 });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    fn attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.opened.info.attributes.clone();
        let trailer = self.shared.streams.readers(|readers| readers.trailer(self.opened.stream).cloned());
        attributes.extend(trailer.into_iter().flatten());
        attributes
    }

    fn progress(&self) -> StreamProgress {
        self.shared.streams.readers(|readers| readers.progress(self.opened.stream))
    }

    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StreamInfo { id, topic, sender, .. } = &*self.opened.info;
        f.debug_struct(name)
            .field("id", id)
            .field("topic", topic)
            .field("sender", sender)
            .finish_non_exhaustive()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.streams.forget(self.opened.stream);
    }
}

impl TextReader {
    pub(super) const fn new(shared: Arc<Shared>, opened: OpenedStream) -> Self {
        Self(Reader { shared, opened, over: false })
    }

    /// Its description.
    #[must_use]
    pub fn info(&self) -> &StreamInfo {
        &self.0.opened.info
    }

    /// Waits for the next piece of the text; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`] if the text is incomplete; the pieces before it are correct. `None` follows.
    pub async fn next(&mut self) -> Option<Result<String, StreamError>> {
        self.0.next().await.map(text)
    }

    /// The whole text, or what is left of it, when it has been received: at most 64 MiB.
    ///
    /// # Errors
    /// As [`next`](Self::next), and [`StreamError::PayloadTooLarge`].
    pub async fn read_all(self) -> Result<String, StreamError> {
        self.read_all_within(MAX_COLLECTED).await
    }

    /// As [`read_all`](Self::read_all), with another limit in bytes.
    ///
    /// # Errors
    /// As [`read_all`](Self::read_all).
    pub async fn read_all_within(mut self, limit: usize) -> Result<String, StreamError> {
        text(self.0.collect(limit).await)
    }

    /// The attributes of the stream: those that it began with and, once its end was read, those that it ended
    /// with, which replace them.
    #[must_use]
    pub fn attributes(&self) -> BTreeMap<String, String> {
        self.0.attributes()
    }

    /// How much of it was received and read.
    #[must_use]
    pub fn progress(&self) -> StreamProgress {
        self.0.progress()
    }
}

impl ByteReader {
    pub(super) const fn new(shared: Arc<Shared>, opened: OpenedStream) -> Self {
        Self(Reader { shared, opened, over: false })
    }

    /// Its description.
    #[must_use]
    pub fn info(&self) -> &StreamInfo {
        &self.0.opened.info
    }

    /// The sender's name for the content, for example that of a file; `unknown` if it has none. It is a text
    /// of another participant: do not use it as a path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.info().name().unwrap_or_default()
    }

    /// Waits for the next piece of the content; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`] if the content is incomplete; the pieces before it are correct. `None` follows.
    pub async fn next(&mut self) -> Option<Result<Bytes, StreamError>> {
        self.0.next().await
    }

    /// The whole content, or what is left of it, when it has been received: at most 64 MiB.
    ///
    /// # Errors
    /// As [`next`](Self::next), and [`StreamError::PayloadTooLarge`].
    pub async fn read_all(self) -> Result<Bytes, StreamError> {
        self.read_all_within(MAX_COLLECTED).await
    }

    /// As [`read_all`](Self::read_all), with another limit in bytes.
    ///
    /// # Errors
    /// As [`read_all`](Self::read_all).
    pub async fn read_all_within(mut self, limit: usize) -> Result<Bytes, StreamError> {
        self.0.collect(limit).await
    }

    /// The attributes of the stream: those that it began with and, once its end was read, those that it ended
    /// with, which replace them.
    #[must_use]
    pub fn attributes(&self) -> BTreeMap<String, String> {
        self.0.attributes()
    }

    /// How much of it was received and read.
    #[must_use]
    pub fn progress(&self) -> StreamProgress {
        self.0.progress()
    }
}

fn text(piece: Result<Bytes, StreamError>) -> Result<String, StreamError> {
    String::from_utf8(piece?.into()).map_err(|_| StreamError::InvalidUtf8)
}

impl Stream for TextReader {
    type Item = Result<String, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx).map(|piece| piece.map(text))
    }
}

impl Stream for ByteReader {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx)
    }
}

impl fmt::Debug for TextReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("TextReader", f)
    }
}

impl fmt::Debug for ByteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("ByteReader", f)
    }
}
