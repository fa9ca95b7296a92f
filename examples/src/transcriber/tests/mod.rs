//! The agent in a mock room with engines of a test, and real engines by themselves.

mod command;
mod http;
mod jobs;
mod options;

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use agent_worker::media::{AudioFormat, AudioFrame};

use super::engine::{BoxError, Engine, Speech, SpeechToText};

/// An engine that a test plays.
struct PlayedEngine<F>(F);

impl<F, Fut> SpeechToText for PlayedEngine<F>
where
    F: Fn(Speech) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
{
    fn transcribe<'a>(&'a self, speech: &'a Speech) -> BoxFuture<'a, Result<String, BoxError>> {
        (self.0)(speech.clone()).boxed()
    }
}

fn engine<F, Fut>(answer: F) -> Engine
where
    F: Fn(Speech) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
{
    Engine::new(PlayedEngine(answer), 4, Duration::from_secs(30))
}

/// A segment for an engine.
fn speech(language: &str, model: &str) -> Speech {
    let audio = AudioFrame::silence(AudioFormat::MONO_16K, Duration::from_secs(1));
    Speech { audio, language: language.to_owned(), model: model.to_owned() }
}
