//! Signals to stop, sent to a whole process: its exit code, also when code of a job blocks a thread for
//! good, on every kind of runtime. Each process runs the `main` of the guide, or that of the README.

use std::error::Error;
use std::io;
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use agent_testkit::{JobSpec, MockJob, MockServer, NoOutcome, ServerEvent};
use agent_worker::{Agent, EndedJob, JobContext, JobResult, WorkerBuilder};

use crate::support::server_knows;
use crate::support::subprocess::{self, Child, Log, Post};
use crate::support::test_name::test_name;

const SOON: Duration = Duration::from_secs(60);
/// Signals that are closer together than a second count as one.
const APART: Duration = Duration::from_millis(1200);
const MOMENT: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);

/// What runs the process's `main`.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Main {
    /// The guide's, as `#[tokio::main]` makes it.
    Guide,
    /// The same with a single worker thread, which the job blocks.
    OneThread,
    /// The same on the thread of `main` alone, which the job blocks.
    CurrentThread,
    /// The README's, which returns its error.
    Readme,
}

/// What the job does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Job {
    /// Returns when it is cancelled.
    Polite,
    /// Never returns, and can be aborted.
    Deaf,
    /// Blocks its thread.
    Blocks,
    /// Its cleanup blocks its thread.
    BlocksInCleanup,
    /// A task of it does.
    BlocksInTask,
    /// So does its agent when the job has ended.
    BlocksWhenEnded,
    /// A thread of the runtime for blocking code is blocked.
    SpawnsBlocking,
}

#[derive(Clone, Serialize, Deserialize)]
struct Part {
    post: Post,
    main: Main,
    job: Job,
    drain_timeout: Duration,
    max_connect_attempts: Option<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Report {
    /// The handler runs.
    Running,
    /// It was cancelled.
    Stopping,
    /// A line of the process's log.
    Logged(String),
}

struct OneJob(Job);

fn block() -> ! {
    loop {
        std::thread::park();
    }
}

impl Agent for OneJob {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        if self.0 == Job::BlocksInTask {
            ctx.spawn(async {
                // Not before the handler waits: a task that this thread woke last would be blocked, too.
                tokio::time::sleep(MOMENT).await;
                block()
            });
        }
        subprocess::report(&Report::Running);
        match self.0 {
            Job::Polite | Job::BlocksWhenEnded | Job::BlocksInTask => {}
            Job::Deaf => std::future::pending().await,
            Job::Blocks => block(),
            Job::BlocksInCleanup => ctx.on_cleanup(async |_| block()),
            Job::SpawnsBlocking => drop(tokio::task::spawn_blocking(|| block())),
        }
        ctx.cancelled().await;
        subprocess::report(&Report::Stopping);
        Ok(())
    }

    async fn on_ended(&self, _: &EndedJob) {
        if self.0 == Job::BlocksWhenEnded {
            block();
        }
    }
}

fn builder(part: &Part) -> WorkerBuilder {
    let builder = part.post.clone().worker(OneJob(part.job)).join_room(false);
    let builder = builder.drain_timeout(part.drain_timeout).grace(MOMENT).cleanup_timeout(MOMENT);
    match part.max_connect_attempts {
        Some(attempts) => builder.max_connect_attempts(attempts),
        None => builder,
    }
}

/// The guide's `main`, after its subscriber.
async fn guide(part: Part) -> ExitCode {
    let worker = match builder(&part).build() {
        Ok(worker) => worker,
        Err(error) => {
            eprintln!("{error:?}");
            return error.exit_code().into();
        }
    };
    match worker.run_until_signal().await {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            error.exit_code().into()
        }
    }
}

#[tokio::main]
async fn guides_main(part: Part) -> ExitCode {
    guide(part).await
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main_with_one_thread(part: Part) -> ExitCode {
    guide(part).await
}

#[tokio::main(flavor = "current_thread")]
async fn main_on_its_own_thread(part: Part) -> ExitCode {
    guide(part).await
}

#[tokio::main]
async fn readmes_main(part: Part) -> Result<(), Box<dyn Error>> {
    builder(&part).build()?.run_until_signal().await?;
    Ok(())
}

/// Ends the process as Rust does when `main` returns.
fn end_with(returned: impl Termination) -> ! {
    let code = returned.report();
    let code = (0..=u8::MAX).find(|&number| ExitCode::from(number) == code);
    std::process::exit(code.map_or(-1, i32::from))
}

/// How long the log takes to write that there was a second signal.
const SLOW_LOG: Duration = Duration::from_millis(200);

/// Each line of the log, reported to the test.
#[derive(Clone)]
struct LogReporter;

impl io::Write for LogReporter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line).into_owned();
        if text.contains(SECOND) {
            // A log that takes its time: a process that ends now loses the line.
            std::thread::sleep(SLOW_LOG);
        }
        subprocess::report(&Report::Logged(text));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn child() {
    let Some((part, _told)) = subprocess::given::<Part>() else { return };
    tracing_subscriber::fmt().with_ansi(false).with_writer(|| LogReporter).init();
    match part.main {
        Main::Guide => end_with(guides_main(part)),
        Main::OneThread => end_with(main_with_one_thread(part)),
        Main::CurrentThread => end_with(main_on_its_own_thread(part)),
        Main::Readme => end_with(readmes_main(part)),
    }
}

