//! A Python with LiveKit's packages in it: named, or made once in the user's cache.

use std::path::PathBuf;

use tokio::process::Command;

use super::install::{Folder, InstallError, run};
use crate::real::on_path;

/// What the tests are written against: the room client, the client of the server's API, the worker.
const PACKAGES: &[&str] = &["livekit==1.1.21", "livekit-api==1.2.2", "livekit-agents==1.8.9"];

/// Names a Python to use, one that has the packages.
const PYTHON_VAR: &str = "AGENT_TEST_PYTHON";

/// The Python that would be used, if there is one; nothing is installed.
pub(super) fn find() -> Option<PathBuf> {
    match named() {
        Some(path) => Some(path).filter(|path| path.is_file()),
        None => folder().filter(Folder::ready).map(|folder| python_in(&folder)),
    }
}

pub(super) async fn find_or_install() -> Result<PathBuf, InstallError> {
    if let Some(path) = find() {
        return Ok(path);
    }
    let missing = InstallError::Missing;
    if let Some(path) = named() {
        return Err(missing(format!("{PYTHON_VAR} names {}, which is no file", path.display())));
    }
    let folder = folder().ok_or_else(|| missing("no cache folder, as HOME is not set".into()))?;
    let python = on_path("python3").ok_or_else(|| {
        missing(format!(
            "install Python 3.10 or newer, or name one with {} in {PYTHON_VAR}",
            PACKAGES.join(", ")
        ))
    })?;
    let install = async {
        let venv = folder.path().join("venv");
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(venv), "Python").await?;
        let mut pip = Command::new(python_in(&folder));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
        run(&mut pip, "Python").await.map(drop)
    };
    folder.fill("Python", install).await?;
    Ok(python_in(&folder))
}

fn named() -> Option<PathBuf> {
    std::env::var_os(PYTHON_VAR).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn folder() -> Option<Folder> {
    Folder::new("python-official", PACKAGES)
}

fn python_in(folder: &Folder) -> PathBuf {
    folder.path().join("venv").join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}
