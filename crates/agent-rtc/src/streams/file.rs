//! Files as byte streams.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncReadExt;

use agent_proto::BoxFuture;
use agent_room::{RoomError, StreamError, StreamKind};

use super::builder::private::Sealed;
use super::builder::{StreamBuilder, StreamContent};
use super::new_file::NewFile;
use super::reader::ByteReader;
use super::writer::ByteWriter;
use crate::Room;

/// How much of a file is read at a time, in bytes.
const PART: usize = 60_000;

/// A file that is sent, from [`Room::send_file`](crate::Room::send_file).
#[derive(Debug)]
pub struct WholeFile(pub(super) PathBuf);

/// Why a file was not sent or not received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read or written.
    #[error("the file {path:?} cannot be used: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// It was not sent.
    #[error("the file was not sent: {0}")]
    NotSent(#[from] RoomError),
    /// It was not received completely.
    #[error("the file was not received: {0}")]
    NotReceived(#[from] StreamError),
}

impl Sealed for WholeFile {}

impl StreamContent for WholeFile {
    type Sent = Result<String, FileError>;

    fn send(builder: StreamBuilder<Self>) -> BoxFuture<'static, Self::Sent> {
        Box::pin(send(builder))
    }
}

impl StreamBuilder<WholeFile> {
    /// A name for the recipients, instead of that of the file.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.kind = StreamKind::Bytes { name: name.into() };
        self
    }
}

impl ByteReader {
    /// Writes the content to a file as it is received, and returns its length in bytes. The file has a
    /// temporary name in the same folder until it is complete, and replaces an existing one then. If the
    /// content is incomplete, or the future is dropped, no file is left, and an existing one is as it was. So
    /// the folder must be writable, and the path not be a mount point; a read-only file is not replaced.
    ///
    /// # Errors
    /// [`FileError`]
    pub async fn save(mut self, path: impl AsRef<Path>) -> Result<u64, FileError> {
        save(&mut self, path.as_ref()).await
    }
}

/// Reads the file as it is sent: what the connection does not accept yet is not in memory.
async fn send(builder: StreamBuilder<WholeFile>) -> Result<String, FileError> {
    let StreamBuilder { room, mut options, content: WholeFile(path) } = builder;
    let failed = |source| FileError::Io { path: path.clone(), source };
    let mut file = File::open(&path).await.map_err(failed)?;
    let length = file.metadata().await.map_err(failed)?;
    if length.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    options.total_length = Some(length.len());
    if let StreamKind::Bytes { name } = &mut options.kind
        && name.is_empty()
        && let Some(file_name) = path.file_name()
    {
        *name = file_name.to_string_lossy().into_owned();
    }
    let mut writer = Room::open_stream(room, options).await.map(ByteWriter)?;
    loop {
        let mut part = Vec::with_capacity(PART);
        match (&mut file).take(PART as u64).read_to_end(&mut part).await {
            Ok(0) => break,
            Ok(_) => writer.write(part).await?,
            Err(error) => {
                writer.abort("the file cannot be read").await?;
                return Err(failed(error));
            }
        }
    }
    let id = writer.id().to_owned();
    writer.close().await?;
    Ok(id)
}

/// Writes the content of a stream to a file.
async fn save(reader: &mut ByteReader, path: &Path) -> Result<u64, FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    let mut file = NewFile::create(path).await.map_err(failed)?;
    let mut length = 0;
    while let Some(piece) = reader.next().await {
        let piece = piece?;
        length += piece.len() as u64;
        file.write(&piece).await.map_err(failed)?;
    }
    file.finish().await.map_err(failed)?;
    Ok(length)
}
