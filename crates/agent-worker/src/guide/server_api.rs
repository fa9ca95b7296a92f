//! The server's API from a job: participants and their permissions, data, other agents, the end of a room.
//!
//! ```
//! use agent_worker::api::ParticipantChange;
//! use agent_worker::{JobContext, JobResult};
//!
//! /// Warns a participant who writes a bad word, and removes one who does so again.
//! async fn moderate(ctx: JobContext) -> JobResult {
//!     let (mut chat, mut warned) = (ctx.room().data("chat"), Vec::new());
//!     while let Some(message) = ctx.run_until_cancelled(chat.next()).await.flatten() {
//!         let message = message?;
//!         let Some(sender) = message.sender.filter(|_| message.payload == "bad") else { continue };
//!         let done = if warned.contains(&sender) {
//!             ctx.api().remove_participant(&sender).await
//!         } else {
//!             let strike = ParticipantChange::new().attributes([("strikes", "1")]);
//!             ctx.room().publish_data("chat", "please be kind").to([&sender]).await?;
//!             warned.push(sender.clone());
//!             ctx.api().update_participant(&sender, strike).await.map(drop)
//!         };
//!         match done {
//!             Err(error) if error.is_not_found() => {} // the participant has left already
//!             done => done?,
//!         }
//!     }
//!     Ok(())
//! }
//!
//! # use agent_testkit::{ApiCall, JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! // Its test, without a server: the calls take effect in the mock room, and are recorded.
//! let chatting = JobSpec::room("lobby").script(|room| async move {
//!     let (eve, _ada) = (room.join("eve"), room.join("ada"));
//!     room.wait_for_agent().await;
//!     eve.send_data("chat", "bad");
//!     room.wait_for_data(|sent| sent.text() == "please be kind").await;
//!     eve.send_data("chat", "bad");
//! });
//! let run = run_job(moderate, chatting).await;
//! let removed = ApiCall::RemoveParticipant { room: "lobby".into(), identity: "eve".into() };
//! assert_eq!(run.api_calls.last(), Some(&removed));
//! # assert_eq!(run.api_calls.len(), 2);
//! # });
//! ```
//! [`ctx.api()`](crate::JobContext::api) is the API for the job's room, with the worker's URL, proxy,
//! certificates and credentials. `ctx.api().room("other")` is that of another room, and `ctx.api().server()`
//! creates and lists rooms. What a participant can do itself belongs to [`Room`](crate::Room): sending data
//! in the agent's own name, and changing its own name, metadata and attributes.
//!
//! | to | call | grant |
//! |---|---|---|
//! | list the participants | [`participants`](RoomApi::participants), [`participant`](RoomApi::participant) | `roomAdmin` |
//! | remove a participant | [`remove_participant`](RoomApi::remove_participant) | `roomAdmin` |
//! | change its name, metadata, attributes or permissions | [`update_participant`](RoomApi::update_participant) | `roomAdmin` |
//! | mute its track | [`mute_track`](RoomApi::mute_track) | `roomAdmin` |
//! | send data without a sender, to all or to some | [`send_data`](RoomApi::send_data) | `roomAdmin` |
//! | change the room's metadata | [`update_metadata`](RoomApi::update_metadata) | `roomAdmin` |
//! | have another agent in the room | [`ensure_dispatch`](RoomApi::ensure_dispatch), [`create_dispatch`](RoomApi::create_dispatch) | `roomAdmin` |
//! | see and delete dispatches | [`dispatches`](RoomApi::dispatches), [`delete_dispatch`](RoomApi::delete_dispatch) | `roomAdmin` |
//! | transfer a caller | [`transfer_sip_participant`](RoomApi::transfer_sip_participant) | `sip.call`, `roomAdmin` |
//! | end the room for all | [`delete`](RoomApi::delete) | `roomCreate` |
//! | create and list rooms | [`create_room`](ServerApi::create_room), [`list_rooms`](ServerApi::list_rooms) | `roomCreate`, `roomList` |
//!
//! # Another agent, once
//! A server starts an agent for each dispatch, and drops a dispatch silently for which it finds no worker. A
//! job that dispatches another agent and is retried, or killed and taken over, would start a second one.
//! `ensure_dispatch` lists the dispatches first, and creates one only if no job was recorded for any:
//! ```
//! use agent_worker::api::DispatchRequest;
//! use agent_worker::{JobContext, JobResult};
//! use std::time::Duration;
//!
//! async fn host(ctx: JobContext) -> JobResult {
//!     let translator = DispatchRequest::agent("translator").metadata(r#"{"to":"fr"}"#);
//!     ctx.api().ensure_dispatch(translator, Duration::from_secs(20)).await?;
//!     ctx.cancelled().await;
//!     Ok(())
//! }
//! ```
//! A dispatch of the same agent name and deployment counts, also one whose job has ended, and whatever its
//! metadata. Of two jobs that ask at the same time the later one withdraws its dispatch.
//!
//! # The end of the room
//! `ctx.api().delete()` disconnects everybody, this agent too: the job is [cancelled](super::cancellation) as
//! `RoomClosed` or `Terminated`, and a handler that then returns `Ok` ends in success. The server itself
//! records that the agent left with the room.
//!
//! # Credentials
//! The worker signs each call with a token that permits this call alone, for two minutes. The API secret is
//! in nothing that a handler holds, shows or logs, and not in the description of a job. A program that has
//! no secret but a token uses [`ServerApi::with_token`].
//!
//! # Errors
//! | [`ApiError`] | what it means |
//! |---|---|
//! | `MissingGrant` | the token has no grant for this call; the error names it. A token of one's own lacks it, or the API key may not grant it |
//! | `InvalidToken` | key and secret are not those of this server, or a clock is wrong |
//! | `Refused` | the server's reason: [`is_not_found`](ApiError::is_not_found) for a room, participant, track or dispatch that does not exist. For data, tracks and dispatches of a room that does not exist it answers `unavailable` after 3 s |
//! | `Unreachable` | no connection, or no complete response within 10 s |
//! | `NotTaken` | no worker took the dispatch |
//! | `TooLarge` | a request over 10 MiB |
//!
//! With `?` they end the job; those of the network are [retried](super::errors). A call itself is repeated at
//! most twice, and only where that is safe: when there was no connection, and else unless it dispatches an
//! agent, transfers a caller or removes something; also after a 429, and after as long as `Retry-After`
//! demands if its 10 s allow that. At most 32 calls of a worker are in progress at once; more wait.

#[allow(unused_imports, reason = "the links of this page")]
use crate::api::{ApiError, RoomApi, ServerApi};
