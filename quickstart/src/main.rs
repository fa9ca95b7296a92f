//! The life of one job, shown step by step: a worker registers, a job is dispatched to it, its agent joins
//! the room and sends data, and the outcome is reported to the server.
//!
//! With `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set it uses that server, otherwise a mock
//! server in this process, with the rules of the real one and a mock room: it needs nothing but Rust.
//!
//! It exits with 0 after a job that succeeded, with 1 after a failure, and with 2 for invalid settings.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints to its terminal")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use agent_testkit::{DispatchRequest, JobSpec, MockServer, ServerApi};
use agent_worker::{
    Agent, Answer, ConfigError, EndedJob, Job, JobContext, JobResult, Outcome, RoomEvent, Worker,
    WorkerBuilder, WorkerError, WorkerHandle,
};

const METADATA: &str = r#"{"name":"Ada"}"#;

#[derive(Default, serde::Deserialize)]
struct Greeting {
    name: String,
}

/// Shows its offers, its actions, and its end.
struct Quickstart {
    ended: mpsc::Sender<EndedJob>,
}

impl Agent for Quickstart {
    async fn on_request(&self, job: &Job) -> Answer {
        step(&format!("offer      {} for room {:?}, metadata {}", job.id, job.room.name, job.raw_metadata));
        step("answer     accept");
        Answer::accept().name("Quickstart")
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let Greeting { name } = ctx.metadata()?;
        let room = ctx.room();
        let me = room.local_participant();
        step(&format!("attempt {}  in room {} as {}", ctx.attempt(), room.sid(), me.identity));
        let mut events = room.events();
        room.publish_data("chat", format!("Hello, {name}!")).await?;
        step(&format!("data       \"Hello, {name}!\" sent to everybody in the room"));
        room.set_attributes([("mood", "cheerful")]).await?;
        while let Some(event) = events.next().await {
            step(&format!("event      {}", headline(&event)));
            if matches!(event, RoomEvent::AttributesChanged { .. }) {
                break; // our own change came back from the server: done
            }
        }
        Ok(())
    }

    async fn on_ended(&self, ended: &EndedJob) {
        step(&format!("outcome    {} after {:?}", ended.outcome, ended.duration));
        let _ = self.ended.send(ended.clone()).await;
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let failed = match run().await {
        Ok(outcome) => outcome.error().map(|error| (format!("the job failed: {error}"), ExitCode::FAILURE)),
        Err(error) => Some((error.to_string(), ExitCode::from(exit_code(error.as_ref())))),
    };
    if let Some((error, code)) = failed {
        eprintln!("quickstart: {error}");
        return code;
    }
    println!("\nThat was one job. Next: `cargo run -p examples --bin greeter`, an agent in 15 lines.");
    ExitCode::SUCCESS
}

/// 2 for invalid settings, 1 for everything else.
fn exit_code(error: &(dyn Error + 'static)) -> u8 {
    let settings = error.downcast_ref().map(ConfigError::exit_code);
    settings.or_else(|| error.downcast_ref().map(WorkerError::exit_code)).unwrap_or(1)
}

async fn run() -> Result<Outcome, Box<dyn Error>> {
    let (ended, ends) = mpsc::channel(1);
    // A unique name, so that it takes no job of another agent on a shared server.
    let name = format!("quickstart-{}", std::process::id());
    let room = format!("room-of-{name}");
    let agent = Quickstart { ended };
    match variable("LIVEKIT_URL") {
        Some(url) => {
            let key = variable("LIVEKIT_API_KEY").ok_or(ConfigError::NoApiKey)?;
            let secret = variable("LIVEKIT_API_SECRET").ok_or(ConfigError::NoApiSecret)?;
            let api = ServerApi::new(&url.parse().map_err(ConfigError::Url)?, key, secret)?;
            let dispatch = async {
                // A worker of a deployment is offered only what is dispatched to it.
                let deployment = variable("LIVEKIT_AGENT_DEPLOYMENT").unwrap_or_default();
                let request = DispatchRequest::new(&name, room).metadata(METADATA).deployment(deployment);
                // A dispatch immediately after the registration may reach no worker: then it is repeated.
                Ok(api.ensure_dispatch(request, Duration::from_secs(20)).await?.id)
            };
            one_job(Worker::builder(agent).from_env().agent_name(&name), ends, dispatch).await
        }
        None => {
            let server = MockServer::start().await?;
            step(&format!("server     a mock server on {}", server.url()));
            let dispatch = async {
                let spec = JobSpec::room(room).agent_name(&name).metadata(METADATA).participant("ada");
                Ok(server.dispatch(spec).await?.dispatch_id().to_owned())
            };
            one_job(server.worker(agent).agent_name(&name), ends, dispatch).await
        }
    }
}

/// Runs the worker until the one job that is dispatched to it has ended.
async fn one_job(
    worker: WorkerBuilder,
    mut ends: mpsc::Receiver<EndedJob>,
    dispatch: impl Future<Output = Result<String, Box<dyn Error>>>,
) -> Result<Outcome, Box<dyn Error>> {
    let worker = worker
        // A worker in production never gives up; here a quick answer is more useful.
        .max_connect_attempts(3)
        .on_lifecycle(|_, state| step(&format!("lifecycle  {state}")))
        .build()?;
    let handle: WorkerHandle = worker.handle();
    let running = tokio::spawn(worker.run());
    if !handle.registered().await {
        running.await??;
        return Err("the worker stopped before it was registered".into());
    }
    step("registered");
    let job = async {
        let id = tokio::select! {
            // A short job ends before the server lists it.
            end = ends.recv() => return Ok(end),
            id = dispatch => id?,
        };
        step(&format!("dispatched {id}"));
        Ok(ends.recv().await)
    };
    let end = tokio::time::timeout(Duration::from_secs(30), job).await;
    let report = handle.drain(Duration::from_secs(5)).await;
    step(&format!("drained    {report:?}"));
    running.await??;
    let end: Result<_, Box<dyn Error>> = end.map_err(|_| "no end within 30 s: see the lines above")?;
    Ok(end?.ok_or("the worker stopped without an outcome")?.outcome)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variant's name of an event.
fn headline(event: &RoomEvent) -> String {
    let shown = format!("{event:?}");
    shown.chars().take_while(|c| *c != '(' && *c != '{').collect::<String>().trim().to_owned()
}

fn step(text: &str) {
    static START: OnceLock<Instant> = OnceLock::new();
    println!("{:>8.3} s  {text}", START.get_or_init(Instant::now).elapsed().as_secs_f64());
}
