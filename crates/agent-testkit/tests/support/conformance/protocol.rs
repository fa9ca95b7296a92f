//! The agent protocol itself, frame by frame.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use agent_proto::livekit as wire;
use agent_proto::livekit::worker_message::Message as FromWorker;
use agent_worker::net::AccessToken;
use agent_worker::{JobContext, JobResult, Secret};

use super::stage::{Stage, soon};

type Socket = WebSocketStream<TcpStream>;

async fn connect(stage: &Stage, token: Option<Secret>) -> Result<Socket, u16> {
    let mut request = format!("{}/agent?protocol=1", stage.url()).into_client_request().unwrap();
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {}", token.expose()).parse().unwrap());
    }
    let stream = TcpStream::connect(stage.url().replace("ws://", "")).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn connected(stage: &Stage) -> Socket {
    let token = stage.token().agent().sign().unwrap();
    connect(stage, Some(token)).await.unwrap()
}

async fn send(socket: &mut Socket, message: FromWorker) {
    let frame = agent_proto::encode(&wire::WorkerMessage { message: Some(message) });
    socket.send(Message::Binary(frame)).await.unwrap();
}

/// The next data frame; `None`: the server ended the connection.
async fn receive(socket: &mut Socket) -> Option<Message> {
    loop {
        match soon(socket.next()).await {
            Some(Ok(message)) if message.is_binary() || message.is_text() => return Some(message),
            Some(Ok(message)) if message.is_close() => return None,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

fn register() -> FromWorker {
    FromWorker::Register(wire::RegisterWorkerRequest { agent_name: "raw".into(), ..Default::default() })
}

fn decoded(message: Message) -> wire::server_message::Message {
    let Message::Binary(frame) = message else { panic!("{message:?}") };
    let message: wire::ServerMessage = agent_proto::decode(&frame, agent_proto::MAX_FRAME_LEN).unwrap();
    message.message.unwrap()
}

pub(crate) async fn refused_workers(stage: &Stage) -> Vec<String> {
    let foreign =
        AccessToken::new(stage.key(), "another secret, as long as one has to be").agent().sign().unwrap();
    let unknown = AccessToken::new("another key", stage.secret()).agent().sign().unwrap();
    let not_agent = stage.token().identity("ada").join_room("r").sign().unwrap();
    let mut observed = Vec::new();
    for (what, token) in [
        ("no token", None),
        ("nonsense", Some("nonsense".into())),
        ("another secret", Some(foreign)),
        ("another key", Some(unknown)),
        ("no agent grant", Some(not_agent)),
    ] {
        observed.push(format!("{what}: {:?}", connect(stage, token).await.map(|_| "connected")));
    }
    let agent = |_: JobContext| async { JobResult::Ok(()) };
    let worker = stage.worker(agent).credentials(stage.key(), "another secret, as long as one has to be");
    let error = soon(worker.build().unwrap().run()).await.unwrap_err().to_string();
    observed.push(format!(
        "our worker names the variable: {}",
        error.contains("401") && error.contains("LIVEKIT_API_SECRET")
    ));
    observed
}

pub(crate) async fn broken_protocol(stage: &Stage) -> Vec<String> {
    let unknown_type = wire::RegisterWorkerRequest { r#type: 77, ..Default::default() };
    let spaced = wire::RegisterWorkerRequest { deployment: "a b".into(), ..Default::default() };
    let long = wire::RegisterWorkerRequest { deployment: "d".repeat(65), ..Default::default() };
    let mut observed = Vec::new();
    for (what, messages) in [
        ("a status first", vec![FromWorker::UpdateWorker(wire::UpdateWorkerStatus::default())]),
        // Answered, but without a registration: closed after 10 s.
        ("a ping alone", vec![FromWorker::Ping(wire::WorkerPing::default())]),
        ("registered twice", vec![register(), register()]),
        ("unknown job type", vec![FromWorker::Register(unknown_type)]),
        ("a deployment with a space", vec![FromWorker::Register(spaced)]),
        ("a deployment of 65 bytes", vec![FromWorker::Register(long)]),
        ("an empty message", vec![register()]),
    ] {
        let mut socket = connected(stage).await;
        for message in messages {
            send(&mut socket, message).await;
        }
        if what == "an empty message" {
            socket.send(Message::Binary(Vec::new().into())).await.unwrap();
        }
        let mut answers = 0;
        while receive(&mut socket).await.is_some() {
            answers += 1;
        }
        observed.push(format!("{what}: {answers} answers, then closed"));
    }
    let mut socket = connected(stage).await;
    socket.send(Message::Binary(vec![0xff; 20].into())).await.unwrap();
    observed.push(format!("garbage: {:?}", receive(&mut socket).await));
    observed
}

pub(crate) async fn pings_and_unknown_jobs(stage: &Stage) -> Vec<String> {
    use wire::server_message::Message as FromServer;
    let mut socket = connected(stage).await;
    send(&mut socket, register()).await;
    let FromServer::Register(registered) = decoded(receive(&mut socket).await.unwrap()) else {
        panic!("no registration")
    };
    let mut observed = vec![format!(
        "registered as {}…, server {}",
        &registered.worker_id[..3],
        registered.server_info.unwrap_or_default().version
    )];
    // None of these is answered, and none ends the connection.
    send(
        &mut socket,
        FromWorker::UpdateJob(wire::UpdateJobStatus { job_id: "AJ_none".into(), ..Default::default() }),
    )
    .await;
    let success = wire::JobStatus::JsSuccess.into();
    send(
        &mut socket,
        FromWorker::UpdateJob(wire::UpdateJobStatus {
            job_id: "AJ_none".into(),
            status: success,
            ..Default::default()
        }),
    )
    .await;
    send(
        &mut socket,
        FromWorker::Availability(wire::AvailabilityResponse {
            job_id: "AJ_none".into(),
            available: true,
            ..Default::default()
        }),
    )
    .await;
    send(
        &mut socket,
        FromWorker::MigrateJob(wire::MigrateJobRequest { job_ids: vec!["AJ_none".into()], jobs: Vec::new() }),
    )
    .await;
    send(&mut socket, FromWorker::UpdateWorker(wire::UpdateWorkerStatus { load: 0.5, ..Default::default() }))
        .await;
    send(&mut socket, FromWorker::Ping(wire::WorkerPing { timestamp: 42 })).await;
    let FromServer::Pong(pong) = decoded(receive(&mut socket).await.unwrap()) else { panic!("no pong") };
    observed.push(format!(
        "pong of {}, now in milliseconds: {}",
        pong.last_timestamp,
        pong.timestamp > 1_700_000_000_000
    ));
    observed
}

pub(crate) async fn the_json_form(stage: &Stage) -> Vec<String> {
    let mut socket = connected(stage).await;
    socket.send(Message::Text(r#"{"register":{"type":"JT_ROOM","agentName":"raw"}}"#.into())).await.unwrap();
    let answer = receive(&mut socket).await.unwrap();
    let mut observed = vec![form(&answer)];
    socket.send(Message::Text(r#"{"ping":{"timestamp":"42"}}"#.into())).await.unwrap();
    observed.push(form(&receive(&mut socket).await.unwrap()));
    // The answer has the form of the request.
    send(&mut socket, FromWorker::Ping(wire::WorkerPing { timestamp: 43 })).await;
    observed.push(form(&receive(&mut socket).await.unwrap()));
    observed
}

fn form(message: &Message) -> String {
    match message {
        Message::Text(text) => {
            let json: serde_json::Value = serde_json::from_str(text).unwrap();
            format!("text: {:?}", json.as_object().unwrap().keys().collect::<Vec<_>>())
        }
        _ => "binary".to_owned(),
    }
}
