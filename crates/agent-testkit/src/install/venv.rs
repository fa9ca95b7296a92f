//! Pythons with packages: named by the user, or installed once in the user's cache.

use std::path::PathBuf;

use super::python::{PYTHON_VAR, make, named, pip, python_in};
use super::{Folder, InstallError, run};

/// A virtual environment with exactly these packages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Venv {
    /// The directory in the cache.
    pub(crate) name: &'static str,
    /// What it holds, for the notice of its installation.
    pub(crate) what: &'static str,
    /// Every package, also the dependencies, each with a fixed version.
    pub(crate) pins: &'static str,
    /// Whether the user may choose a Python instead of it.
    pub(crate) nameable: bool,
}

impl Venv {
    /// The Python that would be used, if there is one; nothing is installed.
    pub(crate) fn find(self) -> Option<PathBuf> {
        match self.named() {
            Some(path) => Some(path).filter(|path| path.is_file()),
            None => self.folder().filter(Folder::ready).map(|folder| python_in(&folder)),
        }
    }

    pub(crate) async fn find_or_install(self) -> Result<PathBuf, InstallError> {
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
