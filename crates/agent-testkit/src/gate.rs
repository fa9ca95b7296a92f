//! Decides whether the tests against real tools run on this machine.
//!
//! | `AGENT_TEST_REAL` | tools are there | tools are missing |
//! |---|---|---|
//! | `1` | run | installed, then run; an error if that fails |
//! | unset, with `CI=true` | run | the same: a build server must not skip in silence |
//! | unset | run | skipped, and one line on stderr names what is missing |
//! | `0` | skipped, and one line on stderr reports it | the same |
//!
//! Any other value of `AGENT_TEST_REAL` counts as `1`.

use std::path::PathBuf;

use crate::install::InstallError;
use crate::install::venv::Venv;
use crate::official::{
    ClientKind, OfficialHost, OfficialWorker, OfficialWorkerKind, OfficialWorkerOptions, find_chromium,
};
use crate::real::{RealServer, RealServerBuilder, on_path};
use crate::redis::{RedisKind, RedisServer, RedisServerBuilder};
use crate::turn_server::{TurnServer, TurnServerBuilder};

const REAL_VAR: &str = "AGENT_TEST_REAL";

/// The decision for a test that needs a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Run,
    SkipOff,
    SkipMissing,
}

fn decide(var: Option<&str>, ci: bool, there: bool) -> Decision {
    match var {
        Some("0") => Decision::SkipOff,
        Some(value) if !value.is_empty() => Decision::Run,
        _ if there || ci => Decision::Run,
        _ => Decision::SkipMissing,
    }
}

/// How to get the tool installed.
const INSTALLS: &str = "AGENT_TEST_REAL=1 installs it";

fn runs(what: &str, there: bool, help: &str) -> bool {
    let ci = std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    let var = std::env::var(REAL_VAR).ok();
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    match decide(var.as_deref(), ci, there) {
        Decision::Run => true,
        Decision::SkipOff => {
            crate::cache::notice(&format!("skipped: {test} ({REAL_VAR}=0)"));
            false
        }
        Decision::SkipMissing => {
            crate::cache::notice(&format!("skipped: {test}, as there is no {what} ({help})"));
            false
        }
    }
}

/// A real server for a test, or `None` if the test has to be skipped (a line on stderr gives the reason).
///
/// `AGENT_TEST_REAL=0` skips, `AGENT_TEST_REAL=1` installs what is missing; without it a test runs if the
/// server is available, and `CI=true` makes a missing one a failure.
///
/// ```no_run
/// # async fn example() {
/// let Some(server) = agent_testkit::real_server().await else { return };
/// assert!(server.api().answers().await);
/// # }
/// ```
///
/// # Panics
/// If it should run and cannot, which is a failure of the test.
pub async fn real_server() -> Option<RealServer> {
    real_server_with(RealServer::builder()).await
}

/// A real server with these settings, as with [`real_server`].
///
/// # Panics
/// As [`real_server`].
pub async fn real_server_with(settings: RealServerBuilder) -> Option<RealServer> {
    if !runs("livekit-server", RealServer::find().is_some(), INSTALLS) {
        return None;
    }
    Some(needed(settings.start().await))
}

/// A Redis for a test, or `None` if the test has to be skipped, as with [`real_server`]; but it is not
/// installed.
///
/// # Panics
/// As [`real_server`].
pub async fn redis_server() -> Option<RedisServer> {
    redis_server_with(RedisServer::builder()).await
}

/// A Redis with these settings, as with [`redis_server`], or a Valkey, which is installed if necessary.
///
/// # Panics
/// As [`real_server`].
pub async fn redis_server_with(settings: RedisServerBuilder) -> Option<RedisServer> {
    let kind = settings.what();
    let help = match kind {
        RedisKind::Redis => "Debian: apt-get install redis-server",
        RedisKind::Valkey => INSTALLS,
    };
    if !runs(kind.program(), kind.find().is_some(), help) {
        return None;
    }
    Some(needed(settings.start().await))
}

/// A TURN server with these settings for a test, or `None` if the test has to be skipped, as with
/// [`real_server`]; but it is not installed.
///
/// # Panics
/// As [`real_server`].
pub async fn turn_server_with(settings: TurnServerBuilder) -> Option<TurnServer> {
    if !runs("turnserver", TurnServer::find().is_some(), "Debian: apt-get install coturn") {
        return None;
    }
    Some(needed(settings.start().await))
}

/// The shared process of clients of [`ClientKind::Python`] for a test, as with [`official_host_of`].
///
/// # Panics
/// As [`real_server`].
pub async fn official_host() -> Option<OfficialHost> {
    official_host_of(ClientKind::Python).await
}

/// The shared process of official clients of this kind for a test, or `None` if the test has to be skipped,
/// as with [`real_server`]; but Chromium is not installed.
///
/// # Panics
/// As [`real_server`].
pub async fn official_host_of(kind: ClientKind) -> Option<OfficialHost> {
    let help = match kind {
        ClientKind::Browser => {
            "AGENT_TEST_REAL=1 installs the SDK; Chromium, Debian: apt-get install chromium-headless-shell"
        }
        _ => INSTALLS,
    };
    if !runs(kind.what(), kind.is_installed(), help) {
        return None;
    }
    Some(needed(OfficialHost::shared_of(kind).await))
}

