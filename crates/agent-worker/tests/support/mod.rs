//! Helpers of the test programs, each of which uses some of them.
#![allow(dead_code, unused_macros, reason = "no program uses all of them")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may fail, and its processes talk over their output"
)]

#[path = "../../../agent-net/src/tests/authority.rs"]
pub(crate) mod authority;
pub(crate) mod captured_log;
pub(crate) mod channel_log;
#[cfg(unix)]
pub(crate) mod channel_workers;
#[cfg(all(unix, feature = "embedded-store", feature = "redis"))]
pub(crate) mod counting_worker;
#[cfg(unix)]
pub(crate) mod election_workers;
pub(crate) mod ffmpeg;
pub(crate) mod full_log;
pub(crate) mod guide_tables;
#[cfg(feature = "http")]
pub(crate) mod http_reply;
pub(crate) mod join_request;
#[path = "../../../agent-testkit/tests/support/long.rs"]
pub(crate) mod long;
pub(crate) mod network;
pub(crate) mod raw_server;
pub(crate) mod recording_proxy;
#[macro_use]
pub(crate) mod redis_kinds;
#[cfg(feature = "http")]
pub(crate) mod served_worker;
pub(crate) mod stalling_proxy;
pub(crate) mod steady_log;
pub(crate) mod store_rules;
#[cfg(unix)]
pub(crate) mod subprocess;
#[cfg(unix)]
pub(crate) mod test_name;
pub(crate) mod udp_sockets;
#[cfg(unix)]
pub(crate) mod unshared;

use std::time::Duration;

/// Waits until the server knows whether its worker takes jobs.
pub(crate) async fn server_knows(server: &agent_testkit::MockServer, expected: bool) {
    use agent_testkit::ServerEvent::Full;
    within(server.wait_for(|event| matches!(event, Full { full, .. } if *full == expected))).await;
}

/// The output of a future that takes no longer than a minute, as nothing does that is waited for with this.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("in time")
}
