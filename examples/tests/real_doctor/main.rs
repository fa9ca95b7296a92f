//! `doctor` of the examples, as a process, on machines, networks, disks and servers that are really broken,
//! in one way each: it names that cause and what to do, its exit code is right, and nothing else is
//! reported. The guide's table of causes is what it said here.
//!
//! A program of its own, as all of it runs in namespaces: it takes root.
#![cfg(unix)]
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may fail, and shows what it saw; not all of the shared helpers are used"
)]

#[path = "../../../crates/agent-net/src/tests/authority.rs"]
mod authority;
mod broken;
#[path = "../../../crates/agent-worker/tests/support/guide_tables.rs"]
mod guide_tables;
mod network;
mod process;
mod servers;
mod set_up;
#[path = "../../../crates/agent-worker/tests/support/test_name.rs"]
mod test_name;
#[path = "../../../crates/agent-worker/tests/support/unshared.rs"]
mod unshared;

use futures_util::future::join_all;

use agent_testkit::{program, real_server};

use crate::network::{NETWORKS, Networks};
use crate::process::Running;
use crate::servers::Servers;
use crate::set_up::SetUp;
use crate::unshared::{is_unshared, unshared};

#[tokio::test]
async fn each_cause_is_named() {
    if is_unshared() || real_server().await.is_none() {
        return;
    }
    if program("faketime", "Debian: apt-get install faketime").is_none() {
        return;
    }
    unshared(module_path!(), &["--net", "--mount"], NETWORKS, "inside_of_its_namespaces");
}

/// The test above, within its namespaces.
#[tokio::test(flavor = "multi_thread")]
async fn inside_of_its_namespaces() {
    if !is_unshared() {
        return;
    }
    let networks = Networks::start().await;
    let servers = Servers::start(&networks.server).await;
    let (broken, fine) = (broken::all(&networks, &servers), broken::none(&networks));
    // Another worker of the same name is no fault.
    let worker = Running::start(SetUp::new("a worker that runs").url(networks.server.url())).await;
    let (tables, problems): (Vec<_>, Vec<_>) =
        join_all(broken.iter().chain(&fine).map(SetUp::examine)).await.into_iter().unzip();
    drop(worker);
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    let lines: Vec<guide_tables::Line> = tables.into_iter().flatten().collect();
    guide_tables::check("doctor", &lines);
}
