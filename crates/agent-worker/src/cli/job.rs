//! `connect` and `simulate`: one job, dispatched by the program itself to its own worker.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use agent_core::{Answer, EndedJob, Job, JobError, JobKind, JobResult, Outcome};
use agent_net::{DispatchRequest, RoomRequest, ServerApi};
use agent_proto::error_text::chain;
use agent_proto::text::{line, name};
use agent_rtc::BoxFuture;

use crate::agent::AnyAgent;
use crate::cli::args::{ConnectOptions, SimulateOptions};
use crate::cli::error::{CliError, JobRunError};
use crate::job::context::JobContext;
use crate::worker::Worker;
use crate::worker::builder::WorkerBuilder;
use crate::worker::handle::WorkerHandle;

/// How long a dispatch may take to become a job.
const DISPATCH: Duration = Duration::from_secs(20);
/// Attempts to reach the server: for a single job, a missing server is reported early.
const CONNECTS: u32 = 3;
const DECLINED: &str = "declined";
const DISMISSED: &str = "dismissed";

/// Runs the agent in a room until its job ends.
pub(super) async fn connect(worker: WorkerBuilder, options: ConnectOptions) -> Result<(), CliError> {
    OneJob::prepare(worker)?.run(options.room, options.metadata).await
}

/// Runs a job in a room of its own.
pub(super) async fn simulate(worker: WorkerBuilder, options: SimulateOptions) -> Result<(), CliError> {
    let SimulateOptions { room, metadata, timeout, cancel_after, .. } = options;
    let worker = match timeout {
        Some(limit) => worker.job_timeout(limit).max_job_timeout(limit),
        None => worker,
    };
    let job = OneJob { cancel_after, ..OneJob::prepare(worker)? };
    let room = room.unwrap_or_else(|| format!("simulate-{}", unique()));
    let api = job.api.clone();
    create_room(&api, &room).await?;
    let ended = job.run(room.clone(), metadata).await;
    match api.delete_room(&room).await {
        Err(error) if !error.is_not_found() => {
            tracing::warn!(room = %name(&room), "the room is left behind: {}", line(chain(&error)));
        }
        _ => {}
    }
    ended
}

async fn create_room(api: &ServerApi, room: &str) -> Result<(), JobRunError> {
    if !api.list_rooms(&[room]).await.map_err(JobRunError::Room)?.is_empty() {
        return Err(JobRunError::RoomExists(room.to_owned()));
    }
    api.create_room(RoomRequest::new(room)).await.map_err(JobRunError::Room)?;
    Ok(())
}

/// A worker for a single job, under a name that no one else dispatches to.
struct OneJob {
    worker: Worker,
    name: String,
    kind: JobKind,
    /// Whose jobs it takes.
    deployment: String,
    api: ServerApi,
    /// When it is cancelled, counted from the first call of its handler.
    cancel_after: Option<Duration>,
    /// Notified when its handler is called.
    begun: Arc<Notify>,
    ends: mpsc::UnboundedReceiver<End>,
}

/// How a job ended, or that the agent did not accept it.
enum End {
    Ended(EndedJob),
    Refused(&'static str),
}

impl OneJob {
    fn prepare(worker: WorkerBuilder) -> Result<Self, CliError> {
        let (sender, ends) = mpsc::unbounded_channel();
        let begun = Arc::new(Notify::new());
        let name = format!("one-job-{}", unique());
        let worker = worker
            .only_name(name.clone())
            .max_connect_attempts(CONNECTS)
            .wrapped(|inner| Arc::new(Watched { inner, begun: Arc::clone(&begun), ends: sender }))
            .build()?;
        let parts = &worker.setup.parts;
        let (rules, api) = (&parts.settings.rules, parts.api.clone());
        let (kind, deployment) = (rules.kind, rules.deployment.clone());
        Ok(Self { worker, name, kind, deployment, api, cancel_after: None, begun, ends })
    }

