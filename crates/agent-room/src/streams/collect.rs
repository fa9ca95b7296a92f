//! A text stream whose content is collected as it is received.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::reader::Reader;
use super::{StreamError, StreamInfo};

#[derive(Debug)]
pub(crate) struct Collected {
    reader: Reader,
    text: Vec<u8>,
}

impl Collected {
    /// At most `limit` bytes after decompression.
    pub(crate) fn new(info: Arc<StreamInfo>, limit: usize) -> Self {
        Self { reader: Reader::new(info, limit as u64), text: Vec::new() }
    }

    /// Collected bytes.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Adds content.
    pub(crate) fn push(&mut self, content: Bytes) -> Result<(), StreamError> {
        self.reader.push(content);
        self.drain()
    }

    /// The whole text, at the end of the stream.
    pub(crate) fn finish(mut self, result: Result<(), StreamError>) -> Result<String, StreamError> {
        result?;
        self.reader.finish(Ok(BTreeMap::new()));
        self.drain()?;
        String::from_utf8(self.text).map_err(|_| StreamError::InvalidUtf8)
    }

    fn drain(&mut self) -> Result<(), StreamError> {
        loop {
            match self.reader.next() {
                Poll::Pending | Poll::Ready(None) => return Ok(()),
                Poll::Ready(Some(piece)) => self.text.extend_from_slice(&piece?),
            }
        }
    }
}
