//! A checkpoint store in a local database file, which the processes of one machine share.
//!
//! redb manages the file: pure Rust, permissive licence, and consistent after a `kill -9` or a power cut at
//! any moment. A process that has it open excludes all others, so it is open only for short bursts: one
//! thread takes the queued tasks, opens the file, does all of them in one transaction, syncs it to the disk,
//! closes the file, and only then answers. A process that finds it open retries for a while. (Recent versions
//! of redb can share a file between writers; locking the whole file is the older, proven mode.)

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, ReadableTable, StorageError, TableDefinition, WriteTransaction};
use tokio::sync::oneshot;

use agent_core::{CheckpointKey, CheckpointStore, Claim, Slot, StoreError, Writer};
use agent_proto::BoxFuture;
use agent_proto::text::line;

use super::memory::wall_clock;

/// How long to wait for a file that another process has open, unless set.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of the retries to open a file that another process has open. A burst takes some milliseconds.
const LOCK_RETRY: Duration = Duration::from_millis(2);
/// Maximum number of tasks in one burst, so that other processes get their turn.
const MAX_BURST: usize = 256;
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// The database's own default is a gigabyte, for files that stay open.
const CACHE: usize = 4 * 1024 * 1024;

const SLOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("checkpoints 2");

/// Keeps checkpoints in a local file, which several processes of one machine may share. Cheap to clone.
///
/// What was saved is on the disk when saving returns, and survives a crash of the process. The file must be
/// on a local disk: the locks of network file systems are not reliable. It grows with what is stored at the
/// same time, and does not shrink.
///
/// ```
/// # fn example(builder: agent_worker::WorkerBuilder, dir: &std::path::Path) -> Result<(), agent_core::StoreError> {
/// use agent_worker::checkpoint::EmbeddedStore;
///
/// let builder = builder.checkpoints(EmbeddedStore::open(dir.join("checkpoints.redb"))?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EmbeddedStore {
    path: PathBuf,
    tasks: mpsc::Sender<Task>,
}

/// One operation, and where to send its result.
struct Task {
    key: CheckpointKey,
    ttl: Duration,
    kind: TaskKind,
}

enum TaskKind {
    Claim(oneshot::Sender<Result<Claim, StoreError>>),
    Write(Writer, Option<Vec<u8>>, oneshot::Sender<Result<Writer, StoreError>>),
}

/// The result of an operation, sent once the transaction is on the disk.
enum Done {
    Claimed(oneshot::Sender<Result<Claim, StoreError>>, Result<Claim, StoreError>),
    Written(oneshot::Sender<Result<Writer, StoreError>>, Result<Writer, StoreError>),
}

