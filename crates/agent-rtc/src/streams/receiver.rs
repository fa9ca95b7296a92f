//! The streams of one topic.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;

use agent_room::{MissedStreams, OpenedStream};

use super::reader::{ByteReader, TextReader};
use crate::shared::Shared;

/// The text streams of a topic, from [`Room::text_streams`](crate::Room::text_streams).
///
/// Each item is a stream to read, or [`MissedStreams`] where streams were dropped because more than 256 of
/// the topic were waiting to be taken. It ends with the room, after all streams that were waiting, or with
/// the attempt that opened it.
pub struct TextStreams(Receiver);

/// The byte streams of a topic, from [`Room::byte_streams`](crate::Room::byte_streams).
///
/// Each item is a stream to read, or [`MissedStreams`] where streams were dropped because more than 256 of
/// the topic were waiting to be taken. It ends with the room, after all streams that were waiting, or with
/// the attempt that opened it.
pub struct ByteStreams(Receiver);

struct Receiver {
    shared: Arc<Shared>,
    id: u64,
}

impl Receiver {
    fn open(shared: &Arc<Shared>, attempt: u64, is_text: bool, topic: &str) -> Self {
        let id = shared.streams.open(is_text, topic, || shared.is_over(attempt));
        Self { shared: Arc::clone(shared), id }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<OpenedStream, MissedStreams>>> {
        self.shared.streams.poll_stream(self.id, cx)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let dropped = self.shared.streams.close(self.id);
        self.shared.report(dropped);
    }
}

impl TextStreams {
    pub(super) fn open(shared: &Arc<Shared>, attempt: u64, topic: &str) -> Self {
        Self(Receiver::open(shared, attempt, true, topic))
    }

    /// Waits for the next stream, which may still be under way; `None` after the room has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<TextReader, MissedStreams>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<TextReader, MissedStreams>>> {
        let reader = |opened| TextReader::new(Arc::clone(&self.0.shared), opened);
        self.0.poll(cx).map(|next| next.map(|opened| opened.map(reader)))
    }
}

impl ByteStreams {
    pub(super) fn open(shared: &Arc<Shared>, attempt: u64, topic: &str) -> Self {
        Self(Receiver::open(shared, attempt, false, topic))
    }

    /// Waits for the next stream, which may still be under way; `None` after the room has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<ByteReader, MissedStreams>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<ByteReader, MissedStreams>>> {
        let reader = |opened| ByteReader::new(Arc::clone(&self.0.shared), opened);
        self.0.poll(cx).map(|next| next.map(|opened| opened.map(reader)))
    }
}

impl Stream for TextStreams {
    type Item = Result<TextReader, MissedStreams>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl Stream for ByteStreams {
    type Item = Result<ByteReader, MissedStreams>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl fmt::Debug for TextStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextStreams").finish_non_exhaustive()
    }
}

impl fmt::Debug for ByteStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStreams").finish_non_exhaustive()
    }
}
