//! A user's handler under many seeds: a planted race is found, made small, and found again.

use agent_testkit::sim::Sim;
use agent_worker::{JobContext, JobError, JobResult};

/// Greets the sender of each message. The bug: the sender may have left since.
async fn greet(ctx: JobContext) -> JobResult {
    let mut messages = ctx.room().data("chat");
    while let Some(message) = messages.next().await {
        let Ok(message) = message else { continue };
        let sender = message.sender.unwrap_or_default();
        let person = ctx.room().participant(&sender).ok_or_else(|| JobError::fatal("nobody"))?;
        ctx.room().publish_data("chat", format!("Hello, {}!", person.identity)).await?;
    }
    Ok(())
}

#[test]
fn a_race_is_found_and_made_small() {
    let sim = Sim::new(|| greet);
    let find =
        || sim.find(0..500, |run| run.outcome.error().map_or(Ok(()), |error| Err(error.to_owned()))).unwrap();
    let found = find();
    assert_eq!(found.problem, "nobody");
    assert!(found.script.steps().len() <= 4 && found.faults.is_empty(), "{found}");
    assert_eq!(found.to_string(), find().to_string(), "the same again");
    assert_eq!(sim.run(found.seed).outcome.error(), Some("nobody"));
}

#[test]
fn a_handler_without_a_race_keeps_quiet() {
    async fn waits(ctx: JobContext) -> JobResult {
        ctx.cancelled().await;
        Ok(())
    }
    let sim = Sim::new(|| waits).people(2);
    let found = sim.find(0..40, |run| run.outcome.error().map_or(Ok(()), |error| Err(error.to_owned())));
    assert!(found.is_none(), "{}", found.unwrap());
}
