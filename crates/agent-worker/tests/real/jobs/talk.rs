//! All three kinds of job on a real livekit-server, with an official client in each room: each receives the
//! other's audio and messages.

use std::sync::Arc;
use std::time::Duration;

use agent_testkit::{ClientEvent, DataMessage, DispatchRequest, JobEndStatus, OfficialClient};
use agent_worker::{Agent, JobContext, JobKind, JobResult, RoomEvent, Worker};

const SOON: Duration = Duration::from_secs(30);

/// Publishes the target of the job, and then repeats the first message that it receives.
struct Talker {
    kind: JobKind,
}

impl Agent for Talker {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        if ctx.job().kind != self.kind {
            return Err(format!("expected a job of kind {}, got {}", self.kind, ctx.job().kind).into());
        }
        let mut events = ctx.room().events();
        let about = ctx.target().map_or("the room", |target| target.identity.as_str());
        ctx.room().publish_data("hello", format!("here for {about}")).await?;
        while let Some(event) = events.next().await {
            if let RoomEvent::DataReceived(data) = event {
                if data.sender.as_deref() != Some("ada") {
                    return Err(format!("from {:?}", data.sender).into());
                }
                ctx.room().publish_data("echo", data.payload).to(["ada"]).await?;
                return Ok(());
            }
        }
        Err("the room ended before anybody spoke".into())
    }
}

/// Runs jobs of a kind, each in a room of its own with a client that receives the agent's audio and messages
/// and sends its own. Without a name, the agent comes by itself.
async fn jobs(kind: JobKind, count: usize, agent_name: &str) {
    let Some(server) = agent_testkit::real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let worker = Worker::builder(Talker { kind })
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .agent_name(agent_name)
        .job_kind(kind)
        .build()
        .expect("the settings are complete");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));

    for n in 0..count {
        let room = format!("{kind}-{n}");
        let token = server.token().identity("ada").join_room(&room).sign().expect("a token");
        let mut ada = OfficialClient::join(&server.url(), &token).await.expect("the client joins");
        if !agent_name.is_empty() {
            let request = DispatchRequest::new(agent_name, &room);
            server.api().create_dispatch(request).await.expect("the server takes the dispatch");
        }
        if kind == JobKind::Publisher {
            ada.publish_audio("microphone", None).await.expect("a track");
        }
        let about = if kind == JobKind::Room { "the room" } else { "ada" };
        has_audio(&mut ada, "hello", &format!("here for {about}")).await;
        let question = format!("question {n}");
        ada.send(DataMessage::new(question.clone()).topic("ask")).await.expect("sent");
        has_audio(&mut ada, "echo", &question).await;
        let job = server.log().assigned_in(&room, SOON).await.expect("a job for the room").job_id;
        let end = server.log().outcome(&job, SOON).await.expect("the end of the job");
        assert_eq!((end.status, end.error.as_str()), (JobEndStatus::Success, ""), "{room}");
        ada.leave().await.expect("left");
    }

    handle.drain(Duration::from_secs(5)).await;
    running.await.expect("the worker does not panic").expect("the worker ends well");
    assert_eq!(server.log().outcomes().len(), count, "one job for each room");
    assert_eq!(server.log().count("agent worker left the room"), 0);
}

async fn has_audio(client: &mut OfficialClient, topic: &str, text: &str) {
    let received = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some(topic) && data.payload == text.as_bytes());
    client.wait_for(received, SOON).await.expect("the client receives the agent's audio");
}

#[tokio::test]
async fn twenty_jobs_of_a_named_agent() {
    jobs(JobKind::Room, 20, "talker").await;
}

#[tokio::test]
async fn twenty_rooms_of_an_unnamed_agent() {
    jobs(JobKind::Room, 20, "").await;
}

#[tokio::test]
async fn ten_publisher_jobs() {
    jobs(JobKind::Publisher, 10, "talker").await;
}

#[tokio::test]
async fn ten_participant_jobs() {
    jobs(JobKind::Participant, 10, "talker").await;
}
