//! Three agents meet in a room: each announces what it can do, hears of the others, also of those who were there before it, and
//! asks for what it cannot do itself.
//!
//! Runs on a mock server in this process: it needs nothing but Rust. The messages go over the room's own data; with
//! `.pubsub(RedisPubSub::new(redis))` on the builder they go over Redis, and the agents need no room in common.

#![allow(clippy::print_stdout, reason = "an example talks to its terminal")]

use agent_testkit::{JobSpec, MockServer};
use agent_worker::coordination::ChannelEvent;
use agent_worker::{Agent, JobContext, JobResult, Outcome};
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;

const CAPABILITIES: [&str; 3] = ["transcribe", "translate", "summarize"];

/// An agent that can do one thing.
struct Capable {
    capability: &'static str,
    /// All of them leave together, so that nobody misses an answer.
    together: Arc<Barrier>,
}

impl Agent for Capable {
    async fn run(&self, ctx: JobContext) -> JobResult {
        let mut jobs = ctx.jobs_channel().await?;
        jobs.announce(self.capability).await?;
        let mut done = BTreeSet::new();
        while done.len() < CAPABILITIES.len() - 1 {
            let event = tokio::select! {
                event = jobs.next() => event,
                reason = ctx.cancelled() => return Err(format!("told to stop: {reason}").into()),
            };
            match event {
                Some(ChannelEvent::Announced(other)) => {
                    println!("{:<10} hears that {} can {}", self.capability, other.job_id, other.capability);
                    jobs.publish(format!("please {}", other.capability)).await?;
                }
                Some(ChannelEvent::Message(message)) => match message.text().split_once(' ') {
                    Some(("please", wanted)) if wanted == self.capability => {
                        jobs.publish(format!("done {wanted}")).await?;
                    }
                    Some(("done", what)) => {
                        done.insert(what.to_owned());
                    }
                    _ => {}
                },
                Some(lost) => println!("{:<10} is told {lost:?}", self.capability),
                None => return Err("the room is over".into()),
            }
        }
        self.together.wait().await;
        Ok(())
    }
}

async fn meet() -> Result<Vec<Outcome>, Box<dyn Error>> {
    let server = MockServer::start().await?;
    let together = Arc::new(Barrier::new(CAPABILITIES.len()));
    let mut jobs = Vec::new();
    for capability in CAPABILITIES {
        let agent = Capable { capability, together: Arc::clone(&together) };
        tokio::spawn(server.worker(agent).agent_name(capability).build()?.run());
        jobs.push(server.dispatch(JobSpec::room("lobby").agent_name(capability).participant("ada")).await?);
    }
    let mut outcomes = Vec::new();
    for job in jobs {
        outcomes.push(job.outcome_within(Duration::from_secs(20)).await?);
    }
    Ok(outcomes)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for (capability, outcome) in CAPABILITIES.iter().zip(meet().await?) {
        println!("{capability:<10} ends: {outcome}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_hear_of_all() {
        assert_eq!(meet().await.unwrap(), vec![Outcome::Success; 3]);
    }
}
