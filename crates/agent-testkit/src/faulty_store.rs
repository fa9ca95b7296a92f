//! A store of checkpoints that fails as scripted by a test.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_worker::BoxFuture;
use agent_worker::checkpoint::{CheckpointKey, CheckpointStore, Claim, MemoryStore, StoreError, Writer};

/// An operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreOperation {
    /// A job claims its checkpoint and reads it.
    Claim,
    /// It saves a record.
    Save,
    /// It deletes the record.
    Delete,
}

impl StoreOperation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Claim, Self::Save, Self::Delete];
}

/// How an operation of a [`FaultyStore`] fails.
#[derive(Clone)]
pub struct StoreFault(Fault);

#[derive(Clone)]
enum Fault {
    Refused(Arc<dyn Fn() -> StoreError + Send + Sync>),
    AnswerLost,
    Late,
    Hangs,
    Delayed(Duration),
}

impl StoreFault {
    /// The operation fails with [`StoreError::Unavailable`] and this text, and does not reach the store.
    pub fn unavailable(problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self::error(move || StoreError::Unavailable { problem: problem.clone(), source: None })
    }

    /// The operation fails with this error, and does not reach the store.
    pub fn error(error: impl Fn() -> StoreError + Send + Sync + 'static) -> Self {
        Self(Fault::Refused(Arc::new(error)))
    }

    /// The store carries the operation out, but its answer is lost.
    #[must_use]
    pub const fn answer_lost() -> Self {
        Self(Fault::AnswerLost)
    }

    /// There is no answer, and the operation reaches the store when the test calls
    /// [`FaultyStore::deliver_late`].
    #[must_use]
    pub const fn late() -> Self {
        Self(Fault::Late)
    }

    /// The operation does not reach the store and never returns.
    #[must_use]
    pub const fn hangs() -> Self {
        Self(Fault::Hangs)
    }

    /// The operation takes this long, and succeeds.
    #[must_use]
    pub const fn delayed(by: Duration) -> Self {
        Self(Fault::Delayed(by))
    }
}

impl fmt::Debug for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Refused(error) => f.debug_tuple("Refused").field(&error()).finish(),
            Fault::AnswerLost => f.write_str("AnswerLost"),
            Fault::Late => f.write_str("Late"),
            Fault::Hangs => f.write_str("Hangs"),
            Fault::Delayed(by) => f.debug_tuple("Delayed").field(by).finish(),
        }
    }
}

/// A store of checkpoints that fails by a script: it is unavailable, slow, or its answers are lost. Without a
/// script it works. Clones are the same store.
///
/// ```
/// use agent_testkit::{FaultyStore, JobSpec, StoreFault, StoreOperation, run_job};
/// use agent_worker::{JobContext, JobResult};
///
/// /// Saves its progress, and continues without if the store is unavailable.
/// async fn transcribe(ctx: JobContext) -> JobResult {
///     let progress = ctx.checkpoint::<u64>().resume().await?;
///     for line in 1..=3 {
///         progress.set(line);
///         if let Err(error) = progress.save().await {
///             assert!(error.is_temporary(), "{error}");
///         }
///     }
///     ctx.room().publish_data("lines", progress.get().to_string()).await?;
///     Ok(())
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let store = FaultyStore::new();
/// store.fail_next(StoreOperation::Save, StoreFault::answer_lost());
/// store.fail_next(StoreOperation::Save, StoreFault::unavailable("the disk is full"));
///
/// let checkpoints = store.clone();
/// let job = JobSpec::room("lobby").worker(|worker| worker.checkpoints(checkpoints));
/// let run = run_job(transcribe, job).await;
///
/// run.assert_success();
/// assert_eq!(run.sent[0].text(), "3");
/// assert_eq!(store.carried_out(StoreOperation::Save), 2);
/// assert!(store.inner().is_empty(), "a job that has succeeded leaves no checkpoint");
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FaultyStore<S = MemoryStore> {
    inner: S,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    next: VecDeque<(StoreOperation, StoreFault)>,
    standing: Vec<(StoreOperation, StoreFault)>,
    carried_out: HashMap<StoreOperation, usize>,
    late: VecDeque<Request>,
}

