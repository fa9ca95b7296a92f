//! PCM of tracks in a room of the test, on virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use agent_media::{AudioCodec, AudioFormat, AudioFrame, AudioSenderOptions, EncoderOptions, RopusCodec};
use agent_room::{
    AudioTrackOptions, Connected, EncodedFrame, OutgoingFrame, OutgoingMedia, Participant, RoomCommand,
    RoomError, RoomInfo, Track, TrackKind,
};
use agent_testkit::Tone;

use crate::{AudioError, FrameSender, Room, RoomBackend, RoomRequest, TrackError};

const MS: Duration = Duration::from_millis(1);
const VOICE: AudioFormat = AudioFormat::MONO_16K;

fn tone(format: AudioFormat, duration: Duration) -> AudioFrame {
    let samples = Tone::new(440.0).samples(format.sample_rate(), format.channels(), duration);
    AudioFrame::new(format, samples).unwrap()
}

/// What a room has done so far.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    frames: Vec<(Instant, OutgoingFrame)>,
    commands: Vec<RoomCommand>,
}

impl Seen {
    fn frames(&self) -> Vec<(Instant, OutgoingFrame)> {
        self.0.lock().unwrap().frames.clone()
    }

    fn commands(&self) -> Vec<RoomCommand> {
        self.0.lock().unwrap().commands.clone()
    }
}

fn joined() -> (Room, RoomBackend) {
    let mut ada = Participant::new("PA_ada", "ada");
    ada.tracks.insert("TR_ada".to_owned(), Track::new("TR_ada", TrackKind::Audio));
    let mut connected = Connected::new(RoomInfo::new("RM_1", "lobby"), Participant::new("PA_me", "me"));
    connected.participants = vec![Arc::new(ada)];
    RoomBackend::new(connected)
}

/// A room whose server publishes every track, until it has taken this many frames.
fn room(most: usize) -> (Room, Seen) {
    let (room, mut backend) = joined();
    let seen = Seen::default();
    let log = seen.clone();
    tokio::spawn(async move {
        let mut outgoing = backend.outgoing_frames();
        let (mut id_of_track, mut taken) = (0, 0);
        loop {
            tokio::select! {
                request = backend.next_request() => match request {
                    Some(RoomRequest::Command { id, command, reply }) => {
                        if let RoomCommand::PublishTrack { .. } = command {
                            id_of_track = id;
                            backend.local_track(id, Some(Track::new("TR_me", TrackKind::Audio)));
                        }
                        log.0.lock().unwrap().commands.push(command);
                        reply.send(Ok(()));
                    }
                    Some(RoomRequest::Call { .. }) => unreachable!("no method was called"),
                    None => return,
                },
                (_, frame) = outgoing.next() => {
                    let OutgoingMedia::Audio(frame) = frame else { unreachable!("no video was sent") };
                    log.0.lock().unwrap().frames.push((Instant::now(), frame));
                    taken += 1;
                    if taken == most {
                        backend.local_track(id_of_track, None);
                    }
                }
            }
        }
    });
    (room, seen)
}

