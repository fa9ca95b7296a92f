//! Jobs in a mock room, on virtual time.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

use agent_testkit::{JobSpec, MockParticipant, MockRoom, Run, SentText, run_job};
use agent_worker::media::{AudioFormat, AudioFrame, AudioTrack};
use agent_worker::room::{AudioTrackOptions, AutoSubscribe, TRANSCRIPTION_TOPIC};

use super::engine;
use crate::sounds;
use crate::transcriber::agent::transcriber;
use crate::transcriber::engine::{BoxError, Engine, Speech};

const REALTIME: &str = r#"{"action":"transcribe","realtime_output":true}"#;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A participant with a microphone.
struct Person {
    participant: MockParticipant,
    microphone: AudioTrack,
}

impl Person {
    async fn join(room: &MockRoom, identity: &str) -> Self {
        let participant = room.join(identity);
        let microphone = participant.room().publish_audio(AudioTrackOptions::new("microphone")).await;
        let person = Self { participant, microphone: microphone.unwrap() };
        room.wait_for_agent().await;
        person.pause(0.5).await;
        person
    }

    async fn speak(&self, duration: f64) {
        self.play(&sounds::vowels(AudioFormat::MONO_48K, seconds(duration))).await;
    }

    async fn pause(&self, duration: f64) {
        self.play(&AudioFrame::silence(AudioFormat::MONO_48K, seconds(duration))).await;
    }

    async fn play(&self, audio: &AudioFrame) {
        self.microphone.push(audio).await.unwrap();
        self.microphone.wait_for_playout().await.unwrap();
    }
}

fn job(metadata: &str) -> JobSpec {
    JobSpec::room("lobby").metadata(metadata).worker(|worker| worker.auto_subscribe(AutoSubscribe::None))
}

/// The text of a segment, whether it is final, and the speaker for whom it was sent.
fn texts<'a>(run: &'a Run) -> Vec<(&'a str, bool, &'a str)> {
    let text = |sent: &'a SentText| {
        assert_eq!((&*sent.topic, &sent.error), (TRANSCRIPTION_TOPIC, &None));
        let is_final = sent.attributes["lk.transcription_final"] == "true";
        (&*sent.text, is_final, sent.on_behalf_of.as_deref().unwrap())
    };
    run.texts_by_agent().map(text).collect()
}

/// An engine that returns how long a segment is, in seconds: what was spoken, and 0.3 s before and after it.
fn measuring() -> Engine {
    engine(async |speech: Speech| Ok(format!("{:.0}", speech.audio.duration().as_secs_f64())))
}

#[tokio::test]
async fn texts_come_while_people_speak() {
    let spec = job(REALTIME).script(|room| async move {
        let ada = Person::join(&room, "ada").await;
        ada.speak(3.4).await;
        ada.pause(2.0).await;
        ada.speak(0.3).await;
        ada.pause(2.0).await;
    });
    let run = run_job(transcriber(measuring()), spec).await;
    run.assert_success();
    let texts = texts(&run);
    let finals: Vec<_> = texts.iter().filter(|(_, is_final, _)| *is_final).collect();
    assert_eq!(finals, [&("4", true, "ada"), &("1", true, "ada")], "{texts:?}");
    let interim = texts.iter().take_while(|(_, is_final, _)| !is_final).count();
    assert_eq!(interim, 3, "each second: {texts:?}");

    // All texts of a segment have its id, and name the speaker's track.
    let sent: Vec<_> = run.texts_by_agent().collect();
    let (first, second) = sent.split_at(interim + 1);
    for segment in [first, second] {
        assert!(
            segment
                .iter()
                .all(|sent| sent.attributes["lk.segment_id"] == segment[0].attributes["lk.segment_id"])
        );
        assert!(segment.iter().all(|sent| sent.attributes["lk.transcribed_track_id"].starts_with("TR_")));
    }
    assert_ne!(first[0].attributes["lk.segment_id"], second[0].attributes["lk.segment_id"]);
}

