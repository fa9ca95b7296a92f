//! The agent among the participants of its room.

use std::sync::Arc;

use tokio::sync::mpsc;

use agent_worker::room::{RoomError, RoomEvents};
use agent_worker::{Agent, Answer, Job, JobContext, JobResult, RoomEvent};

use super::stage::{Stage, soon};

async fn stay(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

pub(crate) async fn two_jobs_in_one_room(stage: &Stage) -> Vec<String> {
    let mut worker = stage.run(stay, |w| w).await;
    stage.dispatch("shared", "").await;
    stage.dispatch("shared", "").await;
    worker.called(2).await;
    let both = async { while stage.api().list_participants("shared").await.unwrap().len() < 2 {} };
    soon(both).await;
    let report = worker.stop().await;
    vec![format!("{report:?}")]
}

/// Reports why it was cancelled.
struct Twin {
    sender: mpsc::UnboundedSender<String>,
}

impl Agent for Twin {
    async fn on_request(&self, _: &Job) -> Answer {
        Answer::accept().identity("twin")
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        self.sender.send("runs".to_owned())?;
        self.sender.send(format!("cancelled: {}", ctx.cancelled().await))?;
        Ok(())
    }
}

pub(crate) async fn one_identity_twice(stage: &Stage) -> Vec<String> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let worker = stage.run(Twin { sender }, |w| w).await;
    stage.dispatch("twins", "").await;
    let mut observed = vec![soon(receiver.recv()).await.unwrap()];
    stage.dispatch("twins", "").await;
    let mut next = [soon(receiver.recv()).await.unwrap(), soon(receiver.recv()).await.unwrap()];
    next.sort();
    observed.extend(next.map(|line| line.replace("terminated", "duplicate_identity")));
    worker.stop().await;
    observed
}

struct Dressed;

impl Agent for Dressed {
    async fn on_request(&self, _: &Job) -> Answer {
        Answer::accept().identity("the-agent").name("The Agent").metadata("about it").attributes([("k", "v")])
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        stay(ctx).await
    }
}

pub(crate) async fn who_the_agent_is(stage: &Stage) -> Vec<String> {
    let worker = stage.run(Dressed, |w| w).await;
    let ada = stage.join("dressed", "ada").await;
    let mut events = ada.events();
    stage.dispatch("dressed", "").await;
    let agent = until(&mut events, |event| match event {
        RoomEvent::ParticipantJoined(participant) if participant.identity == "the-agent" => Some(participant),
        _ => None,
    })
    .await;
    let observed = vec![
        format!("{:?} {:?} {:?} {:?}", agent.identity, agent.name, agent.metadata, agent.kind),
        format!("{:?}", agent.attributes),
    ];
    worker.stop().await;
    observed
}

/// Records the events of Ada, and answers.
async fn talker(ctx: JobContext) -> JobResult {
    let room = ctx.room();
    let mut events = room.events();
    room.publish_data("ready", "").await?;
    while let Some(event) = events.next().await {
        let observed = match event {
            RoomEvent::ParticipantJoined(p) if p.identity == "ada" => "joined".to_owned(),
            RoomEvent::DataReceived(data) => {
                let text = String::from_utf8_lossy(&data.payload).into_owned();
                if text == "bye" {
                    return Ok(());
                }
                format!("data {:?} {text:?} from {:?} reliable {}", data.topic, data.sender, data.reliable)
            }
            RoomEvent::AttributesChanged { participant, changed } if participant.identity == "ada" => {
                format!("attributes {changed:?}")
            }
            RoomEvent::MetadataChanged(p) if p.identity == "ada" => format!("metadata {:?}", p.metadata),
            RoomEvent::NameChanged(p) if p.identity == "ada" => format!("name {:?}", p.name),
            RoomEvent::RoomMetadataChanged(info) => format!("room metadata {:?}", info.metadata),
            _ => continue,
        };
        room.publish_data("observed", observed).to(["ada"]).await?;
    }
    Err("the room ended too early".into())
}

