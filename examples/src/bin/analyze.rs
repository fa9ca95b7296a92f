//! Reports how loud each participant is and how long it talks: every five seconds, and at the end of the job,
//! as JSON on the topic `analysis`.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then dispatch the agent
//! `analyze` to a room.

use std::process::ExitCode;

use agent_worker::room::AutoSubscribe;
use agent_worker::{Worker, cli};

use examples::analyzer;

fn main() -> ExitCode {
    let worker = Worker::builder(analyzer()).default_agent_name("analyze");
    cli::main(worker.auto_subscribe(AutoSubscribe::None))
}
