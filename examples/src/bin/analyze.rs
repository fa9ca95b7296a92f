//! Reports how loud each participant is and how long it talks: every five seconds, and at the end of the job,
//! as JSON on the topic `analysis`.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then dispatch the agent
//! `analyze` to a room.

use agent_worker::Worker;
use agent_worker::room::AutoSubscribe;

use examples::analyzer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
    let worker = Worker::builder(analyzer()).from_env().default_agent_name("analyze");
    worker.auto_subscribe(AutoSubscribe::None).build()?.run_until_signal().await?;
    Ok(())
}
