//! Writes files in a task of its own, so that a slow disk holds up no frames before its queue is full.

use std::io::{self, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// How many parts of a file wait for the disk at most: each is a second or a few MiB.
const QUEUED: usize = 8;

/// What is done with files.
pub(super) enum Command {
    /// Creates one, which must not exist.
    Create(PathBuf),
    Append(Bytes),
    /// Writes this over the beginning, and closes it.
    End(Option<Bytes>),
}

pub(super) type Commands = mpsc::Sender<Command>;

/// A queue of commands, and what carries them out until the sender is dropped.
pub(super) fn writer() -> (Commands, impl Future<Output = io::Result<()>>) {
    let (commands, queue) = mpsc::channel(QUEUED);
    (commands, write(queue))
}

async fn write(mut queue: mpsc::Receiver<Command>) -> io::Result<()> {
    let mut file: Option<File> = None;
    while let Some(command) = queue.recv().await {
        match (command, &mut file) {
            (Command::Create(path), _) => {
                // Nothing that is there is written over.
                let opened = OpenOptions::new().write(true).create_new(true).open(&path).await;
                let named =
                    |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                file = Some(opened.map_err(named)?);
            }
            (Command::Append(bytes), Some(file)) => {
                file.write_all(&bytes).await?;
                // What the operating system has outlives this process.
                file.flush().await?;
            }
            (Command::End(header), Some(open)) => {
                if let Some(header) = header {
                    open.seek(SeekFrom::Start(0)).await?;
                    open.write_all(&header).await?;
                }
                open.flush().await?;
                open.sync_all().await?;
                file = None;
            }
            (Command::Append(_) | Command::End(_), None) => {}
        }
    }
    Ok(())
}
