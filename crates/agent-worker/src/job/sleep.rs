//! Waiting for the optional timer of a machine.

use tokio::time::Instant;

/// Waits until this time; forever if there is none.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
