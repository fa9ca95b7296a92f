//! A Python with LiveKit's packages in it: named, or made once in the user's cache.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::install::{Folder, InstallError, run};
use crate::real::on_path;

/// Every package of the official clients and workers, at one version each.
const PINS: &str = include_str!("pins/python.txt");

/// Names a Python to use, one that has the packages.
const PYTHON_VAR: &str = "AGENT_TEST_PYTHON";

/// The oldest Python that the packages run on.
const OLDEST: (u32, u32) = (3, 10);

/// What a virtual environment is made with; prints the version, such as `3 11`.
const CAN_MAKE_ONE: &str = "import sys; print(*sys.version_info[:2]); import venv, ensurepip";

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
        return Err(missing(format!("{PYTHON_VAR} names {}, which is no file", path.display())));
    }
    let folder = folder().ok_or_else(|| missing("no cache folder, as HOME is not set".into()))?;
    let install = async {
        let python = make(&folder).await?;
        let pins = folder.path().join("python.txt");
        std::fs::write(&pins, PINS)?;
        // The list is whole: whatever is not on it is not installed.
        run(pip(&python).arg("--no-deps").arg("--requirement").arg(pins), "Python").await.map(drop)
    };
    folder.fill("LiveKit's Python SDK", install).await?;
    Ok(python_in(&folder))
}

/// Makes an empty virtual environment in a folder; gives its Python.
pub(super) async fn make(folder: &Folder) -> Result<PathBuf, InstallError> {
    let python = base().await?;
    let venv = folder.path().join("venv");
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(venv), "Python").await?;
    Ok(python_in(folder))
}

/// Begins an installation of packages that are built already: building them would need others, of any version.
pub(super) fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    pip
}

/// The Python to make environments with.
async fn base() -> Result<PathBuf, InstallError> {
    let (major, minor) = OLDEST;
    let wanted = format!("install Python {major}.{minor} or newer with venv, or name one in {PYTHON_VAR}");
    let missing = |why: &str| InstallError::Missing(format!("{why}: {wanted}"));
    let python = named().or_else(|| on_path("python3")).ok_or_else(|| missing("there is no python3"))?;
    let output = Command::new(&python).args(["-c", CAN_MAKE_ONE]).output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    let name = python.display();
    match version(&said) {
        None => Err(missing(&format!("{name} is no Python"))),
        Some((major, minor)) if (major, minor) < OLDEST => {
            Err(missing(&format!("{name} is Python {major}.{minor}")))
        }
        // Debian has it in a package of its own, python3-venv.
        Some(_) if !output.status.success() => Err(missing(&format!("{name} has no venv"))),
        Some(_) => Ok(python),
    }
}

/// `3 11` is (3, 11).
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.lines().next()?.split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn named() -> Option<PathBuf> {
    std::env::var_os(PYTHON_VAR).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn folder() -> Option<Folder> {
    Folder::new("python-pinned", PINS)
}

fn python_in(folder: &Folder) -> PathBuf {
    folder.path().join("venv").join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
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

    /// Also what another package needs, and for other systems than this one.
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
