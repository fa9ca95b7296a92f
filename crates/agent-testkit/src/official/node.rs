//! A Node.js with LiveKit's packages: npm's folder, made once in the user's cache.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::install::{Folder, InstallError, run};
use crate::real::on_path;

/// What the tests are written against: the worker, and what it wants beside it.
const PACKAGES: &[&str] = &["@livekit/agents@1.9.0", "@livekit/rtc-node@0.13.35", "zod@4.6.7"];

/// The oldest Node.js that the packages run on.
const OLDEST: u32 = 20;

/// A program, and the folder whose `node_modules` it finds from any script below it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
}

/// What would be used, if it is there; nothing is installed.
pub(super) fn find() -> Option<Node> {
    let folder = folder().filter(Folder::ready)?;
    Some(Node { program: on_path("node")?, folder: folder.path().to_owned() })
}

pub(super) async fn find_or_install() -> Result<Node, InstallError> {
    if let Some(node) = find() {
        return Ok(node);
    }
    let missing = InstallError::Missing;
    let wanted = || missing(format!("install Node.js {OLDEST} or newer, with npm"));
    let folder = folder().ok_or_else(|| missing("no cache folder, as HOME is not set".into()))?;
    let program = on_path("node").ok_or_else(wanted)?;
    let npm = on_path("npm").ok_or_else(wanted)?;
    let version = run(Command::new(&program).arg("--version"), "Node.js").await?;
    if major(&String::from_utf8_lossy(&version.stdout)).is_none_or(|major| major < OLDEST) {
        return Err(wanted());
    }
    folder.fill("Node.js", install(&npm, folder.path())).await?;
    Ok(Node { program, folder: folder.path().to_owned() })
}

async fn install(npm: &Path, folder: &Path) -> Result<(), InstallError> {
    // What an older list has left is taken away by npm itself, as this file no longer names it.
    std::fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
    let mut npm = Command::new(npm);
    npm.current_dir(folder)
        // The native parts are packages of their own: no script is needed.
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
        .args(["--loglevel=error", "--save-exact"])
        .args(PACKAGES);
    run(&mut npm, "Node.js").await.map(drop)
}

fn folder() -> Option<Folder> {
    Folder::new("node-official", PACKAGES)
}

/// `v20.20.2` is 20.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v18.0.0"), Some(18));
        assert_eq!(major("20"), None);
    }
}
