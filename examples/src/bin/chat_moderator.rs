//! Moderates a chat: warns a participant who writes an unwelcome word, and removes them at the third
//! strike. The strikes are in a checkpoint, so that a worker that resumes the job knows them.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then dispatch the agent
//! `chat-moderator` to a room: `kill -9` it, start it, and dispatch it again.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;

use agent_worker::checkpoint::EmbeddedStore;
use agent_worker::room::{AgentState, TextReader};
use agent_worker::{JobContext, JobResult, Worker, cli};

const UNWELCOME: &str = "bother";
const LAST_STRIKE: u32 = 3;

async fn moderate(ctx: JobContext) -> JobResult {
    let checkpoint = ctx.checkpoint::<BTreeMap<String, u32>>();
    let mut strikes = checkpoint.load().await?.unwrap_or_default();
    let mut chat = ctx.room().chat();
    ctx.room().set_agent_state(AgentState::Listening).await?;
    loop {
        let message = tokio::select! {
            _ = ctx.cancelled() => return Ok(()),
            message = chat.next() => message,
        };
        let Some(message) = message else { return Ok(()) };
        // Of too many messages at a time some are missed.
        let Ok(message) = message else { continue };
        let person = message.info().sender.clone();
        if !is_unwelcome(message).await {
            continue;
        }
        let strike = strikes.get(&person).map_or(1, |strikes| strikes + 1);
        strikes.insert(person.clone(), strike);
        checkpoint.save(&strikes).await?;
        if strike < LAST_STRIKE {
            let warning = format!("Mind your words: strike {strike} of {LAST_STRIKE}.");
            ctx.room().send_chat(warning).to([person]).await?;
        } else if let Err(error) = ctx.api().remove_participant(&person).await {
            // It may have left already.
            tracing::warn!(%error, "a participant was not removed");
        }
    }
}

/// Whether a message is unwelcome: also one that is very long or does not end, which would hold up the chat.
async fn is_unwelcome(message: TextReader) -> bool {
    let text = timeout(Duration::from_secs(5), message.read_all_within(100_000)).await;
    !matches!(text, Ok(Ok(text)) if !text.contains(UNWELCOME))
}

fn main() -> ExitCode {
    let strikes = || EmbeddedStore::open("strikes.redb");
    cli::main(Worker::builder(moderate).agent_name("chat-moderator").open_checkpoints(strikes))
}

#[cfg(test)]
mod tests {
    use agent_testkit::{ApiCall, JobSpec, run_job};
    use agent_worker::checkpoint::MemoryStore;
    use agent_worker::room::{CHAT_TOPIC, DisconnectReason};

    use super::*;

    #[tokio::test]
    async fn the_third_strike_is_the_last_one() {
        let job = JobSpec::room("lobby").participant("bob").script(|room| async move {
            let ada = room.join("ada");
            for text in ["hello", "oh bother", "bother", "bother!"] {
                ada.send_text(CHAT_TOPIC, text);
                room.wait_for_agent().await;
            }
            assert_eq!(ada.room().closed().await, DisconnectReason::Removed);
        });
        let run = run_job(moderate, job.worker(|worker| worker.checkpoints(MemoryStore::default()))).await;
        run.assert_success();
        assert_eq!(run.texts_by_agent().map(|sent| &*sent.to[0]).collect::<Vec<_>>(), ["ada", "ada"]);
        assert!(matches!(&run.api_calls[..], [ApiCall::RemoveParticipant { .. }]), "{:?}", run.api_calls);
    }

    #[tokio::test]
    async fn a_resumed_job_has_the_strikes() {
        let store = MemoryStore::default();
        for (messages, removed) in [(2, 0), (1, 1)] {
            let store = store.clone();
            let job = JobSpec::room("lobby").participant("bob").script(move |room| async move {
                room.wait_for_agent().await;
                let ada = room.join("ada");
                (0..messages).for_each(|_| ada.send_text(CHAT_TOPIC, "bother"));
            });
            let run = run_job(moderate, job.worker(|worker| worker.checkpoints(store))).await;
            run.assert_success();
            assert_eq!(run.api_calls.len(), removed, "{}", run.timeline);
        }
    }
}
