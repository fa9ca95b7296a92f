//! Remote procedure calls: a participant calls a method of another one, and receives its response.
//!
//! ```
//! use agent_worker::room::{ParticipantFilter, RpcRequest};
//! use agent_worker::{JobContext, JobResult};
//!
//! /// Offers a method, and calls one of the first person in the room.
//! async fn butler(ctx: JobContext) -> JobResult {
//!     let greet = |request: RpcRequest| async move { format!("Hello, {}!", request.caller) };
//!     ctx.room().register_rpc_method("greet", greet).await?;
//!     // Neither the wait nor the call, of up to 15 s, goes on when the job is cancelled.
//!     ctx.run_until_cancelled(ask(&ctx)).await.transpose()?;
//!     ctx.cancelled().await;
//!     Ok(())
//! }
//!
//! async fn ask(ctx: &JobContext) -> JobResult {
//!     let person = ctx.room().wait_for_participant(ParticipantFilter::human()).await?;
//!     let wish = ctx.room().perform_rpc(&person.identity, "ask", "What may it be?").await?;
//!     tracing::info!("{} wants {wish}", person.identity);
//!     Ok(())
//! }
//! # let _ = butler;
//! ```
//!
//! # Methods
//! [`register_rpc_method`](crate::Room::register_rpc_method) offers a method to everybody in the room. Each
//! request runs it in a task of its own: it does not delay other requests, nor the handler. It returns
//! nothing, a text, or a `Result` of these: a [`RpcError`](crate::room::RpcError) is what the caller
//! receives; for any other error the caller receives only that the method failed (1500), and the log has its
//! text, as for a panic. A method is stopped when its caller no longer waits, and at the end of the
//! attempt. A method that was not registered is refused at once (1400), and the log names it.
//!
//! # Calls
//! [`perform_rpc`](crate::Room::perform_rpc) returns the response, or an error with one of these codes, or
//! one of the method's own:
//!
//! | code | [`RpcErrorCode`](crate::room::RpcErrorCode) | cause |
//! |---|---|---|
//! | 1400 | `UnsupportedMethod` | the participant has no such method |
//! | 1401 | `RecipientNotFound` | there is no such participant |
//! | 1402 | `RequestTooLarge` | over 15,360 bytes, and the participant reads no streams (an old client) |
//! | 1403 | `UnsupportedServer` | the server is older than 1.8.0 |
//! | 1404 | `UnsupportedVersion` | the participant does not know this version of requests |
//! | 1500 | `ApplicationError` | the method failed without an error of its own |
//! | 1501 | `ConnectionTimeout` | no acknowledgement within 7 s |
//! | 1502 | `ResponseTimeout` | no response within [`timeout`](crate::room::PerformRpc::timeout), 15 s by default |
//! | 1503 | `RecipientDisconnected` | the participant left |
//! | 1504 | `ResponseTooLarge` | the response is over a limit |
//! | 1505 | `SendFailed` | the request was not sent, for example because the room has ended |
//!
//! Payloads are texts. Between clients that read streams they have any length, of which an agent takes 16
//! MiB; otherwise at most 15,360 bytes. At most 1,024 requests are served at a time, and as many calls wait
//! for a response.