impl EmbeddedStore {
    /// Opens or creates the file, and checks its integrity. Waits up to 5 s for another process that uses it.
    ///
    /// Blocks meanwhile: call it before the worker runs.
    ///
    /// # Errors
    /// [`StoreError`], which names the file and what to do: no such folder, no permission, a full disk,
    /// locked for too long, damaged, or not a store.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_within(path, LOCK_TIMEOUT)
    }

    /// Like [`open`](Self::open), with another limit for waiting on other processes, now and later.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_within(path: impl Into<PathBuf>, lock_timeout: Duration) -> Result<Self, StoreError> {
        let file = File { path: path.into(), lock_timeout };
        if file.path.as_os_str().is_empty() {
            let problem = "the path of the checkpoint store is empty: name a file on a local disk".to_owned();
            return Err(StoreError::Unusable { problem, source: None });
        }
        file.guarded(|| {
            let new = !file.path.exists();
            let database = file.open(true)?;
            let transaction = file.begin(&database)?;
            transaction.open_table(SLOTS).map_err(|error| file.failed(error))?;
            transaction.commit().map_err(|error| file.failed(error))?;
            database.close().map_err(|error| file.failed(error))?;
            if new { file.sync_folder() } else { Ok(()) }
        })?;
        let path = file.path.clone();
        let (tasks, received) = mpsc::channel();
        thread::Builder::new()
            .name("checkpoint-store".to_owned())
            .spawn(move || StoreThread { file, swept: None }.run(&received))
            .map_err(|error| unavailable("no thread could be started for the checkpoints", error))?;
        Ok(Self { path, tasks })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn ask<T>(
        &self,
        key: CheckpointKey,
        ttl: Duration,
        kind: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> TaskKind,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let gone = || StoreError::Unusable {
            problem: format!("the thread of the checkpoint store {} is gone: a bug", self.path.display()),
            source: None,
        };
        self.tasks.send(Task { key, ttl, kind: kind(answer) }).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl CheckpointStore for EmbeddedStore {
    fn claim(&self, key: CheckpointKey, ttl: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
        Box::pin(self.ask(key, ttl, TaskKind::Claim))
    }

    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>> {
        Box::pin(self.ask(key, ttl, move |answer| TaskKind::Write(writer, record, answer)))
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The thread that performs all operations on the file.
struct StoreThread {
    file: File,
    swept: Option<Instant>,
}

impl StoreThread {
    /// Ends with the last clone of the store.
    fn run(mut self, tasks: &mpsc::Receiver<Task>) {
        while let Ok(first) = tasks.recv() {
            let mut burst = vec![first];
            burst.extend(tasks.try_iter().take(MAX_BURST - 1));
            self.burst(burst);
        }
    }

    fn burst(&mut self, tasks: Vec<Task>) {
        let mut done = Vec::with_capacity(tasks.len());
        let sweep = self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY);
        // Tasks that were not reached are answered below, as those that were.
        let mut tasks = tasks.into_iter();
        let result = self.file.guarded(|| self.file.transaction(&mut tasks, &mut done, sweep));
        match result {
            Ok(()) => {
                if sweep {
                    self.swept = Some(Instant::now());
                }
                done.into_iter().for_each(Done::send);
            }
            Err(error) => {
                let rest = tasks.map(|task| match task.kind {
                    TaskKind::Claim(answer) => Done::Claimed(answer, Err(StoreError::Superseded)),
                    TaskKind::Write(_, _, answer) => Done::Written(answer, Err(StoreError::Superseded)),
                });
                for done in done.into_iter().chain(rest) {
                    done.fail(copy(&error));
                }
            }
        }
    }
}

impl Done {
    /// Fails silently if the caller was dropped.
    fn send(self) {
        match self {
            Self::Claimed(answer, result) => drop(answer.send(result)),
            Self::Written(answer, result) => drop(answer.send(result)),
        }
    }

    fn fail(self, error: StoreError) {
        match self {
            Self::Claimed(answer, _) => drop(answer.send(Err(error))),
            Self::Written(answer, _) => drop(answer.send(Err(error))),
        }
    }
}

/// The file, closed.
struct File {
    path: PathBuf,
    lock_timeout: Duration,
}

impl File {
    /// Opens the file, does the tasks, and closes it again. All of them are on the disk when it returns `Ok`,
    /// and none otherwise.
    fn transaction(
        &self,
        tasks: &mut impl Iterator<Item = Task>,
        done: &mut Vec<Done>,
        sweep: bool,
    ) -> Result<(), StoreError> {
        let database = self.open(false)?;
        let transaction = self.begin(&database)?;
        {
            let mut table = transaction.open_table(SLOTS).map_err(|error| self.failed(error))?;
            for Task { key, ttl, kind } in tasks {
                let now = wall_clock();
                let stored = table.get(key.as_str()).map_err(|error| self.failed(error))?;
                let stored = stored.map(|bytes| Slot::from_bytes(bytes.value()));
                let (slot, what) = match (kind, stored) {
                    (TaskKind::Claim(answer), Some(None)) => {
                        (None, Done::Claimed(answer, Err(self.damaged(&key))))
                    }
                    (TaskKind::Write(_, _, answer), Some(None)) => {
                        (None, Done::Written(answer, Err(self.damaged(&key))))
                    }
                    (TaskKind::Claim(answer), stored) => {
                        let (slot, claim) = Slot::claim(stored.flatten(), now, ttl);
                        (Some(slot), Done::Claimed(answer, Ok(claim)))
                    }
                    (TaskKind::Write(writer, record, answer), stored) => {
                        if Slot::may_write(stored.flatten().as_ref(), writer, now, ttl) {
                            let slot = Slot::written(writer, record, now, ttl);
                            (Some(slot), Done::Written(answer, Ok(writer.seen_at(now))))
                        } else {
                            (None, Done::Written(answer, Err(StoreError::Superseded)))
                        }
                    }
                };
                done.push(what);
                if let Some(slot) = slot {
                    table
                        .insert(key.as_str(), slot.to_bytes().as_slice())
                        .map_err(|error| self.failed(error))?;
                }
            }
            if sweep {
                let now = wall_clock();
                table
                    .retain(|_, bytes| Slot::from_bytes(bytes).is_none_or(|slot| now < slot.until))
                    .map_err(|error| self.failed(error))?;
            }
        }
        transaction.commit().map_err(|error| self.failed(error))?;
        if let Err(error) = database.close() {
            // The data is committed; the next open repairs an incomplete close.
            tracing::debug!(error = %line(error), path = %line(self.path.display()), "the checkpoint store was not closed");
        }
        Ok(())
    }

    /// Waits until no other process has the file open. `check`: verify all of it.
    fn open(&self, check: bool) -> Result<Database, StoreError> {
        let start = Instant::now();
        loop {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE).set_check_integrity_on_open(check);
            match builder.create(&self.path) {
                Ok(database) => return Ok(database),
                Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch)
                    if start.elapsed() < self.lock_timeout =>
                {
                    // Jitter, so that processes do not retry at the same moment.
                    let retry = LOCK_RETRY + Duration::from_nanos(u64::from(thread_jitter()));
                    thread::sleep(retry);
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn begin(&self, database: &Database) -> Result<WriteTransaction, StoreError> {
        let mut transaction = database.begin_write().map_err(|error| self.failed(error))?;
        // Storing the list of free pages with each commit makes opening fast after a kill, and leaves nothing
        // to write at close.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    /// The database may panic on a file that was changed by something else: that is an error of the file, not
    /// of the program.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            Err(self.unusable("is damaged: move it away, and a new one is made", panic_text(panic.as_ref())))
        })
    }

    fn failed(&self, error: impl Into<redb::Error>) -> StoreError {
        let error = error.into();
        let path = self.path.display();
        let io = match &error {
            redb::Error::Io(io) => Some(io.kind()),
            _ => None,
        };
        match (&error, io) {
            (redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch, _) => {
                StoreError::Unavailable {
                    problem: format!(
                        "the checkpoint store {path} stayed locked by another process for {:?}: see who has it open (fuser, lsof)",
                        self.lock_timeout
                    ),
                    source: None,
                }
            }
            (
                _,
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge),
            ) => {
                unavailable(&format!("the checkpoint store {path} cannot grow: make room on its disk"), error)
            }
            (_, Some(io::ErrorKind::NotFound)) => {
                self.unusable("cannot be made: make its folder first", error)
            }
            (_, Some(io::ErrorKind::IsADirectory)) => self.unusable("is a folder: name a file in it", error),
            (_, Some(io::ErrorKind::NotADirectory)) => {
                self.unusable("cannot be made: a part of its path is no folder", error)
            }
            (_, Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)) => self.unusable(
                "must be a file that this process may read and write, in a folder that it may write",
                error,
            ),
            (_, Some(io::ErrorKind::InvalidData)) | (redb::Error::Corrupted(_), _) => {
                self.unusable("is damaged, or no such store: move it away, and a new one is made", error)
            }
            (redb::Error::UpgradeRequired(_), _) => {
                self.unusable("has an old format: move it away, and a new one is made", error)
            }
            _ => unavailable(&format!("the checkpoint store {path} cannot be read or written"), error),
        }
    }

    fn unusable(&self, what: &str, source: impl Into<agent_core::BoxError>) -> StoreError {
        StoreError::Unusable {
            problem: format!("the checkpoint store {} {what}", self.path.display()),
            source: Some(source.into()),
        }
    }

    fn damaged(&self, key: &CheckpointKey) -> StoreError {
        self.unusable("is damaged: move it away, and a new one is made", format!("invalid bytes under {key}"))
    }

    /// A new file survives a power cut only once its folder is synced, too.
    fn sync_folder(&self) -> Result<(), StoreError> {
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if cfg!(unix) {
            std::fs::File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| self.failed(StorageError::Io(error)))?;
        }
        Ok(())
    }
}

fn unavailable(problem: &str, source: impl Into<agent_core::BoxError>) -> StoreError {
    StoreError::Unavailable { problem: problem.to_owned(), source: Some(source.into()) }
}

/// A copy of an error, for each waiting caller.
fn copy(error: &StoreError) -> StoreError {
    let text =
        |source: &Option<agent_core::BoxError>| source.as_ref().map(|source| source.to_string().into());
    match error {
        StoreError::Unavailable { problem, source } => {
            StoreError::Unavailable { problem: problem.clone(), source: text(source) }
        }
        StoreError::Unusable { problem, source } => {
            StoreError::Unusable { problem: problem.clone(), source: text(source) }
        }
        _ => StoreError::Superseded,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// A random number of nanoseconds, up to two milliseconds.
fn thread_jitter() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    u32::try_from(RandomState::new().hash_one(0) % 2_000_000).unwrap_or(0)
}
