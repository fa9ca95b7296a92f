//! Cuts of every connection (fifty in the long run) and restarts (five) of a real livekit-server, under
//! twenty running jobs. A program of its own, as it counts open files and measures memory.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail, and shows what it saw"
)]
#![cfg(target_os = "linux")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use agent_testkit::{RealServer, RoomRequest, real_server};
use agent_worker::{
    Agent, Backoff, CancelReason, EndedJob, JobContext, JobId, JobResult, Outcome, Worker, WorkerHandle,
};

use support::long;
use support::network::Network;

const JOBS: usize = 20;
const SOON: Duration = Duration::from_secs(60);
/// What allocator and caches may keep.
const KEPT_KIB: u64 = 12 * 1024;

/// What the handlers saw and how their jobs ended, by job.
#[derive(Clone, Default)]
struct Seen {
    running: BTreeMap<JobId, (String, Arc<Notify>)>,
    cancelled: BTreeMap<JobId, CancelReason>,
    ended: BTreeMap<JobId, Vec<Outcome>>,
}

/// Stays until it is asked to finish, or cancelled.
struct Steady(Arc<watch::Sender<Seen>>);

impl Agent for Steady {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let (id, finish) = (ctx.job().id.clone(), Arc::new(Notify::new()));
        let here = (ctx.job().room.name.clone(), Arc::clone(&finish));
        self.0.send_modify(|seen| drop(seen.running.insert(id.clone(), here)));
        tokio::select! {
            () = finish.notified() => {}
            reason = ctx.cancelled() => {
                self.0.send_modify(|seen| drop(seen.cancelled.insert(id.clone(), reason)));
            }
        }
        self.0.send_modify(|seen| drop(seen.running.remove(&id)));
        Ok(())
    }

    async fn on_ended(&self, ended: &EndedJob) {
        self.0.send_modify(|seen| {
            seen.ended.entry(ended.job.id.clone()).or_default().push(ended.outcome.clone());
        });
    }
}

struct Stage {
    server: RealServer,
    network: Network,
    worker: WorkerHandle,
    seen: watch::Receiver<Seen>,
    registrations: usize,
}

impl Stage {
    async fn new() -> Option<Self> {
        let server = real_server().await?;
        let network = Network::default();
        let (sender, seen) = watch::channel(Seen::default());
        let worker = Worker::builder(Steady(Arc::new(sender)))
            .url(server.url())
            .credentials(server.api_key(), server.api_secret().clone())
            .net(network.options())
            // The waits grow with each cut, as no connection here lasts a minute.
            .reconnect_backoff(Backoff::new(
                Duration::from_millis(50),
                Duration::from_millis(100),
                Duration::from_millis(500),
            ))
            .build()
            .expect("the settings are complete");
        let handle = worker.handle();
        tokio::spawn(worker.run());
        let mut stage = Self { server, network, worker: handle, seen, registrations: 0 };
        stage.registered_again().await;
        Some(stage)
    }

