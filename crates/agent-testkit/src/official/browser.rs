//! A headless Chromium, and LiveKit's SDK for browsers, which is installed once in the user's cache.

use std::path::PathBuf;

use super::node::{self, Node};
use crate::install::{Folder, InstallError};
use crate::real::on_path;

/// The variable that names a headless Chromium, which has precedence.
const VARIABLE: &str = "CHROMIUM_BIN";

/// The names of the program: Debian's and Google's. It is Chromium without windows, which leaves nothing
/// behind and never touches the user's own browser.
const PROGRAMS: [&str; 2] = ["chromium-headless-shell", "chrome-headless-shell"];

/// The package with the SDK.
const PACKAGES: &str = include_str!("pins/browser/package.json");

/// Every package that it needs, each with a fixed version; regenerated as that of Node.js.
const PINS: &str = include_str!("pins/browser/package-lock.json");

/// The programs and files of a page with the SDK.
#[derive(Clone, Debug)]
pub(super) struct Browser {
    pub(super) chromium: PathBuf,
    /// The SDK as one script.
    pub(super) bundle: PathBuf,
    /// What drives Chromium.
    pub(super) node: Node,
}

/// The browser that would be used, if available; nothing is installed.
pub(super) fn find() -> Option<Browser> {
    let folder = folder().filter(Folder::ready)?;
    Some(Browser { chromium: chromium().ok()?, bundle: bundle(&folder), node: node::find()? })
}

pub(super) async fn find_or_install() -> Result<Browser, InstallError> {
    // First, as it is the one that cannot be installed.
    let chromium = chromium()?;
    let node = node::find_or_install().await?;
    let missing = || InstallError::Missing("no cache folder, as HOME is not set".into());
    let folder = folder().ok_or_else(missing)?;
    if !folder.ready() {
        folder.fill("LiveKit's SDK for browsers", node.install(&folder, PACKAGES, PINS)).await?;
    }
    Ok(Browser { chromium, bundle: bundle(&folder), node })
}

/// A headless Chromium: the one that is named, or that on the `PATH`.
pub(crate) fn chromium() -> Result<PathBuf, InstallError> {
    let missing = InstallError::Missing;
    if let Some(named) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from) {
        let text = format!("{VARIABLE} names {}, which is not a file", named.display());
        return Some(named).filter(|path| path.is_file()).ok_or_else(|| missing(text));
    }
    let [program, _] = PROGRAMS;
    PROGRAMS.iter().find_map(|name| on_path(name)).ok_or_else(|| {
        missing(format!(
            "there is no {program}: put it on the PATH, or name it in {VARIABLE} (Debian: apt-get install {program})"
        ))
    })
}

fn folder() -> Option<Folder> {
    Folder::new("browser-pinned", PINS)
}

fn bundle(folder: &Folder) -> PathBuf {
    folder.path().join("node_modules/livekit-client/dist/livekit-client.umd.js")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_one_version() {
        node::tests::assert_pinned(PACKAGES, PINS, 10);
    }
}
