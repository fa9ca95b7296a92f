//! What a process writes about panics: those of jobs are in its log, and nowhere else.
//!
//! Each process is this program once more, as a panic hook belongs to the whole process, and the harness has
//! one unless it captures no output.

use std::process::Command;
use std::time::Duration;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::{JobContext, JobResult, Worker};

use crate::support::test_name::test_name;

const CHILD: &str = "AGENT_TEST_PANICS";
const CUSTOMER: &str = "+49 30 901820\r\n{\"level\":\"ERROR\"}\u{1b}[31m";

/// Panics when it is dropped.
struct Careless;

impl Drop for Careless {
    fn drop(&mut self) {
        panic!("no hurry with {CUSTOMER}");
    }
}

async fn call(ctx: JobContext) -> JobResult {
    // A second panic while the first one unwinds aborts the process.
    let _aborts = (ctx.job().raw_metadata == "aborts").then(|| Careless);
    ctx.on_cleanup(async |_| panic!("the line to {CUSTOMER} is open"));
    let careless = ctx.spawn(async { panic!("no task for {CUSTOMER}") });
    assert!(careless.await.is_err());
    panic!("no answer from {CUSTOMER}")
}

fn worker(server: &MockServer) -> Worker {
    let worker = server.worker(call).agent_name("caller");
    let worker = worker.redact_errors(|text| {
        assert!(std::env::var(CHILD).unwrap() != "no redaction", "no redaction of {text}");
        text.replace(|c: char| c.is_ascii_digit(), "#")
    });
    worker.build().unwrap()
}

/// A process that runs a job with panics, and then panics on a thread of its own.
#[test]
fn child() {
    let Ok(mode) = std::env::var(CHILD) else { return };
    if mode == "own hook" {
        std::panic::set_hook(Box::new(|info| eprintln!("the program's hook: {info}")));
    }
    if !["no log", "no redaction"].contains(&&*mode) {
        tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(async {
        let server = MockServer::builder().start_in_process();
        let worker = worker(&server);
        let handle = worker.handle();
        let running = tokio::spawn(worker.run());
        let job = server.dispatch(JobSpec::room("room").agent_name("caller").metadata(mode)).await.unwrap();
        let outcome = job.outcome().await.unwrap();
        handle.drain(Duration::ZERO).await;
        assert!(running.await.unwrap().is_ok());
        outcome
    });
    assert!(!outcome.is_success());
    assert!(std::thread::spawn(|| panic!("a fault of the program")).join().is_err());
}

/// What such a process writes to its standard error, without backtraces.
fn written_by(mode: &str) -> String {
    written_with(mode, "0")
}

fn written_with(mode: &str, backtrace: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test_name(module_path!(), "child"), "--nocapture", "--test-threads=1"])
        .env(CHILD, mode)
        .env("RUST_BACKTRACE", backtrace)
        .output()
        .unwrap();
    let written = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.success(), mode != "aborts", "{written}");
    written
}

/// The log has each of them, redacted and on one line.
fn assert_logged(written: &str) {
    for what in ["the handler panicked", "the task ", "a cleanup callback panicked"] {
        let logged =
            |line: &&str| line.contains("ERROR") && line.contains(what) && line.contains("+## ## ######");
        assert_eq!(written.lines().filter(logged).count(), 1, "{what}: {written}");
    }
}

#[test]
fn a_panic_of_a_job_is_written_once_redacted_and_on_one_line() {
    let written = written_by("no hook");
    assert_logged(&written);
    assert!(!written.contains("901820"), "{written}");
    let forged = |line: &&str| line.starts_with('{') || line.contains('\u{1b}');
    assert_eq!(written.lines().find(forged), None, "{written}");
    assert_eq!(written.matches("panicked at").count(), 1, "{written}");
    assert!(
        written.contains("a fault of the program"),
        "panics of the program itself are written: {written}"
    );
}

#[test]
fn the_hook_of_a_program_is_called_for_the_panics_of_jobs() {
    let written = written_by("own hook");
    assert_logged(&written);
    assert_eq!(written.matches("the program's hook: panicked at").count(), 4, "{written}");
}

#[test]
fn a_process_that_is_aborted_names_the_last_panic() {
    let written = written_by("aborts");
    assert!(!written.contains("901820"), "{written}");
    let named =
        |line: &&str| line.starts_with("this follows a panic of a job at ") && line.contains("panics.rs:");
    assert_eq!(written.lines().filter(named).count(), 1, "{written}");
    assert!(written.contains("panic in a destructor during cleanup"), "{written}");
}

/// Otherwise a program that is just begun would seem to do nothing.
#[test]
fn a_program_without_a_log_still_shows_the_panics_of_jobs() {
    let written = written_by("no log");
    assert!(!written.contains("901820"), "{written}");
    for what in ["no answer from", "no task for", "is open"] {
        let shown = |line: &&str| line.starts_with("a job panicked: ") && line.contains(what);
        assert_eq!(written.lines().filter(shown).count(), 1, "{what}: {written}");
    }
}

#[test]
fn a_backtrace_is_written_without_the_text() {
    let written = written_with("no hook", "1");
    assert_logged(&written);
    assert!(!written.contains("901820"), "{written}");
    let place = |line: &&str| line.starts_with("a job panicked at ") && line.contains("panics.rs:");
    assert_eq!(written.lines().filter(place).count(), 3, "{written}");
    assert!(written.contains("log_lines::panics::call"), "{written}");
}

/// It must not end the process, nor show what it did not redact.
#[test]
fn a_redaction_that_panics_shows_nothing() {
    let written = written_by("no redaction");
    assert!(!written.contains("901820"), "{written}");
    let shown = |line: &&str| line.starts_with("a job panicked: ");
    assert_eq!(written.lines().filter(shown).count(), 3, "{written}");
}