#[tokio::test]
async fn without_realtime_output_texts_come_at_the_end_of_the_track_or_of_the_job() {
    let spec = job("").script(|room| async move {
        let ada = Person::join(&room, "ada").await;
        let bob = Person::join(&room, "bob").await;
        for person in [&ada, &bob, &ada] {
            person.speak(1.4).await;
            person.pause(1.0).await;
        }
        sleep(seconds(60.0)).await;
        assert_eq!(room.texts(), []);
        ada.microphone.unpublish().await.unwrap();
        room.wait_for_text(|_| true).await;
        sleep(seconds(60.0)).await;
        assert_eq!(room.texts().len(), 2);
        // Speech at the end of the job is a segment, too.
        bob.speak(2.7).await;
    });
    let run = run_job(transcriber(measuring()), spec.lasts(Duration::ZERO)).await;
    run.assert_success();
    let expected = [("2", true, "ada"), ("2", true, "ada"), ("2", true, "bob"), ("3", true, "bob")];
    assert_eq!(texts(&run), expected, "{}", run.timeline);
}

#[tokio::test]
async fn only_listed_participants_are_transcribed_in_the_given_language() {
    let metadata = r#"{"action":"transcribe","language":"pt-BR","model":"large-v3","participants":["bob"],"realtime_output":true}"#;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let engine = engine({
        let seen = Arc::clone(&seen);
        move |speech: Speech| {
            seen.lock().unwrap().push((speech.language, speech.model));
            async { Ok("olá".to_owned()) }
        }
    });
    let spec = job(metadata).script(|room| async move {
        let (ada, bob) = (Person::join(&room, "ada").await, Person::join(&room, "bob").await);
        for _ in 0..2 {
            tokio::join!(ada.speak(0.3), bob.speak(0.3));
            tokio::join!(ada.pause(1.0), bob.pause(1.0));
        }
        // The agent does not even receive the track of the other one.
        let is_heard = |person: &Person| {
            let subscribers = person.participant.subscribers(&person.microphone.sid());
            subscribers.iter().any(|subscriber| subscriber.identity.starts_with("agent-"))
        };
        assert_eq!((is_heard(&ada), is_heard(&bob)), (false, true));
    });
    let run = run_job(transcriber(engine), spec).await;
    run.assert_success();
    assert_eq!(texts(&run), [("olá", true, "bob"); 2]);
    assert_eq!(
        *seen.lock().unwrap(),
        [("pt-BR".to_owned(), "large-v3".to_owned()), ("pt-BR".to_owned(), "large-v3".to_owned())]
    );
}

/// A participant speaks four times, and is transcribed by this engine.
async fn four_segments(metadata: &str, engine: Engine) -> Run {
    let run = run_job(transcriber(engine), four_segments_of(metadata)).await;
    run.assert_success();
    run
}

fn four_segments_of(metadata: &str) -> JobSpec {
    job(metadata).script(|room| async move {
        let ada = Person::join(&room, "ada").await;
        for _ in 0..4 {
            ada.speak(0.3).await;
            ada.pause(1.0).await;
        }
    })
}

#[tokio::test]
async fn a_segment_without_a_text_is_skipped_and_the_job_continues() {
    for metadata in [REALTIME, ""] {
        let calls = AtomicUsize::new(0);
        let answer = move |_| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                match call {
                    0 => Err("no model".into()),
                    1 => Ok("x".repeat(1_000_000)),
                    2 => Ok("\u{1b}\0\n \t".to_owned()),
                    _ => Ok(" fine\nagain\u{7}".to_owned()),
                }
            }
        };
        assert_eq!(texts(&four_segments(metadata, engine(answer)).await), [("fine again", true, "ada")]);
    }
}

#[tokio::test]
async fn an_engine_that_hangs_delays_later_segments_and_not_the_end() {
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = {
        let calls = Arc::clone(&calls);
        move |_| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move { if call == 0 { pending().await } else { Ok(format!("segment {call}")) } }
        }
    };
    let run = four_segments(REALTIME, engine(answer)).await;
    let expected = ["segment 1", "segment 2", "segment 3"].map(|text| (text, true, "ada"));
    assert_eq!(texts(&run), expected, "{}", run.timeline);

    // One that always hangs: the job ends within its grace.
    let run = four_segments(REALTIME, engine(async |_| pending().await)).await;
    assert_eq!(texts(&run), []);
    assert!(run.duration < seconds(90.0), "{:?}", run.duration);
}

