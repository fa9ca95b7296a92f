//! Three worker processes, each with one job in the same room: what they publish over a channel, and what
//! they receive.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc};

use agent_testkit::{JobSpec, MockServer};
use agent_worker::coordination::{Channel, PubSub, Publisher};
use agent_worker::{Agent, JobContext, JobResult};

use super::channel_log::{Received, Tally};
use super::stalling_proxy::Proxy;
use super::subprocess::{Child, Log, Post, given, report};

const SOON: Duration = Duration::from_secs(20);
const WORKERS: usize = 3;

/// What a process is asked to do.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Publish(String),
    /// A message of each of these numbers.
    Count(Range<usize>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Report {
    /// Which process.
    by: String,
    what: What,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum What {
    Received(Received),
    /// An order is carried out: how many of its messages were refused, and why.
    Published {
        refused: usize,
        error: String,
    },
}

/// In a process that [`ChannelWorkers`] started: runs its worker, for good. Elsewhere it returns at once.
pub(crate) async fn run_if_child<P: PubSub>(make: impl FnOnce(&str) -> P) {
    let Some(((post, name, carrier), orders)) = given::<(Post, String, String)>() else { return };
    let worker = post.worker(Talker { name, orders: Mutex::new(Some(orders)) });
    worker.join_room(false).pubsub(make(&carrier)).build().unwrap().run().await.unwrap();
}

/// Reports what it receives, and carries out the test's orders.
struct Talker {
    name: String,
    orders: Mutex<Option<mpsc::UnboundedReceiver<String>>>,
}

impl Agent for Talker {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let orders = self.orders.lock().await.take().expect("one job, and one attempt of it");
        let mut channel: Channel = ctx.jobs_channel().await?;
        channel.announce("talk").await?;
        ctx.spawn(carry_out(self.name.clone(), channel.publisher(), orders));
        while let Some(event) = channel.next().await {
            report(&Report { by: self.name.clone(), what: What::Received(event.into()) });
        }
        Ok(())
    }
}

async fn carry_out(name: String, publisher: Publisher, mut orders: mpsc::UnboundedReceiver<String>) {
    while let Some(order) = orders.recv().await {
        let texts: Vec<String> = match serde_json::from_str(&order).expect("an order") {
            Order::Publish(text) => vec![text],
            Order::Count(numbers) => numbers.map(|n| n.to_string()).collect(),
        };
        let (mut refused, mut why) = (0, String::new());
        for text in texts {
            if let Err(error) = publisher.publish(text).await {
                refused += 1;
                why = error.to_string();
            }
        }
        report(&Report { by: name.clone(), what: What::Published { refused, error: why } });
    }
}

pub(crate) struct ChannelWorkers {
    _server: MockServer,
    pub(crate) members: Vec<Member>,
}

/// A process with a way to the store of its own.
pub(crate) struct Member {
    name: String,
    process: Child,
    pub(crate) proxy: Proxy,
    log: Log<Report>,
    /// How many reports were looked at: for what it received, and for its orders.
    received: usize,
    published: usize,
}

impl ChannelWorkers {
    /// All are there, and know of each other. `entry` is the test that calls [`run_if_child`], which is given
    /// the URL.
    pub(crate) async fn of_three(entry: &str, port: u16) -> Self {
        let server = MockServer::start().await.unwrap();
        let log = Log::new();
        let mut members: Vec<Member> = Vec::new();
        for n in 0..WORKERS {
            let proxy = Proxy::start(port).await;
            let name = format!("worker-{n}");
            let post = Post::new(server.url(), server.api_key(), server.api_secret(), &name);
            let url = format!("redis://127.0.0.1:{}", proxy.port());
            let process = Child::start(entry, &(post, &name, url), &log);
            server.dispatch(JobSpec::room("shared").agent_name(&name)).await.unwrap();
            members.push(Member { name, process, proxy, log: log.clone(), received: 0, published: 0 });
        }
        for member in &mut members {
            for _ in 0..WORKERS - 1 {
                assert_eq!(member.next().await, Received::Announced("talk".to_owned()));
            }
        }
        Self { _server: server, members }
    }
}

impl Member {
    /// The next thing that it received.
    pub(crate) async fn next(&mut self) -> Received {
        let received = |report: &Report| report.by == self.name && matches!(report.what, What::Received(_));
        let (next, report) = self.log.wait_for(self.received, SOON, received).await;
        self.received = next;
        let What::Received(received) = report.what else { unreachable!() };
        received
    }

    /// Adds up what it receives until it has all the messages of the others up to this number.
    pub(crate) async fn receive_until(&mut self, end: usize, tally: &mut Tally) {
        while tally.complete(end) < WORKERS - 1 {
            tally.take(self.next().await);
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Received::Message { text, .. } => text,
            other => panic!("{} received {other:?}", self.name),
        }
    }

    /// Has it publish a message of each of these numbers, and does not wait for it.
    pub(crate) fn count(&self, numbers: Range<usize>) {
        self.order(&Order::Count(numbers));
    }

    pub(crate) async fn publish(&mut self, text: &str) {
        self.order(&Order::Publish(text.to_owned()));
        assert_eq!(self.published().await, (0, String::new()));
    }

    /// Waits until an order is carried out: how many of its messages were refused, and why.
    pub(crate) async fn published(&mut self) -> (usize, String) {
        let done = |report: &Report| report.by == self.name && matches!(report.what, What::Published { .. });
        let (next, report) = self.log.wait_for(self.published, SOON, done).await;
        self.published = next;
        let What::Published { refused, error } = report.what else { unreachable!() };
        (refused, error)
    }

    fn order(&self, order: &Order) {
        self.process.send_line(&serde_json::to_string(order).unwrap());
    }
}
