//! Our methods, which run for the requests of others.

use std::collections::BTreeMap;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use agent_proto::BoxFuture;
use agent_proto::text::name;
use agent_room::{MethodError, RoomCommand, RpcError, RpcErrorCode, RpcRequest, RpcRequestId};

/// A method, and the span in which it was registered.
pub(crate) struct Method {
    pub(super) run: Arc<dyn Fn(RpcRequest) -> BoxFuture<'static, Result<String, MethodError>> + Send + Sync>,
    pub(super) span: Span,
}

/// The methods of the current attempt.
pub(crate) struct Methods {
    state: Mutex<State>,
    /// For the responses.
    commands: mpsc::UnboundedSender<RoomCommand>,
}

#[derive(Default)]
struct State {
    methods: BTreeMap<String, Method>,
    /// The requests that are being served, by their caller.
    running: BTreeMap<String, JoinSet<()>>,
}

impl Methods {
    pub(crate) fn new(commands: mpsc::UnboundedSender<RoomCommand>) -> Self {
        Self { state: Mutex::new(State::default()), commands }
    }

    /// Registers a method instead of an earlier one of its name. `is_over`: whether its attempt is over.
    pub(crate) fn register(&self, name: String, method: Method, is_over: impl FnOnce() -> bool) {
        let mut state = self.lock();
        let before = if is_over() { Some(method) } else { state.methods.insert(name, method) };
        drop(state);
        // It may own whatever its user has moved into it.
        drop(before);
    }

    pub(crate) fn unregister(&self, name: &str) {
        let before = self.lock().methods.remove(name);
        drop(before);
    }

    /// Serves a request in a task of its own.
    pub(crate) fn serve(&self, request: RpcRequest) {
        let response = Response { request: Some(request.request), commands: self.commands.clone() };
        let mut state = self.lock();
        let State { methods, running } = &mut *state;
        let Some(method) = methods.get(&request.method) else {
            drop(state);
            return response.send(Err(RpcErrorCode::UnsupportedMethod.into()));
        };
        if !running.contains_key(&request.caller) {
            // Those of callers whose requests came after they had left.
            running.retain(|_, served| !remove_done(served));
        }
        let served = running.entry(request.caller.clone()).or_default();
        remove_done(served);
        let (run, span) = (Arc::clone(&method.run), method.span.clone());
        served.spawn(async move { serve(&*run, request, response).await }.instrument(span));
    }

    /// Stops what is being served for a caller who has left, and waits for no response.
    pub(crate) fn caller_left(&self, identity: &str) {
        let served = self.lock().running.remove(identity);
        drop(served);
    }

    /// Ends the methods of an attempt, and what is being served.
    pub(crate) fn end(&self) {
        let state = mem::take(&mut *self.lock());
        // This aborts the tasks, whose callers receive an error.
        drop(state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the tasks that are done. `true`: none is left.
fn remove_done(served: &mut JoinSet<()>) -> bool {
    while served.try_join_next().is_some() {}
    served.is_empty()
}

async fn serve(
    run: &(dyn Fn(RpcRequest) -> BoxFuture<'static, Result<String, MethodError>> + Send + Sync),
    request: RpcRequest,
    response: Response,
) {
    let (method, caller) = (request.method.clone(), request.caller.clone());
    let timeout = request.response_timeout;
    let running = AssertUnwindSafe(async move { run(request).await }).catch_unwind();
    let result = match tokio::time::timeout(timeout, running).await {
        Ok(Ok(Ok(payload))) => Ok(payload),
        Ok(Ok(Err(error))) => {
            if let Some(detail) = error.detail() {
                tracing::warn!(method = %name(&method), caller = %name(&caller), "a method failed, and its caller has received error 1500: {detail}");
            }
            Err(error.to_rpc_error())
        }
        Ok(Err(_panic)) => {
            tracing::error!(method = %name(&method), caller = %name(&caller), "a method panicked, and its caller has received error 1500");
            Err(RpcErrorCode::ApplicationError.into())
        }
        Err(_) => {
            tracing::warn!(method = %name(&method), caller = %name(&caller), "a method was stopped after {timeout:?}, as its caller waits no longer");
            Err(RpcErrorCode::ResponseTimeout.into())
        }
    };
    response.send(result);
}

/// A response that is to be sent. Dropped before, it is an error: no caller waits for a task that is gone.
struct Response {
    request: Option<RpcRequestId>,
    commands: mpsc::UnboundedSender<RoomCommand>,
}

impl Response {
    fn send(mut self, result: Result<String, RpcError>) {
        self.answer(result);
    }

    fn answer(&mut self, result: Result<String, RpcError>) {
        if let Some(request) = self.request.take() {
            // Without a room there is nothing to respond to.
            let _ = self.commands.send(RoomCommand::Respond { request, result });
        }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.answer(Err(RpcErrorCode::ApplicationError.into()));
    }
}
