//! A file that appears when it is complete.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

/// A file that is written under a temporary name in its folder. Without [`finish`](Self::finish) it is
/// removed, and an existing file of its name stays as it was.
pub(super) struct NewFile {
    file: File,
    /// `None`: what has the path is not a file, for example a pipe, which is written to and not replaced.
    temporary: Option<Temporary>,
}

/// Removes the file with the temporary name, unless it has its final one.
struct Temporary {
    path: PathBuf,
    target: PathBuf,
    renamed: bool,
}

impl NewFile {
    pub(super) async fn create(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        // As one call: if this future is dropped meanwhile, its result is, and removes the file.
        let (file, temporary) = spawn_blocking(move || create(&path)).await??;
        Ok(Self { file: File::from_std(file), temporary })
    }

    pub(super) async fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content).await
    }

    /// The file is complete, and takes its name.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.file.flush().await?;
        match self.temporary {
            Some(temporary) => spawn_blocking(move || temporary.rename()).await?,
            None => Ok(()),
        }
    }
}

impl Temporary {
    fn rename(mut self) -> io::Result<()> {
        fs::rename(&self.path, &self.target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // The error that matters is the one before.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn create(path: &Path) -> io::Result<(fs::File, Option<Temporary>)> {
    // A link stays, and leads to the new file, also if it led to none before.
    let target = fs::canonicalize(path).unwrap_or_else(|_| match (fs::read_link(path), path.parent()) {
        (Ok(target), Some(folder)) => folder.join(target),
        (Ok(target), None) => target,
        (Err(_), _) => path.to_owned(),
    });
    let existing = match fs::metadata(&target) {
        Ok(existing) if existing.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(existing) if !existing.is_file() => {
            return Ok((OpenOptions::new().write(true).open(&target)?, None));
        }
        // A rename would replace it.
        Ok(existing) if existing.permissions().readonly() => {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(existing) => Some(existing),
        Err(error) if error.kind() == io::ErrorKind::NotFound && target.file_name().is_some() => None,
        Err(error) => return Err(error),
    };
    let (file, path) = create_beside(&target)?;
    let temporary = Temporary { path, target, renamed: false };
    if let Some(existing) = existing {
        file.set_permissions(existing.permissions())?;
    }
    Ok((file, Some(temporary)))
}

/// Creates a file of another name in the same folder.
fn create_beside(target: &Path) -> io::Result<(fs::File, PathBuf)> {
    static CREATED: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let path = target.with_file_name(format!(".agent-{}-{number}.part", process::id()));
        match fs::File::create_new(&path) {
            Ok(file) => return Ok((file, path)),
            // Left by a process that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
