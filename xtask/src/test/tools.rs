//! The tools of this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::workspace::{MUSL, cache, cargo, root};

/// The oldest Go that fetches the toolchain a module requires.
const GO: (u32, u32) = (1, 21);

/// The oldest Python that LiveKit's own client and workers support. It also installs their Node.js and a
/// Valkey.
const PYTHON: (u32, u32) = (3, 10);

/// Prints the version, such as `3 11`, and fails without venv, which Debian has in a package of its own;
/// there `ensurepip` is missing.
const PYTHON_WITH_VENV: &str = "import sys, venv, ensurepip; print(*sys.version_info[:2])";

/// What is missing if a subcommand of cargo does not work. `may_install`: rustup installs it first.
pub(super) fn lacks_component(subcommand: &str, component: &str, may_install: bool) -> Option<String> {
    let there = || succeeds(Command::new(cargo()).args([subcommand, "--version"]));
    let installed = there() || (may_install && rustup(&["component", "add", component]) && there());
    (!installed).then(|| format!("{component} is not installed (rustup component add {component})"))
}

/// What is missing if rustc has no standard library for a target. `may_install`: rustup installs it first, as
/// it installs the targets of `rust-toolchain.toml` only together with a new toolchain.
pub(super) fn lacks_target(target: &str, may_install: bool) -> Option<String> {
    let there = || {
        let libraries = output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]));
        libraries.is_some_and(|folder| Path::new(folder.trim()).is_dir())
    };
    let installed = there() || (may_install && rustup(&["target", "add", target]) && there());
    (!installed).then(|| format!("no Rust for {target} (rustup target add {target})"))
}

