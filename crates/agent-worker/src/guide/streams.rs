//! Text and byte streams: content of any length on a topic, for example the messages of a chat, and files.
//!
//! Front ends of LiveKit send the messages of a chat as text streams on the topic `lk.chat`, and show those
//! that they receive there:
//!
//! ```
//! use agent_worker::{JobContext, JobResult};
//! use std::time::Duration;
//! use tokio::time::timeout;
//!
//! /// Answers each message of the chat.
//! async fn chat(ctx: JobContext) -> JobResult {
//!     let mut messages = ctx.room().text_streams("lk.chat");
//!     while let Some(message) = ctx.run_until_cancelled(messages.next()).await.flatten() {
//!         // Of too many messages at a time some are missed.
//!         let Ok(message) = message else { continue };
//!         let sender = message.info().sender.clone();
//!         // Its sender may leave before its end, or never end it: that must not hold up the others.
//!         let text = ctx.run_until_cancelled(timeout(Duration::from_secs(5), message.read_all())).await;
//!         let Some(Ok(Ok(text))) = text else {
//!             tracing::warn!(sender, "a message was not received completely");
//!             continue;
//!         };
//!         ctx.room().send_text("lk.chat", format!("You wrote: {text}")).to([sender]).await?;
//!     }
//!     Ok(())
//! }
//! # let _ = chat;
//! ```
//!
//! # Sending
//! [`send_text`](crate::Room::send_text), [`send_bytes`](crate::Room::send_bytes) and
//! [`send_file`](crate::Room::send_file) send a whole content and return the stream's id;
//! [`stream_text`](crate::Room::stream_text) and [`stream_bytes`](crate::Room::stream_bytes) return a writer,
//! for content that is made in parts:
//!
//! ```
//! # async fn example(room: agent_worker::Room, mut model: tokio::sync::mpsc::Receiver<String>) -> Result<(), agent_worker::room::RoomError> {
//! let mut answer = room.stream_text("lk.chat").attributes([("model", "small")]).await?;
//! while let Some(words) = model.recv().await {
//!     answer.write(words).await?;
//! }
//! answer.close().await
//! # }
//! ```
//!
//! They go to everybody, or to the identities that [`to`](crate::room::StreamBuilder::to) names. A content
//! that fits is sent in a single packet, and compressed, if all recipients can read that,
//! automatically. Each call completes when the connection has accepted the content, so a slow connection
//! slows down its sender instead of filling the memory.
//!
//! # Receiving
//! [`text_streams`](crate::Room::text_streams) and [`byte_streams`](crate::Room::byte_streams) are the
//! streams of a topic. Each is read piece by piece as it arrives (`next`), as a whole (`read_all`, 64 MiB at
//! most), or into a file ([`save`](crate::room::ByteReader::save)). A stream that ends early, because its
//! sender left or the connection was replaced, is an error after what was received: no incomplete content
//! looks like a complete one.
//!
//! | what | limit | beyond it |
//! |---|---|---|
//! | unread content of one stream | 16 MiB | the stream fails with [`BufferFull`](crate::room::StreamError::BufferFull) |
//! | unread content of all streams | 64 MiB | the same |
//! | a whole stream, decompressed | 5,000,000,000 bytes | the stream fails with [`PayloadTooLarge`](crate::room::StreamError::PayloadTooLarge) |
//! | open streams of one sender, and of all | 256, 4,096 | further ones fail with [`TooManyStreams`](crate::room::StreamError::TooManyStreams) |
//! | streams of a topic that wait to be taken | 256 | the oldest are dropped, and [`MissedStreams`](crate::room::MissedStreams) is in their place |
//! | streams of topics that nothing reads | 64, and 1 MiB | the oldest are dropped |
//!
//! Dropped streams are logged once for each topic, and counted in
//! [`lk_agents_room_events_dropped_total`](super::metrics) as `streams`.
//!
//! # Chats, transcriptions, the state of an agent
//! Front ends and agents agree on some topics and attributes, for which there are methods:
//!
//! | what | method | on the wire |
//! |---|---|---|
//! | messages of a chat | [`send_chat`](crate::Room::send_chat), [`chat`](crate::Room::chat) | texts on `lk.chat` |
//! | transcription of the agent's speech | [`transcribe_own_speech`](crate::Room::transcribe_own_speech) | one text on `lk.transcription` for each segment |
//! | transcription of others | [`transcribe`](crate::Room::transcribe): interim texts, then the final one | a text for each version, with the speaker as its sender |
//! | transcriptions of other agents | [`transcripts`](crate::Room::transcripts) | |
//! | what the agent is doing | [`set_agent_state`](crate::Room::set_agent_state), [`agent_state`](crate::room::Participant::agent_state) | the attribute `lk.agent.state` |
//!
//! The example `transcriber` sends transcriptions of what others say, while they speak or at the end.
//!
//! # Data tracks
//! For values of which only the newest matters, as positions, there are data tracks:
//! [`publish_data_track`](crate::Room::publish_data_track) sends frames of bytes, which are not repeated when
//! they are lost, to those who read the track with [`data_track`](crate::Room::data_track). A slow reader
//! gets the newest frames, and the number of those that were dropped. In mock rooms no frame is lost.
//!
//! # Attempts
//! Streams that no receiver has taken when an attempt ends wait for the next attempt. A stream that was being
//! read ends with [`AttemptOver`](crate::room::StreamError::AttemptOver).