/// A headless Chromium for a test, or `None` if the test has to be skipped, as with [`real_server`]; but it
/// is not installed. It is `chromium-headless-shell` on the `PATH`, or what `CHROMIUM_BIN` names.
///
/// ```no_run
/// # fn example() {
/// let Some(chromium) = agent_testkit::chromium() else { return };
/// # let _ = chromium;
/// # }
/// ```
///
/// # Panics
/// As [`real_server`].
pub fn chromium() -> Option<PathBuf> {
    let found = find_chromium();
    let help = "Debian: apt-get install chromium-headless-shell";
    if !runs("headless Chromium", found.is_ok(), help) {
        return None;
    }
    Some(needed(found))
}

/// A registered worker of LiveKit's own SDKs for a test, or `None` if the test has to be skipped, as with
/// [`real_server`].
///
/// # Panics
/// As [`real_server`].
pub async fn official_worker(
    kind: OfficialWorkerKind,
    options: &OfficialWorkerOptions,
) -> Option<OfficialWorker> {
    let what = match kind {
        OfficialWorkerKind::PythonThread | OfficialWorkerKind::PythonProcess => "Python with LiveKit's SDK",
        OfficialWorkerKind::Node => "Node.js with LiveKit's SDK",
    };
    if !runs(what, kind.is_installed(), INSTALLS) {
        return None;
    }
    Some(needed(OfficialWorker::start(kind, options).await))
}

/// A Python with packages of PyPI for a test, or `None` if the test has to be skipped, as with
/// [`real_server`]. They are installed once, in a directory of the user's cache with this `name`, for which
/// there must be a Python 3.10 or newer with venv. `pins` is a line for each package, also for those that it
/// needs, with its version.
///
/// ```no_run
/// # async fn example() {
/// let Some(python) = agent_testkit::python_with("speech", "pocketsphinx==5.1.1\n").await else { return };
/// # let _ = python;
/// # }
/// ```
///
/// # Panics
/// As [`real_server`].
pub async fn python_with(name: &'static str, pins: &'static str) -> Option<PathBuf> {
    let venv = Venv { name, what: name, pins, nameable: false };
    if !runs(&format!("Python with the packages of {name}"), venv.find().is_some(), INSTALLS) {
        return None;
    }
    Some(needed(venv.find_or_install().await))
}

/// A program on the `PATH` for a test, or `None` if the test has to be skipped, as with [`real_server`]; but
/// it is not installed. `help` is how to do that.
///
/// ```no_run
/// # fn example() {
/// let help = "Debian: apt-get install espeak-ng";
/// let Some(espeak) = agent_testkit::program("espeak-ng", help) else { return };
/// # let _ = espeak;
/// # }
/// ```
///
/// # Panics
/// As [`real_server`].
pub fn program(name: &str, help: &str) -> Option<PathBuf> {
    let found = on_path(name);
    if !runs(name, found.is_some(), help) {
        return None;
    }
    Some(needed(found.ok_or_else(|| InstallError::Missing(format!("there is no {name} ({help})")))))
}

/// Whether a test runs that needs something of this machine which is never installed, such as the right to
/// make namespaces; otherwise a line on stderr gives the reason, as with [`real_server`].
///
/// `there`: whether the machine has it. `help` is how to get it.
///
/// If the test should run and it is not there, the result is `true` nevertheless: the test fails by itself.
///
/// ```no_run
/// # fn example(is_root: bool) {
/// if !agent_testkit::machine_has("right to mount", is_root, "run it as root") { return }
/// # }
/// ```
#[must_use]
pub fn machine_has(what: &str, there: bool, help: &str) -> bool {
    runs(what, there, help)
}

#[expect(clippy::panic, reason = "only tests call this, and this is how they fail")]
fn needed<T, E: std::error::Error>(tool: Result<T, E>) -> T {
    tool.unwrap_or_else(|error| {
        let causes: Vec<String> = std::iter::successors(error.source(), |cause| cause.source())
            .map(|cause| format!(": {cause}"))
            .collect();
        panic!("{error}{} ({REAL_VAR}=0 skips the tests that need it)", causes.concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_server_never_skips_in_silence() {
        for (var, ci, there, decision) in [
            (None, false, true, Decision::Run),
            (None, false, false, Decision::SkipMissing),
            (None, true, true, Decision::Run),
            (None, true, false, Decision::Run),
            (Some(""), true, false, Decision::Run),
            (Some(""), false, false, Decision::SkipMissing),
            (Some("1"), false, false, Decision::Run),
            (Some("yes"), false, false, Decision::Run),
            (Some("0"), false, true, Decision::SkipOff),
            (Some("0"), true, false, Decision::SkipOff),
        ] {
            assert_eq!(decide(var, ci, there), decision, "{var:?} {ci} {there}");
        }
    }
}
