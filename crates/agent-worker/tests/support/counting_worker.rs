//! A worker in a process of its own whose job counts, and the journal in which it writes what it does.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use agent_core::decode_checkpoint;
use agent_worker::checkpoint::{
    AutoSaved, CheckpointKey, CheckpointStore, Claim, EmbeddedStore, RedisStore, StoreError, Writer,
};
use agent_worker::net::Redis;
use agent_worker::{Agent, Answer, BoxFuture, EndedJob, Job, JobContext, JobResult};

use super::subprocess::{Child, Log, Post, given};

pub(crate) const INTERVAL: Duration = Duration::from_millis(50);
pub(crate) const AGENT: &str = "counter";

#[derive(Clone, Default, Serialize, Deserialize)]
struct Progress {
    done: u64,
}

/// What a worker did, in the order in which all of them did it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Offered {
        job: String,
    },
    Started {
        from: u64,
    },
    Item(u64),
    /// A save begins, and is acknowledged.
    Saving {
        done: u64,
    },
    Saved {
        done: u64,
    },
    Refused {
        done: u64,
    },
    Ended {
        outcome: String,
    },
}

/// One line of the journal.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) pid: u32,
    /// Microseconds since 1970.
    pub(crate) at: u64,
    pub(crate) entry: Entry,
}

/// A file to which several processes append whole lines.
#[derive(Clone)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Arc<File>,
}

impl Journal {
    pub(crate) fn open(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let file = OpenOptions::new().create(true).append(true).open(&path).expect("a journal");
        Self { path, file: Arc::new(file) }
    }

    fn write(&self, what: &str) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
        // In one call: a kill leaves all of it or nothing.
        let line = format!("{} {at} {what}\n", std::process::id());
        (&*self.file).write_all(line.as_bytes()).expect("written");
    }

    pub(crate) fn read(&self) -> Vec<Line> {
        let mut text = String::new();
        File::open(&self.path).and_then(|mut file| file.read_to_string(&mut text)).expect("read");
        text.lines()
            .map(|line| parse(line).unwrap_or_else(|| panic!("no line of the journal: {line:?}")))
            .collect()
    }

    /// Waits until this much is there, and gives it.
    pub(crate) async fn wait_for<T>(&self, what: &str, find: impl Fn(&[Line]) -> Option<T>) -> T {
        let until = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let lines = self.read();
            if let Some(found) = find(&lines) {
                return found;
            }
            let last: Vec<_> = lines.iter().rev().take(5).collect();
            assert!(tokio::time::Instant::now() < until, "{what} does not come; the last: {last:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.splitn(4, ' ');
    let (pid, at) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (kind, rest) = (words.next()?, words.next()?);
    let number = || rest.parse().ok();
    let entry = match kind {
        "offered" => Entry::Offered { job: rest.to_owned() },
        "started" => Entry::Started { from: number()? },
        "item" => Entry::Item(number()?),
        "saving" => Entry::Saving { done: number()? },
        "saved" => Entry::Saved { done: number()? },
        "refused" => Entry::Refused { done: number()? },
        "ended" => Entry::Ended { outcome: rest.to_owned() },
        _ => return None,
    };
    Some(Line { pid, at, entry })
}

/// Counts to a number.
struct Counter(u64, Journal);

impl Agent for Counter {
    async fn on_request(&self, job: &Job) -> Answer {
        self.1.write(&format!("offered {}", job.id));
        Answer::accept()
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
        let from = progress.get().done;
        self.1.write(&format!("started {from}"));
        for item in from..self.0 {
            self.1.write(&format!("item {item}"));
            progress.set(Progress { done: item + 1 });
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    async fn on_ended(&self, ended: &EndedJob) {
        self.1.write(&format!("ended {}", ended.outcome));
    }
}

/// Writes down each save.
struct Written<S> {
    store: S,
    journal: Journal,
}

impl<S: CheckpointStore> CheckpointStore for Written<S> {
    fn claim(&self, key: CheckpointKey, keep: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
        self.store.claim(key, keep)
    }

    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        keep: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>> {
        Box::pin(async move {
            let Some(record) = record else { return self.store.write(key, writer, None, keep).await };
            let done = decode_checkpoint::<Progress>(&record, 1).expect("a record").done;
            self.journal.write(&format!("saving {done}"));
            let result = self.store.write(key, writer, Some(record), keep).await;
            match &result {
                Ok(_) => self.journal.write(&format!("saved {done}")),
                Err(StoreError::Superseded) => self.journal.write(&format!("refused {done}")),
                Err(error) => panic!("{error:?}"),
            }
            result
        })
    }
}

/// Where the workers of a test keep their checkpoints.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Place {
    File(PathBuf),
    Redis(String),
}

/// Starts a worker whose job counts to `items`: the test of this name, in a process of its own, has to call
/// [`run_worker`].
pub(crate) fn start_worker(
    test: &str,
    place: &Place,
    journal: &Journal,
    items: u64,
    server: &agent_testkit::RealServer,
) -> Child {
    let post = Post::new(server.http_url(), server.api_key(), server.api_secret(), AGENT);
    // What it reports is in the journal, in one order for all of them.
    Child::start(test, &(post, place, &journal.path, items), &Log::<()>::new())
}

/// Runs the worker, in the process that [`start_worker`] made; elsewhere it returns at once.
pub(crate) async fn run_worker() {
    let Some(((post, place, journal, items), _)) = given::<(Post, Place, PathBuf, u64)>() else { return };
    let journal = Journal::open(journal);
    let builder = post.worker(Counter(items, journal.clone()));
    let builder = match place {
        Place::File(path) => {
            builder.checkpoints(Written { store: EmbeddedStore::open(path).expect("opened"), journal })
        }
        Place::Redis(url) => {
            let redis = Redis::new(&url).expect("a URL");
            builder.checkpoints(Written { store: RedisStore::new(redis), journal })
        }
    };
    let builder = builder.checkpoint_interval(INTERVAL).max_jobs(1);
    builder.build().expect("settings").run().await.expect("it runs");
}
