//! Everything that the benchmark of an echo does, as small as possible, on a real server. Its figures mean
//! nothing here, and are not checked.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of a test")]

use std::process::Command;

/// The benchmark itself fails if no sound comes back, in any room.
#[tokio::test]
async fn every_figure_is_there() {
    if agent_testkit::real_server().await.is_none() || agent_testkit::official_host().await.is_none() {
        return;
    }
    let run = || Command::new(env!("CARGO_BIN_EXE_agent-bench")).args(["echo", "--quick"]).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let (table, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("the official Python worker:"), "{errors}");
    for (figure, numbers) in [
        ("official client → official client", 3),
        ("official client → echo → official client", 3),
        ("official client → the official Python worker → official client", 3),
        ("added by echo", 3),
        ("added by echo --pass-through", 3),
        ("added by the official Python worker", 3),
        ("added on the wire by echo", 3),
        ("one room of echo, % of a core", 1),
        ("2 rooms of echo: % of a core for each", 1),
        ("2 rooms of echo: KiB for each further", 1),
        ("2 rooms of echo --pass-through: % of a core for each", 1),
        ("2 rooms of echo --pass-through: % of the packets back", 1),
    ] {
        let row =
            table.lines().find_map(|line| line.strip_prefix(figure).filter(|row| row.starts_with("  ")));
        let row = row.unwrap_or_else(|| panic!("no {figure:?} in\n{table}"));
        let found = row.split_whitespace().map(|number| number.split('/').next().unwrap().parse::<f64>());
        let found: Vec<f64> = found.collect::<Result<_, _>>().unwrap_or_else(|_| panic!("{figure}: {row}"));
        assert!(found.len() == numbers && found[0].is_finite(), "{figure}: {row}");
    }
}

/// A wrong option is reported before anything is started.
#[test]
fn a_wrong_option_is_named() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_agent-bench")).args(["echo", "--rooms", "0"]).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(printed, "agent-bench: --rooms is 0: give 1 to 200\n");
}
