//! Tests within namespaces of their own: other addresses, another file in `/etc`.

use std::process::Command;

use agent_testkit::machine_has;

use super::test_name::test_name;

/// Set in a process within such namespaces.
const INSIDE: &str = "AGENT_TEST_UNSHARED";

/// Whether this process is one of [`unshared`].
pub(crate) fn is_unshared() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs a test of this program in namespaces of its own (`unshare` with these flags), after a shell command
/// in there. `module`: the `module_path!()` of its file.
///
/// Where that is not possible it is skipped, as without a server.
pub(crate) fn unshared(module: &str, flags: &[&str], prepare: &str, test: &str) {
    let inside = |script: String| {
        let mut unshare = Command::new("unshare");
        unshare.args(flags).args(["sh", "-c", &format!("{prepare} && {script}")]);
        unshare
    };
    let there = inside("true".to_owned()).output().is_ok_and(|output| output.status.success());
    if !machine_has("right to make namespaces", there, "it takes root, `unshare` and `ip`") {
        return;
    }
    let output = inside("exec \"$0\" \"$@\"".to_owned())
        .arg(std::env::current_exe().expect("this test is a program"))
        .args(["--exact", &test_name(module, test), "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("a process");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
