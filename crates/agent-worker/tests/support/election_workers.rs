//! Worker processes that stand for election, and what they say about it.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use agent_testkit::{JobSpec, MockJob, MockServer};
use agent_worker::coordination::{Coordinator, Leadership};
use agent_worker::{JobContext, JobResult};

use super::subprocess::{Child, Log, Post, given, say};

pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// Within this somebody else leads.
pub(crate) const NEXT: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(20);
const KEY: &str = "shared";

/// Something that a candidate said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    /// Which process.
    pub(crate) pid: u32,
    pub(crate) what: What,
    pub(crate) token: u64,
    /// Microseconds on the machine's clock: when the step began, and when it was over.
    pub(crate) began: u64,
    pub(crate) done: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// It was told that another one leads.
    Follows,
    /// It was told that it leads.
    Leads,
    /// It was told that it leads no longer.
    Lost,
    /// Its write was accepted.
    Wrote,
    /// Its write was refused.
    Refused,
    /// It is not known what became of its write.
    Unsure,
}

/// In a process that was started by [`ElectionWorkers`]: runs as one, for good. Elsewhere it returns at once.
pub(crate) async fn run_if_child<C: Coordinator + Clone>(make: impl FnOnce(&str) -> C) {
    let Some(((post, store), _)) = given::<(Post, String)>() else { return };
    let store = make(&store);
    let writes = store.clone();
    let worker = post
        .worker(move |ctx: JobContext| candidate(ctx, writes.clone()))
        .join_room(false)
        .coordinator(store)
        .lease(LEASE)
        .build()
        .unwrap();
    worker.run().await.unwrap();
    std::process::exit(0);
}

/// Stands for election again and again. As a leader it writes all the time, and does not look whether it
/// still leads: what keeps its writes from counting is the store alone.
async fn candidate(ctx: JobContext, store: impl Coordinator) -> JobResult {
    let again = async {
        loop {
            let lease = match ctx.elect(KEY).await {
                Ok(leadership) => {
                    if let Leadership::Follower(_) = leadership {
                        vote(What::Follows, 0, now());
                    }
                    leadership.lead().await.unwrap()
                }
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let token = lease.fencing_token();
            vote(What::Leads, token, now());
            let mut lost = None;
            // One that lost its lease goes on until it is refused, or it is clear that nobody else leads.
            while lost.is_none_or(|at: Instant| at.elapsed() < LEASE * 3) {
                let began = now();
                match store.write(KEY, token, began.to_string().into()).await {
                    Ok(true) => vote(What::Wrote, token, began),
                    Ok(false) => {
                        vote(What::Refused, token, began);
                        break;
                    }
                    Err(_) => vote(What::Unsure, token, began),
                }
                if lost.is_none() && lease.is_lost() {
                    vote(What::Lost, token, now());
                    lost = Some(Instant::now());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::select! {
        () = again => Ok(()),
        _ = ctx.cancelled() => Ok(()),
    }
}

fn vote(what: What, token: u64, began: u64) {
    say(&Said { pid: std::process::id(), what, token, began, done: now() });
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_micros().try_into().unwrap()
}

/// A mock server with jobs in one room, each of a process of its own.
pub(crate) struct ElectionWorkers {
    pub(crate) server: MockServer,
    /// The test that runs them: the name of the one that calls [`run_if_child`].
    entry: &'static str,
    log: Log<Said>,
    started: usize,
}

/// One process and its job.
pub(crate) struct ElectionWorker {
    pub(crate) process: Child,
    pub(crate) job: MockJob,
}

impl ElectionWorkers {
    pub(crate) async fn new(entry: &'static str) -> Self {
        let server = MockServer::start().await.unwrap();
        Self { server, entry, log: Log::new(), started: 0 }
    }

    /// Starts one, and dispatches its job.
    pub(crate) async fn start(&mut self, store: &str) -> ElectionWorker {
        self.started += 1;
        let name = format!("candidate-{}", self.started);
        let from = self.mark();
        let post = Post::new(self.server.url(), self.server.api_key(), self.server.api_secret(), &name);
        let process = Child::start(self.entry, &(post, store), &self.log);
        let pid = process.pid();
        let spec = JobSpec::room("shared").agent_name(name);
        let job = self.server.dispatch(spec).await.unwrap();
        let stands = |said: &Said| said.pid == pid && matches!(said.what, What::Leads | What::Follows);
        self.wait_for(from, SOON, stands).await;
        ElectionWorker { process, job }
    }

    /// The first thing after `from` things were said for which this holds.
    pub(crate) async fn wait_for(
        &self,
        from: usize,
        within: Duration,
        holds: impl Fn(&Said) -> bool,
    ) -> Said {
        self.log.wait_for(from, within, holds).await.1
    }

    /// How many things were said until now.
    pub(crate) fn mark(&self) -> usize {
        self.log.mark()
    }

    /// Who leads now: it was told so, and has written ten times.
    pub(crate) async fn leader(&self) -> Said {
        let mut writes = 0;
        let mut from = self.mark();
        let mut token = 0;
        while writes < 10 {
            let (next, wrote) = self.log.wait_for(from, SOON, |said| said.what == What::Wrote).await;
            from = next;
            writes = if wrote.token == token { writes + 1 } else { 1 };
            token = wrote.token;
        }
        self.wait_for(0, SOON, |said| said.what == What::Leads && said.token == token).await
    }

    /// Promise I13, over everything that was said: an accepted write never comes after one of a later leader,
    /// each token has one leader, and tokens grow. Gives the number of leaders.
    pub(crate) fn check(&self) -> usize {
        let said = self.log.all();
        let wrote: Vec<&Said> = said.iter().filter(|said| said.what == What::Wrote).collect();
        for earlier in &wrote {
            for later in wrote.iter().filter(|later| later.began > earlier.done) {
                assert!(
                    later.token >= earlier.token,
                    "a stale write was accepted: {earlier:?}, then {later:?}"
                );
            }
        }
        let mut leads: Vec<&Said> = said.iter().filter(|said| said.what == What::Leads).collect();
        leads.sort_by_key(|said| said.token);
        for pair in leads.windows(2) {
            assert!(pair[0].token < pair[1].token, "two leaders under one token: {pair:?}");
        }
        for write in &wrote {
            let leader = leads.iter().find(|leads| leads.token == write.token).expect("a leader");
            assert_eq!(leader.pid, write.pid, "two writers under one token: {write:?}");
        }
        assert!(wrote.len() > 20, "only {} writes", wrote.len());
        leads.len()
    }
}
