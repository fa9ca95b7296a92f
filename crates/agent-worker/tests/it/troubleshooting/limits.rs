//! The limit of open files. In processes of their own, since the limit is for the whole process.

use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};

use agent_worker::Worker;

use super::done;
use crate::support::guide_tables;
use crate::support::test_name::test_name;

const CHILD: &str = "AGENT_TEST_CHILD";

/// What the tests below start: a worker that runs for a moment, and prints what it may open then.
#[tokio::test]
async fn child() {
    let Ok(max_jobs) = std::env::var(CHILD) else { return };
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false).init();
    let worker = Worker::builder(done)
        .url("ws://127.0.0.1:1")
        .credentials("key", "secret")
        .from_env()
        .max_jobs(max_jobs.parse().expect("a number"))
        .build()
        .expect("the settings are complete");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    handle.drain(Duration::ZERO).await;
    running.await.expect("no panic").expect("drained");
    println!("soft limit {:?}", getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| soft).ok());
}

/// The output of a worker that is started with these limits.
fn printed(soft: u32, hard: u32, max_jobs: usize) -> String {
    let test = std::env::current_exe().expect("this test is a program");
    let script = format!(
        "ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" --exact {} --nocapture",
        test_name(module_path!(), "child")
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(test)
        .env(CHILD, max_jobs.to_string())
        .output()
        .expect("a shell");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let printed = printed(100, 300, 60);
    assert!(printed.contains("soft limit Some(300)"), "{printed}");
    assert!(!printed.contains("max_jobs"), "{printed}");
}

#[test]
fn jobs_that_do_not_fit_into_the_hard_limit_are_logged() {
    let printed = printed(100, 300, 80);
    assert!(printed.contains("soft limit Some(300)"), "{printed}");
    let warning = printed.lines().find(|line| line.contains("max_jobs")).expect("a warning");
    let (_, warning) = warning.split_once("WARN agent_worker::worker::fd_limit: ").expect("a warning");
    guide_tables::check("files", &[("`.max_jobs(80)`, and `ulimit -n 300`", format!("WARN {warning}"))]);
}

#[test]
fn an_invalid_proxy_variable_is_ignored_and_logged() {
    let test = std::env::current_exe().expect("this test is a program");
    let mut child = Command::new(test);
    child
        .args(["--exact", &test_name(module_path!(), "child"), "--nocapture"])
        .env(CHILD, "1")
        .env("HTTPS_PROXY", "proxy://nowhere");
    let printed = String::from_utf8_lossy(&child.output().expect("it runs").stdout).into_owned();
    let warning = printed.lines().find(|line| line.contains("HTTPS_PROXY")).expect("a warning");
    let (_, warning) = warning.split_once("WARN agent_net::options: ").expect("a warning");
    guide_tables::check("proxy", &[("`HTTPS_PROXY=proxy://nowhere`", format!("WARN {warning}"))]);
}
