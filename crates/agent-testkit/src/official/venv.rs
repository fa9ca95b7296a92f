//! A Python with LiveKit's SDK in it: named, or made once in the user's cache.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::ClientError;
use crate::cache;
use crate::real::on_path;

/// The version of the Python SDK that the tests are written against.
const SDK_VERSION: &str = "1.1.21";

/// Names a Python to use, one that has the package `livekit`.
const PYTHON_VAR: &str = "AGENT_TEST_PYTHON";

/// For one step; the packages have some 30 MB.
const STEP_WITHIN: Duration = Duration::from_secs(10 * 60);

/// The Python that would be used, if there is one; nothing is installed.
pub(super) fn find() -> Option<PathBuf> {
    match named() {
        Some(path) => Some(path).filter(|path| path.is_file()),
        None => folder().filter(|dir| ready(dir).is_file()).map(|dir| python_in(&dir)),
    }
}

pub(super) async fn find_or_install() -> Result<PathBuf, ClientError> {
    if let Some(path) = find() {
        return Ok(path);
    }
    let missing = |missing: String| ClientError::NotAvailable { missing };
    if let Some(path) = named() {
        return Err(missing(format!("{PYTHON_VAR} names {}, which is no file", path.display())));
    }
    let dir = folder().ok_or_else(|| missing("no cache folder, as HOME is not set".into()))?;
    let python = on_path("python3").ok_or_else(|| {
        missing(format!(
            "install Python 3.9 or newer, or name one with livekit {SDK_VERSION} in {PYTHON_VAR}"
        ))
    })?;
    let _lock = cache::lock(&dir, "lock").await?;
    // Another process may have made it while we waited.
    if !ready(&dir).is_file() {
        cache::notice(&format!("installing livekit {SDK_VERSION} for Python, once"));
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(dir.join("venv"))).await?;
        let package = format!("livekit=={SDK_VERSION}");
        run(Command::new(python_in(&dir)).args(["-m", "pip", "install", "--quiet", &package])).await?;
        // Last: a folder that is marked is a whole one.
        std::fs::write(ready(&dir), SDK_VERSION)?;
    }
    Ok(python_in(&dir))
}

async fn run(command: &mut Command) -> Result<(), ClientError> {
    let missing = |missing: String| ClientError::NotAvailable { missing };
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(STEP_WITHIN, output)
        .await
        .map_err(|_| missing(format!("the installation for Python did not end within {STEP_WITHIN:?}")))??;
    if output.status.success() {
        return Ok(());
    }
    let said =
        [output.stderr, output.stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    Err(missing(format!("the installation for Python failed: {line}")))
}

fn named() -> Option<PathBuf> {
    std::env::var_os(PYTHON_VAR).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn folder() -> Option<PathBuf> {
    Some(cache::dir()?.join(format!("python-livekit-{SDK_VERSION}")))
}

fn ready(dir: &Path) -> PathBuf {
    dir.join("ready")
}

fn python_in(dir: &Path) -> PathBuf {
    dir.join("venv").join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}
