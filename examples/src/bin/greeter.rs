//! A minimal agent: it greets the person in its metadata.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then dispatch the agent
//! `greeter` to a room: `lk dispatch create --agent-name greeter --room lobby --metadata '{"name":"Ada"}'`.

use std::process::ExitCode;

use agent_worker::{JobContext, JobResult, Worker, cli};

#[derive(Default, serde::Deserialize)]
struct Greeting {
    name: String,
}

async fn greet(ctx: JobContext) -> JobResult {
    let Greeting { name } = ctx.metadata()?;
    ctx.room().publish_data("chat", format!("Hello, {name}!")).await?;
    ctx.cancelled().await;
    Ok(())
}

fn main() -> ExitCode {
    cli::main(Worker::builder(greet).agent_name("greeter"))
}

#[cfg(test)]
mod tests {
    use agent_testkit::{JobSpec, run_job};
    use agent_worker::Outcome;

    use super::greet;

    #[tokio::test]
    async fn greets_by_name() {
        let run = run_job(greet, JobSpec::room("lobby").metadata(r#"{"name":"Ada"}"#)).await;
        assert_eq!(run.outcome, Outcome::Success);
        assert_eq!(run.sent.first().expect("a greeting").text(), "Hello, Ada!");
    }
}
