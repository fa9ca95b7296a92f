//! The agent that reports how loud each participant is and how long it talks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use agent_worker::media::{AudioError, AudioFrame, AudioStream, Level};
use agent_worker::room::TrackKind;
use agent_worker::{Agent, JobContext, JobError, JobResult, RoomEvent};

use crate::VoiceDetector;

const TOPIC: &str = "analysis";
const PERIOD: Duration = Duration::from_secs(5);

/// Maximum number of participants in a message: with the longest identities it is within the limit of data
/// messages.
const PART: usize = 32;

/// Maximum number of identities in the analysis, as any number of people may come and go.
const MAX_PEOPLE: usize = 1_000;

/// The sum of what was heard of a participant, on all of its tracks.
#[derive(Default)]
struct Totals {
    heard: Duration,
    speech: Duration,
    /// The energy of all samples: the power, of which 1 is full scale, times the seconds.
    energy: f64,
    /// The largest sample, in dBFS.
    peak: Option<f32>,
}

/// What is reported of a participant.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
struct Line {
    identity: String,
    heard_seconds: f64,
    speech_seconds: f64,
    mean_dbfs: f32,
    peak_dbfs: f32,
}

impl Totals {
    fn add(&mut self, audio: &AudioFrame, speech: Duration) {
        let level = audio.level();
        self.heard += audio.duration();
        self.speech += speech;
        self.energy += 10_f64.powf(f64::from(level.rms) / 10.0) * audio.duration().as_secs_f64();
        self.peak = Some(self.peak.map_or(level.peak, |peak| peak.max(level.peak)));
    }

    fn line(&self, identity: &str) -> Line {
        let silence = Level::SILENCE;
        let mean = 10.0 * (self.energy / self.heard.as_secs_f64()).log10();
        Line {
            identity: identity.to_owned(),
            heard_seconds: self.heard.as_secs_f64(),
            speech_seconds: self.speech.as_secs_f64(),
            // Nothing heard yet has no mean.
            mean_dbfs: if mean.is_finite() { mean as f32 } else { silence.rms },
            peak_dbfs: self.peak.unwrap_or(silence.peak),
        }
    }
}

/// The totals of all participants by identity.
#[derive(Clone, Default)]
struct Analysis {
    people: Arc<Mutex<BTreeMap<String, Totals>>>,
}

impl Analysis {
    /// Measures a track until it ends.
    async fn measure(&self, identity: String, mut audio: AudioStream) {
        let mut voice = VoiceDetector::new();
        while let Some(received) = audio.next().await {
            let mut speech = Duration::ZERO;
            let mut add = |_: &[i16], is_voice| {
                speech += if is_voice { VoiceDetector::FRAME_DURATION } else { Duration::ZERO };
            };
            voice.push(&received.audio, &mut add);
            let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
            if people.len() < MAX_PEOPLE || people.contains_key(&identity) {
                people.entry(identity.clone()).or_default().add(&received.audio, speech);
            }
        }
    }

    async fn report(&self, ctx: &JobContext) -> Result<(), JobError> {
        let lines: Vec<_> = {
            let people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
            people.iter().map(|(identity, totals)| totals.line(identity)).collect()
        };
        for part in lines.chunks(PART) {
            ctx.room().publish_data(TOPIC, serde_json::to_vec(part)?).await?;
        }
        Ok(())
    }
}

/// The agent: it has no metadata.
pub fn analyzer() -> impl Agent + use<> {
    analyze
}

async fn analyze(ctx: JobContext) -> JobResult {
    let analysis = Analysis::default();
    let mut events = ctx.room().events();
    let mut reports = tokio::time::interval(PERIOD);
    loop {
        let event = tokio::select! {
            _ = ctx.cancelled() => break,
            event = events.next() => event,
            _ = reports.tick() => {
                if let Err(error) = analysis.report(&ctx).await {
                    tracing::warn!(%error, "a report was not sent");
                }
                continue;
            }
        };
        match event {
            Some(RoomEvent::TrackPublished { participant, track }) if track.kind == TrackKind::Audio => {
                match listen(&ctx, &track.sid) {
                    Ok(audio) => {
                        let (analysis, identity) = (analysis.clone(), participant.identity.clone());
                        ctx.spawn(async move { analysis.measure(identity, audio).await });
                    }
                    Err(error) => tracing::warn!(%error, track = track.sid, "a track is not analyzed"),
                }
            }
            Some(_) => {}
            None => break,
        }
    }
    // A room that was closed takes no report.
    if ctx.is_in_room() {
        analysis.report(&ctx).await?;
    }
    Ok(())
}

fn listen(ctx: &JobContext, track_sid: &str) -> Result<AudioStream, AudioError> {
    ctx.room().audio(track_sid, VoiceDetector::FORMAT)
}

#[cfg(test)]
mod tests {
    use agent_testkit::{JobSpec, run_job};
    use agent_worker::media::AudioFormat;
    use agent_worker::room::AudioTrackOptions;

    use super::*;
    use crate::sounds;

    fn vowels() -> AudioFrame {
        sounds::vowels(AudioFormat::MONO_48K, Duration::from_secs(3))
    }

    #[tokio::test]
    async fn speakers_and_silent_participants_are_reported() {
        let job = JobSpec::room("lobby").script(|room| async move {
            room.wait_for_agent().await;
            let (ada, bob) = (room.join("ada"), room.join("bob"));
            let voice = ada.room().publish_audio(AudioTrackOptions::new("voice")).await.unwrap();
            let quiet = bob.room().publish_audio(AudioTrackOptions::new("quiet")).await.unwrap();
            let silence = AudioFrame::silence(AudioFormat::MONO_48K, Duration::from_secs(3));
            let vowels = vowels();
            tokio::try_join!(voice.push(&vowels), quiet.push(&silence)).unwrap();
            tokio::try_join!(voice.wait_for_playout(), quiet.wait_for_playout()).unwrap();
        });
        let run = run_job(analyzer(), job.lasts(Duration::from_secs(12))).await;
        run.assert_success();
        let reports: Vec<_> = run.sent_by_agent().filter(|sent| sent.topic == TOPIC).collect();
        assert!(reports.len() >= 3, "every five seconds and at the end: {reports:?}");
        let last: Vec<Line> = serde_json::from_str(&reports.last().unwrap().text()).unwrap();
        let [ada, bob] = &last[..] else { panic!("{last:?}") };
        assert_eq!((&*ada.identity, &*bob.identity), ("ada", "bob"));
        assert!((2.8..3.5).contains(&ada.heard_seconds) && ada.speech_seconds > 2.0, "{ada:?}");
        let level = vowels().level();
        assert!((ada.mean_dbfs - level.rms).abs() < 1.0, "{ada:?}, {level:?}");
        assert!((ada.peak_dbfs - level.peak).abs() < 2.0, "{ada:?}, {level:?}");
        assert!(bob.heard_seconds > 2.5 && bob.speech_seconds == 0.0 && bob.peak_dbfs < -80.0, "{bob:?}");
    }
}
