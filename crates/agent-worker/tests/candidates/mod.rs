//! Worker processes that stand for election, and what they say about it. Each is this test binary once more.

use agent_testkit::{JobSpec, MockJob, MockServer};
use agent_worker::coordination::Coordinator;
use agent_worker::{JobContext, JobResult, Leadership, Worker};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// Within this somebody else leads.
pub(crate) const NEXT: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(20);
const KEY: &str = "shared";
const CHILD: &str = "AGENT_TEST_CANDIDATE";
const MARK: &str = "@candidate";

/// Something that a candidate said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Which process.
    pub(crate) pid: u32,
    pub(crate) what: What,
    pub(crate) token: u64,
    /// Microseconds on the machine's clock: when the step began, and when it was over.
    pub(crate) began: u64,
    pub(crate) done: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// In a process that was started by [`Candidates`]: runs as one, for good. Elsewhere it returns at once.
pub(crate) async fn run_if_child<C: Coordinator + Clone>(make: impl FnOnce(&str) -> C) {
    let Ok(settings) = std::env::var(CHILD) else { return };
    // Nobody outlives the test, also when it was killed.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let words: Vec<&str> = settings.split(' ').collect();
    let [url, key, secret, name, store] = words[..] else { panic!("{words:?}") };
    let store = make(store);
    let writes = store.clone();
    let worker = Worker::builder(move |ctx: JobContext| candidate(ctx, writes.clone()))
        .url(url)
        .credentials(key, secret)
        .agent_name(name)
        .join_room(false)
        .coordinator(store)
        .lease(LEASE)
        .build()
        .unwrap();
    worker.run().await.unwrap();
    std::process::exit(0);
}

/// Stands for election again and again. As a leader it writes all the time, and does not look whether it still leads: what keeps
/// its writes from counting is the store alone.
async fn candidate(ctx: JobContext, store: impl Coordinator) -> JobResult {
    let again = async {
        loop {
            let lease = match ctx.elect(KEY).await {
                Ok(Leadership::Leader(lease)) => lease,
                Ok(Leadership::Follower(follower)) => {
                    say(What::Follows, 0, now());
                    follower.elected().await.unwrap()
                }
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let token = lease.fencing_token();
            say(What::Leads, token, now());
            let mut lost = None;
            // One that lost its lease goes on until it is refused, or it is clear that nobody else leads.
            while lost.is_none_or(|at: Instant| at.elapsed() < LEASE * 3) {
                let began = now();
                match store.write(KEY, token, began.to_string().into()).await {
                    Ok(true) => say(What::Wrote, token, began),
                    Ok(false) => {
                        say(What::Refused, token, began);
                        break;
                    }
                    Err(_) => say(What::Unsure, token, began),
                }
                if lost.is_none() && lease.is_lost() {
                    say(What::Lost, token, now());
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

fn say(what: What, token: u64, began: u64) {
    println!("{MARK} {what:?} {token} {began} {}", now());
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_micros().try_into().unwrap()
}

/// A mock server with jobs in one room, each of a process of its own.
pub(crate) struct Candidates {
    pub(crate) server: MockServer,
    /// The test that runs them: the name of the one that calls [`run_if_child`].
    entry: &'static str,
    said: Arc<Mutex<Vec<Said>>>,
    heard: watch::Sender<usize>,
    started: usize,
}

/// One process and its job. Dropping it kills it.
pub(crate) struct Candidate {
    process: Child,
    pub(crate) job: MockJob,
}

impl Candidates {
    pub(crate) async fn new(entry: &'static str) -> Self {
        let server = MockServer::start().await.unwrap();
        Self { server, entry, said: Arc::default(), heard: watch::Sender::new(0), started: 0 }
    }

    /// Starts one, and dispatches its job.
    pub(crate) async fn start(&mut self, store: &str) -> Candidate {
        self.started += 1;
        let name = format!("candidate-{}", self.started);
        let (key, secret) = (self.server.api_key(), self.server.api_secret().expose());
        let settings = format!("{} {key} {secret} {name} {store}", self.server.url());
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", self.entry, "--nocapture", "--test-threads=1"])
            .env(CHILD, settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (pid, out) = (process.id(), process.stdout.take().unwrap());
        let (said, heard) = (Arc::clone(&self.said), self.heard.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(told) = parse(pid, &line) {
                    said.lock().unwrap().push(told);
                    heard.send_modify(|count| *count += 1);
                }
            }
        });
        let from = self.mark();
        let spec = JobSpec::room("shared").agent_name(name);
        let job = self.server.dispatch(spec).await.unwrap();
        let stands = |said: &Said| said.pid == pid && matches!(said.what, What::Leads | What::Follows);
        self.wait_for(from, SOON, stands).await;
        Candidate { process, job }
    }

    /// The first thing after `from` things were said for which this holds.
    pub(crate) async fn wait_for(
        &self,
        from: usize,
        within: Duration,
        holds: impl Fn(&Said) -> bool,
    ) -> Said {
        let mut heard = self.heard.subscribe();
        let found = async {
            loop {
                heard.borrow_and_update();
                if let Some(said) = self.said.lock().unwrap().iter().skip(from).find(|said| holds(said)) {
                    return said.clone();
                }
                heard.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(within, found).await;
        found.unwrap_or_else(|_| panic!("not said within {within:?}; the last: {:#?}", self.last(12)))
    }

    /// How many things were said until now.
    pub(crate) fn mark(&self) -> usize {
        self.said.lock().unwrap().len()
    }

    /// Who leads now: it was told so, and has written ten times.
    pub(crate) async fn leader(&self) -> Said {
        let mut writes = 0;
        let mut from = self.mark();
        let mut token = 0;
        while writes < 10 {
            let wrote = self.wait_for(from, SOON, |said| said.what == What::Wrote).await;
            from = self.position(&wrote) + 1;
            writes = if wrote.token == token { writes + 1 } else { 1 };
            token = wrote.token;
        }
        self.wait_for(0, SOON, |said| said.what == What::Leads && said.token == token).await
    }

    fn position(&self, of: &Said) -> usize {
        let said = self.said.lock().unwrap();
        said.iter().position(|said| (said.pid, said.began, said.what) == (of.pid, of.began, of.what)).unwrap()
    }

    fn last(&self, count: usize) -> Vec<Said> {
        let said = self.said.lock().unwrap();
        said.iter().skip(said.len().saturating_sub(count)).cloned().collect()
    }

    /// Promise I13, over everything that was said: an accepted write never comes after one of a later leader, each token has one
    /// leader, and tokens grow. Gives the number of leaders.
    pub(crate) fn check(&self) -> usize {
        let said = self.said.lock().unwrap();
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

impl Candidate {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// As `kill -NAME`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Kills it at once.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.end();
    }
}

fn parse(pid: u32, line: &str) -> Option<Said> {
    // The test harness may have written something before it, in the same line.
    let mut words = line.get(line.find(MARK)?..)?.split(' ').skip(1);
    let what = match words.next()? {
        "Follows" => What::Follows,
        "Leads" => What::Leads,
        "Lost" => What::Lost,
        "Wrote" => What::Wrote,
        "Refused" => What::Refused,
        "Unsure" => What::Unsure,
        other => panic!("{other}"),
    };
    let mut number = || words.next()?.parse().ok();
    Some(Said { pid, what, token: number()?, began: number()?, done: number()? })
}
