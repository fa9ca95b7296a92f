//! Redis and Valkey as this SDK uses them: connections, failovers, clusters, users with few rights, servers
//! that are shared.

mod cluster;
mod connection;
mod failover;
mod members;
mod prefix;
mod rights;

use std::error::Error;
use std::time::Duration;

use agent_worker::net::RedisError;
use agent_worker::{JobError, JobErrorKind};

/// Longer than any operation.
const SOON: Duration = Duration::from_secs(20);

/// The text of an error and of those behind it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text
}

/// The whole text of an error, which must be one that a handler may retry, or must not.
fn error_text(error: RedisError, temporary: bool) -> String {
    assert_eq!(error.is_temporary(), temporary, "{error}");
    let text = chain(&error);
    let retried = matches!(JobError::from(error).kind(), JobErrorKind::Retryable { .. });
    assert_eq!(retried, temporary, "{text}");
    text
}

/// Polls until the condition holds.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let asked = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, asked).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
