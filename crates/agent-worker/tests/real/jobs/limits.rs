//! The limits of metadata and attributes are those of a real livekit-server.

use std::sync::Arc;
use std::time::Duration;

use agent_testkit::{DispatchRequest, JobEndStatus, real_server};
use agent_worker::job::MAX_ATTRIBUTES_LEN;
use agent_worker::metadata::MAX_METADATA_LEN;
use agent_worker::{Accept, Agent, Answer, Job, JobContext, JobResult, Worker};

const AGENT: &str = "limited";
const SOON: Duration = Duration::from_secs(30);

/// Accepts jobs with the largest values that our own check permits.
struct Big;

fn biggest() -> Accept {
    let of = |len: usize| {
        let mut accept = Accept::default();
        accept.metadata = "m".repeat(MAX_METADATA_LEN);
        accept.attributes = [("k".to_owned(), "v".repeat(len))].into();
        accept
    };
    let fits = |len: &usize| of(*len).check(AGENT).is_ok();
    of((0..=MAX_ATTRIBUTES_LEN).rev().find(fits).expect("something fits"))
}

impl Agent for Big {
    async fn on_request(&self, _: &Job) -> Answer {
        Answer::Accept(biggest())
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let me = ctx.room().local_participant();
        assert_eq!(me.metadata.len(), MAX_METADATA_LEN);
        assert_eq!(ctx.job().raw_metadata.len(), MAX_METADATA_LEN);
        assert_eq!(ctx.job().attributes["k"].len(), MAX_ATTRIBUTES_LEN - 1);
        Ok(())
    }
}

#[tokio::test]
async fn the_server_accepts_the_largest_permitted_values() {
    let Some(server) = real_server().await else { return };
    let worker = Worker::builder(Big)
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .agent_name(AGENT)
        .build()
        .expect("the settings are complete");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));

    let dispatch = |room: &str, metadata: usize, attribute: usize| {
        let request = DispatchRequest::new(AGENT, room);
        let request = request.metadata(" ".repeat(metadata)).attributes([("k", "v".repeat(attribute))]);
        server.api().create_dispatch(request)
    };
    dispatch("full", MAX_METADATA_LEN, MAX_ATTRIBUTES_LEN - 1).await.expect("the server takes it");
    let job = server.log().assigned_in("full", SOON).await.expect("our answer goes through").job_id;
    let end = server.log().outcome(&job, SOON).await.expect("the end of the job");
    assert_eq!((end.status, end.error.as_str()), (JobEndStatus::Success, ""));

    dispatch("long", MAX_METADATA_LEN + 1, 0).await.expect_err("metadata over the limit");
    dispatch("long", 0, MAX_ATTRIBUTES_LEN).await.expect_err("attributes over the limit");

    handle.drain(Duration::ZERO).await;
    running.await.expect("no panic").expect("it ends well");
}
