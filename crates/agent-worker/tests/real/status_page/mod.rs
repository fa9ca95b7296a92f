//! The page for people at `/status` in a headless Chromium, with a worker on a mock server.

mod browser;
mod figures;
mod keyboard;
mod looks;
mod states;
mod texts;

use std::time::Duration;

use tempfile::TempDir;

use agent_testkit::JobSpec;
use agent_worker::{Agent, RetryPolicy, WorkerBuilder};

use crate::support::served_worker::Served;
use crate::support::within;
use browser::Page;

/// A worker with the page open; `None` if the test is skipped.
struct Open {
    served: Served,
    page: Page,
    /// Of Chromium.
    _profile: TempDir,
}

impl Open {
    async fn with<A: Agent>(agent: A, change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Option<Self> {
        let chromium = agent_testkit::chromium()?;
        let served = Served::registered(agent, |worker| {
            change(worker.retry(RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO)))
        })
        .await;
        let profile = tempfile::tempdir().unwrap();
        let url = format!("http://{}/status", served.address);
        let mut page = Page::open(&chromium, profile.path(), &url).await;
        page.wait_for_text("state", "Ready").await;
        Some(Self { served, page, _profile: profile })
    }

    /// Dispatches a job in each of these rooms, and waits until it has its slot: a server gives up offers of
    /// which a machine under load gets too many at once.
    async fn dispatch(&self, rooms: impl IntoIterator<Item = String>) {
        let used = async || self.served.worker.status().await.unwrap().slots.used();
        let mut expected = used().await;
        let mut rooms = rooms.into_iter().peekable();
        while rooms.peek().is_some() {
            for room in rooms.by_ref().take(100) {
                self.served.dispatch(JobSpec::room(room)).await;
                expected += 1;
            }
            within(async {
                while used().await < expected {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        }
    }

    /// Waits until this range is shown, as in `1 – 100 of 200`.
    async fn shows(&mut self, range: &str) {
        self.page.wait_for_text("range", range).await;
    }
}
