//! Leases in files: for the processes of one machine.
//!
//! One small file for each lease record, and one for the leader's value. A step locks, reads, decides by the
//! rules of `agent_core::LeaseRecord`, writes a complete new file and renames it over the old one. The system
//! releases a lock when its process ends, and a rename is atomic: so a process may be killed at any moment.
//! Plain files instead of a database, as there is nothing to query, and a database that is open in one
//! process excludes the others.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::timeout;

use agent_core::{AcquireResult, CoordinationError, Coordinator, FencedValue, LeaseRecord};
use agent_proto::BoxFuture;

/// Records are locked in groups, so that unused ones can be removed: a file that serves as a lock cannot.
const LOCKS: usize = 16;
/// How long a step waits for its lock, in all. Another process holds one for some milliseconds; a longer hold
/// means that it was stopped within a step.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// Interval of the attempts to take a held lock.
const LOCK_RETRY: Duration = Duration::from_millis(1);
/// How long a record without a holder is kept. Older ones are removed, with the leader's value, when a
/// coordinator is opened.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Maximum length of a file name.
const MAX_NAME: usize = 200;

/// Leases in the files of one folder: for the processes of one machine, without a server. Clones share the
/// store.
///
/// It survives `kill -9` at any moment, and is synced to the disk. The folder has to be on a local disk:
/// locks over a network are not reliable. Its clock is the machine's: setting that forward ends leases early
/// (of two processes that then consider themselves leader, only the later one can write), setting it back
/// prolongs them. A process that is stopped in the milliseconds of a step blocks the others until it
/// continues or is killed; each of their steps fails after 2 s.
///
/// ```
/// use agent_worker::{JobContext, JobResult, Worker, coordination::FileCoordinator};
///
/// # async fn agent(_: JobContext) -> JobResult { Ok(()) }
/// # fn example(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
/// let worker = Worker::builder(agent).coordinator(FileCoordinator::open(folder)?);
/// # let _ = worker; Ok(()) }
/// ```
#[derive(Clone)]
pub struct FileCoordinator {
    folder: Arc<Path>,
    /// Only one thread of this process waits for each lock, so that a lock that hangs does not occupy all
    /// threads.
    turns: [Arc<Mutex<()>>; LOCKS],
}

impl FileCoordinator {
    /// Leases in this folder, which is created if it is missing. All processes of an election open the same
    /// folder.
    ///
    /// # Errors
    /// [`CoordinationError::Folder`]: it cannot be created or is not a folder; [`CoordinationError::File`]:
    /// it cannot be written to.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, CoordinationError> {
        let folder: PathBuf = folder.into();
        // An empty path would be the working directory.
        let made = match folder.as_os_str().is_empty() {
            true => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is empty")),
            false => fs::create_dir_all(&folder),
        };
        if let Err(source) = made {
            return Err(CoordinationError::Folder { path: folder, source });
        }
        let coordinator = Self { folder: folder.into(), turns: Default::default() };
        let until = Instant::now() + LOCK_LIMIT;
        let locks: Result<Vec<File>, _> = (0..LOCKS).map(|group| coordinator.lock(group, until)).collect();
        let _all_of_it = locks?;
        remove_old(&coordinator.folder);
        Ok(coordinator)
    }

    fn lock_path(&self, group: usize) -> PathBuf {
        self.folder.join(format!("lock-{group}"))
    }

    /// Waits for the lock of a group of records. Dropping it unlocks.
    fn lock(&self, group: usize, until: Instant) -> Result<File, CoordinationError> {
        let path = self.lock_path(group);
        let file = File::options().create(true).write(true).truncate(false).open(&path);
        let file = file.map_err(problem(&path, "opened"))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOCK_RETRY),
                Err(TryLockError::WouldBlock) => return Err(locked_too_long(&path)),
                Err(TryLockError::Error(error)) => return Err(problem(&path, "locked")(error)),
            }
        }
    }

    /// Performs one step under the lock, and stores the record if it changed.
    async fn step<T: Send + 'static>(
        &self,
        key: &str,
        step: impl FnOnce(&mut LeaseRecord, u64, &Path) -> Result<T, CoordinationError> + Send + 'static,
    ) -> Result<T, CoordinationError> {
        let (this, path) = (self.clone(), path_of(&self.folder, key));
        let group = key.bytes().fold(0, |sum: usize, byte| (sum * 31 + usize::from(byte)) % LOCKS);
        // The wait for a turn counts, too: each of those before it may wait for the lock as long.
        let until = Instant::now() + LOCK_LIMIT;
        let turn = self.turns.get(group).cloned().unwrap_or_default().lock_owned();
        let turn = timeout(LOCK_LIMIT, turn).await;
        let turn = turn.map_err(|_| locked_too_long(&self.lock_path(group)))?;
        blocking(move || {
            let (_turn, _lock) = (turn, this.lock(group, until)?);
            let before = read_record(&path)?;
            let mut record = before.clone();
            let answer = step(&mut record, now(), &path)?;
            if record != before {
                let json = serde_json::to_vec(&record).map_err(CoordinationError::Json)?;
                replace(&path.with_extension("seat"), &[&json])?;
            }
            Ok(answer)
        })
        .await
    }
}

