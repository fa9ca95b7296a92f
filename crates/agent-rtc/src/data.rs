//! Streams of data messages, of one topic or of all.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use agent_room::{DataReceived, Inbox, Missed};

use super::reader::Reader;

/// The data messages of a room, from [`Room::data`](super::Room::data) or
/// [`Room::all_data`](super::Room::all_data).
///
/// Each item is a message, or [`Missed`] where messages are missing: more than 1,024 of them, or 4 MiB, were
/// unread, or the connection to the room was lost, and a new session does not receive the messages sent
/// meanwhile. A loss is also logged, once for each job, and counted by the worker. The stream ends with the
/// room, after all queued messages, or with the attempt that opened it.
///
/// ```
/// # use agent_worker::{JobContext, JobResult};
/// async fn transcript(ctx: JobContext) -> JobResult {
///     let mut chat = ctx.room().data("chat");
///     while let Some(message) = ctx.run_until_cancelled(chat.next()).await.flatten() {
///         match message {
///             Ok(message) => println!("{:?}: {} bytes", message.sender, message.payload.len()),
///             Err(missed) => println!("({missed})"), // or `?`, if the job is worth nothing without them
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct RoomData {
    reader: Reader,
}

impl RoomData {
    pub(super) const fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// Waits for the next message, or the gap before it; `None` after the room has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<DataReceived, Missed>> {
        std::future::poll_fn(|cx| self.reader.poll(cx, Inbox::next_message)).await
    }
}

impl Stream for RoomData {
    type Item = Result<DataReceived, Missed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.reader.poll(cx, Inbox::next_message)
    }
}

impl fmt::Debug for RoomData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomData").field("waiting", &self.reader.waiting()).finish_non_exhaustive()
    }
}