pub(crate) async fn talking(stage: &Stage) -> Vec<String> {
    let worker = stage.run(talker, |w| w).await;
    let ada = stage.join("talking", "ada").await;
    let mut events = ada.events();
    stage.dispatch("talking", "").await;
    // The server announces the agent to Ada some seconds after it forwards its data.
    let agent = until(&mut events, |event| match event {
        RoomEvent::DataReceived(data) if data.topic == "ready" => data.sender,
        _ => None,
    })
    .await;
    let mut observed = vec![next_observation(&mut events).await];
    ada.publish_data("chat", "hello").await.unwrap();
    observed.push(next_observation(&mut events).await);
    ada.publish_data("cursor", "1,2").lossy().await.unwrap();
    observed.push(next_observation(&mut events).await);
    ada.publish_data("private", "for you").to([agent.clone()]).await.unwrap();
    observed.push(next_observation(&mut events).await);
    ada.set_attributes([("a", "1"), ("b", "2")]).await.unwrap();
    observed.push(next_observation(&mut events).await);
    ada.set_attributes([("a", ""), ("b", "2")]).await.unwrap();
    observed.push(next_observation(&mut events).await);
    ada.set_metadata("tall").await.unwrap();
    observed.push(next_observation(&mut events).await);
    ada.set_name("Ada L.").await.unwrap();
    observed.push(next_observation(&mut events).await);
    stage.api().update_room_metadata("talking", "blue").await.unwrap();
    observed.push(next_observation(&mut events).await);
    let large = ada.publish_data("large", vec![0; 64_001]).await;
    assert_eq!(large, Err(RoomError::PayloadTooLarge { len: 64_001 }));
    // A leave is sent only for a participant who was announced.
    let announced = async {
        while ada.participant(&agent).is_none() {
            tokio::task::yield_now().await;
        }
    };
    soon(announced).await;
    ada.publish_data("chat", "bye").await.unwrap();
    observed.push(stage.end_in("talking").await);
    let left = until(&mut events, |event| match event {
        RoomEvent::ParticipantLeft { participant, reason } if participant.identity == agent => Some(reason),
        _ => None,
    })
    .await;
    observed.push(format!("left: {left:?}"));
    worker.stop().await;
    observed
}

pub(crate) async fn refused_tokens(stage: &Stage) -> Vec<String> {
    let not_to_join = stage.token().identity("ada").list_rooms().sign().unwrap();
    let foreign =
        agent_worker::net::AccessToken::new(stage.key(), "another secret, as long as one has to be")
            .identity("ada")
            .join_room("refused")
            .sign()
            .unwrap();
    let unknown = agent_worker::net::AccessToken::new("another key", stage.secret());
    let unknown = unknown.identity("ada").join_room("refused").sign().unwrap();
    let mut observed = Vec::new();
    for (what, token) in [
        ("no grant", not_to_join),
        ("another secret", foreign),
        ("another key", unknown),
        ("no token", "nonsense".into()),
    ] {
        let refused = match stage.join_with(token).await {
            Err(agent_worker::room::JoinError::Failed(agent_worker::room::JoinFailure::Unauthorized {
                status,
                ..
            })) => {
                format!("refused with {status}")
            }
            other => format!("{other:?}"),
        };
        observed.push(format!("{what}: {refused}"));
    }
    observed
}

async fn next_observation(events: &mut RoomEvents) -> String {
    until(events, |event| match event {
        RoomEvent::DataReceived(data) if data.topic == "observed" => {
            Some(String::from_utf8_lossy(&data.payload).into_owned())
        }
        _ => None,
    })
    .await
}

async fn until<T>(events: &mut RoomEvents, mut pick: impl FnMut(RoomEvent) -> Option<T>) -> T {
    let picked = async {
        loop {
            if let Some(picked) = pick(events.next().await.expect("the room is still open")) {
                return picked;
            }
        }
    };
    soon(picked).await
}
