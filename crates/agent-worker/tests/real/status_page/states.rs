//! What the page says of a worker that drains, has stopped, or cannot be reached.

use std::time::Duration;

use serde_json::json;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::http::HttpServer;

use super::Open;
use crate::support::served_worker::patient;
use crate::support::within;

#[tokio::test(flavor = "multi_thread")]
async fn the_state_is_followed_to_the_end_and_beyond() {
    let Some(mut open) = Open::with(patient, |worker| worker.max_jobs(10)).await else { return };
    assert_eq!(open.page.get("state.role").await, "status", "a screen reader announces it");
    open.dispatch(["lobby".to_owned()]).await;
    open.shows("1 – 1 of 1").await;

    open.served.server.refuse_connections(true);
    open.served.server.cut_workers();
    open.page.wait_for_text("state", "Not ready: not connected to the LiveKit server").await;
    open.page.wait_for("document.querySelector('[data-field=registered]').textContent === 'no'").await;
    open.served.server.refuse_connections(false);
    open.page.wait_for_text("state", "Ready").await;

    open.served.worker.start_drain(Duration::from_secs(600));
    open.page.wait_for_text("state", "Draining: accepts no new jobs").await;
    assert_eq!(open.page.get("state.dataset.state").await, "draining");
    assert_eq!(open.page.get("document.title").await, "greeter: Draining: accepts no new jobs");
    open.shows("1 – 1 of 1").await;
    assert_eq!(open.page.complaints().await, [""; 0], "until then every request has its answer");

    open.served.worker.stop();
    open.page
        .wait_for(
            "/^No answer of the worker since [0-9:]{8} .the worker has stopped./.test(state.textContent)",
        )
        .await;
    open.served.ended().await.unwrap();
    open.served.stop_serving().await;
    open.page
        .wait_for("/^Not reachable since [0-9:]{8}: the program has ended/.test(state.textContent)")
        .await;
    assert_eq!(open.page.get("document.body.dataset.stale").await, "true");
    open.shows("1 – 1 of 1").await;

    // Another process takes the port, with two workers.
    let server = MockServer::start().await.unwrap();
    let worker = |name: &str| server.worker(patient).agent_name(name).build().unwrap();
    let workers = [worker("ada"), worker("bob")];
    let handles = [workers[0].handle(), workers[1].handle()];
    let http = within(async {
        loop {
            match HttpServer::bind(open.served.address).await {
                Ok(http) => break http,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await;
    let serving = tokio::spawn(http.serve(handles.clone()));
    let running = workers.map(|worker| tokio::spawn(worker.run()));
    open.page.wait_for_text("state", "Ready").await;
    assert_eq!(open.page.get("document.body.dataset.stale").await, "false");
    open.shows("0 of 0").await;
    server.dispatch(JobSpec::room("lounge").agent_name("bob")).await.unwrap();
    open.shows("1 – 1 of 1").await;
    handles[1].start_drain(Duration::from_secs(600));
    open.page.wait_for_text("state", "Draining: accepts no new jobs").await;
    let cards = "[...document.querySelectorAll('#workers h2')].map((title) => title.innerText)";
    assert_eq!(open.page.get(cards).await, json!(["ada Ready", "bob Draining: accepts no new jobs"]));
    serving.abort();
    running.iter().for_each(|worker| worker.abort());
}
