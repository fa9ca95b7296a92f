//! The handler's view of its job: the job, the room, the cancellation signal, and where to register cleanup.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use agent_core::{CancelReason, Input, Job, JobError, MetadataError, MetadataFormat, Target};
use agent_net::RoomApi;
use agent_proto::watch;
use agent_rtc::{JoinError, Room, RoomConnection};

use crate::job::attempt::AttemptLinks;
use crate::job::checkpoint::Checkpoint;
use crate::job::join_options::JoinOptions;
use crate::job::spec::AttemptSpec;
use crate::job::user_tasks::UserTasks;
use crate::worker::parts::Parts;

/// The context of one attempt of one job. Cheap to clone; clones may go into tasks of the handler.
///
/// ```
/// use agent_worker::{JobContext, JobResult};
///
/// #[derive(Default, serde::Deserialize)]
/// struct Greeting { name: String }
///
/// async fn greet(ctx: JobContext) -> JobResult {
///     let Greeting { name } = ctx.metadata()?;
///     ctx.room().publish_data("chat", format!("Hello, {name}!")).await?;
///     ctx.cancelled().await; // until the job is over
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct JobContext {
    inner: Arc<Inner>,
}

struct Inner {
    spec: AttemptSpec,
    links: Arc<AttemptLinks>,
    stop_requested: AtomicBool,
    /// Ends the attempt from outside its handler; `None` once it was used.
    failure: StdMutex<Option<oneshot::Sender<JobError>>>,
    last_progress: StdMutex<Option<Instant>>,
}

impl JobContext {
    /// Returns a context, and a receiver of the error that ends its attempt from outside the handler.
    pub(crate) fn new(spec: AttemptSpec, links: Arc<AttemptLinks>) -> (Self, oneshot::Receiver<JobError>) {
        let (failure, failed) = oneshot::channel();
        let inner = Inner {
            spec,
            links,
            stop_requested: AtomicBool::new(false),
            failure: StdMutex::new(Some(failure)),
            last_progress: StdMutex::default(),
        };
        (Self { inner: Arc::new(inner) }, failed)
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.inner.spec.job
    }

    /// The room, joined before the handler was called. The handle belongs to this attempt: the next attempt
    /// has its own, over the same connection.
    ///
    /// # Panics
    /// When the worker was built with [`join_room(false)`](crate::WorkerBuilder::join_room) and
    /// [`join`](Self::join) was not called before: a programming error, which no input can cause.
    #[must_use]
    #[allow(clippy::panic, reason = "a programming error of the caller")]
    pub fn room(&self) -> &Room {
        let Some(room) = self.inner.links.room.get() else {
            panic!(
                "the room is not joined: call `ctx.join().await` first, since the worker was built with `join_room(false)`"
            )
        };
        room
    }

    /// Joins the room, for a worker that leaves joining to the handler. Returns immediately if the room is
    /// joined already.
    ///
    /// # Errors
    /// [`JoinError`], with the reason and what to do.
    #[doc(alias = "connect")]
    pub async fn join(&self) -> Result<&Room, JoinError> {
        self.join_with(JoinOptions::new()).await
    }

    /// Like [`join`](Self::join), with options for this job, for a worker that was built with
    /// [`join_room(false)`](crate::WorkerBuilder::join_room).
    ///
    /// # Errors
    /// As [`join`](Self::join); [`JoinError::OtherOptions`] if the room is joined already, with other
    /// options.
    pub async fn join_with(&self, options: JoinOptions) -> Result<&Room, JoinError> {
        self.inner.links.room.get_or_join(options).await
    }

    /// Whether the agent is in the room now, including while a lost connection is being re-established. A
    /// cleanup callback checks this before it sends a last message: the end of the room may be what ended the
    /// job, and the server removes the agent of a [terminated](CancelReason::Terminated) job after 3 s.
    #[must_use]
    pub fn is_in_room(&self) -> bool {
        self.inner.links.room.get().is_some_and(Room::is_connected)
    }

