//! The agent: it listens to the tracks of those who are transcribed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use agent_worker::media::{AudioError, AudioReceiverOptions, AudioStream, JitterOptions};
use agent_worker::room::{AgentState, TrackKind};
use agent_worker::{Agent, JobContext, JobResult, RoomEvent, typed};

use super::engine::Engine;
use super::metadata::TranscriptionJobMetadata;
use super::track::Transcription;
use crate::VoiceDetector;
use crate::parameters::settings;

/// A busy machine or network holds packets up. A text can come a little later, but should miss no sound.
const MIN_DELAY: Duration = Duration::from_millis(30);

/// What is left of the grace for the cleanup, when the last texts are waited for.
const RESERVE: Duration = Duration::from_secs(1);

/// The agent with this engine.
pub fn transcriber(engine: Engine) -> impl Agent + use<> {
    let engine = Arc::new(engine);
    typed(TranscriptionJobMetadata::format(), move |ctx, job| transcribe(ctx, job, engine))
}

async fn transcribe(ctx: JobContext, job: TranscriptionJobMetadata, engine: Arc<Engine>) -> JobResult {
    let job = Arc::new(settings(ctx.metadata()?, &TranscriptionJobMetadata::format(), job)?);
    let mut events = ctx.room().events();
    let mut tracks: Vec<JoinHandle<()>> = Vec::new();
    ctx.room().set_agent_state(AgentState::Listening).await?;
    loop {
        let event = tokio::select! {
            _ = ctx.cancelled() => break,
            event = events.next() => event,
        };
        match event {
            Some(RoomEvent::TrackPublished { participant, track })
                if track.kind == TrackKind::Audio && job.includes(&participant) =>
            {
                match listen(&ctx, &track.sid) {
                    Ok(audio) => {
                        let (job, engine) = (Arc::clone(&job), Arc::clone(&engine));
                        let track = Transcription::new(&ctx, &participant.identity, &track.sid, job, engine);
                        tracks.retain(|track| !track.is_finished());
                        tracks.push(ctx.spawn(track.run(ctx.clone(), audio)));
                    }
                    Err(error) => tracing::warn!(%error, track = track.sid, "a track is not transcribed"),
                }
            }
            Some(_) => {}
            None => break,
        }
    }
    // The tracks notice the end by themselves. A room that was closed takes no texts.
    if ctx.is_in_room() && timeout(ctx.grace().saturating_sub(RESERVE), join_all(tracks)).await.is_err() {
        tracing::warn!("the last segments were not transcribed: the engine is too slow");
    }
    Ok(())
}

fn listen(ctx: &JobContext, track_sid: &str) -> Result<AudioStream, AudioError> {
    let jitter = JitterOptions::default().min_delay(MIN_DELAY);
    ctx.room().audio(track_sid, AudioReceiverOptions::from(VoiceDetector::FORMAT).jitter(jitter))
}
