//! Two jobs in this process that communicate over a channel, each with its own connection to the server.

use tokio::sync::mpsc;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::coordination::{ChannelEvent, Publisher, RedisPubSub};
use agent_worker::net::Redis;
use agent_worker::{JobContext, JobResult};

use super::SOON;

/// A job that has opened the channel of its room.
pub(crate) struct Member {
    _server: MockServer,
    publisher: mpsc::UnboundedReceiver<Publisher>,
    publishes: Option<Publisher>,
    events: mpsc::UnboundedReceiver<ChannelEvent>,
}

impl Member {
    /// Each is of a LiveKit server of its own, and in a room of the same name.
    pub(crate) async fn join(redis: Redis) -> Self {
        let server = MockServer::builder().start_in_process();
        let (give, publisher) = mpsc::unbounded_channel();
        let (sender, events) = mpsc::unbounded_channel();
        let talks = move |ctx: JobContext| talk(ctx, give.clone(), sender.clone());
        let worker =
            server.worker(talks).agent_name("talker").join_room(false).pubsub(RedisPubSub::new(redis));
        tokio::spawn(worker.build().unwrap().run());
        server.dispatch(JobSpec::room("lobby").agent_name("talker")).await.unwrap();
        let mut member = Self { _server: server, publisher, publishes: None, events };
        member.publishes = tokio::time::timeout(SOON, member.publisher.recv()).await.expect("it has joined");
        member
    }

    pub(crate) async fn publish(&self, text: &str) -> Result<(), String> {
        let publisher = self.publishes.as_ref().expect("it has joined");
        publisher.publish(text.to_owned()).await.map_err(|error| super::chain(&error))
    }

    /// The next event: a text, or a description of another event.
    pub(crate) async fn next(&mut self) -> String {
        match tokio::time::timeout(SOON, self.events.recv()).await {
            Ok(Some(ChannelEvent::Message(message))) => message.text(),
            Ok(event) => format!("{event:?}"),
            Err(_) => "nothing".to_owned(),
        }
    }

    /// The events that it has received and the test has not read.
    pub(crate) fn unread(&mut self) -> Option<ChannelEvent> {
        self.events.try_recv().ok()
    }
}

async fn talk(
    ctx: JobContext,
    give: mpsc::UnboundedSender<Publisher>,
    sender: mpsc::UnboundedSender<ChannelEvent>,
) -> JobResult {
    let mut channel = ctx.jobs_channel().await?;
    give.send(channel.publisher())?;
    while let Some(event) = channel.next().await {
        sender.send(event)?;
    }
    Ok(())
}
