//! Pythons with LiveKit's packages: named by the user, or installed once in the user's cache.

use std::path::PathBuf;

use crate::install::python::{PYTHON_VAR, make, named, pip, python_in};
use crate::install::{Folder, InstallError, run};

/// A virtual environment with exactly these packages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Venv {
    /// The directory in the cache.
    name: &'static str,
    /// What it holds, for the notice of its installation.
    what: &'static str,
    /// Every package, also the dependencies, each with a fixed version.
    pins: &'static str,
    /// Whether the user may name a Python instead of it.
    nameable: bool,
}

/// The packages of the official clients and workers.
pub(super) const SDK: Venv = Venv {
    name: "python-pinned",
    what: "LiveKit's Python SDK",
    pins: include_str!("pins/python.txt"),
    nameable: true,
};

/// The newest client.
pub(super) const SDK_1_2: Venv = Venv {
    name: "python12-pinned",
    what: "LiveKit's Python SDK 1.2",
    pins: include_str!("pins/python12.txt"),
    nameable: false,
};

impl Venv {
    /// The Python that would be used, if there is one; nothing is installed.
    pub(super) fn find(self) -> Option<PathBuf> {
        match self.named() {
            Some(path) => Some(path).filter(|path| path.is_file()),
            None => self.folder().filter(Folder::ready).map(|folder| python_in(&folder)),
        }
    }

    pub(super) async fn find_or_install(self) -> Result<PathBuf, InstallError> {
        if let Some(path) = self.find() {
            return Ok(path);
        }
        let missing = InstallError::Missing;
        if let Some(path) = self.named() {
            return Err(missing(format!("{PYTHON_VAR} names {}, which is not a file", path.display())));
        }
        let folder = self.folder().ok_or_else(|| missing("no cache folder, as HOME is not set".into()))?;
        let install = async {
            let python = make(&folder).await?;
            let pins = folder.path().join("python.txt");
            std::fs::write(&pins, self.pins)?;
            // The list is complete: a package that is not on it is not installed.
            run(pip(&python).arg("--no-deps").arg("--requirement").arg(pins), "Python").await.map(drop)
        };
        folder.fill(self.what, install).await?;
        Ok(python_in(&folder))
    }

    fn named(self) -> Option<PathBuf> {
        if self.nameable { named() } else { None }
    }

    fn folder(self) -> Option<Folder> {
        Folder::new(self.name, self.pins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Including dependencies and packages for other systems.
    #[test]
    fn every_package_has_one_version() {
        let lists =
            [(SDK, include_str!("pins/python.in"), 50), (SDK_1_2, include_str!("pins/python12.in"), 4)];
        for (Venv { name: file, pins, .. }, wanted, at_least) in lists {
            for package in wanted.lines().filter(|line| !line.starts_with('#')) {
                assert!(pins.lines().any(|line| line == package), "{package} is not in {file}");
            }
            assert!(pins.lines().count() > at_least, "{file}");
            for line in pins.lines() {
                let (package, _) = line.split_once(" ; ").unwrap_or((line, ""));
                let (name, version) =
                    package.split_once("==").unwrap_or_else(|| panic!("{line} has no version"));
                let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
                assert!(plain(name) && plain(version) && !version.is_empty(), "{line}");
            }
        }
    }
}