#[derive(Clone, Debug)]
enum Request {
    Claim { key: CheckpointKey, ttl: Duration },
    Write { key: CheckpointKey, writer: Writer, record: Option<Vec<u8>>, ttl: Duration },
}

impl Request {
    const fn operation(&self) -> StoreOperation {
        match self {
            Self::Claim { .. } => StoreOperation::Claim,
            Self::Write { record: Some(_), .. } => StoreOperation::Save,
            Self::Write { record: None, .. } => StoreOperation::Delete,
        }
    }
}

impl FaultyStore {
    /// A store in memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S: CheckpointStore> FaultyStore<S> {
    /// A store that fails before or after this one.
    pub fn around(inner: S) -> Self {
        Self { inner, script: Arc::default() }
    }

    /// The store without its faults: what has been saved.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Has the next operation of this kind fail. Calls add up: the second one is about the operation after
    /// it.
    pub fn fail_next(&self, operation: StoreOperation, fault: StoreFault) {
        self.script().next.push_back((operation, fault));
    }

    /// Has all operations of these kinds fail from now on, after those of [`fail_next`](Self::fail_next).
    pub fn fail_all(&self, operations: impl IntoIterator<Item = StoreOperation>, fault: StoreFault) {
        let mut script = self.script();
        for operation in operations {
            script.standing.retain(|(of, _)| *of != operation);
            script.standing.push((operation, fault.clone()));
        }
    }

    /// Ends all faults, but not those of operations that are under way.
    pub fn recover(&self) {
        let mut script = self.script();
        script.next.clear();
        script.standing.clear();
    }

    /// How many operations of this kind the store has carried out, whether their answers were lost or not.
    #[must_use]
    pub fn carried_out(&self, operation: StoreOperation) -> usize {
        self.script().carried_out.get(&operation).copied().unwrap_or_default()
    }

    /// Has the oldest operation that is [late](StoreFault::late) reach the store. Returns the store's answer,
    /// or `None` if nothing is late.
    pub async fn deliver_late(&self) -> Option<Result<(), StoreError>> {
        let request = self.script().late.pop_front()?;
        self.count(&request);
        Some(match request {
            Request::Claim { key, ttl } => self.inner.claim(key, ttl).await.map(drop),
            Request::Write { key, writer, record, ttl } => {
                self.inner.write(key, writer, record, ttl).await.map(drop)
            }
        })
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault of the next operation of this kind.
    fn fault(&self, operation: StoreOperation) -> Option<Fault> {
        let mut script = self.script();
        let at = script.next.iter().position(|(of, _)| *of == operation);
        let next = at.and_then(|at| script.next.remove(at));
        let standing = || script.standing.iter().find(|(of, _)| *of == operation).cloned();
        next.or_else(standing).map(|(_, fault)| fault.0)
    }

    /// What happens before the store is asked. Returns whether its answer is lost.
    async fn before(&self, request: &Request) -> Result<bool, StoreError> {
        match self.fault(request.operation()) {
            None => {}
            Some(Fault::AnswerLost) => return Ok(true),
            Some(Fault::Delayed(by)) => tokio::time::sleep(by).await,
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Refused(error)) => return Err(error()),
            Some(Fault::Late) => {
                self.script().late.push_back(request.clone());
                return Err(no_answer());
            }
        }
        Ok(false)
    }

    fn count(&self, request: &Request) {
        *self.script().carried_out.entry(request.operation()).or_default() += 1;
    }
}

fn no_answer() -> StoreError {
    StoreError::Unavailable { problem: "the store does not answer".to_owned(), source: None }
}

impl<S: CheckpointStore> CheckpointStore for FaultyStore<S> {
    fn claim(&self, key: CheckpointKey, ttl: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
        Box::pin(async move {
            let request = Request::Claim { key: key.clone(), ttl };
            let lost = self.before(&request).await?;
            self.count(&request);
            let answer = self.inner.claim(key, ttl).await;
            if lost { Err(no_answer()) } else { answer }
        })
    }

    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>> {
        Box::pin(async move {
            let request = Request::Write { key: key.clone(), writer, record: record.clone(), ttl };
            let lost = self.before(&request).await?;
            self.count(&request);
            let answer = self.inner.write(key, writer, record, ttl).await;
            if lost { Err(no_answer()) } else { answer }
        })
    }
}
