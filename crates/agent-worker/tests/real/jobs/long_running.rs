//! Long-running jobs on a real livekit-server, with official clients who come and go.

use std::time::{Duration, Instant};

use agent_testkit::{ClientEvent, DispatchRequest, JobEndStatus, OfficialClient, RealServer, real_server};
use agent_worker::room::ParticipantFilter;
use agent_worker::{JobContext, JobResult, RetryPolicy, Worker, WorkerBuilder, WorkerHandle};

const SOON: Duration = Duration::from_secs(30);

async fn start(server: &RealServer, builder: WorkerBuilder) -> WorkerHandle {
    let builder = builder.url(server.url()).credentials(server.api_key(), server.api_secret().clone());
    let worker = builder.agent_name("host").build().expect("the settings are complete");
    let handle = worker.handle();
    tokio::spawn(worker.run());
    assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
    handle
}

async fn guest(server: &RealServer, room: &str, identity: &str) -> OfficialClient {
    let token = server.token().identity(identity).join_room(room).sign().expect("a token");
    OfficialClient::join(&server.url(), &token).await.expect("the client joins")
}

async fn has_audio(client: &mut OfficialClient, text: &str) {
    let received =
        |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.payload == text.as_bytes());
    client.wait_for(received, SOON).await.expect("the client receives the agent's audio");
}

/// Waits for the first participant, then greets everybody.
async fn host(ctx: JobContext) -> JobResult {
    let first = ctx.room().wait_for_participant(ParticipantFilter::human().within(SOON)).await?;
    ctx.room().publish_data("host", format!("first {}", first.identity)).await?;
    ctx.for_each_participant(ParticipantFilter::human(), async |ctx, person| {
        let _ = ctx.room().publish_data("host", format!("welcome {}", person.identity)).await;
    });
    ctx.cancelled().await;
    Ok(())
}

#[tokio::test]
async fn a_job_ends_in_success_before_the_server_closes_its_empty_room() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let worker = start(&server, Worker::builder(host)).await;
    server.api().create_dispatch(DispatchRequest::new("host", "party")).await.expect("dispatched");
    let job = server.log().assigned_in("party", SOON).await.expect("a job").job_id;
    let mut ada = guest(&server, "party", "ada").await;
    has_audio(&mut ada, "first ada").await;
    has_audio(&mut ada, "welcome ada").await;
    let mut bob = guest(&server, "party", "bob").await;
    has_audio(&mut bob, "welcome bob").await;
    ada.leave().await.expect("left");
    // A participant who comes back is greeted again.
    let mut ada = guest(&server, "party", "ada").await;
    has_audio(&mut ada, "welcome ada").await;
    ada.leave().await.expect("left");
    bob.leave().await.expect("left");
    let empty = Instant::now();
    let end = server.log().outcome(&job, SOON).await.expect("the server records it");
    assert_eq!((end.status, end.error.as_str()), (JobEndStatus::Success, ""));
    // The server gives an empty room 20 s.
    assert!(empty.elapsed() >= Duration::from_secs(9), "{:?}", empty.elapsed());
    assert_eq!(server.log().count("agent worker left the room"), 0);
    worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_failed_health_check_costs_an_attempt_and_a_second_dispatch_is_declined() {
    let Some(server) = real_server().await else { return };
    let agent = async |ctx: JobContext| {
        let attempt = ctx.attempt();
        ctx.health_check(Duration::from_secs(1), async move || {
            if attempt == 1 { Err("the model does not answer") } else { Ok(()) }
        });
        if attempt == 1 {
            std::future::pending::<()>().await;
        }
        // Checked twice more.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        Ok(())
    };
    let retry = RetryPolicy::attempts(2).backoff(Duration::from_millis(1), Duration::from_millis(1));
    let worker = start(&server, Worker::builder(agent).retry(retry).one_per_target(true)).await;
    server.api().create_dispatch(DispatchRequest::new("host", "party")).await.expect("dispatched");
    let job = server.log().assigned_in("party", SOON).await.expect("a job").job_id;
    server.api().create_dispatch(DispatchRequest::new("host", "party")).await.expect("dispatched");
    let end = server.log().outcome(&job, SOON).await.expect("the server records it");
    assert_eq!((end.status, end.error.as_str()), (JobEndStatus::Success, ""));
    assert_eq!((worker.stats().retries, worker.stats().succeeded), (1, 1));
    assert_eq!(server.log().assignments().len(), 1, "the second dispatch was declined");
    worker.drain(Duration::ZERO).await;
}