impl Coordinator for FileCoordinator {
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<AcquireResult, CoordinationError>> {
        let holder = holder.to_owned();
        Box::pin(self.step(key, move |record, now, _| Ok(record.acquire(&holder, lease, now))))
    }

    fn renew<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        token: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>> {
        let holder = holder.to_owned();
        Box::pin(self.step(key, move |record, now, _| Ok(record.renew(&holder, token, lease, now))))
    }

    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> BoxFuture<'a, Result<(), CoordinationError>> {
        let holder = holder.to_owned();
        Box::pin(self.step(key, move |record, _, _| {
            record.release(&holder);
            Ok(())
        }))
    }

    fn write<'a>(
        &'a self,
        key: &'a str,
        token: u64,
        value: Bytes,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>> {
        Box::pin(self.step(key, move |record, _, path| {
            let may = record.may_write(token);
            if may {
                let path = path.with_extension("value");
                replace(&path, &[&token.to_be_bytes(), &value])?;
                sync_folder(&path)?;
            }
            Ok(may)
        }))
    }

    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<FencedValue>, CoordinationError>> {
        let path = path_of(&self.folder, key).with_extension("value");
        Box::pin(blocking(move || {
            let Some(bytes) = read(&path)? else { return Ok(None) };
            let mut value = Bytes::from(bytes);
            let Some((token, _)) = value.split_first_chunk() else { return Err(damaged(&path)) };
            let token = u64::from_be_bytes(*token);
            Ok(Some(FencedValue::new(token, value.split_off(size_of::<u64>()))))
        }))
    }
}

impl fmt::Debug for FileCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCoordinator").field("folder", &self.folder).finish()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CoordinationError> + Send + 'static,
) -> Result<T, CoordinationError> {
    tokio::task::spawn_blocking(work).await.map_err(CoordinationError::store)?
}

/// The path of a key's files, without an extension. Everything that a file system may not distinguish or
/// accept is escaped, and long keys are split into folders.
fn path_of(folder: &Path, key: &str) -> PathBuf {
    let mut name = String::new();
    let mut path = folder.to_owned();
    for byte in key.bytes() {
        if name.len() + 3 > MAX_NAME {
            path.push(std::mem::take(&mut name));
        }
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            other => name += &format!("%{other:02x}"),
        }
    }
    // No other name is `%`: every key has a file in the folder.
    path.push(if key.is_empty() { "%" } else { &name });
    path
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, CoordinationError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(problem(path, "read")(error)),
    }
}

fn read_record(path: &Path) -> Result<LeaseRecord, CoordinationError> {
    let path = path.with_extension("seat");
    let Some(json) = read(&path)? else { return Ok(LeaseRecord::default()) };
    serde_json::from_slice(&json).map_err(|_| damaged(&path))
}

/// Writes a new file and renames it over the old one. Only the owner of the lock does so, so the temporary
/// name is free.
fn replace(path: &Path, parts: &[&[u8]]) -> Result<(), CoordinationError> {
    let new = path.with_added_extension("new");
    let write = || {
        new.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = File::create(&new)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_data()?;
        fs::rename(&new, path)
    };
    write().map_err(problem(path, "written"))
}

