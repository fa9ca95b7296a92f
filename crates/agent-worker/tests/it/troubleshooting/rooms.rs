//! What ends a job as failed, and which errors a handler gets in its room.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_testkit::{JobSpec, MockRoom, MockServer, run_job};
use agent_worker::net::AccessToken;
use agent_worker::patterns::Pipeline;
use agent_worker::room::{AgentPermissions, JoinError, JoinRequest, RoomConnector, RoomError, WebRtc};
use agent_worker::{JobContext, JobResult, Outcome};

use super::agents::failed;
use super::servers;
use crate::support::guide_tables::{self, Line, steady, up_to};
use crate::support::within;

#[derive(Default, serde::Deserialize)]
struct Greeting {
    #[allow(dead_code, reason = "it is only read")]
    name: String,
}

async fn reads(ctx: JobContext) -> JobResult {
    ctx.metadata::<Greeting>()?;
    Ok(())
}

async fn stays(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

/// Has more in its pipeline than it can finish.
async fn overloaded(ctx: JobContext) -> JobResult {
    let lines = futures_util::stream::iter(0..9);
    Pipeline::new(lines, ctx.cancelled())
        .flush_within(ctx.grace() / 2)
        .stage("store", async |line| {
            tokio::time::sleep(Duration::from_secs(11) * line).await;
            Ok(())
        })
        .run()
        .await?;
    Ok(())
}

async fn deaf(_: JobContext) -> JobResult {
    std::future::pending().await
}

fn lobby() -> JobSpec {
    JobSpec::room("lobby")
}

/// Does something to the agent once it is in the room.
fn with_agent(act: impl FnOnce(&MockRoom, &str) + Send + 'static) -> JobSpec {
    lobby().script(|room| async move {
        let agent = room.wait_for_agent().await;
        act(&room, &agent.identity);
    })
}

#[tokio::test]
async fn jobs_that_are_recorded_as_failed() {
    let minute = Duration::from_secs(60);
    let lines = [
        failed("metadata that is not JSON", reads, lobby().metadata("Ada")).await,
        failed("metadata without a field", reads, lobby().metadata("{}")).await,
        failed("metadata of the wrong type", reads, lobby().metadata(r#"{"name":1}"#)).await,
        failed(
            "the handler returns an error",
            |_: JobContext| async { Err("no such voice".into()) },
            lobby(),
        )
        .await,
        failed("the handler panics", |_: JobContext| async { panic!("no such voice") }, lobby()).await,
        failed(
            "`ctx.room()` before `ctx.join()`, with `.join_room(false)`",
            |ctx: JobContext| async move {
                let _ = ctx.room();
                Ok(())
            },
            lobby().worker(|worker| worker.join_room(false)),
        )
        .await,
        failed(
            "longer than `.job_timeout(…)`",
            stays,
            lobby().worker(|worker| worker.job_timeout(Duration::from_secs(10))),
        )
        .await,
        failed("a cancelled handler does not return within `.grace(…)`", deaf, lobby().lasts(minute)).await,
        failed(
            "a pipeline cannot finish within `.flush_within(…)` after the stop",
            overloaded,
            lobby().lasts(minute),
        )
        .await,
        failed("removed from the room", stays, with_agent(MockRoom::remove)).await,
        failed(
            "another participant with its identity",
            stays,
            with_agent(|room, agent| drop(room.join(agent))),
        )
        .await,
    ];
    guide_tables::check("jobs", &lines);
}

/// The error of a room that is joined in this way, in the words of a job that needs it.
async fn not_joined(what: &'static str, request: JoinRequest) -> Line {
    let error: JoinError = within(WebRtc::default().connect(request)).await.expect_err(what);
    (what, steady(&error.to_string()))
}

#[tokio::test]
async fn rooms_that_cannot_be_joined() {
    let unauthorized = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 19\r\n\r\npermissions denied!";
    let too_long = "HTTP/1.1 400 Bad Request\r\nContent-Length: 65\r\n\r\nparticipant identity length exceeds limits: max length 256 (it is)";
    let old = MockServer::start().await.unwrap();
    let (refusing, narrow) = (servers::answering(unauthorized).await, servers::answering(too_long).await);
    let no_listener = servers::no_listener().await;
    let mute = servers::mute().await;
    let request = |address: &str| {
        let mut request = JoinRequest::new(format!("ws://{address}"), "a token");
        request.timeout = Duration::from_secs(1);
        request
    };
    let (what, unreachable) = not_joined("nothing listens there", request(&no_listener)).await;
    let token = |token: AccessToken| token.sign().expect_err("no token").to_string();
    let mut lines = vec![
        not_joined("a wrong, expired or missing grant, key or secret", request(&refusing)).await,
        not_joined("an identity that is too long", request(&narrow)).await,
        not_joined(
            "a server without `/rtc/v1`, or not a LiveKit server",
            JoinRequest::new(old.url(), "a token"),
        )
        .await,
        (what, unreachable),
        not_joined("it does not answer", request(&mute)).await,
        not_joined("an invalid URL", JoinRequest::new("lobby", "a token")).await,
    ];
    lines.push((
        "`AccessToken` to join without an identity",
        token(AccessToken::new("key", "secret").join_room("lobby")),
    ));
    lines.push(("`AccessToken` without a secret", token(AccessToken::new("key", "").identity("ada"))));
    guide_tables::check("joins", &lines);
}

#[tokio::test]
async fn a_job_reports_why_its_room_was_not_joined() {
    // Only its rooms are real: there are none at a mock server.
    let server = MockServer::start().await.unwrap();
    let worker = server.worker(stays).agent_name("tester").connector(WebRtc::default()).build().unwrap();
    tokio::spawn(worker.run());
    let job = server.dispatch(JobSpec::room("lobby")).await.unwrap();
    let outcome = within(job.outcome()).await.unwrap();
    let Outcome::Failed { error } = outcome else { panic!("{outcome:?}") };
    let mut lines = vec![("the room cannot be joined", up_to(&error, "(HTTP 404)"))];
    for (what, url) in [
        ("another server, with `.refuse_other_servers(true)`", "wss://other.example"),
        ("an assignment with an invalid URL", "other.example"),
    ] {
        let server = MockServer::start().await.unwrap();
        server.assign_url(url);
        let worker = server.worker(stays).agent_name("tester").refuse_other_servers(true).build().unwrap();
        tokio::spawn(worker.run());
        let job = server.dispatch(JobSpec::room("lobby")).await.unwrap();
        let outcome = within(job.outcome()).await.unwrap();
        let Outcome::Failed { error } = outcome else { panic!("{outcome:?}") };
        lines.push((what, steady(&error)));
    }
    guide_tables::check("join", &lines);
}

/// The error that a handler gets from a mock room that behaves like the real server.
type Recorded = Arc<Mutex<Vec<Line>>>;

fn record(recorded: &Recorded, what: &'static str, result: Result<(), RoomError>) {
    let error = result.expect_err(what);
    recorded.lock().unwrap().push((what, error.to_string()));
}

#[tokio::test]
async fn requests_that_a_room_refuses() {
    let recorded = Recorded::default();
    let keep = recorded.clone();
    let tries = move |ctx: JobContext| {
        let recorded = keep.clone();
        async move {
            let room = ctx.room();
            let long = |len: usize| "x".repeat(len);
            record(&recorded, "data of 70,000 bytes", room.publish_data("t", vec![0; 70_000]).await);
            record(&recorded, "a name of 300 bytes", room.set_name(long(300)).await);
            record(&recorded, "metadata of 600,000 bytes", room.set_metadata(long(600_000)).await);
            record(&recorded, "attributes of 70,000 bytes", room.set_attributes([("k", long(70_000))]).await);
            record(&recorded, "metadata of 2 MB", room.set_metadata(long(2_000_000)).await);
            room.leave().await;
            record(&recorded, "after the room was left", room.publish_data("t", "x").await);
            Ok(())
        }
    };
    run_job(tries, lobby()).await.assert_success();

    let keep = recorded.clone();
    let tries = move |ctx: JobContext| {
        let recorded = keep.clone();
        async move {
            let room = ctx.room();
            record(&recorded, "data, without the permission", room.publish_data("t", "x").await);
            record(&recorded, "own metadata, without the permission", room.set_metadata("x").await);
            Ok(())
        }
    };
    let mut nothing = AgentPermissions::default();
    (nothing.can_publish_data, nothing.can_update_metadata) = (false, false);
    run_job(tries, lobby().worker(move |worker| worker.permissions(nothing))).await.assert_success();
    let lines = std::mem::take(&mut *recorded.lock().unwrap());
    guide_tables::check("handlers", &lines);
}
