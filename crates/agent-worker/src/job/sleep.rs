//! The wait for a timer of a machine that may have none.

use tokio::time::Instant;

/// Waits until this time; without one, for ever.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
