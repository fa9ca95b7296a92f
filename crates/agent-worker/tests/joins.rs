//! How a job's room is joined: at which server, and with which tracks.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail")]

use agent_testkit::{JobSpec, MockServer};
use agent_worker::{
    AutoSubscribe, BoxFuture, JobContext, JobResult, JoinError, JoinOptions, JoinRequest, Outcome,
    RetryPolicy, Room, RoomConnector, WorkerBuilder,
};
use std::sync::{Arc, Mutex};

/// Keeps what it is asked for, and joins nothing.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<JoinRequest>>>);

impl RoomConnector for Asked {
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
        self.0.lock().expect("no panic").push(request);
        Box::pin(async { Err(JoinError::Url) })
    }
}

impl Asked {
    fn take(&self) -> Vec<JoinRequest> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

async fn joins(ctx: JobContext) -> JobResult {
    ctx.join_with(JoinOptions::new().auto_subscribe(AutoSubscribe::VideoOnly)).await?;
    Ok(())
}

/// How a job of such a worker ends, whose assignment names this server.
async fn failure(
    assigned: Option<&str>,
    configure: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
) -> (String, Vec<JoinRequest>) {
    let asked = Asked::default();
    let server = MockServer::builder().start_in_process();
    if let Some(url) = assigned {
        server.assign_url(url);
    }
    let worker =
        server.worker(joins).agent_name("tester").retry(RetryPolicy::never()).connector(asked.clone());
    tokio::spawn(configure(worker).build().expect("the settings are complete").run());
    let job = server.dispatch(JobSpec::room("lobby")).await.expect("a job");
    match job.outcome().await.expect("its end") {
        Outcome::Failed { error } => (error, asked.take()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn another_server_gets_no_token_when_it_is_to_be_refused() {
    for (assigned, expected) in [
        (
            "ws://elsewhere.example:7880",
            "the job's assignment names the server elsewhere.example:7880 and the worker's is ",
        ),
        ("nonsense", "the job's assignment names a server that cannot be used: "),
        ("wss://key:s3cret@elsewhere.example", "the job's assignment names a server that cannot be used: "),
    ] {
        for join_room in [true, false] {
            let (error, asked) =
                failure(Some(assigned), |worker| worker.refuse_other_servers(true).join_room(join_room))
                    .await;
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
            assert!(asked.is_empty(), "{asked:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_server_is_joined_otherwise() {
    let (_, asked) = failure(Some("https://Elsewhere.example/livekit/"), |worker| worker).await;
    let [request] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(request.url, "wss://elsewhere.example/livekit");
    assert_eq!(request.auto_subscribe, AutoSubscribe::All);
}

#[tokio::test(start_paused = true)]
async fn tracks_are_those_of_the_worker_or_of_the_join() {
    for (join_room, expected) in [(true, AutoSubscribe::None), (false, AutoSubscribe::VideoOnly)] {
        let (_, asked) =
            failure(None, |worker| worker.auto_subscribe(AutoSubscribe::None).join_room(join_room)).await;
        let [request] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(request.auto_subscribe, expected);
    }
}
