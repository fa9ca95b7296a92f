//! The exit codes of a real program, as the guide's page on troubleshooting lists them.
//!
//! `UPDATE_GUIDE=1 cargo test --workspace --all-features --test exits` rewrites the table.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail")]

#[path = "../../crates/agent-worker/tests/support/guide_tables.rs"]
#[allow(dead_code, clippy::indexing_slicing, reason = "written for more tables than this one")]
mod guide_tables;

use std::net::TcpListener;
use std::process::{Command, Stdio};

use guide_tables::steady;

/// The quickstart's exit code, and its last line of output.
fn quickstart(variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    for name in ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "LIVEKIT_AGENT_NAME_OVERRIDE"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).stdin(Stdio::null()).output().expect("it runs");
    let output_line = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = output_line.lines().last().unwrap_or_default().to_owned();
    (output.status.code().expect("an exit code"), last)
}

/// An address at which nothing listens.
fn no_listener() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").to_string()
}

#[test]
fn the_quickstart_exits_with() {
    let no_listener = format!("ws://{}", no_listener());
    let key_and_secret = [("LIVEKIT_API_KEY", "key"), ("LIVEKIT_API_SECRET", "secret")];
    let with = |url| [&[("LIVEKIT_URL", url)], &key_and_secret[..]].concat();
    let mut lines = Vec::new();
    for (what, variables, code) in [
        ("no LIVEKIT_URL: a mock server", vec![], 0),
        ("an empty LIVEKIT_URL, too", vec![("LIVEKIT_URL", "")], 0),
        ("LIVEKIT_URL without a key", vec![("LIVEKIT_URL", "ws://localhost:7880")], 2),
        ("LIVEKIT_URL without a scheme", with("localhost:7880"), 2),
        ("LIVEKIT_URL where nothing listens", with(&no_listener), 1),
    ] {
        let (exit, last) = quickstart(&variables);
        assert_eq!(exit, code, "{what}: {last}");
        let last = steady(&last);
        let output_line = last.split_once(" (os error").map_or(last.as_str(), |(before, _)| before);
        lines.push((
            what,
            format!(
                "{exit}{}",
                if output_line.is_empty() { String::new() } else { format!(", {output_line}") }
            ),
        ));
    }
    guide_tables::check("exits", &lines);
}
