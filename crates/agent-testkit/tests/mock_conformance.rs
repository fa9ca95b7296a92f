//! The conformance suite on the mock server.

mod conformance;

use conformance::stage::Stage;

async fn mock() -> Option<Stage> {
    agent_testkit::MockServer::start().await.ok().map(Stage::Mock)
}

conformance!(mock, on_mock: true);
