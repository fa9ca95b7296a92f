//! Workers that are killed in the middle of a long job: another one resumes it, given by a real server,
//! from a file, from Redis and from Valkey. A program of its own, as a kill may repeat at most 50 ms of work.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail, and shows what it saw"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use agent_testkit::{
    DispatchRequest, RealServer, RedisKind, RedisServer, RoomRequest, real_server, redis_server_with,
};

use support::counting_worker::{AGENT, Entry, INTERVAL, Journal, Line, Place, run_worker, start_worker};
use support::long;
use support::subprocess::Child;

/// How many items there are for each kill, so that the job is not done before the last one.
const ITEMS_PER_KILL: u64 = 500;
/// Enough for two workers that have the same job.
const ITEMS: u64 = 4_000;
const ROOM: &str = "hall";
const SOON: Duration = Duration::from_secs(30);

/// The entry of the child processes of the tests below.
#[tokio::test]
async fn in_another_process() {
    run_worker().await;
}

/// A server, and two workers of which one is idle.
struct Stage {
    server: RealServer,
    place: Place,
    journal: Journal,
    items: u64,
    workers: Vec<Child>,
    registered: usize,
    jobs: BTreeSet<String>,
}

impl Stage {
    async fn new(server: RealServer, place: Place, journal: Journal, items: u64) -> Self {
        let (workers, jobs) = (Vec::new(), BTreeSet::new());
        let mut stage = Self { server, place, journal, items, workers, registered: 0, jobs };
        // Only agents join.
        let room = RoomRequest::new(ROOM).empty_timeout(Duration::from_secs(3600));
        stage.server.api().create_room(room).await.expect("a room");
        for _ in 0..2 {
            stage.start();
        }
        stage.all_registered().await;
        stage
    }

    fn start(&mut self) {
        let worker = start_worker("in_another_process", &self.place, &self.journal, self.items, &self.server);
        self.workers.push(worker);
        self.registered += 1;
    }

