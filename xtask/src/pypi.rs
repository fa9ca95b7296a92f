//! Tools from PyPI, each with a Python environment of its own in the user's cache.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::succeed;
use crate::workspace::cache;

/// The folder for tools that this program installs.
pub(crate) fn tools() -> Result<PathBuf> {
    let folder = cache().context("neither XDG_CACHE_HOME nor HOME is set")?.join("tools");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    Ok(folder)
}

/// The folder with the programs of a package (`name==version`), which is installed if it is not there.
pub(crate) fn install(pin: &str) -> Result<PathBuf> {
    let folder = tools()?.join(pin);
    if !folder.join("ready").is_file() {
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        succeed(Command::new(folder.join("bin/pip")).args(["install", "--quiet", pin]))?;
        fs::write(folder.join("ready"), "")?;
    }
    Ok(folder.join("bin"))
}
