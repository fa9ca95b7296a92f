//! The mock server over real sockets: a correct worker, and workers that violate the protocol.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};
use agent_testkit::{DispatchRequest, JobSpec, MockServer, NoOutcome, ServerApi, ServerEvent, Violation};
use agent_worker::net::AccessToken;
use agent_worker::stats::DrainReport;
use agent_worker::{JobContext, JobResult, Outcome, WorkerBuilder, WorkerError, WorkerHandle};

const SOON: Duration = Duration::from_secs(20);

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("in time")
}

/// Behaves as its metadata specify.
async fn scripted(ctx: JobContext) -> JobResult {
    match ctx.job().raw_metadata.as_str() {
        "fail" => Err("no such voice".into()),
        "stay" => {
            ctx.cancelled().await;
            Ok(())
        }
        _ => Ok(()),
    }
}

struct Running {
    handle: WorkerHandle,
    task: JoinHandle<Result<DrainReport, WorkerError>>,
}

fn start(builder: WorkerBuilder) -> Running {
    let worker = builder.agent_name("tester").build().expect("the settings are complete");
    Running { handle: worker.handle(), task: tokio::spawn(worker.run()) }
}

impl Running {
    async fn stop(self) -> DrainReport {
        let report = within(self.handle.drain(Duration::ZERO)).await;
        self.task.await.expect("no panic").expect("it ends well");
        report
    }
}

fn no_violations(server: &MockServer) {
    let violation = server.events().into_iter().find(|event| matches!(event, ServerEvent::Violation { .. }));
    assert_eq!(violation, None, "{}", server.timeline());
}

#[tokio::test]
async fn a_worker_runs_jobs_and_the_server_records_their_outcomes() {
    let server = MockServer::start().await.unwrap();
    let worker = start(server.worker(scripted));
    for (metadata, outcome) in
        [("succeed", Outcome::Success), ("fail", Outcome::Failed { error: "no such voice".into() })]
    {
        let job = server.dispatch(JobSpec::room(metadata).metadata(metadata)).await.unwrap();
        assert_eq!(within(job.outcome()).await.unwrap(), outcome);
    }
    let job = server.dispatch(JobSpec::room("stay").metadata("stay")).await.unwrap();
    let agent = within(job.room().wait_for_agent()).await;
    job.terminate();
    assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Success);
    let left = |event: &ServerEvent| matches!(event, ServerEvent::Left { identity, .. } if *identity == agent.identity);
    within(server.wait_for(left)).await;
    worker.stop().await;
    no_violations(&server);
}

#[tokio::test]
async fn the_api_of_the_real_server_works_on_it() {
    let server = MockServer::start().await.unwrap();
    let worker = start(server.worker(scripted));
    assert!(within(worker.handle.registered()).await);
    let api = ServerApi::new(&server.url().parse().unwrap(), server.api_key(), server.api_secret().clone())
        .unwrap();
    assert!(api.answers().await);
    let dispatch =
        api.create_dispatch(DispatchRequest::new("tester", "by-api").metadata("stay")).await.unwrap();
    within(server.room("by-api").wait_for_agent()).await;
    assert_eq!(
        api.list_dispatches("by-api").await.unwrap().iter().find(|d| d.id == dispatch.id).unwrap().jobs.len(),
        1
    );
    assert_eq!(api.list_participants("by-api").await.unwrap().len(), 1);
    api.delete_dispatch("by-api", &dispatch.id).await.unwrap();
    within(server.wait_for(|event| matches!(event, ServerEvent::Ended { .. }))).await;
    api.delete_room("by-api").await.unwrap();
    assert!(api.delete_room("by-api").await.unwrap_err().is_not_found());
    worker.stop().await;
}

#[tokio::test]
async fn a_failed_dispatch_reports_its_reason() {
    let server = MockServer::start().await.unwrap();
    let worker = start(server.worker(scripted).max_jobs(1));
    let job = server.dispatch(JobSpec::room("one").metadata("stay")).await.unwrap();
    within(job.room().wait_for_agent()).await;
    let second = server.dispatch(JobSpec::room("two").metadata("stay")).await.unwrap();
    let error = within(second.outcome()).await.unwrap_err();
    assert!(matches!(&error, NoOutcome::Unserved { .. }), "{error}");
    assert!(error.to_string().contains("Offered"), "the timeline is in the text: {error}");
    let full = |event: &ServerEvent| matches!(event, ServerEvent::Full { full: true, .. });
    within(server.wait_for(full)).await;
    assert_eq!(worker.stop().await.succeeded, 1);
}

