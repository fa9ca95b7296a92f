//! Transcriptions that are received.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use agent_room::{MissedStreams, SpeechSegment, StreamError, TRANSCRIPTION_TOPIC, is_final};

use crate::Room;
use crate::streams::{TextReader, TextStreams};

/// Maximum length of a segment's text, in bytes: what follows is not read.
const MAX_TEXT: usize = 1024 * 1024;

/// The text of a segment of speech, as it is known now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transcript {
    /// The segment: its id, speaker and track.
    pub segment: SpeechSegment,
    /// Its whole text up to now. It replaces that of earlier items with the id of the segment.
    pub text: String,
    /// Whether the text is final.
    pub is_final: bool,
    /// Why the text is not complete, if its stream failed.
    pub error: Option<StreamError>,
}

/// The transcriptions of a room, from [`Room::transcripts`].
///
/// Each item is the text of a segment as it is known now, or [`MissedStreams`] where texts were dropped. It
/// ends with the room, or with the attempt that opened it.
pub struct Transcripts {
    streams: TextStreams,
    /// The streams that are being received, and their texts so far. A ready one moves to the end.
    open: VecDeque<(TextReader, Transcript)>,
    /// Whether no more streams are received.
    ended: bool,
}

impl Room {
    /// The transcriptions that agents send: of their own speech and of that of other participants. They are
    /// texts on the topic [`TRANSCRIPTION_TOPIC`](crate::TRANSCRIPTION_TOPIC). Older agents send
    /// [`TranscriptionReceived`](crate::RoomEvent::TranscriptionReceived) instead, and some send both.
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult};
    /// async fn minutes(ctx: JobContext) -> JobResult {
    ///     let mut transcripts = ctx.room().transcripts();
    ///     while let Some(Ok(transcript)) = ctx.run_until_cancelled(transcripts.next()).await.flatten() {
    ///         if transcript.is_final {
    ///             println!("{}: {}", transcript.segment.speaker, transcript.text);
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn transcripts(&self) -> Transcripts {
        let streams = self.text_streams(TRANSCRIPTION_TOPIC);
        Transcripts { streams, open: VecDeque::new(), ended: false }
    }
}

impl Transcripts {
    /// Waits for the next text; `None` after the room has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Transcript, MissedStreams>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Transcript, MissedStreams>>> {
        while !self.ended {
            match Pin::new(&mut self.streams).poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(Err(missed))) => return Poll::Ready(Some(Err(missed))),
                Poll::Ready(Some(Ok(reader))) => {
                    let segment = SpeechSegment::of(reader.info());
                    let text = Transcript { segment, text: String::new(), is_final: false, error: None };
                    self.open.push_back((reader, text));
                }
            }
        }
        for _ in 0..self.open.len() {
            let Some((mut reader, mut transcript)) = self.open.pop_front() else { break };
            match Pin::new(&mut reader).poll_next(cx) {
                Poll::Pending => self.open.push_back((reader, transcript)),
                Poll::Ready(Some(Ok(part))) if transcript.text.len() + part.len() <= MAX_TEXT => {
                    transcript.text.push_str(&part);
                    self.open.push_back((reader, transcript.clone()));
                    return Poll::Ready(Some(Ok(transcript)));
                }
                Poll::Ready(Some(Ok(_))) => {
                    transcript.error = Some(StreamError::PayloadTooLarge { limit: MAX_TEXT as u64 });
                    return Poll::Ready(Some(Ok(transcript)));
                }
                Poll::Ready(Some(Err(error))) => {
                    transcript.error = Some(error);
                    return Poll::Ready(Some(Ok(transcript)));
                }
                Poll::Ready(None) => {
                    transcript.is_final = is_final(&reader.attributes());
                    return Poll::Ready(Some(Ok(transcript)));
                }
            }
        }
        if self.ended && self.open.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl Stream for Transcripts {
    type Item = Result<Transcript, MissedStreams>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl fmt::Debug for Transcripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcripts").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
