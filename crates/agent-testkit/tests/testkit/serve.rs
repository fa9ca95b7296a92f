//! `livekit-testkit serve` as a program.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// The program's standard error until it listens.
fn warnings(options: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_livekit-testkit"))
        .arg("serve")
        .args(options)
        .env_remove("LIVEKIT_API_SECRET")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("listening"), "{first}");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut warnings = String::new();
    child.stderr.take().unwrap().read_to_string(&mut warnings).unwrap();
    warnings
}

#[test]
fn a_reachable_address_with_the_development_secret_is_warned_of() {
    for (options, warns) in [
        (["--listen", "0.0.0.0:0", "--api-secret", "secret"].as_slice(), true),
        (&["--listen", "0.0.0.0:0"], true),
        (&["--listen", "0.0.0.0:0", "--api-secret", "one of our own, long enough"], false),
        (&["--listen", "127.0.0.1:0"], false),
    ] {
        let warnings = warnings(options);
        assert_eq!(warnings.contains("--api-secret"), warns, "{options:?}: {warnings}");
    }
}

/// A test harness that reads the first line and no more.
#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_it_also_while_its_output_is_not_read() {
    use agent_testkit::{RoomRequest, ServerApi};

    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_livekit-testkit"))
        .args(["serve", "--listen", "127.0.0.1:0", "--api-key", "key", "--api-secret", "secret"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut output = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut output, &mut first).await.unwrap();
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    let url = first["url"].as_str().unwrap().parse().unwrap();
    let api = ServerApi::new(&url, "key", "secret").unwrap();
    // A pipe takes 64 KiB.
    for number in 0..200 {
        let room = format!("{number}-{}", "r".repeat(500));
        api.create_room(RoomRequest::new(room)).await.unwrap();
    }
    let pid = nix::unistd::Pid::from_raw(child.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), child.wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
}
