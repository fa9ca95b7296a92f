//! Worker processes that are candidates of an election, and their reports.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use agent_testkit::{JobSpec, MockJob, MockServer};
use agent_worker::coordination::{Coordinator, Leadership};
use agent_worker::{JobContext, JobResult};

use super::subprocess::{Child, Log, Post, given, report};

pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// Within this time another candidate leads.
pub(crate) const NEXT: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(20);
const KEY: &str = "shared";

/// One report of a candidate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
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
    /// It was answered that another candidate leads.
    Follows,
    /// It was granted the lease.
    Leads,
    /// Its lease was reported as lost.
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

/// Becomes a candidate again and again. As a leader it writes all the time, and does not look whether it
/// still leads: what keeps its writes from counting is the store alone.
async fn candidate(ctx: JobContext, store: impl Coordinator) -> JobResult {
    let again = async {
        loop {
            let lease = match ctx.elect(KEY).await {
                Ok(leadership) => {
                    if let Leadership::Follower(_) = leadership {
                        submit(What::Follows, 0, now());
                    }
                    leadership.lead().await.unwrap()
                }
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let token = lease.fencing_token();
            submit(What::Leads, token, now());
            let mut lost = None;
            // One that lost its lease continues until it is refused, or it is clear that there is no other
            // leader.
            while lost.is_none_or(|at: Instant| at.elapsed() < LEASE * 3) {
                let began = now();
                match store.write(KEY, token, began.to_string().into()).await {
                    Ok(true) => submit(What::Wrote, token, began),
                    Ok(false) => {
                        submit(What::Refused, token, began);
                        break;
                    }
                    Err(_) => submit(What::Unsure, token, began),
                }
                if lost.is_none() && lease.is_lost() {
                    submit(What::Lost, token, now());
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

fn submit(what: What, token: u64, began: u64) {
    report(&Report { pid: std::process::id(), what, token, began, done: now() });
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
    log: Log<Report>,
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
        let takes_part =
            |report: &Report| report.pid == pid && matches!(report.what, What::Leads | What::Follows);
        self.wait_for(from, SOON, takes_part).await;
        ElectionWorker { process, job }
    }

    /// The first report after the first `from` ones for which this holds.
    pub(crate) async fn wait_for(
        &self,
        from: usize,
        within: Duration,
        holds: impl Fn(&Report) -> bool,
    ) -> Report {
        self.log.wait_for(from, within, holds).await.1
    }

    /// The number of reports until now.
    pub(crate) fn mark(&self) -> usize {
        self.log.mark()
    }

    /// The current leader: it has the lease, and has written ten times.
    pub(crate) async fn leader(&self) -> Report {
        let mut writes = 0;
        let mut from = self.mark();
        let mut token = 0;
        while writes < 10 {
            let (next, wrote) = self.log.wait_for(from, SOON, |report| report.what == What::Wrote).await;
            from = next;
            writes = if wrote.token == token { writes + 1 } else { 1 };
            token = wrote.token;
        }
        self.wait_for(0, SOON, |report| report.what == What::Leads && report.token == token).await
    }

    /// Promise I13, over all reports: an accepted write never comes after one of a later leader,
    /// each token has one leader, and tokens grow. Gives the number of leaders.
    pub(crate) fn check(&self) -> usize {
        let reports = self.log.all();
        let wrote: Vec<&Report> = reports.iter().filter(|report| report.what == What::Wrote).collect();
        for earlier in &wrote {
            for later in wrote.iter().filter(|later| later.began > earlier.done) {
                assert!(
                    later.token >= earlier.token,
                    "a stale write was accepted: {earlier:?}, then {later:?}"
                );
            }
        }
        let mut leads: Vec<&Report> = reports.iter().filter(|report| report.what == What::Leads).collect();
        leads.sort_by_key(|report| report.token);
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