#[tokio::test]
async fn an_early_final_status_is_lost_and_repeated() {
    let server = MockServer::builder().lost_status_race(Duration::from_millis(100)).start().await.unwrap();
    let worker = start(server.worker(scripted).join_room(false));
    let job = server.dispatch(JobSpec::room("race").metadata("succeed")).await.unwrap();
    assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Success);
    assert!(server.events().iter().any(|event| matches!(event, ServerEvent::UnknownJob { .. })));
    worker.stop().await;
    no_violations(&server);
}

#[tokio::test]
async fn a_server_with_a_full_history_continues_as_before() {
    let server = MockServer::builder().history(20).start().await.unwrap();
    let worker = start(server.worker(scripted));
    let first = server.dispatch(JobSpec::room("stays").metadata("stay")).await.unwrap();
    within(first.room().wait_for_agent()).await;
    let mut last = None;
    for n in 0..30 {
        let job = server.dispatch(JobSpec::room(format!("room-{n}")).metadata("succeed")).await.unwrap();
        assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Success);
        last = Some(job);
    }
    assert_eq!(server.events().len(), 20);
    assert!(!server.events().iter().any(|event| matches!(event, ServerEvent::Registered { .. })));
    // What has not ended is still known: the worker and the running job.
    let agent = within(first.room().wait_for_agent()).await;
    first.terminate();
    let left = |event: &ServerEvent| matches!(event, ServerEvent::Left { identity, .. } if *identity == agent.identity);
    within(server.wait_for(left)).await;
    assert!(last.unwrap().room().sent().is_empty());
    let mut events = server.follow();
    assert_eq!(within(events.next()).await, server.events()[0], "what is no longer there is passed over");
    worker.stop().await;
}

#[tokio::test]
async fn a_participant_who_left_can_be_waited_for_again() {
    let server = MockServer::start().await.unwrap();
    let room = server.room("lobby");
    room.join("ada").leave();
    let again = async {
        tokio::task::yield_now().await;
        room.join("ada")
    };
    let (found, _) = within(async { tokio::join!(room.wait_for("ada"), again) }).await;
    assert_eq!(found.identity, "ada");
}

/// A worker that violates the protocol.
struct FaultyWorker {
    socket: tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>,
}

impl FaultyWorker {
    async fn connect(server: &MockServer) -> Self {
        let token = AccessToken::new(server.api_key(), server.api_secret().clone()).agent().sign().unwrap();
        let mut request = format!("{}/agent?protocol=1", server.url()).into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {}", token.expose()).parse().unwrap());
        let address = server.url().replace("ws://", "");
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        Self { socket }
    }

    async fn registered(server: &MockServer) -> Self {
        let mut worker = Self::connect(server).await;
        worker
            .send(worker_message::Message::Register(wire::RegisterWorkerRequest {
                agent_name: "wrong".into(),
                ..Default::default()
            }))
            .await;
        worker
    }

    async fn send(&mut self, message: worker_message::Message) {
        let frame = agent_proto::encode(&wire::WorkerMessage { message: Some(message) });
        self.socket.send(Message::Binary(frame)).await.unwrap();
    }

    async fn accept(&mut self, job_id: &str) {
        let answer = wire::AvailabilityResponse {
            job_id: job_id.to_owned(),
            available: true,
            participant_identity: "wrong-agent".into(),
            ..Default::default()
        };
        self.send(worker_message::Message::Availability(answer)).await;
    }

    async fn status(&mut self, job_id: &str, status: wire::JobStatus) {
        let update =
            wire::UpdateJobStatus { job_id: job_id.to_owned(), status: status.into(), ..Default::default() };
        self.send(worker_message::Message::UpdateJob(update)).await;
    }

    /// The next message of this kind.
    async fn receive<T>(&mut self, mut pick: impl FnMut(server_message::Message) -> Option<T>) -> T {
        loop {
            let Message::Binary(frame) = within(self.socket.next()).await.unwrap().unwrap() else { continue };
            let message: wire::ServerMessage =
                agent_proto::decode(&frame, agent_proto::MAX_FRAME_LEN).unwrap();
            if let Some(found) = message.message.and_then(&mut pick) {
                return found;
            }
        }
    }

    async fn offered(&mut self) -> String {
        self.receive(|message| match message {
            server_message::Message::Availability(offer) => offer.job.map(|job| job.id),
            _ => None,
        })
        .await
    }

    async fn assigned(&mut self) -> wire::JobAssignment {
        self.receive(|message| match message {
            server_message::Message::Assignment(assignment) => Some(assignment),
            _ => None,
        })
        .await
    }
}

async fn violation(server: &MockServer, wanted: Violation) {
    let found = |event: &ServerEvent| matches!(event, ServerEvent::Violation { violation, .. } if *violation == wanted);
    if tokio::time::timeout(SOON, server.wait_for(found)).await.is_err() {
        panic!("{wanted:?} was not noticed\n{}", server.timeline());
    }
}

