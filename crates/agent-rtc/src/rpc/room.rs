//! Calls and methods of a room.

use std::future::Future;
use std::sync::Arc;

use tracing::Span;

use agent_room::{RoomCommand, RoomError, RpcRequest};

use super::call::PerformRpc;
use super::methods::Method;
use super::response::IntoRpcResponse;
use crate::Room;

impl Room {
    /// Calls a method of another participant, and returns its response.
    ///
    /// # Errors
    /// When awaited: [`RpcError`](crate::RpcError), from the method or with one of the protocol's codes
    /// ([`RpcErrorCode`](crate::RpcErrorCode)), for example because there is no such participant or method,
    /// or no response in time.
    ///
    /// ```
    /// use agent_worker::room::RpcErrorCode;
    /// use std::time::Duration;
    ///
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RpcError> {
    /// match room.perform_rpc("ada", "confirm", "Delete the file?").timeout(Duration::from_secs(60)).await {
    ///     Ok(answer) => println!("{answer}"),
    ///     Err(error) if error.is(RpcErrorCode::RecipientDisconnected) => println!("ada has left"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn perform_rpc(
        &self,
        identity: impl Into<String>,
        method: impl Into<String>,
        payload: impl Into<String>,
    ) -> PerformRpc {
        PerformRpc::new(self.clone(), identity.into(), method.into(), payload.into())
    }

    /// Offers a method to the other participants, instead of an earlier one of this name, until it is
    /// [unregistered](Self::unregister_rpc_method) or the attempt or the room ends.
    ///
    /// Each request runs it in a task of its own, at most 1,024 at a time. It is stopped when the caller no
    /// longer waits or has left, and at the end of the attempt; then, and when it panics, a caller who is
    /// there receives an error.
    ///
    /// A method that holds a [`Room`] keeps a room that was joined without a worker from being left when
    /// its last handle is dropped.
    ///
    /// # Errors
    /// [`RoomError`], for example because the room has ended.
    ///
    /// ```
    /// use agent_worker::room::{RpcError, RpcRequest};
    /// # use agent_worker::{JobContext, JobResult};
    ///
    /// async fn calculator(ctx: JobContext) -> JobResult {
    ///     ctx.room().register_rpc_method("ping", |_| async { "pong" }).await?;
    ///     ctx.room()
    ///         .register_rpc_method("square", |request: RpcRequest| async move {
    ///             let number: f64 = request.payload.parse().map_err(|_| RpcError::new(1, "not a number", ""))?;
    ///             Ok::<_, RpcError>((number * number).to_string())
    ///         })
    ///         .await?;
    ///     ctx.cancelled().await;
    ///     Ok(())
    /// }
    /// ```
    pub async fn register_rpc_method<F, R>(
        &self,
        name: impl Into<String>,
        method: impl Fn(RpcRequest) -> F + Send + Sync + 'static,
    ) -> Result<(), RoomError>
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoRpcResponse,
    {
        let name = name.into();
        let run = move |request: RpcRequest| {
            let running = method(request);
            Box::pin(async move { running.await.into_response() }) as _
        };
        let method = Method { run: Arc::new(run), span: Span::current() };
        self.shared().methods.register(name.clone(), method, || self.is_over());
        self.command(RoomCommand::RegisterMethod(name)).await
    }

    /// Refuses further requests to a method. Those that are being served continue.
    ///
    /// # Errors
    /// [`RoomError`], for example because the room has ended.
    pub async fn unregister_rpc_method(&self, name: impl Into<String>) -> Result<(), RoomError> {
        let name = name.into();
        if !self.is_over() {
            self.shared().methods.unregister(&name);
        }
        self.command(RoomCommand::UnregisterMethod(name)).await
    }
}
