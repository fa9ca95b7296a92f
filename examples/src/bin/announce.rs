//! Three agents in one room: each announces what it can do, receives the announcements of the others,
//! including earlier ones, and requests what it cannot do itself.
//!
//! Runs on a mock server in this process: it needs nothing but Rust. The messages go over the room's data;
//! with `.pubsub(RedisPubSub::new(redis))` on the builder they go over Redis, without a common room.

#![allow(clippy::print_stdout, reason = "an example prints to its terminal")]

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::coordination::ChannelEvent;
use agent_worker::{Agent, JobContext, JobResult, Outcome};

const CAPABILITIES: [&str; 3] = ["transcribe", "translate", "summarize"];
const TIMEOUT: Duration = Duration::from_secs(20);

/// An agent that can do one thing, for as long as its room needs it.
struct Capable {
    capability: &'static str,
    /// For the observer: which job was helped, and with what.
    helped: mpsc::UnboundedSender<(&'static str, String)>,
}

impl Agent for Capable {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let mut jobs = ctx.jobs_channel().await?;
        jobs.announce(self.capability).await?;
        loop {
            let event = tokio::select! {
                event = jobs.next() => event,
                _ = ctx.cancelled() => return Ok(()),
            };
            match event {
                Some(ChannelEvent::Announced(other)) => {
                    println!("{:<10} sees that {} can {}", self.capability, other.job_id, other.capability);
                    jobs.publish(format!("please {}", other.capability)).await?;
                }
                Some(ChannelEvent::Message(message)) => match message.text().split_once(' ') {
                    Some(("please", wanted)) if wanted == self.capability => {
                        println!("{:<10} is asked by {}", self.capability, message.job_id());
                        jobs.publish(format!("done {wanted}")).await?;
                    }
                    Some(("done", what)) => drop(self.helped.send((self.capability, what.to_owned()))),
                    _ => {}
                },
                Some(lost) => println!("{:<10} receives {lost:?}", self.capability),
                None => return Ok(()), // the room is over
            }
        }
    }
}

/// Each agent is helped by each other one; then they are cancelled.
async fn run() -> Result<Vec<Outcome>, Box<dyn Error>> {
    let server = MockServer::start().await?;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut jobs = Vec::new();
    for capability in CAPABILITIES {
        let agent = Capable { capability, helped: sender.clone() };
        tokio::spawn(server.worker(agent).agent_name(capability).build()?.run());
        jobs.push(server.dispatch(JobSpec::room("lobby").agent_name(capability)).await?);
    }
    let mut helped = BTreeSet::new();
    while helped.len() < CAPABILITIES.len() * (CAPABILITIES.len() - 1) {
        helped.extend(tokio::time::timeout(TIMEOUT, receiver.recv()).await?);
    }
    let mut outcomes = Vec::new();
    for job in jobs {
        job.terminate();
        outcomes.push(job.outcome_within(TIMEOUT).await?);
    }
    Ok(outcomes)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for (capability, outcome) in CAPABILITIES.iter().zip(run().await?) {
        println!("{capability:<10} ends: {outcome}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_agent_is_helped_by_each_other_one() {
        assert_eq!(run().await.unwrap(), vec![Outcome::Success; 3]);
    }
}
