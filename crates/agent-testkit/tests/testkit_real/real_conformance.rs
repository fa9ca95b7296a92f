//! The conformance suite on livekit-server.

use crate::conformance;
use crate::conformance::stage::Stage;

async fn real() -> Option<Stage> {
    agent_testkit::real_server().await.map(Stage::Real)
}

conformance!(real, on_mock: false);