    async fn run(self, room: String, metadata: String) -> Result<(), CliError> {
        let Self { worker, name, kind, deployment, api, cancel_after, begun, mut ends } = self;
        let handle = worker.handle();
        let within = worker.drain_timeout();
        let request = DispatchRequest::new(name, &room).metadata(metadata).deployment(deployment);
        let job = async {
            let end =
                job_of(&handle, &api, kind, request, cancelled_by(&begun, cancel_after), &mut ends).await;
            handle.start_drain(within);
            end
        };
        let (stopped, end) = tokio::join!(worker.run_until_signal(), job);
        stopped?;
        report(&end?.ok_or(JobRunError::NoJob)?)?;
        Ok(())
    }
}

/// Dispatches the job, and waits for its end; `None` if the worker stopped before that.
async fn job_of(
    handle: &WorkerHandle,
    api: &ServerApi,
    kind: JobKind,
    request: DispatchRequest,
    cancelled: impl Future<Output = ()>,
    ends: &mut mpsc::UnboundedReceiver<End>,
) -> Result<Option<EndedJob>, JobRunError> {
    let stopped = handle.stopped();
    tokio::pin!(stopped);
    let dispatched = async {
        if !handle.registered().await {
            return Ok(());
        }
        tracing::info!(room = %name(&request.room), "dispatching one job");
        let room = request.room.clone();
        let dispatched = if kind == JobKind::Room {
            api.ensure_dispatch(request, DISPATCH).await
        } else {
            // The jobs of participants begin when there are any.
            api.create_dispatch(request).await
        };
        dispatched.map_err(JobRunError::Dispatch)?;
        let wait = match kind {
            JobKind::Participant => "for a participant to join the room, and for the end of its job",
            JobKind::Publisher => "for a participant to publish a track, and for the end of its job",
            _ => "for the end of the job",
        };
        tracing::info!(room = %name(&room), "dispatched: waiting {} (Ctrl-C cancels it)", line(wait));
        Ok(())
    };
    tokio::pin!(dispatched, cancelled);
    let (mut is_dispatched, mut is_cancelled) = (false, false);
    loop {
        tokio::select! {
            // A short job ends before the server lists it.
            end = ends.recv() => match end {
                // For a room, another dispatch is tried.
                Some(End::Refused(DECLINED)) if kind == JobKind::Room => {}
                Some(End::Refused(how)) => return Err(JobRunError::NotAccepted(how)),
                Some(End::Ended(ended)) => return Ok(Some(ended)),
                None => return Ok(None),
            },
            result = &mut dispatched, if !is_dispatched => {
                result?;
                is_dispatched = true;
            }
            () = &mut cancelled, if !is_cancelled => {
                handle.start_drain(Duration::ZERO);
                is_cancelled = true;
            }
            // A job that was ended by a signal ended before the worker.
            _ = &mut stopped => loop {
                match ends.try_recv() {
                    Ok(End::Ended(ended)) => return Ok(Some(ended)),
                    Ok(End::Refused(_)) => {}
                    Err(_) => return Ok(None),
                }
            },
        }
    }
}

/// Waits until the job is to be cancelled: this long after the first call of its handler.
async fn cancelled_by(begun: &Notify, after: Option<Duration>) {
    let Some(after) = after else { return std::future::pending().await };
    begun.notified().await;
    tokio::time::sleep(after).await;
    tracing::info!(?after, "cancelling the job (`--cancel-after`)");
}

/// Prints how the job ended.
fn report(ended: &EndedJob) -> Result<(), JobRunError> {
    let EndedJob { job, outcome, attempts, duration, .. } = ended;
    let attempts = if *attempts == 1 { String::new() } else { format!(", {attempts} attempts") };
    let text =
        format!("job {} in room {:?}: {outcome} after {duration:.1?}{attempts}", job.id, job.room.name);
    let _ = writeln!(io::stdout(), "{}", line(text));
    match outcome {
        Outcome::Success => Ok(()),
        failed => Err(JobRunError::Failed(failed.error().unwrap_or_default().to_owned())),
    }
}

/// Eight characters that no other run has at the same time.
pub(super) fn unique() -> String {
    format!("{:08x}", fastrand::u32(..))
}

/// An agent that reports the calls of its handler, its refusals and its ended jobs.
struct Watched {
    inner: Arc<dyn AnyAgent>,
    begun: Arc<Notify>,
    ends: mpsc::UnboundedSender<End>,
}

impl Watched {
    fn refused(&self, how: &'static str) {
        let _ = self.ends.send(End::Refused(how));
    }
}

impl AnyAgent for Watched {
    fn on_request<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let answer = self.inner.on_request(job).await;
            match answer {
                Answer::Decline => self.refused(DECLINED),
                Answer::Dismiss => self.refused(DISMISSED),
                _ => {}
            }
            answer
        })
    }

    fn check(&self, job: &Job) -> JobResult {
        self.inner.check(job)
    }

    fn run(self: Arc<Self>, ctx: JobContext) -> BoxFuture<'static, JobResult> {
        self.begun.notify_one();
        Arc::clone(&self.inner).run(ctx)
    }

    fn classify(&self, error: JobError) -> JobError {
        self.inner.classify(error)
    }

    fn on_dismissed(&self) {
        self.refused(DISMISSED);
    }

    fn on_ended<'a>(&'a self, ended: &'a EndedJob) -> BoxFuture<'a, ()> {
        // First, as the callback may panic, or take too long.
        let _ = self.ends.send(End::Ended(ended.clone()));
        self.inner.on_ended(ended)
    }
}