/// A new file survives a power cut only once its folder is synced, too. A lease record does not need to: its
/// holder is gone then.
fn sync_folder(path: &Path) -> Result<(), CoordinationError> {
    match path.parent().filter(|_| cfg!(unix)) {
        Some(folder) => {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(problem(path, "written"))
        }
        None => Ok(()),
    }
}

/// Removes unused records and their values. Best effort: what cannot be removed stays. The folder may contain
/// other files.
fn remove_old(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
        if about.is_dir() {
            // Only long keys have folders.
            if entry.file_name().len() + 3 > MAX_NAME {
                remove_old(&path);
            }
            continue;
        }
        let old = about.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > KEPT));
        if old && path.extension().is_some_and(|ending| ending == "seat") && read_record(&path).is_ok() {
            // The record last: the others are found by it.
            for ending in ["value.new", "seat.new", "value", "seat"] {
                let _ = fs::remove_file(path.with_extension(ending));
            }
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn problem(path: &Path, verb: &'static str) -> impl FnOnce(io::Error) -> CoordinationError {
    let path = path.to_owned();
    move |source| CoordinationError::File { path, verb, source }
}

fn locked_too_long(path: &Path) -> CoordinationError {
    problem(path, "locked")(io::ErrorKind::TimedOut.into())
}

fn damaged(path: &Path) -> CoordinationError {
    let what = "it is damaged: remove it while no worker that uses it runs";
    problem(path, "understood")(io::Error::new(io::ErrorKind::InvalidData, what))
}

#[cfg(test)]
mod tests {
    use agent_core::MAX_KEY_LEN;

    use super::*;

    const LEASE: Duration = Duration::from_secs(600);

    fn token(answer: AcquireResult) -> u64 {
        match answer {
            AcquireResult::Granted { token } => token,
            AcquireResult::Held { by, .. } => panic!("held by {by}"),
        }
    }

    #[tokio::test]
    async fn another_handle_sees_the_changes_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/by/it");
        let (a, b) = (FileCoordinator::open(&path).unwrap(), FileCoordinator::open(&path).unwrap());
        let first = token(a.acquire("room", "a", LEASE).await.unwrap());
        assert!(
            matches!(b.acquire("room", "b", LEASE).await.unwrap(), AcquireResult::Held { by, .. } if by == "a")
        );
        assert!(b.renew("room", "a", first, LEASE).await.unwrap());
        assert!(b.write("room", first, "mine".into()).await.unwrap());
        a.release("room", "a").await.unwrap();
        let second = token(b.acquire("room", "b", LEASE).await.unwrap());
        assert!(second > first);
        assert!(!a.write("room", first, "stale".into()).await.unwrap());
        let kept = FencedValue::new(first, "mine");
        assert_eq!(a.read("room").await.unwrap(), Some(kept));
        assert_eq!(a.read("another").await.unwrap(), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_at_once_one_is_granted() {
        let folder = tempfile::tempdir().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..50 {
            let coordinator = FileCoordinator::open(folder.path()).unwrap();
            tasks.spawn(async move { coordinator.acquire("room", &format!("c{n}"), LEASE).await.unwrap() });
        }
        let answers = tasks.join_all().await;
        assert_eq!(
            answers.iter().filter(|answer| matches!(answer, AcquireResult::Granted { .. })).count(),
            1
        );
    }

    #[tokio::test]
    async fn every_key_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = FileCoordinator::open(folder.path()).unwrap();
        let long = "ö/".repeat(MAX_KEY_LEN / 3);
        let keys = ["room", "Room", "room.seat", "../room", "room/1", "lock-0", "", &long, &long[..300]];
        for key in keys {
            token(coordinator.acquire(key, "a", LEASE).await.unwrap());
            assert!(path_of(folder.path(), key).starts_with(folder.path()), "{key}");
        }
        let beside = folder.path().parent().unwrap();
        assert!(!beside.join("room.seat").exists() && !folder.path().with_extension("seat").exists());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_used_and_a_damaged_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = FileCoordinator::open(&file).unwrap_err();
        assert!(error.to_string().contains("file\" cannot be used: give"), "{error}");
        let coordinator = FileCoordinator::open(folder.path()).unwrap();
        fs::write(folder.path().join("room.seat"), "half a sea").unwrap();
        let error = coordinator.acquire("room", "a", LEASE).await.unwrap_err();
        assert!(error.to_string().contains("room.seat cannot be understood"), "{error}");
        fs::write(folder.path().join("other.value"), "short").unwrap();
        let error = coordinator.read("other").await.unwrap_err();
        assert!(error.to_string().contains("other.value cannot be understood"), "{error}");
    }

    #[tokio::test]
    async fn a_lock_that_is_not_released_is_an_error_after_a_timeout() {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = FileCoordinator::open(folder.path()).unwrap();
        let locks: Vec<File> =
            (0..LOCKS).map(|group| coordinator.lock(group, Instant::now()).unwrap()).collect();
        let error = coordinator.acquire("room", "a", LEASE).await.unwrap_err();
        assert!(error.to_string().contains("cannot be locked"), "{error}");
        drop(locks);
        token(coordinator.acquire("room", "a", LEASE).await.unwrap());
    }

    #[tokio::test]
    async fn steps_that_wait_for_the_same_lock_all_end_at_the_timeout() {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = FileCoordinator::open(folder.path()).unwrap();
        let _hang: Vec<File> =
            (0..LOCKS).map(|group| coordinator.lock(group, Instant::now()).unwrap()).collect();
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..10 {
            let coordinator = coordinator.clone();
            tasks.spawn(async move { coordinator.write("room", 1, format!("{n}").into()).await });
        }
        for result in tasks.join_all().await {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("cannot be locked"), "{error}");
        }
        // One after the other, they would take ten times as long.
        assert!(begun.elapsed() < LOCK_LIMIT * 4, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_lock_that_hangs_blocks_one_thread_only() {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = FileCoordinator::open(folder.path()).unwrap();
        let _hang: Vec<File> =
            (0..LOCKS).map(|group| coordinator.lock(group, Instant::now()).unwrap()).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..600 {
            let coordinator = coordinator.clone();
            tasks.spawn(async move { coordinator.acquire("room", &format!("c{n}"), LEASE).await });
        }
        for _ in 0..600 {
            tokio::task::yield_now().await; // all have begun
        }
        // Names of hosts are looked up on these threads, for one.
        let other = tokio::task::spawn_blocking(|| {});
        timeout(LOCK_LIMIT / 2, other).await.expect("a thread is free").unwrap();
    }

    fn make_old(path: &Path) {
        let at = SystemTime::now() - KEPT - Duration::from_secs(60);
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    #[tokio::test]
    async fn a_written_value_is_kept_while_its_leader_leads() {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = FileCoordinator::open(folder.path()).unwrap();
        let token = token(coordinator.acquire("room", "a", LEASE).await.unwrap());
        assert!(coordinator.write("room", token, "long ago".into()).await.unwrap());
        make_old(&folder.path().join("room.value"));
        assert!(coordinator.renew("room", "a", token, LEASE).await.unwrap());
        let again = FileCoordinator::open(folder.path()).unwrap();
        assert_eq!(again.read("room").await.unwrap().unwrap().value, "long ago");
        make_old(&folder.path().join("room.seat"));
        let again = FileCoordinator::open(folder.path()).unwrap();
        assert_eq!(again.read("room").await.unwrap(), None);
    }

    #[tokio::test]
    async fn files_of_others_in_the_folder_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("theirs")).unwrap();
        let theirs = ["their.value", "their.new", "their.seat", "theirs/a.seat", "theirs/a.value"];
        for name in theirs {
            fs::write(folder.path().join(name), "{}").unwrap();
            make_old(&folder.path().join(name));
        }
        FileCoordinator::open(folder.path()).unwrap();
        for name in theirs {
            assert!(folder.path().join(name).exists(), "{name}");
        }
    }

    #[tokio::test]
    async fn old_files_are_removed_when_the_store_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = FileCoordinator::open(folder.path()).unwrap();
        let long = "x".repeat(MAX_KEY_LEN);
        for key in ["old", "new", &long] {
            token(coordinator.acquire(key, "a", LEASE).await.unwrap());
        }
        let file = |key: &str| path_of(folder.path(), key).with_extension("seat");
        make_old(&file("old"));
        make_old(&file(&long));
        FileCoordinator::open(folder.path()).unwrap();
        assert_eq!([file("old").exists(), file(&long).exists(), file("new").exists()], [false, false, true]);
    }
}
