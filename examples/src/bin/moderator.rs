//! Moderates a room: greets everybody, counts the words that are not welcome, opens and closes the floor on
//! command, and reports when it goes. Its tasks, callbacks and actions all work on the state of the agent.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then dispatch the agent
//! `moderator` to a room.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;

use agent_worker::patterns::StateMachine;
use agent_worker::room::ParticipantFilter;
use agent_worker::{Agent, JobContext, JobResult, Worker, cli};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Floor {
    Closed,
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Command {
    Open,
    Close,
}

struct Moderator {
    unwelcome: &'static str,
    /// How often each person has used the unwelcome word.
    counts: Mutex<BTreeMap<String, u32>>,
}

impl Moderator {
    async fn announce(&self, ctx: &JobContext, text: impl Into<String>) -> JobResult {
        Ok(ctx.room().publish_data("moderator", text.into()).await?)
    }

    async fn listen(&self, ctx: &JobContext) {
        let mut chat = ctx.room().data("chat");
        while let Some(line) = chat.next().await {
            let line = match line {
                Ok(line) => line,
                Err(missed) => {
                    tracing::warn!(missed = missed.count, "messages were not counted: too many came at once");
                    continue;
                }
            };
            let unwelcome = line.payload.as_ref() == self.unwelcome.as_bytes();
            if let (true, Some(person)) = (unwelcome, line.sender) {
                *self.counts().entry(person).or_default() += 1;
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> String {
        format!("{:?}", self.counts())
    }
}

impl Agent for Moderator {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let agent = self.clone();
        ctx.on_cleanup(async move |ctx| {
            let _ = agent.announce(&ctx, agent.report()).await;
        });
        let agent = self.clone();
        ctx.for_each_participant(ParticipantFilter::human(), async move |ctx, person| {
            let _ = agent.announce(&ctx, format!("Welcome, {}!", person.identity)).await;
        });
        let (agent, listening) = (self.clone(), ctx.clone());
        ctx.spawn(async move { agent.listen(&listening).await });
        let floor = StateMachine::new(Floor::Closed)
            .on_do(Floor::Closed, Command::Open, Floor::Open, || self.announce(&ctx, "the floor is open"))
            .on_do(Floor::Open, Command::Close, Floor::Closed, || self.announce(&ctx, "the floor is closed"));
        let commands = ctx.room().data("floor").filter_map(async |command| match &*command.ok()?.payload {
            b"open" => Some(Command::Open),
            b"close" => Some(Command::Close),
            _ => None,
        });
        floor.run(commands, ctx.cancelled()).await?;
        Ok(())
    }
}

fn moderator() -> Moderator {
    Moderator { unwelcome: "bother", counts: Mutex::default() }
}

fn main() -> ExitCode {
    cli::main(Worker::builder(moderator()).agent_name("moderator"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agent_testkit::{JobSpec, run_job};

    use super::*;

    #[tokio::test]
    async fn all_parts_of_a_job_share_the_state_of_the_agent() {
        let spec = JobSpec::room("lobby").lasts(Duration::from_secs(60)).script(|room| async move {
            room.wait_for_agent().await;
            let ada = room.join("ada");
            room.wait_for_data(|sent| sent.text() == "Welcome, ada!").await;
            for command in ["close", "open", "open", "close"] {
                ada.send_data("floor", command);
                ada.send_data("chat", "bother");
            }
            room.wait_for_data(|sent| sent.text() == "the floor is closed").await;
            ada.send_data("chat", "thank you");
        });
        let run = run_job(moderator(), spec).await;
        run.assert_success();
        let sent: Vec<String> = run.sent_by_agent().map(|sent| sent.text()).collect();
        assert_eq!(
            sent,
            ["Welcome, ada!", "the floor is open", "the floor is closed", r#"{"ada": 4}"#],
            "the listener has received all"
        );
    }

    #[tokio::test]
    async fn the_counts_go_on_after_messages_were_missed() {
        let spec = JobSpec::room("lobby").lasts(Duration::from_secs(60)).script(|room| async move {
            room.wait_for_agent().await;
            let ada = room.join("ada");
            room.wait_for_data(|sent| sent.text() == "Welcome, ada!").await;
            // More than the queue of a topic holds, before the listener runs again.
            let long = "x".repeat(60_000);
            (0..1_000).for_each(|_| ada.send_data("chat", long.clone()));
            tokio::time::sleep(Duration::from_secs(1)).await;
            ada.send_data("chat", "bother");
        });
        let run = run_job(moderator(), spec).await;
        run.assert_success();
        assert_eq!(run.sent_by_agent().last().map(|sent| sent.text()).as_deref(), Some(r#"{"ada": 1}"#));
    }

    /// What the state costs to share: one clone for each task and callback that outlives its line, one of the
    /// context, and none for the actions.
    #[test]
    fn sharing_takes_four_clones() {
        let source = include_str!("moderator.rs");
        let run = source.split("async fn run(").nth(1).and_then(|rest| rest.split("fn moderator()").next());
        assert_eq!(run.map(|run| run.matches(".clone()").count()), Some(4));
    }
}