#[tokio::test]
async fn an_engine_that_hangs_at_the_end_loses_no_collected_text() {
    let calls = AtomicUsize::new(0);
    let answer = move |_| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        async move { if call < 3 { Ok(format!("segment {call}")) } else { pending().await } }
    };
    // The job is cancelled while the engine works on the last segment.
    let spec = four_segments_of("").lasts(Duration::ZERO);
    let run = run_job(transcriber(engine(answer)), spec).await;
    run.assert_success();
    let expected = ["segment 0", "segment 1", "segment 2"].map(|text| (text, true, "ada"));
    assert_eq!(texts(&run), expected, "{}", run.timeline);
}

#[tokio::test]
async fn a_final_text_replaces_the_interim_text() {
    /// Fails from this call on.
    async fn run(fails_from: usize, last: &'static str) -> Vec<(String, bool)> {
        let calls = AtomicUsize::new(0);
        let answer = move |speech: Speech| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                if call >= fails_from {
                    return Err::<_, BoxError>("overloaded".into());
                }
                let is_whole = speech.audio.duration() > seconds(2.2);
                Ok(if is_whole { last } else { "one" }.to_owned())
            }
        };
        let spec = job(REALTIME).script(|room| async move {
            let ada = Person::join(&room, "ada").await;
            ada.speak(1.9).await;
            ada.pause(1.0).await;
        });
        let run = run_job(transcriber(engine(answer)), spec).await;
        run.assert_success();
        texts(&run).into_iter().map(|(text, is_final, _)| (text.to_owned(), is_final)).collect()
    }
    let text = |text: &str, is_final| (text.to_owned(), is_final);
    assert_eq!(run(100, "one two").await, [text("one", false), text("one two", true)]);
    // The final text is empty.
    assert_eq!(run(100, "").await, [text("one", false), text("", true)]);
    // The engine fails: what was shown stays.
    assert_eq!(run(1, "").await, [text("one", false), text("one", true)]);
    assert_eq!(run(0, "").await, []);
}

#[tokio::test]
async fn a_microphone_that_is_muted_within_a_sentence_ends_it() {
    let spec = job(REALTIME).script(|room| async move {
        let ada = Person::join(&room, "ada").await;
        ada.speak(0.9).await;
        ada.microphone.mute().await.unwrap();
        room.wait_for_text(|sent| sent.attributes["lk.transcription_final"] == "true").await;
    });
    run_job(transcriber(measuring()), spec).await.assert_success();
}

#[tokio::test]
async fn a_room_that_is_deleted_ends_the_job_whatever_the_engine_does() {
    let spec = job(REALTIME).script(|room| async move {
        let ada = Person::join(&room, "ada").await;
        ada.speak(1.5).await;
        room.delete();
    });
    let run = run_job(transcriber(engine(async |_| pending().await)), spec).await;
    assert!(run.duration < seconds(3.0), "{:?}, {}", run.duration, run.timeline);
}

#[tokio::test]
async fn wrong_metadata_are_refused_before_the_room_is_joined() {
    for (metadata, error) in [
        (r#"{"action":"dance"}"#, r#"$.action = "dance": expected `transcribe`"#),
        (r#"{"language":7}"#, "$.language = 7: expected a string"),
        (r#"{"realtime_output":"yes"}"#, r#"$.realtime_output = "yes": expected true or false"#),
        (r#"{"participants":["ada",1]}"#, "$.participants[1] = 1: expected a string"),
        (r#"{"participant":["ada"]}"#, r#"$.participant = ["ada"]: unknown field"#),
        (r#"{"language":"en; rm"}"#, "$.language"),
        (r#"{"language":"--help"}"#, "$.language"),
        (r#"{"model":"../../etc/passwd"}"#, "$.model"),
        (r#"{"model":"-x"}"#, "$.model"),
        (r#"{"model":"$(id)"}"#, "$.model"),
        ("nonsense", "$"),
    ] {
        let run = run_job(transcriber(measuring()), job(metadata)).await;
        let outcome = run.outcome.to_string();
        assert!(outcome.starts_with(&format!("failed: invalid_input: {error}")), "{metadata}: {outcome}");
    }
    // As programs in Go write what is not set, and with the fields that the SDK reads.
    let empty = r#"{"language":"","model":"","participants":null,"realtime_output":false,"timeout":5,"request_id":"r"}"#;
    run_job(transcriber(measuring()), job(empty)).await.assert_success();
}
