//! Repeats what it hears: the sound of each participant comes back as a track of the agent's.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then dispatch the agent `echo`
//! to a room. With `--pass-through` the encoded frames go back as they are, without a codec.

use std::process::ExitCode;

use clap::Parser;

use agent_worker::cli::Cli;
use agent_worker::media::AudioFormat;
use agent_worker::room::{AudioTrackOptions, Participant, ParticipantKind, Track, TrackKind};
use agent_worker::{JobContext, JobError, JobResult, RoomEvent, Worker};

/// How sound comes back.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Decoded, and encoded again: between the two an agent can do something with it.
    Pcm,
    PassThrough,
}

async fn echo(ctx: JobContext, mode: Mode) -> JobResult {
    let mut events = ctx.room().events();
    loop {
        let event = tokio::select! {
            _ = ctx.cancelled() => return Ok(()),
            event = events.next() => event,
        };
        match event {
            // Two agents that repeat each other would never end.
            Some(RoomEvent::TrackSubscribed { participant, track })
                if track.kind == TrackKind::Audio && participant.kind != ParticipantKind::Agent =>
            {
                let room = ctx.clone();
                ctx.spawn(async move {
                    let result = match mode {
                        Mode::Pcm => repeat(&room, &participant, &track).await,
                        Mode::PassThrough => pass_through(&room, &participant, &track).await,
                    };
                    if let Err(error) = result {
                        tracing::warn!(%error, participant = participant.identity, "a track is not repeated");
                    }
                });
            }
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

async fn repeat(ctx: &JobContext, participant: &Participant, track: &Track) -> Result<(), JobError> {
    let mut heard = ctx.room().audio(&track.sid, AudioFormat::MONO_48K)?;
    let output = ctx.room().publish_audio(AudioTrackOptions::new(&participant.identity)).await?;
    while let Some(received) = heard.next().await {
        output.push(&received.audio).await?;
    }
    output.wait_for_playout().await?;
    Ok(())
}

async fn pass_through(ctx: &JobContext, participant: &Participant, track: &Track) -> Result<(), JobError> {
    let mut heard = ctx.room().encoded_audio(&track.sid)?;
    let output = ctx.room().publish_encoded_audio(AudioTrackOptions::new(&participant.identity)).await?;
    while let Some(frame) = heard.next().await {
        output.send(frame)?;
    }
    Ok(())
}

/// Repeats what it hears
#[derive(Debug, Parser)]
struct Options {
    /// Sends the encoded frames back as they are, without a codec
    #[arg(long)]
    pass_through: bool,

    #[command(flatten)]
    cli: Cli,
}

fn main() -> ExitCode {
    let Options { pass_through, cli } = Options::parse();
    let mode = if pass_through { Mode::PassThrough } else { Mode::Pcm };
    cli.main(Worker::builder(move |ctx| echo(ctx, mode)).default_agent_name("echo"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agent_testkit::{JobSpec, MeasuredSound, MockRoom, Tone, run_job};
    use agent_worker::media::AudioFrame;

    use super::*;

    /// Plays a second of a tone, and hears it come back.
    async fn plays_a_tone(room: MockRoom) {
        let ada = room.join("ada");
        let voice = ada.room().publish_audio(AudioTrackOptions::new("voice")).await.expect("published");
        let echo = room.wait_for_track(|who, _| who.kind == ParticipantKind::Agent).await;
        let mut heard = ada.room().audio(&echo.sid, AudioFormat::MONO_48K).expect("it is published");
        let (tone, format) = (Tone::new(440.0), AudioFormat::MONO_48K);
        let samples = tone.samples(48_000, 1, Duration::from_secs(1));
        voice.push(&AudioFrame::new(format, samples).expect("one channel")).await.expect("queued");
        voice.wait_for_playout().await.expect("played");
        voice.unpublish().await.expect("unpublished");
        let mut samples = Vec::new();
        while let Some(received) = heard.next().await {
            samples.extend(received.audio.into_samples());
        }
        let heard = MeasuredSound::of(&samples, 48_000, 1);
        assert!(heard.is(tone) && heard.duration().as_secs_f64() > 0.95, "{heard:?}");
    }

    #[tokio::test]
    async fn the_sound_of_a_participant_comes_back() {
        for mode in [Mode::Pcm, Mode::PassThrough] {
            let job = JobSpec::room("lobby").participant("bob").script(plays_a_tone);
            run_job(move |ctx| echo(ctx, mode), job).await.assert_success();
        }
    }
}
