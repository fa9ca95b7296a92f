//! Catches panics of the user's code, so that they end nothing else.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

thread_local! {
    /// How deep this thread is in code whose panics are caught.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether a panic on this thread is caught and logged by the worker.
pub(super) fn is_contained() -> bool {
    DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(false)
}

/// Runs the user's code, and catches its panics, which the caller logs or handles.
pub(crate) async fn contain<F: Future>(code: F) -> std::thread::Result<F::Output> {
    let mut code = pin!(code);
    std::future::poll_fn(|cx| match contain_sync(|| code.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Like [`contain`], for synchronous code.
pub(crate) fn contain_sync<T>(code: impl FnOnce() -> T) -> std::thread::Result<T> {
    let _contained = Contained::enter();
    // The callers use no state of the code after its panic.
    catch_unwind(AssertUnwindSafe(code))
}

/// Counts in [`DEPTH`] until it is dropped.
struct Contained;

impl Contained {
    fn enter() -> Self {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_add(1)));
        Self
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}
