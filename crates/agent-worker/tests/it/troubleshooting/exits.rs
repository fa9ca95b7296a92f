//! The exit codes of a real program.

use std::process::{Command, Stdio};

use super::servers;
use crate::support::guide_tables::{self, steady};

/// The quickstart's exit code, and its last line of output.
fn quickstart(variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "quickstart"]);
    for name in ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "LIVEKIT_AGENT_NAME_OVERRIDE"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).stdin(Stdio::null()).output().expect("cargo runs");
    let output_line = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = output_line.lines().last().unwrap_or_default().to_owned();
    (output.status.code().expect("an exit code"), last)
}

#[tokio::test]
async fn the_quickstart_exits_with() {
    let no_listener = format!("ws://{}", servers::no_listener().await);
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
