//! The conformance suite on the mock server.

use std::time::Duration;

use crate::conformance;
use crate::conformance::stage::Stage;

/// As on livekit-server.
const COLD_CACHE: Duration = Duration::from_secs(5);

async fn mock() -> Option<Stage> {
    let server = agent_testkit::MockServer::builder().cold_cache(COLD_CACHE).start().await;
    Some(Stage::Mock(server.expect("a free port")))
}

conformance!(mock, on_mock: true);