    /// The participant of a participant or publisher job, as of the creation of the job; `None` for a room
    /// job.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.inner.spec.job.target.as_ref()
    }

    /// The number of this attempt within the assignment, from 1. Each later attempt follows an error that the
    /// worker's [`RetryPolicy`](crate::RetryPolicy) retries.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.inner.spec.number
    }

    /// Reads the job's metadata as `T`; the default if the job has no metadata.
    ///
    /// # Errors
    /// [`MetadataError`], which names the field. Returned with `?` it ends the job as `invalid_input`.
    #[doc(alias = "job_metadata")]
    pub fn metadata<T: DeserializeOwned + Default>(&self) -> Result<T, MetadataError> {
        MetadataFormat::or_default().parse(&self.inner.spec.job.raw_metadata)
    }

    /// Reads the job's metadata as `T`, which does not need a default.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// #[derive(serde::Deserialize)]
    /// #[serde(tag = "action", rename_all = "snake_case")]
    /// enum Task {
    ///     Say { text: String },
    ///     Wait,
    /// }
    ///
    /// async fn agent(ctx: JobContext) -> JobResult {
    ///     match ctx.required_metadata()? {
    ///         Task::Say { text } => ctx.room().publish_data("chat", text).await?,
    ///         Task::Wait => drop(ctx.cancelled().await),
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`MetadataError`], which names the field; also when the job has no metadata.
    pub fn required_metadata<T: DeserializeOwned>(&self) -> Result<T, MetadataError> {
        MetadataFormat::required().parse(&self.inner.spec.job.raw_metadata)
    }

    /// The server's API for the job's room, with the worker's credentials: it removes and mutes participants,
    /// changes them and the room, sends data, dispatches other agents, and deletes the room. See
    /// the [guide](crate::guide::server_api).
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// async fn last_call(ctx: JobContext) -> JobResult {
    ///     ctx.api().remove_participant("eve").await?;
    ///     ctx.api().delete().await?; // ends this job, too
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Each call is signed by the worker, with a short-lived token that permits this call alone. The API
    /// secret is not in anything that a handler holds, shows or logs.
    #[must_use]
    #[doc(alias = "delete_room")]
    #[doc(alias = "transfer_sip_participant")]
    pub fn api(&self) -> RoomApi {
        self.parts().api.room(&self.job().room.name)
    }

    /// The saved progress of this job, from which the next attempt or worker resumes instead of starting
    /// over. See [`Checkpoint`] for when it is saved, its key and its lifetime; the worker needs a store
    /// ([`WorkerBuilder::checkpoints`](crate::WorkerBuilder::checkpoints)).
    #[must_use]
    pub fn checkpoint<T>(&self) -> Checkpoint<T> {
        Checkpoint::new(self.inner.links.checkpoints.clone())
    }

    /// Waits until the job is cancelled, and returns the reason. The handler then has the worker's
    /// [grace](Self::grace) (10 s unless set) to return before it is aborted.
    pub async fn cancelled(&self) -> CancelReason {
        self.inner.links.cancel.wait().await
    }

    /// Waits for a future until the job is cancelled: `None` then, and the future is dropped. It ends a loop
    /// over what comes in a room, whose streams go on after a cancellation: a handler that does not return
    /// within its [grace](Self::grace) is aborted, and its job has failed.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// async fn echo(ctx: JobContext) -> JobResult {
    ///     let mut chat = ctx.room().data("chat");
    ///     while let Some(message) = ctx.run_until_cancelled(chat.next()).await.flatten() {
    ///         ctx.room().publish_data("echo", message?.payload).await?;
    ///     }
    ///     Ok(())
    /// }
    /// # use agent_testkit::{JobSpec, run_job};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let script = |room: agent_testkit::MockRoom| async move {
    ///     let ada = room.join("ada");
    ///     room.wait_for_agent().await;
    ///     ada.send_data("chat", "hello");
    ///     room.wait_for_data(|sent| sent.text() == "hello").await;
    ///     ada.leave();
    /// };
    /// let limit = std::time::Duration::from_secs(3600);
    /// run_job(echo, JobSpec::room("lobby").script(script).lasts(limit)).await.assert_success();
    /// # });
    /// ```
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            _ = self.cancelled() => None,
            output = future => Some(output),
        }
    }

    /// How long the handler may take to return after it was [cancelled](Self::cancelled), before it is
    /// aborted ([`WorkerBuilder::grace`](crate::WorkerBuilder::grace)). Limit what you finish after the
    /// cancellation to a part of it.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.parts().settings.rules.grace
    }

    /// Why the job was cancelled; `None` if it was not.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.inner.links.cancel.reason()
    }

    /// The task count of the worker's jobs.
    pub(crate) fn tasks(&self) -> &UserTasks {
        self.inner.links.scope.tasks()
    }

    /// Registers a callback for the end of the attempt, however it ends: with success, an error, a panic, or
    /// by being cancelled or aborted.
    ///
    /// Callbacks run once each, the last one registered first, after the tasks of [`spawn`](Self::spawn) were
    /// cancelled. The agent is still in its room, if the room still exists
    /// ([`is_in_room`](Self::is_in_room)), and the outcome is reported to the server afterwards. All
    /// callbacks of an attempt together may take 10 s
    /// ([`cleanup_timeout`](crate::WorkerBuilder::cleanup_timeout)), and each an equal share of the remaining
    /// time, so that a callback that hangs does not prevent the others from running. One that takes longer is
    /// dropped, logged and counted, and does not change the outcome. A panic does not change the outcome or
    /// stop other callbacks, either.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// async fn record(ctx: JobContext) -> JobResult {
    ///     let file = std::env::temp_dir().join(ctx.job().id.as_str());
    ///     std::fs::write(&file, "")?;
    ///     ctx.on_cleanup(async move |ctx| {
    ///         let _ = std::fs::remove_file(file);
    ///         if ctx.is_in_room() {
    ///             let _ = ctx.room().publish_data("status", "stopped").await;
    ///         }
    ///     });
    ///     ctx.cancelled().await;
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "add_shutdown_callback")]
    pub fn on_cleanup<F, Fut>(&self, callback: F)
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let ctx = self.clone();
        // The callback itself is user code, too: it is called where its time counts and a panic is contained.
        self.inner.links.scope.on_cleanup(Box::pin(async move { callback(ctx).await }));
    }

    /// Starts a task that belongs to this attempt: its logs have the job's span, and if it still runs when
    /// the attempt ends, it is cancelled, counted, and logged with the location of this call. A panic in it
    /// is logged and ends only the task: await the handle to notice it.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// async fn listen(ctx: JobContext) -> JobResult {
    ///     let mut chat = ctx.room().data("chat");
    ///     let counting = ctx.spawn(async move {
    ///         let mut messages = 0;
    ///         while let Some(message) = chat.next().await {
    ///             messages += message.map_or_else(|missed| missed.count, |_| 1);
    ///         }
    ///         messages
    ///     });
    ///     if let Some(messages) = ctx.run_until_cancelled(counting).await {
    ///         println!("{} messages until the room closed", messages?);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    #[doc(alias = "create_task")]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let place = Location::caller();
        self.spawn_named(format!("{}:{}", place.file(), place.line()), task)
    }

    /// Like [`spawn`](Self::spawn), with a name for the logs.
    pub fn spawn_named<F>(&self, name: impl Into<Cow<'static, str>>, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.inner.links.scope.spawn(name.into(), task)
    }

    pub(crate) fn joined_room(&self) -> Option<&Room> {
        self.inner.links.room.get()
    }

    /// Changes with the participants and their attributes; `None` if the room is not joined.
    pub(crate) fn room_changes(&self) -> Option<watch::Receiver<()>> {
        self.inner.links.room.connection().map(RoomConnection::changes)
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.inner.links.parts
    }

    /// Ends the attempt, for [`fail`](Self::fail).
    pub(crate) fn set_failure(&self, error: JobError) {
        let failure = self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The first error wins.
        if let Some(failure) = failure {
            let _ = failure.send(error);
        }
    }

    pub(crate) fn last_progress(&self) -> MutexGuard<'_, Option<Instant>> {
        self.inner.last_progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send_input(&self, input: Input) {
        let _ = self.inner.links.inputs.send(input);
    }

    /// Cancels this job, as if from outside: [`cancelled`](Self::cancelled) returns
    /// [`CancelReason::Shutdown`] with this text, and a handler that then returns `Ok` ends in success.
    pub fn shutdown(&self, reason: impl Into<String>) {
        // Sent once, so that a loop around this call does not fill the worker's queue.
        if !self.inner.stop_requested.swap(true, Ordering::Relaxed) {
            let reason = CancelReason::Shutdown(reason.into());
            self.send_input(Input::CancelRequested { job: self.job().id.clone(), reason });
        }
    }
}

impl std::fmt::Debug for JobContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobContext")
            .field("job", &self.inner.spec.job.id)
            .field("attempt", &self.attempt())
            .field("cancel_reason", &self.cancel_reason())
            .finish_non_exhaustive()
    }
}