/// One process with a worker.
struct Program {
    server: MockServer,
    job: Option<MockJob>,
    child: Child,
    log: Log<Report>,
}

impl Program {
    /// A process whose worker is registered.
    async fn idle(main: Main, job: Job, change: impl FnOnce(&mut Part)) -> Self {
        let server = MockServer::start().await.unwrap();
        let post = Post::new(server.url(), server.api_key(), server.api_secret(), "agent");
        let mut part = Part { post, main, job, drain_timeout: HOUR, max_connect_attempts: None };
        change(&mut part);
        let log = Log::new();
        let child = Child::start(&test_name(module_path!(), "child"), &part, &log);
        let registered = server.wait_for(|event| matches!(event, ServerEvent::Registered { .. }));
        tokio::time::timeout(SOON, registered).await.expect("it registers");
        Self { server, job: None, child, log }
    }

    /// A process whose job runs.
    async fn running(main: Main, job: Job, change: impl FnOnce(&mut Part)) -> Self {
        let mut program = Self::idle(main, job, change).await;
        program.job = Some(program.server.dispatch(JobSpec::room("room").agent_name("agent")).await.unwrap());
        program.log.wait_for(0, SOON, |report| matches!(report, Report::Running)).await;
        program
    }

    /// Sends this signal, and waits until the process has noticed it, and until another one does not count as
    /// the same.
    async fn signal(&self, name: &str, noticed: &str) {
        self.child.signal(name);
        self.logged(noticed).await;
        tokio::time::sleep(APART).await;
    }

    async fn logged(&self, text: &str) {
        self.log
            .wait_for(0, SOON, |report| matches!(report, Report::Logged(line) if line.contains(text)))
            .await;
    }

    async fn outcome(&self) -> String {
        self.job.as_ref().unwrap().outcome_within(SOON).await.unwrap().to_string()
    }

    async fn exit_code(&mut self) -> Option<i32> {
        self.child.exit_code(SOON).await
    }
}

const FIRST: &str = "signal to stop: draining";
const SECOND: &str = "second signal to stop: aborting what still runs";
const ABORTED: &str =
    "aborting job: the worker was stopped at once, by a second signal or `WorkerHandle::stop`";
const STOPPED: &str = "failed: aborted: stopped at once (a second signal or `WorkerHandle::stop`)";
const THIRD: &str = "another signal to stop: the process ends now";

#[tokio::test]
async fn a_drain_that_leaves_a_blocked_thread_ends_the_process_with_1() {
    let jobs = [Job::Blocks, Job::BlocksInCleanup, Job::BlocksInTask, Job::BlocksWhenEnded];
    let ends = jobs.map(|job| async move {
        let mut program = Program::running(Main::Guide, job, |part| part.drain_timeout = 3 * MOMENT).await;
        program.child.signal("TERM");
        assert_eq!(program.exit_code().await, Some(1), "{job:?}");
        program.logged("block their threads").await;
        let outcome = if job == Job::Blocks { "failed: aborted: drained" } else { "success" };
        assert_eq!(program.outcome().await, outcome, "{job:?}: reported to the server before");
    });
    futures_util::future::join_all(ends).await;
}

#[tokio::test]
async fn a_second_signal_ends_the_process_with_130_although_a_thread_is_blocked() {
    for (main, first, second) in [(Main::Guide, "TERM", "TERM"), (Main::Readme, "INT", "TERM")] {
        let mut program = Program::running(main, Job::Blocks, |_| {}).await;
        program.signal(first, FIRST).await;
        program.signal(second, SECOND).await;
        assert_eq!(program.exit_code().await, Some(130));
        assert_eq!(program.outcome().await, STOPPED);
    }
}

/// The worker has no thread left: neither its timers nor its connection continue.
#[tokio::test]
async fn a_runtime_without_a_free_thread_ends_with_1_when_the_drain_is_over() {
    for main in [Main::CurrentThread, Main::OneThread] {
        let mut program = Program::running(main, Job::Blocks, |part| part.drain_timeout = MOMENT).await;
        program.signal("TERM", FIRST).await;
        assert_eq!(program.exit_code().await, Some(1));
        program.logged("its threads are blocked").await;
    }
}

#[tokio::test]
async fn a_runtime_without_a_free_thread_ends_with_130_after_a_second_signal() {
    for main in [Main::CurrentThread, Main::OneThread] {
        let mut program = Program::running(main, Job::Blocks, |_| {}).await;
        program.signal("INT", FIRST).await;
        program.signal("INT", SECOND).await;
        assert_eq!(program.exit_code().await, Some(130));
        program.logged("its threads are blocked").await;
    }
}

