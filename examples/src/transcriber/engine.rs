//! The seam to an engine: what turns speech into text is not part of the SDK.

use std::io::Cursor;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hound::{SampleFormat, WavSpec, WavWriter};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use agent_worker::media::AudioFrame;

/// Why there is no text, or no engine.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Maximum length of the text of a segment, in bytes: some hundred times that of 15 seconds of speech.
pub(crate) const MAX_TEXT: usize = 64 * 1024;

/// A segment of speech, and what an engine may need to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Speech {
    pub(crate) audio: AudioFrame,
    /// The spoken language; empty: the default of the engine.
    pub(crate) language: String,
    /// The model; empty: the default of the engine.
    pub(crate) model: String,
}

impl Speech {
    /// The segment as a WAV file.
    pub(crate) fn wav(&self) -> Result<Vec<u8>, BoxError> {
        let spec = WavSpec {
            channels: self.audio.channels().into(),
            sample_rate: self.audio.sample_rate(),
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut file = Cursor::new(Vec::with_capacity(44 + 2 * self.audio.samples().len()));
        let mut writer = WavWriter::new(&mut file, spec)?;
        for sample in self.audio.samples() {
            writer.write_sample(*sample)?;
        }
        writer.finalize()?;
        Ok(file.into_inner())
    }
}

/// Turns speech into text. Implementations: a [command](super::command), and an [HTTP endpoint](super::http).
pub(crate) trait SpeechToText: Send + Sync + 'static {
    /// The text of a segment; empty if nothing was said. The future can be dropped before it has ended, and
    /// leaves nothing behind.
    fn transcribe<'a>(&'a self, speech: &'a Speech) -> BoxFuture<'a, Result<String, BoxError>>;
}

/// An engine with limits: how many segments it works on at once, and how long on each.
pub struct Engine {
    stt: Box<dyn SpeechToText>,
    slots: Semaphore,
    limit: Duration,
}

impl Engine {
    pub(crate) fn new(stt: impl SpeechToText, at_once: usize, limit: Duration) -> Self {
        Self { stt: Box::new(stt), slots: Semaphore::new(at_once), limit }
    }

    /// The text of a segment, in one line.
    pub(crate) async fn transcribe(&self, speech: &Speech) -> Result<String, BoxError> {
        let _slot = self.slots.acquire().await?;
        let limit = self.limit;
        let text = timeout(limit, self.stt.transcribe(speech)).await;
        one_line(&text.map_err(|_| format!("the engine did not answer within {limit:?}"))??)
    }
}

/// The words of a text with single spaces between them, without control characters.
fn one_line(text: &str) -> Result<String, BoxError> {
    if text.len() > MAX_TEXT {
        return Err(too_long());
    }
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    Ok(words.collect::<Vec<_>>().join(" "))
}

pub(crate) fn too_long() -> BoxError {
    format!("the engine returned more than {MAX_TEXT} bytes").into()
}

/// The end of what an engine reports of a failure, for an error.
pub(crate) fn excerpt(report: &[u8]) -> String {
    const MAX: usize = 200;
    let text = String::from_utf8_lossy(report);
    let text = text.trim();
    let from = text.char_indices().rev().nth(MAX - 1).map_or(0, |(at, _)| at);
    let (_, end) = text.split_at(from);
    format!("{}{end:?}", if from > 0 { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use hound::WavReader;

    use agent_worker::media::AudioFormat;

    use super::*;

    #[test]
    fn a_wav_file_has_the_samples_and_their_format() {
        let audio = AudioFrame::new(AudioFormat::MONO_16K, vec![1, -2, i16::MIN, i16::MAX]).unwrap();
        let speech = Speech { audio, language: String::new(), model: String::new() };
        let wav = speech.wav().unwrap();
        let mut file = WavReader::new(&*wav).unwrap();
        assert_eq!((file.spec().channels, file.spec().sample_rate), (1, 16_000));
        let samples: Vec<i16> = file.samples().map(Result::unwrap).collect();
        assert_eq!(samples, speech.audio.samples());
    }

    #[test]
    fn texts_are_one_line_and_bounded() {
        assert_eq!(one_line(" one\n\n two\u{1b}[31m\t\0three \n").unwrap(), "one two [31m three");
        assert_eq!(one_line("\n\u{7f}").unwrap(), "");
        let error = one_line(&"x".repeat(MAX_TEXT + 1)).unwrap_err();
        assert_eq!(error.to_string(), "the engine returned more than 65536 bytes");
    }

    #[test]
    fn reports_are_shortened_and_escaped() {
        assert_eq!(excerpt(b" no model\n"), r#""no model""#);
        assert_eq!(excerpt(b"a\n\x1b\xff"), r#""a\n\u{1b}�""#);
        let long = excerpt(format!("{}end", "é".repeat(5_000)).as_bytes());
        assert!(long.starts_with("…\"é") && long.ends_with("end\"") && long.chars().count() == 203, "{long}");
    }
}
