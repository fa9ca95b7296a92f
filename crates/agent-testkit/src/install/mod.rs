//! Packages in the user's cache: installed once, and again when the list of packages changes. Every package
//! has a fixed version, also the dependencies, so that every machine installs what was tested.

pub(crate) mod python;
pub(crate) mod venv;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::cache;

/// The timeout of one step; the packages of one language have some 100 MB.
const STEP_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Why packages are not available.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// What is missing, and how to get it, in one line.
    #[error("{0}")]
    Missing(String),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A directory of the cache with exactly these packages.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    pins: String,
}

impl Folder {
    /// `None` if there is no cache.
    pub(crate) fn new(name: &str, pins: impl Into<String>) -> Option<Self> {
        Some(Self { path: cache::dir()?.join(name), pins: pins.into() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the directory holds exactly these packages, completely.
    pub(crate) fn ready(&self) -> bool {
        std::fs::read_to_string(self.marker()).is_ok_and(|marked| marked == self.pins)
    }

    /// Runs the installation, unless another process has done so meanwhile; one process at a time.
    pub(crate) async fn fill(
        &self,
        what: &str,
        install: impl Future<Output = Result<(), InstallError>>,
    ) -> Result<(), InstallError> {
        let _lock = cache::lock(&self.path, "lock").await?;
        if self.ready() {
            return Ok(());
        }
        cache::notice(&format!("installing {what}, once; this can take some minutes"));
        // From here on an older installation is invalid, even if we are stopped halfway.
        match std::fs::remove_file(self.marker()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        install.await?;
        // Written last: a directory with the marker is complete.
        std::fs::write(self.marker(), &self.pins)?;
        Ok(())
    }

    fn marker(&self) -> PathBuf {
        self.path.join("ready")
    }
}

/// Runs one step of an installation.
pub(crate) async fn run(command: &mut Command, language: &str) -> Result<Output, InstallError> {
    let failed = |why: String| InstallError::Missing(format!("the installation for {language} {why}"));
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(STEP_TIMEOUT, output)
        .await
        .map_err(|_| failed(format!("did not end within {STEP_TIMEOUT:?}")))??;
    if output.status.success() {
        return Ok(output);
    }
    let text = [output.stderr.as_slice(), output.stdout.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    Err(failed(format!("failed: {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path, pins: &str) -> Folder {
        Folder { path: path.to_owned(), pins: pins.to_owned() }
    }

    #[tokio::test]
    async fn a_changed_list_is_reinstalled_and_a_broken_installation_is_invalid() {
        let dir = tempfile::tempdir().unwrap();
        let old = folder(dir.path(), "a==1");
        assert!(!old.ready());
        old.fill("a test", async { Ok(()) }).await.unwrap();
        assert!(old.ready());
        // The packages are installed: nothing is run.
        old.fill("a test", async { Err(InstallError::Missing(String::new())) }).await.unwrap();

        let new = folder(dir.path(), "a==1\nb==1");
        assert!(!new.ready());
        new.fill("a test", async { Err(InstallError::Missing("no b".into())) }).await.unwrap_err();
        assert!(!new.ready() && !old.ready());
        new.fill("a test", async { Ok(()) }).await.unwrap();
        assert!(new.ready() && !old.ready());
    }

    #[tokio::test]
    async fn a_failed_step_reports_the_reason_in_one_line() {
        let error =
            run(Command::new("sh").args(["-c", "echo a; echo b >&2; exit 1"]), "a test").await.unwrap_err();
        let InstallError::Missing(missing) = error else { panic!("{error:?}") };
        assert_eq!(missing, "the installation for a test failed: a");
    }
}
