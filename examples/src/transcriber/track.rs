//! The transcription of one track: its segments go to the engine, one after the other, and their texts to the
//! room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};

use agent_worker::JobContext;
use agent_worker::media::{AudioFrame, AudioStream};
use agent_worker::room::{RoomError, SpeechTranscript};

use super::engine::{BoxError, Engine, Speech};
use super::metadata::TranscriptionJobMetadata;
use super::segmenter::Segmenter;
use crate::VoiceDetector;

/// How much more speech there must be before another interim text of the same segment.
const INTERIM_STEP: Duration = Duration::from_secs(1);

/// Maximum number of segments that wait for an engine that is slower than their speaker.
const MAX_WAITING: usize = 8;

/// Maximum length of the texts that are kept for the end, in bytes: a day of talking.
const MAX_COLLECTED: usize = 1024 * 1024;

/// The transcription of a track.
pub(crate) struct Transcription {
    speaker: String,
    job: Arc<TranscriptionJobMetadata>,
    engine: Arc<Engine>,
    voice: VoiceDetector,
    segmenter: Segmenter,
    /// Segments that were not passed to the engine yet.
    waiting: VecDeque<Vec<i16>>,
    running: Option<Recognition>,
    /// The samples that the last interim text of the open segment was made of.
    interim_len: usize,
    /// The last interim text of the segment that is shown.
    shown: Option<String>,
    /// Texts that are sent at the end, and their length.
    collected: Vec<String>,
    collected_len: usize,
    transcript: SpeechTranscript,
}

/// A text that the engine works on.
struct Recognition {
    is_final: bool,
    text: BoxFuture<'static, Result<String, BoxError>>,
}

impl Transcription {
    pub(crate) fn new(
        ctx: &JobContext,
        speaker: &str,
        track_sid: &str,
        job: Arc<TranscriptionJobMetadata>,
        engine: Arc<Engine>,
    ) -> Self {
        Self {
            speaker: speaker.to_owned(),
            job,
            engine,
            voice: VoiceDetector::new(),
            segmenter: Segmenter::default(),
            waiting: VecDeque::new(),
            running: None,
            interim_len: 0,
            shown: None,
            collected: Vec::new(),
            collected_len: 0,
            transcript: ctx.room().transcribe(speaker, track_sid),
        }
    }

    /// Transcribes the track until it ends, or the job does; then the last speech, and sends the collected
    /// texts.
    pub(crate) async fn run(mut self, ctx: JobContext, mut audio: AudioStream) {
        loop {
            tokio::select! {
                received = audio.next() => match received {
                    Some(received) => self.process(&received.audio),
                    None => break,
                },
                (is_final, text) = recognized(&mut self.running) => self.take(is_final, text).await,
                _ = ctx.cancelled() => break,
            }
            self.start_next();
        }
        self.finish(&ctx).await;
    }

    fn process(&mut self, audio: &AudioFrame) {
        let Self { voice, segmenter, waiting, interim_len, speaker, .. } = self;
        voice.push(audio, |frame, is_voice| {
            if let Some(segment) = segmenter.push(frame, is_voice) {
                *interim_len = 0;
                if waiting.len() < MAX_WAITING {
                    waiting.push_back(segment);
                } else {
                    tracing::warn!(speaker, "a segment was not transcribed: the engine is too slow");
                }
            }
        });
    }

    /// Passes the next speech to the engine: a whole segment, which does not wait for an interim text, or
    /// else the speech of the open segment so far.
    fn start_next(&mut self) {
        if !self.waiting.is_empty() && self.running.as_ref().is_some_and(|running| !running.is_final) {
            self.running = None;
        }
        if self.running.is_some() {
            return;
        }
        if let Some(segment) = self.waiting.pop_front() {
            self.running = Some(self.recognition(segment, true));
        } else if self.job.realtime_output
            && let Some(segment) = self.segmenter.spoken()
            && segment.len().saturating_sub(self.interim_len)
                >= VoiceDetector::FORMAT.samples_in(INTERIM_STEP)
        {
            let segment = segment.to_vec();
            self.interim_len = segment.len();
            self.running = Some(self.recognition(segment, false));
        }
    }

    fn recognition(&self, samples: Vec<i16>, is_final: bool) -> Recognition {
        let (engine, job) = (Arc::clone(&self.engine), Arc::clone(&self.job));
        let text = async move {
            let audio = AudioFrame::new(VoiceDetector::FORMAT, samples)?;
            let speech = Speech { audio, language: job.language.clone(), model: job.model.clone() };
            engine.transcribe(&speech).await
        };
        Recognition { is_final, text: text.boxed() }
    }

    /// Takes a text of the engine.
    async fn take(&mut self, is_final: bool, text: Result<String, BoxError>) {
        self.running = None;
        let speaker = &*self.speaker;
        match text {
            Ok(text) if is_final => self.end_segment(text).await,
            Ok(text) => self.show(text).await,
            Err(error) if is_final => {
                tracing::warn!(speaker, %error, "a segment was not transcribed");
                // What was shown of it is better than nothing.
                let text = self.shown.clone().unwrap_or_default();
                self.end_segment(text).await;
            }
            Err(error) => tracing::debug!(speaker, %error, "a segment has no interim text"),
        }
    }

    async fn show(&mut self, text: String) {
        if !text.is_empty() && self.shown.as_ref() != Some(&text) {
            self.shown = Some(text.clone());
            let sent = self.transcript.interim(text).await;
            self.report(sent);
        }
    }

    /// Ends a segment with its text. Without one nothing is sent, unless an interim text was shown, which it
    /// replaces.
    async fn end_segment(&mut self, text: String) {
        let was_shown = self.shown.take().is_some();
        if self.job.realtime_output {
            if was_shown || !text.is_empty() {
                self.send(text).await;
            }
        } else if self.collected_len + text.len() > MAX_COLLECTED {
            tracing::warn!(speaker = self.speaker, "the transcript is full: a segment was dropped");
        } else if !text.is_empty() {
            self.collected_len += text.len();
            self.collected.push(text);
        }
    }

    async fn send(&mut self, text: String) {
        let sent = self.transcript.finish(text).await;
        self.report(sent);
    }

    fn report(&self, sent: Result<(), RoomError>) {
        if let Err(error) = sent {
            tracing::warn!(speaker = self.speaker, %error, "a text was not sent");
        }
    }

    /// Waits for the texts of all segments, and sends those that were collected: at the end of the track all
    /// together, at the end of the job at once, and the last ones as they come. The engine may take longer
    /// than what is left of the job.
    async fn finish(&mut self, ctx: &JobContext) {
        self.waiting.extend(self.segmenter.finish());
        self.start_next();
        while self.running.is_some() {
            let is_cancelled = ctx.cancel_reason().is_some();
            if is_cancelled {
                self.send_collected().await;
            }
            tokio::select! {
                (is_final, text) = recognized(&mut self.running) => self.take(is_final, text).await,
                _ = ctx.cancelled(), if !is_cancelled => {}
            }
            self.start_next();
        }
        self.send_collected().await;
    }

    async fn send_collected(&mut self) {
        for text in std::mem::take(&mut self.collected) {
            self.send(text).await;
        }
    }
}

/// The next text of the engine. Dropping this loses nothing.
async fn recognized(running: &mut Option<Recognition>) -> (bool, Result<String, BoxError>) {
    match running {
        Some(Recognition { is_final, text }) => (*is_final, text.await),
        None => pending().await,
    }
}
