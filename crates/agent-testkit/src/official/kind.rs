//! The kinds of official workers, and the command that starts each.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::OfficialWorkerError;
use super::{node, venvs};

const PYTHON_SCRIPT: &str = include_str!("worker.py");
const NODE_SCRIPT: &str = include_str!("worker.mjs");

/// The workers that LiveKit publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OfficialWorkerKind {
    /// The Python worker, with jobs as threads of its process.
    PythonThread,
    /// The Python worker, with a process for each job.
    PythonProcess,
    /// The Node.js worker, with a process for each job.
    Node,
}

impl OfficialWorkerKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::PythonThread, Self::PythonProcess, Self::Node];

    /// Whether its packages are available; nothing is installed.
    #[must_use]
    pub fn is_installed(self) -> bool {
        match self {
            Self::PythonThread | Self::PythonProcess => venvs::SDK.find().is_some(),
            Self::Node => node::find().is_some(),
        }
    }

    /// The command, and the directory with its script.
    pub(super) async fn command(self) -> Result<(Command, tempfile::TempDir), OfficialWorkerError> {
        let folder = tempfile::Builder::new().prefix("worker-").to_owned();
        match self {
            Self::PythonThread | Self::PythonProcess => {
                let mut command = Command::new(venvs::SDK.find_or_install().await?);
                let dir = folder.tempdir()?;
                // A file, not `-c`: the job processes have to import it.
                let script = write(dir.path(), "worker.py", PYTHON_SCRIPT)?;
                let executor = if self == Self::PythonThread { "thread" } else { "process" };
                // Without the user's site and the current directory: the same packages everywhere.
                command.args(["-I", "-u"]).arg(script).arg(executor);
                Ok((command, dir))
            }
            Self::Node => {
                let node = node::find_or_install().await?;
                // Node.js looks for packages relative to the script.
                let dir = folder.tempdir_in(node.folder)?;
                let script = write(dir.path(), "worker.mjs", NODE_SCRIPT)?;
                let mut command = Command::new(node.program);
                command.arg(script);
                Ok((command, dir))
            }
        }
    }
}

fn write(dir: &Path, name: &str, script: &str) -> std::io::Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, script)?;
    Ok(path)
}