#[tokio::test(start_paused = true)]
async fn sound_is_sent_at_its_pace_and_the_end_of_it_is_awaited() {
    let (room, seen) = room(usize::MAX);
    let track = room.publish_audio(AudioTrackOptions::new("voice")).await.unwrap();
    let begun = Instant::now();
    track.push(&tone(VOICE, 100 * MS)).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO, "there is room for it");
    assert!(track.queued_duration() >= 99 * MS, "{:?}", track.queued_duration());
    track.wait_for_playout().await.unwrap();
    // The resampler holds back a part of it, for which there is a sixth packet.
    assert_eq!((begun.elapsed(), track.queued_duration()), (120 * MS, Duration::ZERO));
    let frames = seen.frames();
    for (number, (at, frame)) in (0u32..).zip(&frames) {
        assert_eq!(at.duration_since(begun), 20 * MS * number);
        let (first, _) = frames.first().map(|(_, frame)| (frame.timestamp, ())).unwrap();
        assert_eq!(frame.timestamp.wrapping_sub(first), 960 * number);
    }
    assert_eq!(frames.len(), 6);
    assert!(frames[1].1.audio_level.unwrap().dbov > -20, "{:?}", frames[1].1.audio_level);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_the_caller_wait() {
    let (room, seen) = room(usize::MAX);
    let track = room.publish_audio(AudioTrackOptions::new("voice"));
    let track = track.sender(AudioSenderOptions::new().queue(500 * MS)).await.unwrap();
    let begun = Instant::now();
    track.push(&tone(AudioFormat::STEREO_48K, 2000 * MS)).await.unwrap();
    assert_eq!(begun.elapsed(), 1500 * MS - 20 * MS, "half a second waits, and 20 ms are under way");
    track.wait_for_playout().await.unwrap();
    assert_eq!((begun.elapsed(), seen.frames().len()), (2000 * MS, 100));
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_agent_is_silent_at_once_and_has_its_position() {
    let (room, seen) = room(usize::MAX);
    let track = room.publish_audio(AudioTrackOptions::new("voice")).await.unwrap();
    track.push(&tone(AudioFormat::MONO_48K, 500 * MS)).await.unwrap();
    let waiting = tokio::spawn({
        let track = track.clone();
        async move { track.wait_for_playout().await }
    });
    tokio::time::sleep(110 * MS).await;
    assert_eq!(track.clear(), 380 * MS);
    assert_eq!(track.position(), 110 * MS);
    waiting.await.unwrap().unwrap();
    assert_eq!((track.position(), seen.frames().len()), (120 * MS, 6));
    // It continues afterwards.
    track.push(&tone(AudioFormat::MONO_48K, 20 * MS)).await.unwrap();
    track.wait_for_playout().await.unwrap();
    assert_eq!(seen.frames().len(), 7);
}

/// What a caller still wants to queue is part of the speech that is interrupted.
#[tokio::test(start_paused = true)]
async fn an_interruption_ends_a_push_that_waits() {
    let (room, seen) = room(usize::MAX);
    let track = room.publish_audio(AudioTrackOptions::new("voice")).await.unwrap();
    let begun = Instant::now();
    let pushing = tokio::spawn({
        let track = track.clone();
        async move { track.push(&tone(AudioFormat::MONO_48K, 10_000 * MS)).await }
    });
    tokio::time::sleep(110 * MS).await;
    assert!(!pushing.is_finished(), "the queue is full");
    track.clear();
    pushing.await.unwrap().unwrap();
    assert_eq!(begun.elapsed(), 110 * MS, "it does not wait for room");
    track.wait_for_playout().await.unwrap();
    assert_eq!((track.position(), seen.frames().len()), (120 * MS, 6));
    // What is pushed afterwards is played, also if it has to wait.
    track.push(&tone(AudioFormat::MONO_48K, 2_000 * MS)).await.unwrap();
    track.wait_for_playout().await.unwrap();
    assert_eq!(seen.frames().len(), 106);
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_unpublishes_the_track() {
    let (room, seen) = room(usize::MAX);
    let track = room.publish_audio(AudioTrackOptions::new("music").stereo(true)).await.unwrap();
    let clone = track.clone();
    drop(track);
    clone.push(&tone(AudioFormat::MONO_48K, 20 * MS)).await.unwrap();
    tokio::time::sleep(20 * MS).await;
    let expected = AudioTrackOptions::new("music").stereo(true).into();
    assert!(
        matches!(&seen.commands()[..], [RoomCommand::PublishTrack { options }] if *options == expected),
        "{:?}",
        seen.commands()
    );
    drop(clone);
    tokio::time::sleep(20 * MS).await;
    assert!(matches!(&seen.commands()[..], [_, RoomCommand::UnpublishTrack { .. }]), "{:?}", seen.commands());
}

#[tokio::test(start_paused = true)]
async fn a_track_that_the_server_ends_is_an_error_and_ends_a_wait() {
    let (room, _) = room(3);
    let track = room.publish_audio(AudioTrackOptions::new("voice")).await.unwrap();
    track.push(&tone(AudioFormat::MONO_48K, 900 * MS)).await.unwrap();
    let ended = Err(AudioError::Room(RoomError::TrackUnpublished));
    assert_eq!(track.wait_for_playout().await, ended);
    assert_eq!(track.push(&tone(AudioFormat::MONO_48K, 20 * MS)).await, ended);
}

#[tokio::test]
async fn invalid_options_are_refused_before_anything_is_published() {
    let (room, seen) = room(usize::MAX);
    let unsupported = AudioFormat::new(44_100, 1).unwrap();
    let refused = room.publish_audio(AudioTrackOptions::new("voice"));
    let refused = refused.sender(AudioSenderOptions::new().format(unsupported)).await;
    assert!(matches!(refused, Err(AudioError::Codec(_))), "{refused:?}");
    assert!(seen.commands().is_empty());
    let refused = room.audio("TR_nobody", VOICE).unwrap_err();
    assert!(matches!(refused, AudioError::Track(TrackError::NotPublished { .. })), "{refused:?}");
}

/// Sends a tone, one packet of 20 ms every 20 ms, without those of these numbers.
async fn play(frames: &mut FrameSender, packets: u32, lost: &[u32]) {
    let format = AudioFormat::MONO_48K;
    let mut encoder = RopusCodec.encoder(format, &EncoderOptions::new()).unwrap();
    let sound = tone(format, 20 * MS * packets);
    for (number, samples) in (0u32..).zip(sound.samples().chunks(960)) {
        let mut packet = Vec::new();
        encoder.encode(samples, &mut packet).unwrap();
        if !lost.contains(&number) {
            frames.send("TR_ada", EncodedFrame::new(packet, u64::from(number), number * 960));
        }
        tokio::time::sleep(20 * MS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sound_of_others_is_read_in_the_requested_format_without_gaps() {
    for format in [VOICE, AudioFormat::STEREO_48K, AudioFormat::new(44_100, 2).unwrap()] {
        let (room, backend) = joined();
        let mut frames = backend.frames();
        let mut audio = room.audio("TR_ada", format).unwrap();
        assert_eq!((audio.track_sid(), audio.format()), ("TR_ada", format));
        let playing = tokio::spawn(async move {
            play(&mut frames, 50, &[20]).await;
            drop(backend);
        });
        let (mut samples, mut concealed, mut last) = (Vec::new(), Duration::ZERO, Duration::ZERO);
        while let Some(received) = audio.next().await {
            assert_eq!(received.audio.format(), format);
            assert!(received.media_time >= last, "{:?} after {last:?}", received.media_time);
            last = received.media_time;
            if received.is_concealed {
                concealed += received.audio.duration();
            }
            samples.extend(received.audio.into_samples());
        }
        playing.await.unwrap();
        let seconds = samples.len() as f64 / f64::from(format.sample_rate()) / f64::from(format.channels());
        assert!((0.97..1.03).contains(&seconds), "{seconds} s of {format:?}");
        assert!((19 * MS..=21 * MS).contains(&concealed), "{concealed:?} of {format:?}");
        assert_eq!((audio.stats().jitter.lost, audio.stats().invalid, audio.dropped()), (1, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_the_newest_sound() {
    let (room, backend) = joined();
    let mut frames = backend.frames();
    let mut audio = room.audio("TR_ada", VOICE).unwrap().capacity(10);
    play(&mut frames, 100, &[]).await;
    drop(backend);
    assert_eq!(audio.dropped(), 90);
    let mut heard = Duration::ZERO;
    while let Some(received) = audio.next().await {
        heard += received.audio.duration();
    }
    assert!((180 * MS..=240 * MS).contains(&heard), "{heard:?}");
    let jitter = audio.stats().jitter;
    assert_eq!((jitter.dropped_before, jitter.lost), (90, 0));
}

/// A reader that pauses for 1.5 s: nothing is made up for what was dropped, and later losses are concealed as
/// before.
#[tokio::test(start_paused = true)]
async fn what_a_pausing_reader_drops_is_not_lost() {
    let (room, backend) = joined();
    let mut frames = backend.frames();
    let mut audio = room.audio("TR_ada", VOICE).unwrap();
    let playing = tokio::spawn(async move {
        play(&mut frames, 150, &[130]).await;
        drop(backend);
    });
    let mut concealed = Duration::ZERO;
    let (mut pieces, mut paused) = (0, false);
    while let Some(received) = audio.next().await {
        pieces += 1;
        if received.is_concealed {
            assert!(pieces > 80, "concealed after the pause");
            concealed += received.audio.duration();
        }
        if pieces == 25 {
            tokio::time::sleep(1_510 * MS).await;
            paused = true;
        }
    }
    playing.await.unwrap();
    let jitter = audio.stats().jitter;
    assert!(paused && (20..30).contains(&jitter.dropped_before), "{jitter:?}");
    assert_eq!(jitter.lost, 1, "{jitter:?}");
    assert!((19 * MS..=21 * MS).contains(&concealed), "{concealed:?}");
}
