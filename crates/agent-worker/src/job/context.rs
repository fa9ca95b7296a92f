//! What a handler gets: its job, its room, the word when to stop, and where to leave what must be cleaned up.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use agent_core::{CancelReason, Input, Job, JobError, MetadataError, MetadataFormat, Target};
use agent_rtc::{JoinError, Room, RoomConnection};

use crate::job::attempt::AttemptLinks;
use crate::job::checkpoint::Checkpoint;
use crate::job::join_options::JoinOptions;
use crate::job::spec::AttemptSpec;
use crate::job::task_count::TaskCount;
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
    asked_to_stop: AtomicBool,
    /// What ends the attempt from outside of its handler; gone once it was used.
    failure: StdMutex<Option<oneshot::Sender<JobError>>>,
    last_progress: StdMutex<Option<Instant>>,
}

impl JobContext {
    /// A context, and the error that ends its attempt from outside of the handler, once there is one.
    pub(crate) fn new(spec: AttemptSpec, links: Arc<AttemptLinks>) -> (Self, oneshot::Receiver<JobError>) {
        let (failure, failed) = oneshot::channel();
        let inner = Inner {
            spec,
            links,
            asked_to_stop: AtomicBool::new(false),
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

    /// The room, joined before the handler was called. The handle is this attempt's: the next one has another
    /// over the same connection.
    ///
    /// # Panics
    /// When the worker was built with [`join_room(false)`](crate::WorkerBuilder::join_room) and
    /// [`join`](Self::join) was not called before: a mistake in the program, not something that input can
    /// cause.
    #[must_use]
    #[allow(clippy::panic, reason = "a mistake in the program that calls it")]
    pub fn room(&self) -> &Room {
        let Some(room) = self.inner.links.room.get() else {
            panic!(
                "the room is not joined: call `ctx.join().await` first, since the worker was built with `join_room(false)`"
            )
        };
        room
    }

    /// Joins the room, when the worker leaves that to the handler; at once when it is joined already.
    ///
    /// # Errors
    /// [`JoinError`], which says why and what to do.
    #[doc(alias = "connect")]
    pub async fn join(&self) -> Result<&Room, JoinError> {
        self.join_with(JoinOptions::new()).await
    }

    /// As [`join`](Self::join), with options of this job's own. A room that is joined already stays as it is.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub async fn join_with(&self, options: JoinOptions) -> Result<&Room, JoinError> {
        self.inner.links.room.get_or_join(options).await
    }

    /// Whether the agent is in the room at the moment, also while a lost connection is being restored. A
    /// cleanup callback asks this before it says goodbye: the room may be what ended the job, and a job that
    /// the server [terminated](CancelReason::Terminated) is taken out of it after 3 s.
    #[must_use]
    pub fn is_in_room(&self) -> bool {
        self.inner.links.room.get().is_some_and(Room::is_connected)
    }

    /// The participant of a participant or publisher job, as it was when the job was made; `None` for a room
    /// job.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.inner.spec.job.target.as_ref()
    }

