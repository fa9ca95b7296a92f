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