    /// Waits for one more registration, as the server sees it.
    async fn registered_again(&mut self) {
        self.registrations += 1;
        let until = Instant::now() + SOON;
        while self.server.log().count(r#""msg":"worker registered""#) < self.registrations {
            assert!(Instant::now() < until, "the worker does not come back");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(self.worker.registered().await);
    }

    async fn saw(&mut self, what: &str, enough: impl FnMut(&Seen) -> bool) -> Seen {
        if let Ok(seen) = tokio::time::timeout(SOON, self.seen.wait_for(enough)).await {
            return seen.expect("the worker runs").clone();
        }
        let seen = self.seen.borrow();
        let running: Vec<_> = seen.running.iter().map(|(id, (room, _))| (id, room)).collect();
        panic!("{what}; running {running:?}, cancelled {:?}, ended {:?}", seen.cancelled, seen.ended)
    }

    /// Makes a room, for which the server asks for an agent; waits for its handler.
    async fn job_in(&mut self, room: &str) -> JobId {
        let request = RoomRequest::new(room).empty_timeout(Duration::from_secs(3600));
        self.server.api().create_room(request).await.expect("a room");
        let in_room =
            |seen: &Seen| seen.running.iter().find(|(_, (r, _))| r == room).map(|(id, _)| id.clone());
        let seen = self.saw("a handler in the new room", |seen| in_room(seen).is_some()).await;
        in_room(&seen).expect("it was just there")
    }

    /// Lets a job succeed, and waits until the worker has reported it.
    async fn finish(&mut self, job: &JobId) {
        if let Some((_, finish)) = self.seen.borrow().running.get(job) {
            finish.notify_one();
        }
        let seen = self.saw("the end of the job", |seen| seen.ended.contains_key(job)).await;
        assert_eq!(seen.ended.get(job), Some(&vec![Outcome::Success]));
    }

    /// The server received the end of a job that it did not know any more.
    async fn server_reports_unknown(&self, job: &JobId) {
        let until = Instant::now() + SOON;
        let is_logged = || {
            let lines = self.server.log().lines_with("received job update for unknown job");
            lines.iter().any(|line| line.contains(&job.to_string()))
        };
        while !is_logged() {
            assert!(
                Instant::now() < until,
                "the end of {job} was not reported; {}",
                self.server.log().tail(5)
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until each of these rooms holds one participant and no more.
    async fn one_agent_in_each(&self, rooms: &BTreeSet<String>) {
        let until = Instant::now() + SOON;
        loop {
            let mut wrong = Vec::new();
            for room in rooms {
                let there = self.server.api().list_participants(room).await.unwrap_or_default();
                if there.len() != 1 {
                    wrong.push((room, there.into_iter().map(|p| p.identity).collect::<Vec<_>>()));
                }
            }
            if wrong.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "not one agent in each room: {wrong:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn rooms(&self) -> BTreeSet<String> {
        self.seen.borrow().running.values().map(|(room, _)| room.clone()).collect()
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a list of open files").count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Our own size, without the log of the server that we keep.
fn resident_kib(server: &RealServer) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("our own status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the resident size");
    let all: u64 =
        line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB");
    all.saturating_sub(server.log().tail(usize::MAX).len() as u64 / 1024)
}

/// Waits until nothing is above what it was.
async fn back_to(files: usize, alive: usize) {
    let until = Instant::now() + SOON;
    while tasks() > alive || open_files() > files {
        assert!(
            Instant::now() < until,
            "{} tasks ({alive} before), {} open files ({files} before)",
            tasks(),
            open_files()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn jobs_survive_cuts_and_end_with_their_room() {
    let Some(mut stage) = Stage::new().await else { return };
    let (cuts, restarts) = (long::times("cuts", 20, 50), long::times("restarts", 2, 5));
    // The first of everything is made once and kept.
    let first = stage.job_in("first").await;
    stage.finish(&first).await;
    stage.server.api().delete_room("first").await.expect("deleted");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (files, alive) = (open_files(), tasks());

    let mut steady = BTreeSet::new();
    for n in 0..JOBS {
        steady.insert(stage.job_in(&format!("steady-{n}")).await);
    }
    let resident = resident_kib(&stage.server);

    // Every tenth cut one of the old jobs ends, and a new one comes and goes.
    for cut in 0..cuts {
        stage.network.cut();
        if cut % 10 == 0 {
            // It ends while there is no connection, or just after: the server must receive its outcome
            // nevertheless.
            let old = steady.pop_first().expect("there are enough");
            stage.finish(&old).await;
            stage.registered_again().await;
            stage.server_reports_unknown(&old).await;
            let new = stage.job_in(&format!("new-{cut}")).await;
            stage.finish(&new).await;
            let end =
                stage.server.log().outcome(&new.to_string(), SOON).await.expect("the server records it");
            assert_eq!(end.error, "");
            steady.insert(stage.job_in(&format!("instead-{cut}")).await);
        } else {
            stage.registered_again().await;
        }
    }
    let seen = stage.seen.borrow().clone();
    assert!(seen.cancelled.is_empty(), "a cut stops no job: {:?}", seen.cancelled);
    assert_eq!(seen.running.len(), JOBS);
    stage.one_agent_in_each(&stage.rooms()).await;

    // A restarted server has no rooms: each is created again, with a job of its own, and the old job ends.
    for restart in 0..restarts {
        let old: BTreeSet<JobId> = stage.seen.borrow().running.keys().cloned().collect();
        let rooms = stage.rooms();
        assert_eq!(rooms.len(), JOBS, "restart {restart}");
        stage.server.restart().await.expect("it starts again");
        stage.registered_again().await;
        let seen = stage
            .saw("the end of all old jobs, and new ones", |seen| {
                old.iter().all(|id| seen.ended.contains_key(id)) && seen.running.len() == JOBS
            })
            .await;
        for id in &old {
            assert_eq!(seen.cancelled.get(id), Some(&CancelReason::RoomGone));
            assert_eq!(seen.ended.get(id), Some(&vec![Outcome::failed("room_gone")]));
            stage.server_reports_unknown(id).await;
        }
        assert_eq!(stage.rooms(), rooms);
        stage.one_agent_in_each(&rooms).await;
    }

    let running: Vec<JobId> = stage.seen.borrow().running.keys().cloned().collect();
    for id in &running {
        stage.finish(id).await;
        stage.server.log().outcome(&id.to_string(), SOON).await.expect("the server records it");
    }
    let seen = stage.seen.borrow().clone();
    assert!(seen.ended.values().all(|ends| ends.len() == 1), "each ends once: {:?}", seen.ended);
    let slots = stage.worker.status().await.expect("it runs").slots;
    assert_eq!(slots.used(), 0, "{slots:?}");
    back_to(files, alive).await;
    let grown = resident_kib(&stage.server).saturating_sub(resident);
    println!(
        "{} jobs; resident: {resident} KiB with {JOBS} jobs before, {grown} KiB more at the end",
        seen.ended.len()
    );
    assert!(grown < KEPT_KIB, "{grown} KiB more than with {JOBS} jobs before");
    stage.worker.drain(Duration::from_secs(5)).await;
}