#[tokio::test]
async fn a_third_signal_ends_the_process_at_once() {
    for (main, third) in [(Main::CurrentThread, "TERM"), (Main::OneThread, "INT")] {
        let mut program = Program::running(main, Job::Blocks, |_| {}).await;
        program.signal("TERM", FIRST).await;
        program.signal("INT", SECOND).await;
        program.child.signal(third);
        program.logged(THIRD).await;
        assert_eq!(program.exit_code().await, Some(130));
    }
}

/// The worker does not know of blocking code that its handler has passed to a thread: `main` waits for it.
/// The next signal ends that.
#[tokio::test]
async fn a_signal_ends_a_process_whose_main_does_not_return() {
    let mut program =
        Program::running(Main::Guide, Job::SpawnsBlocking, |part| part.drain_timeout = MOMENT).await;
    program.signal("TERM", FIRST).await;
    program.logged("worker stopped").await;
    assert_eq!(program.outcome().await, "success");
    program.child.signal("TERM");
    program.logged(THIRD).await;
    assert_eq!(program.exit_code().await, Some(130));
}

/// As another supervisor's tools have it: TSTP before maintenance, CONT after it.
#[tokio::test]
async fn a_process_is_quiet_between_two_signals() {
    let mut program = Program::running(Main::Guide, Job::Polite, |part| part.drain_timeout = MOMENT).await;
    program.child.signal("TSTP");
    program.logged("worker is quiet: no new jobs are accepted until an undrain").await;
    server_knows(&program.server, true).await;
    let spec = || JobSpec::room("room").agent_name("agent");
    let refused = program.server.dispatch(spec()).await.unwrap().outcome_within(SOON).await;
    assert!(matches!(refused, Err(NoOutcome::Unserved { .. })), "{refused:?}");
    program.child.signal("CONT");
    let again =
        |report: &Report| matches!(report, Report::Logged(line) if line.contains("accepts new jobs again"));
    let (then, _) = program.log.wait_for(0, SOON, again).await;
    server_knows(&program.server, false).await;
    let other = program.server.dispatch(spec()).await.unwrap();
    program.log.wait_for(then, SOON, |report| matches!(report, Report::Running)).await;
    program.child.signal("TERM");
    program.logged(FIRST).await;
    for job in [program.job.as_ref().unwrap(), &other] {
        assert_eq!(job.outcome_within(SOON).await.unwrap().to_string(), "success");
    }
    assert_eq!(program.exit_code().await, Some(0));
}

/// A terminal signals every process of its group, and a supervisor among them passes the signal on.
#[tokio::test]
async fn two_signals_within_a_second_count_as_one() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM")] {
        let mut program =
            Program::running(Main::Guide, Job::Polite, |part| part.drain_timeout = Duration::from_secs(3))
                .await;
        program.child.signal(first);
        program.child.signal(second);
        // Two of a kind may reach the process as one.
        if first != second {
            program.logged("counts as the same").await;
        }
        assert_eq!(program.exit_code().await, Some(0), "its drain continued to its end");
        assert_eq!(program.outcome().await, "success");
    }
    let mut program = Program::idle(Main::Guide, Job::Polite, |_| {}).await;
    program.child.signal("TERM");
    program.child.signal("TERM");
    assert_eq!(program.exit_code().await, Some(0), "also when there is nothing to drain");
}

#[tokio::test]
async fn a_job_that_can_be_aborted_is_aborted_and_main_returns() {
    for (main, code) in [(Main::Guide, 130), (Main::Readme, 1)] {
        let mut program = Program::running(main, Job::Deaf, |_| {}).await;
        program.signal("TERM", FIRST).await;
        program.signal("TERM", SECOND).await;
        assert_eq!(program.exit_code().await, Some(code));
        assert_eq!(program.outcome().await, STOPPED);
        program.logged(ABORTED).await;
    }
    let mut program =
        Program::running(Main::CurrentThread, Job::Deaf, |part| part.drain_timeout = MOMENT).await;
    program.child.signal("TERM");
    assert_eq!(
        program.exit_code().await,
        Some(0),
        "a drain aborts it, too, and that is no failure of the worker"
    );
    assert_eq!(program.outcome().await, "failed: aborted: drained");
}

/// Without a signal: a worker that gives up leaves the same threads behind.
#[tokio::test]
async fn a_worker_that_gives_up_does_not_wait_for_a_blocked_thread() {
    let mut program =
        Program::running(Main::Guide, Job::Blocks, |part| part.max_connect_attempts = Some(1)).await;
    program.server.refuse_connections(true);
    program.server.cut_workers();
    assert_eq!(program.exit_code().await, Some(1));
    program.logged("gave up after 1 failed connection attempts").await;
}