    /// Which call of the handler this is, for this assignment; the first is 1, and each later one follows an
    /// error that the worker's [`RetryPolicy`](crate::RetryPolicy) thinks worth another attempt.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.inner.spec.number
    }

    /// Reads the job's metadata as `T`; a job without metadata gives the default.
    ///
    /// # Errors
    /// [`MetadataError`], which names the field. Returned with `?` it ends the job as `invalid_input`.
    #[doc(alias = "job_metadata")]
    pub fn metadata<T: DeserializeOwned + Default>(&self) -> Result<T, MetadataError> {
        MetadataFormat::or_default().parse(&self.inner.spec.job.raw_metadata)
    }

    /// Reads the job's metadata as `T`, which need not have a default.
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

    /// What this job saves of its progress, so that whoever goes on with it does not begin anew. See
    /// [`Checkpoint`] for when it is saved, whose it is and how long it lives; the worker needs a store
    /// ([`WorkerBuilder::checkpoints`](crate::WorkerBuilder::checkpoints)).
    #[must_use]
    pub fn checkpoint<T>(&self) -> Checkpoint<T> {
        Checkpoint::new(self.inner.links.checkpoints.clone())
    }

    /// Waits until the job is told to stop, and says why. The handler then has the worker's
    /// [grace](Self::grace) (10 s unless the builder says otherwise) to return before it is aborted.
    pub async fn cancelled(&self) -> CancelReason {
        self.inner.links.cancel.wait().await
    }

    /// How long the handler has to return after it was [cancelled](Self::cancelled), before it is aborted
    /// ([`WorkerBuilder::grace`](crate::WorkerBuilder::grace)). What is finished after the stop is to be
    /// bounded by a part of it.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.parts().settings.rules.grace
    }

    /// Why the job was told to stop; `None` while it was not.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.inner.links.cancel.reason()
    }

    /// Counts the tasks of the worker's jobs.
    pub(crate) fn task_count(&self) -> &TaskCount {
        self.inner.links.scope.task_count()
    }

    /// Has this done when the attempt is over, however it ends: with success, an error, a panic, or by being
    /// cancelled or aborted.
    ///
    /// Callbacks run once each, the last one registered first, after the tasks of [`spawn`](Self::spawn) were
    /// cancelled. The agent is still in its room, if the room is still there
    /// ([`is_in_room`](Self::is_in_room)), and the server is told the outcome afterwards. All callbacks of an
    /// attempt together may take 10 s ([`cleanup_timeout`](crate::WorkerBuilder::cleanup_timeout)), and each
    /// an equal share of what is left of that, so that one that hangs keeps no other from running. One that
    /// takes longer is dropped, logged and counted, and changes nothing about the outcome. Neither does a
    /// panic, and it stops no other callback.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// async fn record(ctx: JobContext) -> JobResult {
    ///     let file = std::env::temp_dir().join(ctx.job().id.as_str());
    ///     std::fs::write(&file, "")?;
    ///     ctx.on_cleanup({
    ///         let ctx = ctx.clone();
    ///         async move {
    ///             let _ = std::fs::remove_file(file);
    ///             if ctx.is_in_room() {
    ///                 let _ = ctx.room().publish_data("status", "stopped").await;
    ///             }
    ///         }
    ///     });
    ///     ctx.cancelled().await;
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "add_shutdown_callback")]
    pub fn on_cleanup(&self, callback: impl Future<Output = ()> + Send + 'static) {
        self.inner.links.scope.on_cleanup(Box::pin(callback));
    }

    /// Starts a task that belongs to this attempt: its logs carry the job's span, and if it is still there
    /// when the attempt is over, it is cancelled, and counted and logged by the place of this call. A panic
    /// in it is logged and ends only the task: await the handle to hear of it.
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
    ///     println!("{} messages until the room closed", counting.await?);
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

    /// As [`spawn`](Self::spawn), with a name for the logs.
    pub fn spawn_named<F>(&self, name: impl Into<Cow<'static, str>>, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.inner.links.scope.spawn(name.into(), task)
    }

    pub(crate) fn joined_room(&self) -> Option<&Room> {
        self.inner.links.room.get()
    }

    /// Changes with who is present, and as what; `None` when the room is not joined.
    pub(crate) fn room_changes(&self) -> Option<watch::Receiver<()>> {
        self.inner.links.room.connection().map(RoomConnection::changes)
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.inner.links.parts
    }

    /// Done when the attempt is to end with [`fail`](Self::fail).
    pub(crate) fn set_failure(&self, error: JobError) {
        let failure = self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The first one counts.
        if let Some(failure) = failure {
            let _ = failure.send(error);
        }
    }

    pub(crate) fn last_progress(&self) -> MutexGuard<'_, Option<Instant>> {
        self.inner.last_progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell(&self, input: Input) {
        let _ = self.inner.links.tell.send(input);
    }

    /// Tells this job to stop, as if from outside: [`cancelled`](Self::cancelled) returns
    /// [`CancelReason::Shutdown`] with this text, and a handler that then returns `Ok` ends in success.
    pub fn shutdown(&self, reason: impl Into<String>) {
        // Once is enough, and it keeps a loop around this call from filling the worker's queue.
        if !self.inner.asked_to_stop.swap(true, Ordering::Relaxed) {
            let reason = CancelReason::Shutdown(reason.into());
            self.tell(Input::CancelRequested { job: self.job().id.clone(), reason });
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
