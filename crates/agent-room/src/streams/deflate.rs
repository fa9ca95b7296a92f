//! Raw deflate (RFC 1951), in pieces.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::StreamError;

/// Maximum length of a decompressed piece.
pub(super) const PIECE: usize = 64 * 1024;

/// Decompresses one stream.
#[derive(Debug)]
pub(super) struct Inflate {
    state: Decompress,
    ended: bool,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Self { state: Decompress::new(false), ended: false }
    }

    /// Whether the compressed content is complete.
    pub(super) const fn is_complete(&self) -> bool {
        self.ended
    }

    /// Decompresses the start of `input` and removes it; returns at most [`PIECE`] bytes. An empty piece: it
    /// needs more input, and this one is empty.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Result<Bytes, StreamError> {
        let mut piece = Vec::with_capacity(PIECE);
        while !self.ended {
            let before = (self.state.total_in(), piece.len());
            let status = self.state.decompress_vec(input, &mut piece, FlushDecompress::None);
            let read = self.state.total_in() - before.0;
            // Not more than there was.
            let _ = input.split_to(usize::try_from(read).unwrap_or_default().min(input.len()));
            match status {
                Ok(Status::StreamEnd) => self.ended = true,
                Ok(Status::Ok | Status::BufError) if piece.len() >= PIECE => break,
                Ok(Status::Ok | Status::BufError) if read == 0 && piece.len() == before.1 => break,
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => return Err(StreamError::Decompression),
            }
        }
        // Content after its end, or content that the decoder does not read.
        if !input.is_empty() && (self.ended || piece.is_empty()) {
            return Err(StreamError::Decompression);
        }
        piece.shrink_to_fit();
        Ok(piece.into())
    }
}

/// Compresses one stream.
#[derive(Debug)]
pub(super) struct Deflate {
    state: Compress,
    ended: bool,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self { state: Compress::new(Compression::default(), false), ended: false }
    }

    /// Whether everything was returned.
    pub(super) const fn is_complete(&self) -> bool {
        self.ended
    }

    /// Compresses the start of `input`, after which nothing follows, and removes it; returns at most `limit`
    /// bytes. `None`: the compressor failed, which does not happen.
    pub(super) fn next(&mut self, input: &mut Bytes, limit: usize) -> Option<Bytes> {
        let mut piece = vec![0; limit];
        let mut len = 0;
        while !self.ended && len < limit {
            let before = (self.state.total_in(), self.state.total_out());
            let room = piece.get_mut(len..)?;
            let status = self.state.compress(input, room, FlushCompress::Finish).ok()?;
            let read = usize::try_from(self.state.total_in() - before.0).ok()?;
            let written = usize::try_from(self.state.total_out() - before.1).ok()?;
            let _ = input.split_to(read.min(input.len()));
            len += written;
            match status {
                Status::StreamEnd => self.ended = true,
                Status::Ok | Status::BufError if read == 0 && written == 0 => return None,
                Status::Ok | Status::BufError => {}
            }
        }
        piece.truncate(len);
        Some(piece.into())
    }
}

/// The compressed content, if it is shorter.
pub(super) fn shorter(content: &Bytes) -> Option<Bytes> {
    let mut deflate = Deflate::new();
    let compressed = deflate.next(&mut content.clone(), content.len())?;
    (deflate.is_complete() && compressed.len() < content.len()).then_some(compressed)
}