#[tokio::test]
async fn a_worker_that_answers_twice_or_reports_two_outcomes_is_caught() {
    let server = MockServer::start().await.unwrap();
    let mut wrong = FaultyWorker::registered(&server).await;
    let job = server.dispatch(JobSpec::room("twice")).await.unwrap();
    let id = wrong.offered().await;
    wrong.accept(&id).await;
    wrong.accept(&id).await;
    violation(&server, Violation::AnsweredTwice).await;
    wrong.status(&id, wire::JobStatus::JsSuccess).await;
    wrong.status(&id, wire::JobStatus::JsFailed).await;
    violation(&server, Violation::SecondOutcome).await;
    assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Success, "the first one counts");
    wrong.accept("AJ_never").await;
    violation(&server, Violation::AnsweredUnasked).await;
    wrong.status("AJ_never", wire::JobStatus::JsSuccess).await;
    violation(&server, Violation::ForeignJob).await;
}

#[tokio::test]
async fn a_worker_that_never_answers_loses_the_job_after_3_s() {
    let server = MockServer::start().await.unwrap();
    let mut wrong = FaultyWorker::registered(&server).await;
    let job = server.dispatch(JobSpec::room("silent")).await.unwrap();
    let id = wrong.offered().await;
    let error = within(job.outcome()).await.unwrap_err();
    assert!(
        matches!(&error, NoOutcome::Unserved { reason, .. } if reason == "no worker answered in time"),
        "{error}"
    );
    violation(&server, Violation::NeverAnswered).await;
    wrong.accept(&id).await;
    violation(&server, Violation::AnsweredLate).await;
}

#[tokio::test]
async fn an_agent_that_leaves_before_its_status_is_a_failure() {
    use agent_worker::room::{JoinRequest, RoomConnector};
    let server = MockServer::start().await.unwrap();
    let mut wrong = FaultyWorker::registered(&server).await;
    let job = server.dispatch(JobSpec::room("hasty")).await.unwrap();
    let id = wrong.offered().await;
    wrong.accept(&id).await;
    let assignment = wrong.assigned().await;
    let room = server.connector().connect(JoinRequest::new(server.url(), assignment.token)).await.unwrap();
    room.leave().await;
    let outcome = within(job.outcome()).await.unwrap();
    assert_eq!(outcome, Outcome::Failed { error: "agent worker left the room".into() });
    violation(&server, Violation::LeftBeforeStatus).await;
}

#[tokio::test]
async fn a_worker_that_violates_the_protocol_is_disconnected() {
    let server = MockServer::start().await.unwrap();
    let simulate = worker_message::Message::SimulateJob(wire::SimulateJobRequest::default());
    let register = worker_message::Message::Register(wire::RegisterWorkerRequest::default());
    let unknown = wire::RegisterWorkerRequest { r#type: 77, ..Default::default() };
    let spaced = wire::RegisterWorkerRequest { deployment: "a b".into(), ..Default::default() };
    for (first, second, reason) in [
        (worker_message::Message::UpdateWorker(wire::UpdateWorkerStatus::default()), None, "first message"),
        (register.clone(), Some(register.clone()), "registered twice"),
        (register, Some(simulate), "without a room"),
        (worker_message::Message::Register(unknown), None, "job type"),
        (worker_message::Message::Register(spaced), None, "deployment"),
    ] {
        let mut wrong = FaultyWorker::connect(&server).await;
        wrong.send(first).await;
        if let Some(second) = second {
            wrong.send(second).await;
        }
        while let Some(Ok(message)) = within(wrong.socket.next()).await {
            if message.is_close() {
                break;
            }
        }
        let reported = |event: &ServerEvent| matches!(event, ServerEvent::Violation { violation: Violation::Protocol(text), .. } if text.contains(reason));
        within(server.wait_for(reported)).await;
    }
}

/// Sends one HTTP request by hand; returns the whole response.
async fn get(server: &MockServer, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.url().replace("ws://", "")).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_client_that_joins_over_the_network_gets_the_reason_of_the_refusal() {
    let server = MockServer::start().await.unwrap();
    for path in ["/rtc", "/rtc/v1?join_request=x", "/rtc/v1/validate"] {
        let answer = get(&server, path).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("livekit-server"), "{path}: {answer}");
    }
    assert!(get(&server, "/").await.starts_with("HTTP/1.1 200"));
    assert!(get(&server, "/nothing").await.starts_with("HTTP/1.1 404"));
    assert!(get(&server, "/agent").await.starts_with("HTTP/1.1 4"), "no token, no WebSocket");
}
