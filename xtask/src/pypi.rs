//! Tools from PyPI, each with a Python environment of its own in the user's cache.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

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
        run("python3", &[OsStr::new("-m"), OsStr::new("venv"), OsStr::new("--clear"), folder.as_os_str()])?;
        run(folder.join("bin/pip"), &["install", "--quiet", pin])?;
        fs::write(folder.join("ready"), "")?;
    }
    Ok(folder.join("bin"))
}

/// Runs a program that has to succeed.
pub(crate) fn run(program: impl AsRef<OsStr>, args: &[impl AsRef<OsStr>]) -> Result<()> {
    let program = program.as_ref();
    let status = Command::new(program).args(args).stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("{} could not be started", Path::new(program).display()))?;
    if !status.success() {
        bail!("{}: {status}", Path::new(program).display());
    }
    Ok(())
}