    async fn all_registered(&self) {
        let until = Instant::now() + SOON;
        while self.server.log().count(r#""msg":"worker registered""#) < self.registered {
            assert!(Instant::now() < until, "a worker does not register");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Dispatches the job (again); gives its id, and the process that has it.
    async fn dispatch(&mut self) -> (String, u32) {
        let until = Instant::now() + SOON;
        loop {
            self.server.api().create_dispatch(DispatchRequest::new(AGENT, ROOM)).await.expect("dispatched");
            // The server may offer it to a worker that it does not know to be dead yet, and then to
            // nobody.
            let offered = Instant::now() + Duration::from_secs(4);
            while Instant::now() < offered {
                let assigned = self.server.log().assignments();
                if let Some(new) = assigned.into_iter().find(|a| !self.jobs.contains(&a.job_id)) {
                    self.jobs.insert(new.job_id.clone());
                    let pid = self.journal.wait_for("the offer", |lines| {
                        let offer = |line: &&Line| line.entry == Entry::Offered { job: new.job_id.clone() };
                        lines.iter().find(offer).map(|line| line.pid)
                    });
                    return (new.job_id.clone(), pid.await);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(Instant::now() < until, "no worker accepts the job; {}", self.server.log().tail(5));
        }
    }

    fn at(&self, pid: u32) -> usize {
        self.workers.iter().position(|worker| worker.pid() == pid).expect("one of ours")
    }

    fn kill(&mut self, pid: u32) {
        let at = self.at(pid);
        drop(self.workers.swap_remove(at));
    }

    fn signal(&self, pid: u32, signal: &str) {
        self.workers[self.at(pid)].signal(signal);
    }
}

async fn file_stage(items: u64) -> Option<(Stage, tempfile::TempDir)> {
    let dir = tempfile::tempdir().expect("a folder");
    let place = Place::File(dir.path().join("checkpoints.redb"));
    let stage =
        Stage::new(real_server().await?, place, Journal::open(dir.path().join("journal")), items).await;
    Some((stage, dir))
}

async fn redis_stage(kind: RedisKind, items: u64) -> Option<(Stage, tempfile::TempDir, RedisServer)> {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = redis_server_with(RedisServer::builder().kind(kind).password("open-sesame")).await?;
    let place = Place::Redis(redis.url());
    let stage =
        Stage::new(real_server().await?, place, Journal::open(dir.path().join("journal")), items).await;
    Some((stage, dir, redis))
}

#[tokio::test]
async fn kills_with_a_local_file() {
    let times = long::times("kills with a local file", 5, 20);
    let Some((mut stage, _dir)) = file_stage(times * ITEMS_PER_KILL).await else { return };
    kills(&mut stage, times, 0x5EED).await;
}

#[tokio::test]
async fn kills_with_redis() {
    let times = long::times("kills with Redis", 5, 20);
    let items = times * ITEMS_PER_KILL;
    let Some((mut stage, _dir, _redis)) = redis_stage(RedisKind::Redis, items).await else { return };
    kills(&mut stage, times, 0xCAFE).await;
}

/// The rules of the store are tested elsewhere: here it is enough that it continues.
#[tokio::test]
async fn kills_with_valkey() {
    let (times, kind) = (5, RedisKind::Valkey);
    let Some((mut stage, _dir, _valkey)) = redis_stage(kind, times * ITEMS_PER_KILL).await else { return };
    kills(&mut stage, times, 0xBEEF).await;
}

async fn kills(stage: &mut Stage, kills: u64, mut seed: u64) {
    for _ in 0..kills {
        let (_, pid) = stage.dispatch().await;
        // Before its handler begins, or after a moment or two.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis((seed >> 33) % 800)).await;
        stage.kill(pid);
        stage.start();
        stage.all_registered().await;
    }
    let (last, _) = stage.dispatch().await;
    let end = stage.server.log().outcome(&last, SOON).await.expect("its end");
    assert_eq!(end.error, "", "the last one finishes it");
    check(&stage.journal.read(), stage.items);
}

#[tokio::test]
async fn a_frozen_worker_is_superseded_with_a_local_file() {
    let Some((mut stage, _dir)) = file_stage(ITEMS).await else { return };
    supersede(&mut stage).await;
}

#[tokio::test]
async fn a_frozen_worker_is_superseded_with_redis() {
    let Some((mut stage, _dir, _redis)) = redis_stage(RedisKind::Redis, ITEMS).await else { return };
    supersede(&mut stage).await;
}

/// A worker that seemed dead continues when another one has resumed its job.
async fn supersede(stage: &mut Stage) {
    let (old_job, old) = stage.dispatch().await;
    let of = |lines: &[Line], pid| {
        lines.iter().filter(|line| line.pid == pid).map(|line| line.entry.clone()).collect::<Vec<_>>()
    };
    let last_save = |lines: &[Line], pid| {
        let save = |entry: &Entry| matches!(entry, Entry::Saving { .. } | Entry::Saved { .. });
        of(lines, pid).into_iter().rev().find(save)
    };
    // Frozen between two saves: within one, it would hold the lock of the file.
    loop {
        let seen = stage.journal.read().len();
        let saved = |lines: &[Line]| {
            let new = lines.get(seen..).unwrap_or_default();
            new.iter().any(|line| line.pid == old && matches!(line.entry, Entry::Saved { .. })).then_some(())
        };
        stage.journal.wait_for("a save", saved).await;
        stage.signal(old, "STOP");
        if matches!(last_save(&stage.journal.read(), old), Some(Entry::Saved { .. })) {
            break;
        }
        stage.signal(old, "CONT");
    }
    let (new_job, new) = stage.dispatch().await;
    assert_ne!(new, old, "it has no free slot");
    let goes_on = |lines: &[Line]| {
        let items = of(lines, new).into_iter().filter(|entry| matches!(entry, Entry::Item(_)));
        (items.count() > 200).then_some(())
    };
    stage.journal.wait_for("the other worker", goes_on).await;
    stage.signal(old, "CONT");
    let end = stage.server.log().outcome(&old_job, SOON).await.expect("the end of the old job");
    assert!(end.error.starts_with("checkpoint_superseded: "), "{end:?}");
    let end = stage.server.log().outcome(&new_job, SOON).await.expect("the end of the new job");
    assert_eq!(end.error, "");

    let lines = stage.journal.read();
    let refused = |entry: &Entry| matches!(entry, Entry::Refused { .. });
    assert!(of(&lines, old).iter().any(refused), "its save was refused");
    assert!(!of(&lines, new).iter().any(refused), "the other one is not disturbed");
    let from = |pid| {
        of(&lines, pid)
            .into_iter()
            .find_map(|e| if let Entry::Started { from } = e { Some(from) } else { None })
    };
    let done = |pid| {
        of(&lines, pid)
            .into_iter()
            .filter_map(|e| if let Entry::Item(n) = e { Some(n) } else { None })
            .collect::<Vec<_>>()
    };
    let begins = from(new).expect("it began");
    assert!(done(old).contains(&(begins - 1)), "it skips nothing");
    assert_eq!(done(new), (begins..stage.items).collect::<Vec<_>>(), "and does the rest");
}

/// One process's part of the work.
struct Part {
    from: u64,
    /// The items that it did, and when.
    items: Vec<(u64, u64)>,
    /// What was acknowledged as saved last.
    saved: Option<u64>,
}

fn check(lines: &[Line], all: u64) {
    let mut parts: Vec<(u32, Part)> = Vec::new();
    // How long saves took, and what was between the beginnings of two by one process; in microseconds.
    let (mut saves, mut gaps) = (Vec::new(), Vec::new());
    let mut begun: Vec<(u32, u64)> = Vec::new();
    for Line { pid, at, entry } in lines {
        let part = parts.iter_mut().rev().find(|(of, _)| of == pid).map(|(_, part)| part);
        let begun_before = begun.iter().rev().find(|(of, _)| of == pid).map(|(_, at)| *at);
        match (entry, part) {
            (Entry::Started { from }, None) => {
                parts.push((*pid, Part { from: *from, items: Vec::new(), saved: None }));
            }
            (Entry::Item(item), Some(part)) => {
                let next = part.items.last().map_or(part.from, |(last, _)| last + 1);
                assert_eq!(*item, next, "in order");
                part.items.push((*item, *at));
            }
            (Entry::Saving { .. }, Some(_)) => {
                gaps.extend(begun_before.map(|before| at - before));
                begun.push((*pid, *at));
            }
            (Entry::Saved { done }, Some(part)) => {
                saves.extend(begun_before.map(|before| at - before));
                part.saved = Some(*done);
            }
            (Entry::Offered { .. } | Entry::Ended { .. }, _) => {}
            (other, _) => panic!("{other:?} of {pid}"),
        }
    }
    let longest = Duration::from_micros(saves.iter().copied().max().unwrap_or(0));
    let (mut reached, mut saved) = (0, 0);
    let mut repeated: Vec<(u64, Duration)> = Vec::new();
    let mut before: Option<Part> = None;
    for (pid, part) in parts {
        assert!(part.from >= saved, "{pid} begins at {}, but {saved} was acknowledged as saved", part.from);
        assert!(part.from <= reached, "{pid} begins at {}, and skips what is from {reached} on", part.from);
        if let Some(before) = before.take() {
            let again: Vec<u64> =
                before.items.iter().filter(|(n, _)| *n >= part.from).map(|(_, at)| *at).collect();
            let window = again.last().zip(again.first()).map_or(0, |(last, first)| last - first);
            repeated.push((again.len() as u64, Duration::from_micros(window)));
        }
        reached = reached.max(part.items.last().map_or(part.from, |(last, _)| last + 1));
        saved = part.saved.unwrap_or(saved);
        before = Some(part);
    }
    assert_eq!(reached, all);
    let items: Vec<u64> = lines
        .iter()
        .filter_map(|line| if let Entry::Item(n) = line.entry { Some(n) } else { None })
        .collect();
    assert_eq!(items.iter().collect::<BTreeSet<_>>().len() as u64, all, "each of them was done");
    assert_eq!(items.len() as u64, all + repeated.iter().map(|(n, _)| n).sum::<u64>());

    gaps.sort_unstable();
    let between = Duration::from_micros(gaps[gaps.len() / 2]);
    let most = repeated.iter().map(|(_, window)| *window).max().unwrap_or_default();
    println!(
        "{} resumed, {} saves, mostly {between:?} apart, {longest:?} the longest; repeated at most {most:?}: {:?}",
        repeated.len(),
        saves.len(),
        repeated.iter().map(|(n, _)| n).collect::<Vec<_>>()
    );
    assert!(between >= INTERVAL && between < INTERVAL * 2, "{between:?} between saves");
    // What is done until the next save is acknowledged, which begins an interval after the one before; and
    // some patience of the system.
    let bound = INTERVAL + longest + Duration::from_millis(50);
    assert!(most <= bound, "{most:?} repeated, more than {bound:?}");
    assert!(repeated.iter().any(|(n, _)| *n > 0), "kills between two saves repeat something");
}