/// Calls rustup for the toolchain of this workspace; returns whether it succeeded.
fn rustup(args: &[&str]) -> bool {
    println!("rustup {}", args.join(" "));
    Command::new("rustup")
        .args(args)
        .current_dir(root())
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What is missing for tests against livekit-server, the official clients and workers, Redis and Valkey.
/// `may_install`: missing Debian packages are installed if permitted.
pub(super) fn lacks_real_server(may_install: bool) -> Option<String> {
    if may_install {
        let missing = [
            (has_server(), "golang"),
            (has_python(), "python3-venv"),
            (has_redis(), "redis-server"),
            // Without it, only the tests with a browser are skipped, each with a line.
            (has_chromium(), "chromium-headless-shell"),
            // Without it, only the test of the transcriber is skipped, with a line.
            (on_path("espeak-ng").is_some(), "espeak-ng"),
            // Without it, only the tests of video and recordings are skipped, each with a line.
            (on_path("ffmpeg").is_some() && on_path("ffprobe").is_some(), "ffmpeg"),
            // Without it, only the tests of relays are skipped, each with a line.
            (on_path("turnserver").is_some(), "coturn"),
            // Without it, only the test of the dashboard is skipped, with a line.
            (on_path("prometheus").is_some(), "prometheus"),
            // Without it, only the test of the doctor's causes is skipped, with a line.
            (on_path("faketime").is_some(), "faketime"),
        ];
        install(missing.iter().filter(|(there, _)| !there).map(|(_, package)| *package).collect());
    }
    lack(has_server(), has_python(), has_redis(), has_valkey())
}

/// What is missing to compile for Windows: the standard library and a C compiler. `may_install` as above.
pub(super) fn lacks_windows(may_install: bool) -> Option<String> {
    const COMPILER: &str = "x86_64-w64-mingw32-gcc";
    const PACKAGE: &str = "gcc-mingw-w64-x86-64";
    let there = || on_path(COMPILER).is_some();
    if may_install && !there() {
        install(vec![PACKAGE]);
    }
    if there() {
        return lacks_target("x86_64-pc-windows-gnu", may_install);
    }
    Some(format!("no {COMPILER} (Debian: apt-get install {PACKAGE})"))
}

/// What is missing to build a static program: the standard library and a C compiler. `may_install` as above.
pub(super) fn lacks_musl(may_install: bool) -> Option<String> {
    const COMPILER: &str = "musl-gcc";
    const PACKAGE: &str = "musl-tools";
    let there = || on_path(COMPILER).is_some();
    if may_install && !there() {
        install(vec![PACKAGE]);
    }
    if there() {
        return lacks_target(MUSL, may_install);
    }
    Some(format!("no {COMPILER} (Debian: apt-get install {PACKAGE})"))
}

/// What is missing to install tools from PyPI. `may_install` as above.
pub(super) fn lacks_python(may_install: bool) -> Option<String> {
    if may_install && !has_python() {
        install(vec!["python3-venv"]);
    }
    (!has_python()).then(|| "no Python with venv (Debian: apt-get install python3-venv)".to_owned())
}

/// What is missing to check the files in `deploy/`. `may_install` as above.
pub(super) fn lacks_deploy(may_install: bool) -> Option<String> {
    let tools = [
        ("systemd-analyze", "systemd"),
        ("npm", "npm"),
        ("python3", "python3-venv"),
        ("promtool", "prometheus"),
    ];
    let missing = || tools.iter().filter(|(tool, _)| on_path(tool).is_none());
    if may_install {
        install(missing().map(|(_, package)| *package).collect());
    }
    let lines: Vec<String> =
        missing().map(|(tool, package)| format!("no {tool} (Debian: apt-get install {package})")).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// What is missing to build libopus. `may_install` as above.
pub(super) fn lacks_cmake(may_install: bool) -> Option<String> {
    if may_install && on_path("cmake").is_none() {
        install(vec!["cmake"]);
    }
    on_path("cmake").is_none().then(|| "no cmake to build libopus (Debian: apt-get install cmake)".to_owned())
}

/// Installs Debian packages, if there is apt-get and we are root.
fn install(packages: Vec<&str>) {
    let is_root = || output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    if packages.is_empty() || !succeeds(Command::new("apt-get").arg("--version")) || !is_root() {
        return;
    }
    println!("installing {}", packages.join(" "));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        // In this run level the packages' own services are not started: each test starts its own.
        command.env("RUNLEVEL", "1");
        command
    };
    let _ = apt().args(["update", "--quiet"]).status();
    let _ = apt().args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(packages).status();
}

fn lack(server: bool, python: bool, redis: bool, valkey: bool) -> Option<String> {
    let mut missing = Vec::new();
    if !server {
        let (major, minor) = GO;
        missing.push(format!(
            "no livekit-server on PATH and no Go {major}.{minor} or newer to install it (Debian: apt-get install golang)"
        ));
    }
    if !python {
        let (major, minor) = PYTHON;
        missing.push(format!(
            "no Python {major}.{minor} or newer with venv and pip for the official client and workers (Debian: apt-get install \
             python3-venv)"
        ));
    }
    if !redis {
        missing.push("no redis-server (Debian: apt-get install redis-server)".to_owned());
    }
    if !valkey {
        missing.push(
            "no valkey-server, and none can be installed here (VALKEY_SERVER_BIN names one)".to_owned(),
        );
    }
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// Whether there is a server, named, on the PATH or installed before, or the means to install one: with the
/// search of agent-testkit.
fn has_server() -> bool {
    let go = || output(Command::new("go").args(["env", "GOVERSION"]));
    named("LIVEKIT_SERVER_BIN")
        || on_path("livekit-server").is_some()
        || in_cache("livekit-server-", "livekit-server")
        || go().as_deref().and_then(go_version).is_some_and(|version| version >= GO)
}

/// `go1.24.3` is (1, 24).
fn go_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix("go")?.split(['.', '-', ' ']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn has_python() -> bool {
    let version = || output(Command::new("python3").args(["-c", PYTHON_WITH_VENV]));
    named("AGENT_TEST_PYTHON")
        || version().as_deref().and_then(python_version).is_some_and(|version| version >= PYTHON)
}

/// With the search of agent-testkit.
fn has_redis() -> bool {
    named("REDIS_SERVER_BIN") || on_path("redis-server").is_some()
}

/// Whether there is one, named, on the PATH or installed before, or the means to install it: with the search
/// of agent-testkit.
fn has_valkey() -> bool {
    named("VALKEY_SERVER_BIN")
        || on_path("valkey-server").is_some()
        || in_cache("valkey-pinned", "ready")
        || (cfg!(all(target_os = "linux", target_arch = "x86_64")) && has_python())
}

/// With the search of agent-testkit.
fn has_chromium() -> bool {
    named("CHROMIUM_BIN")
        || ["chromium-headless-shell", "chrome-headless-shell"].iter().any(|name| on_path(name).is_some())
}

/// `3 11` is (3, 11).
fn python_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn named(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Whether agent-testkit has put such a file into the user's cache.
fn in_cache(prefix: &str, file: &str) -> bool {
    let Some(Ok(entries)) = cache().map(std::fs::read_dir) else { return false };
    let mut entries = entries.flatten();
    entries.any(|entry| {
        entry.file_name().to_string_lossy().starts_with(prefix) && entry.path().join(file).is_file()
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

pub(super) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go() {
        assert_eq!(go_version("go1.24.3\n"), Some((1, 24)));
        assert_eq!(go_version("go1.22 X:nocoverageredesign"), Some((1, 22)));
        assert!(go_version("go1.19.8") < Some(GO));
        assert_eq!(go_version("devel +8f0b27d"), None);
    }

    #[test]
    fn versions_of_python() {
        assert_eq!(python_version("3 11\n"), Some((3, 11)));
        assert!(python_version("3 9") < Some(PYTHON));
        assert_eq!(python_version("nonsense"), None);
    }

    #[test]
    fn missing_tools_are_reported_in_one_line() {
        assert_eq!(lack(true, true, true, true), None);
        assert_eq!(
            lack(true, false, false, true).unwrap(),
            "no Python 3.10 or newer with venv and pip for the official client and workers (Debian: apt-get install python3-venv); \
             no redis-server (Debian: apt-get install redis-server)"
        );
        assert_eq!(
            lack(true, true, true, false).unwrap(),
            "no valkey-server, and none can be installed here (VALKEY_SERVER_BIN names one)"
        );
        let both = lack(false, false, true, true).unwrap();
        assert!(
            both.starts_with("no livekit-server on PATH and no Go 1.21 or newer to install it (Debian: "),
            "{both}"
        );
        assert!(both.contains("; no Python 3.10 or newer with venv"), "{both}");
    }

    #[test]
    fn a_tool_that_is_not_there_is_missing() {
        assert!(lacks_component("no-such-subcommand", "nothing", false).is_some());
        assert!(lacks_target("no-such-target", false).is_some());
        assert_eq!(on_path("no-such-program"), None);
        assert!(!succeeds(&mut Command::new("no-such-program")));
    }
}
