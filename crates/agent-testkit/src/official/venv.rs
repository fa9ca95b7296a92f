//! A Python with LiveKit's packages: named by the user, or installed once in the user's cache.

use std::path::PathBuf;

use crate::install::python::{PYTHON_VAR, make, named, pip, python_in};
use crate::install::{Folder, InstallError, run};

/// Every package of the official clients and workers, each with a fixed version.
const PINS: &str = include_str!("pins/python.txt");

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
        return Err(missing(format!("{PYTHON_VAR} names {}, which is not a file", path.display())));
    }
    let folder = folder().ok_or_else(|| missing("no cache folder, as HOME is not set".into()))?;
    let install = async {
        let python = make(&folder).await?;
        let pins = folder.path().join("python.txt");
        std::fs::write(&pins, PINS)?;
        // The list is complete: a package that is not on it is not installed.
        run(pip(&python).arg("--no-deps").arg("--requirement").arg(pins), "Python").await.map(drop)
    };
    folder.fill("LiveKit's Python SDK", install).await?;
    Ok(python_in(&folder))
}

fn folder() -> Option<Folder> {
    Folder::new("python-pinned", PINS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Including dependencies and packages for other systems.
    #[test]
    fn every_package_has_one_version() {
        let wanted = include_str!("pins/python.in").lines().filter(|line| !line.starts_with('#'));
        for package in wanted {
            assert!(PINS.lines().any(|line| line == package), "{package} is not in python.txt");
        }
        assert!(PINS.lines().count() > 50);
        for line in PINS.lines() {
            let (package, _) = line.split_once(" ; ").unwrap_or((line, ""));
            let (name, version) = package.split_once("==").unwrap_or_else(|| panic!("{line} has no version"));
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
            assert!(plain(name) && plain(version) && !version.is_empty(), "{line}");
        }
    }
}
