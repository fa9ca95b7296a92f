//! The unread content of one stream, and how it is read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::deflate::Inflate;
use super::text::Utf8;
use super::{StreamError, StreamInfo};

/// What a part of the content costs beside its bytes.
const PART_OVERHEAD: usize = 64;

#[derive(Debug)]
pub(super) struct Reader {
    info: Arc<StreamInfo>,
    limit: u64,
    /// As received.
    parts: VecDeque<Bytes>,
    /// The size of `parts`, in bytes.
    unread: usize,
    /// Received bytes.
    pub(super) received: u64,
    /// Bytes that were read, after decompression.
    pub(super) read: u64,
    inflate: Option<Inflate>,
    text: Option<Utf8>,
    end: Option<Result<BTreeMap<String, String>, StreamError>>,
    /// Whether the end was returned.
    over: bool,
}

impl Reader {
    pub(super) fn new(info: Arc<StreamInfo>, limit: u64) -> Self {
        Self {
            text: info.is_text().then(Utf8::default),
            info,
            limit,
            parts: VecDeque::new(),
            unread: 0,
            received: 0,
            read: 0,
            inflate: None,
            end: None,
            over: false,
        }
    }

    pub(super) fn info(&self) -> &Arc<StreamInfo> {
        &self.info
    }

    /// Unread bytes as received, and what they cost beside.
    pub(super) const fn unread(&self) -> usize {
        self.unread
    }

    /// The size that adding this content would add.
    pub(super) const fn cost(content: &Bytes) -> usize {
        content.len() + PART_OVERHEAD
    }

    /// Whether nothing more is received.
    pub(super) const fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn push(&mut self, content: Bytes) {
        self.received += content.len() as u64;
        self.unread += Self::cost(&content);
        self.parts.push_back(content);
    }

    /// Ends the stream, after what is unread.
    pub(super) fn finish(&mut self, result: Result<BTreeMap<String, String>, StreamError>) {
        self.end.get_or_insert(result);
    }

    /// Ends the stream at once.
    pub(super) fn fail(&mut self, error: StreamError) {
        self.parts = VecDeque::new();
        self.unread = 0;
        self.inflate = None;
        self.end = Some(Err(error));
    }

    /// Whether [`next`](Self::next) is ready. A compressed part may turn out to contain nothing yet.
    pub(super) fn is_ready(&self) -> bool {
        self.end.is_some() || !self.parts.is_empty() || self.over
    }

    /// The next piece of the content, which is not empty: of a text, whole characters. After the end
    /// `Ready(None)`.
    pub(super) fn next(&mut self) -> Poll<Option<Result<Bytes, StreamError>>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            let piece = match self.piece() {
                Ok(Some(piece)) => piece,
                Ok(None) if self.end.is_none() => return Poll::Pending,
                Ok(None) => {
                    self.over = true;
                    return match self.check_end() {
                        Ok(()) => Poll::Ready(None),
                        Err(error) => Poll::Ready(Some(Err(error))),
                    };
                }
                Err(error) => {
                    self.fail(error.clone());
                    self.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            };
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(piece)));
            }
        }
    }

    /// The attributes of the trailer, once the end was read.
    pub(super) fn trailer(&self) -> Option<&BTreeMap<String, String>> {
        self.end.as_ref().filter(|_| self.over)?.as_ref().ok()
    }

    /// The next piece, possibly empty; `None`: there is nothing to read.
    fn piece(&mut self) -> Result<Option<Bytes>, StreamError> {
        let Some(part) = self.parts.front_mut() else { return Ok(None) };
        let piece = if self.info.compressed {
            let before = part.len();
            let piece = self.inflate.get_or_insert_with(Inflate::new).next(part)?;
            self.unread = self.unread.saturating_sub(before - part.len());
            // An empty piece and an empty part: the rest is in the next one.
            if piece.is_empty() && part.is_empty() {
                self.parts.pop_front();
                self.unread = self.unread.saturating_sub(PART_OVERHEAD);
            }
            piece
        } else {
            let part = self.parts.pop_front().unwrap_or_default();
            self.unread = self.unread.saturating_sub(Self::cost(&part));
            part
        };
        self.read += piece.len() as u64;
        if let Some(announced) = self.info.total_length.filter(|total| self.read > *total) {
            return Err(StreamError::LengthExceeded { announced });
        }
        if self.read > self.limit {
            return Err(StreamError::PayloadTooLarge { limit: self.limit });
        }
        match &mut self.text {
            Some(text) => text.push(piece).map(Some),
            None => Ok(Some(piece)),
        }
    }

    /// Whether the content is complete, when nothing more will be received.
    fn check_end(&self) -> Result<(), StreamError> {
        if let Some(Err(error)) = &self.end {
            return Err(error.clone());
        }
        match self.info.total_length {
            Some(total) if self.read < total => {
                let detail = format!("{} of the announced {total} bytes were received", self.read);
                return Err(StreamError::incomplete(detail));
            }
            // The announced length shows that it is complete, whether or not its compressor wrote an end.
            Some(_) => {}
            None if self.info.compressed && !self.inflate.as_ref().is_some_and(Inflate::is_complete) => {
                return Err(StreamError::incomplete("the compressed content has no end"));
            }
            None => {}
        }
        self.text.as_ref().map_or(Ok(()), Utf8::finish)
    }
}
