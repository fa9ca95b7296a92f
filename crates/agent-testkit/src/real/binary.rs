//! Finds livekit-server, or builds it once.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::error::ServerError;
use crate::cache;

/// The version of livekit-server that the tests are written against.
pub const SERVER_VERSION: &str = "1.13.5";

/// The variable that names a binary, which has precedence.
const BIN_VAR: &str = "LIVEKIT_SERVER_BIN";

const MODULE: &str = "github.com/livekit/livekit-server/cmd/server";

/// Enough for a slow network and a cold cache on a small machine.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(20 * 60);

pub(super) fn find() -> Option<PathBuf> {
    match named() {
        Some(path) => Some(path).filter(|path| path.is_file()),
        None => on_path("livekit-server").or_else(|| installed().filter(|path| path.is_file())),
    }
}

pub(super) async fn find_or_install() -> Result<PathBuf, ServerError> {
    if let Some(path) = find() {
        return Ok(path);
    }
    let missing = |missing: String| ServerError::NotAvailable { missing };
    if let Some(path) = named() {
        return Err(missing(format!("{BIN_VAR} names {}, which is not a file", path.display())));
    }
    let target = installed().ok_or_else(|| missing("no cache folder, as HOME is not set".into()))?;
    let go = on_path("go").ok_or_else(|| {
        missing(format!(
            "put livekit-server {SERVER_VERSION} on the PATH, name it in {BIN_VAR}, or install Go to have it built"
        ))
    })?;
    let Some(dir) = target.parent() else { return Err(missing("no cache folder".into())) };
    let _lock = cache::lock(dir, "lock").await?;
    // Another process may have installed it meanwhile.
    if !target.is_file() {
        install(&go, dir, &target).await?;
    }
    Ok(target)
}

async fn install(go: &Path, dir: &Path, target: &Path) -> Result<(), ServerError> {
    let failed = |reason: String| ServerError::Install { reason };
    cache::notice(&format!(
        "building livekit-server {SERVER_VERSION} with `go install`, once; this takes some 3 minutes"
    ));
    // Built in a temporary directory and moved, so that an existing binary is complete.
    let build = tempfile::Builder::new().prefix("build-").tempdir_in(dir)?;
    let output = tokio::process::Command::new(go)
        .args(["install", &format!("{MODULE}@v{SERVER_VERSION}")])
        .env("GOBIN", build.path())
        // Not the flags of this project, if called from within it.
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(INSTALL_TIMEOUT, output)
        .await
        .map_err(|_| failed(format!("`go install` did not end within {INSTALL_TIMEOUT:?}")))??;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let end: Vec<&str> = text.lines().rev().take(5).collect();
        return Err(failed(end.into_iter().rev().collect::<Vec<_>>().join("\n")));
    }
    let built = build.path().join(format!("server{}", std::env::consts::EXE_SUFFIX));
    std::fs::rename(&built, target)?;
    cache::notice(&format!("livekit-server {SERVER_VERSION} is installed: {}", target.display()));
    Ok(())
}

fn named() -> Option<PathBuf> {
    std::env::var_os(BIN_VAR).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn installed() -> Option<PathBuf> {
    let name = format!("livekit-server{}", std::env::consts::EXE_SUFFIX);
    Some(cache::dir()?.join(format!("livekit-server-{SERVER_VERSION}")).join(name))
}

/// The first file with this name in the directories of `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(&name)).find(|path| path.is_file())
}
