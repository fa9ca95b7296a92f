//! What is in which file, and when.

use super::*;
use crate::opus_packet;

/// Gaps between neighbours.
fn steps(times: &[u64]) -> Vec<u64> {
    let mut steps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.dedup();
    steps
}

#[test]
fn audio_and_video_are_in_one_file_at_the_times_of_their_capture() {
    let mut scene = Scene::new(webm());
    scene.published(true, true);
    scene.audio(100..5_100, 7);
    // The camera begins later, and its timestamps have nothing to do with those of audio.
    scene.video(900..5_100, 9, SMALL);
    scene.finish(6_000);
    assert_eq!(scene.names(), ["ada-001.webm"]);
    let file = &scene.files[0];
    let (audio, video) = (file.times(0), file.times(1));
    assert_eq!((audio.len(), audio[0], steps(&audio)), (250, 0, vec![20]));
    assert_eq!((video.len(), video[0], steps(&video)), (105, 800, vec![40]));
    assert_eq!(file.duration, Some(ms(5_000)));
    assert_eq!(scene.recorder.stats().dropped, 0);
    assert_eq!((scene.recorder.stats().frames, scene.recorder.stats().parts), (355, 1));
}

#[test]
fn a_file_begins_after_two_seconds_with_what_has_come() {
    let mut scene = Scene::new(webm());
    // The camera is muted.
    scene.published(true, true);
    scene.audio(0..5_000, 1);
    scene.finish(2_500);
    assert_eq!(scene.names(), ["ada-001.webm"]);
    assert_eq!(scene.files[0].times(0)[0], 0, "what waited is in it");
}

#[test]
fn later_video_begins_a_part_with_both() {
    let mut scene = Scene::new(webm());
    scene.published(true, false);
    scene.audio(0..9_000, 1);
    scene.video(3_000..6_000, 2, SMALL);
    scene.finish(10_000);
    assert_eq!(scene.names(), ["ada-001.webm", "ada-002.webm"]);
    assert_eq!(scene.files[0].duration, Some(ms(3_000)));
    assert_eq!(scene.files[0].times(0).len(), 150);
    assert_eq!((scene.files[1].times(0).len(), scene.files[1].times(1).len()), (300, 75), "none is lost");
    assert_eq!(scene.files[1].times(1)[0], 0);
}

#[test]
fn another_size_begins_another_part() {
    let mut scene = Scene::new(webm());
    scene.published(true, true);
    scene.audio(0..6_000, 1);
    scene.video(0..2_000, 2, SMALL);
    // The server sends another layer, as a stream of its own.
    scene.video(2_000..4_000, 3, LARGE);
    scene.video(4_000..6_000, 3, LARGE);
    scene.finish(7_000);
    assert_eq!(scene.names(), ["ada-001.webm", "ada-002.webm"]);
    let frames: Vec<_> = scene.files.iter().map(|file| (file.times(0).len(), file.times(1).len())).collect();
    assert_eq!(frames, [(100, 50), (200, 100)], "a key frame of the same size does not");
}

#[test]
fn a_connection_that_is_re_established_changes_no_file_and_no_time() {
    let mut scene = Scene::new(webm());
    scene.published(true, true);
    scene.audio(0..3_000, 1);
    scene.video(0..3_000, 2, SMALL);
    scene.audio(5_000..8_000, 11);
    scene.video(5_000..8_000, 12, SMALL);
    scene.finish(9_000);
    assert_eq!(scene.names(), ["ada-001.webm"]);
    let file = &scene.files[0];
    let video = file.times(1);
    assert!(video.contains(&2_960) && video.contains(&5_000) && video.len() == 150, "{video:?}");
    // The sound has no hole, and what comes after it is where it was.
    let sound: u32 = file
        .frames()
        .iter()
        .filter(|read| read.track == 0)
        .map(|read| opus_packet::samples(&read.payload).unwrap())
        .sum();
    assert_eq!(sound, 8_000 * 48);
    let packets = file.frames();
    let after: Vec<_> = packets.iter().filter(|read| read.track == 0 && read.time >= ms(5_000)).collect();
    assert!(after.len() == 150 && after[0].time == ms(5_000), "{:?}", after.first());
}

#[test]
fn lost_packets_are_concealed_and_a_mute_is_silence() {
    let mut scene = Scene::new(webm());
    scene.published(true, false);
    scene.audio(0..1_000, 1);
    // Two packets are lost.
    scene.audio(1_040..2_000, 1);
    // Half a minute of mute.
    scene.audio(32_000..33_000, 1);
    scene.finish(34_000);
    assert_eq!(scene.names(), ["ada-001.webm"]);
    let frames = scene.files[0].frames();
    let lost: Vec<_> = frames.iter().filter(|read| (ms(1_000)..ms(1_040)).contains(&read.time)).collect();
    assert_eq!(lost.iter().map(|read| &read.payload[..]).collect::<Vec<_>>(), [[0xfb, 2]]);
    let mut at = Duration::ZERO;
    for read in &frames {
        assert_eq!(read.time, at, "no hole");
        at += opus_packet::duration(&read.payload).unwrap();
    }
    assert_eq!((at, scene.files[0].duration), (ms(33_000), Some(ms(33_000))));
    // Silence is written while it lasts: a file that ends there has it.
    assert!(frames.len() < 150 + 300, "and takes little space: {}", frames.len());
}

#[test]
fn a_muted_track_is_silence_while_the_video_continues() {
    let mut scene = Scene::new(webm());
    scene.published(true, true);
    scene.audio(0..1_000, 1);
    scene.video(0..10_000, 2, SMALL);
    scene.finish(11_000);
    let frames = scene.files[0].frames();
    // In the order of the file, sound is never far behind the picture.
    let (mut audio, mut video) = (Duration::ZERO, Duration::ZERO);
    for read in frames {
        if read.track == 0 {
            audio = read.time
        } else {
            video = read.time
        }
        assert!(video.saturating_sub(audio) < ms(2_500), "{audio:?} {video:?}");
    }
}

#[test]
fn a_recording_ends_at_its_maximum() {
    let mut scene = Scene::new(webm().max_duration(ms(2_000)));
    scene.published(true, true);
    scene.audio(1_000..9_000, 1);
    scene.video(1_000..9_000, 2, SMALL);
    scene.finish(9_000);
    assert_eq!(scene.names(), ["ada-001.webm"]);
    assert_eq!(scene.files[0].duration, Some(ms(2_000)));
    let file = &scene.files[0];
    assert_eq!((file.times(0).len(), file.times(1).len()), (100, 50));
}

#[test]
fn video_begins_with_a_key_frame_which_is_requested() {
    let mut scene = Scene::new(webm());
    scene.published(false, true);
    for captured in (0..4_000).step_by(40) {
        let is_key = captured == 2_800;
        let frame = RecordedVideo::new(VideoCodec::Vp8, vp8(is_key, SMALL), ms(captured), is_key);
        scene.at(captured + 30, RecorderInput::Video(frame));
    }
    scene.finish(5_000);
    assert_eq!(scene.names(), ["ada-001.webm"]);
    assert_eq!(scene.files[0].times(0), (0..30).map(|n| n * 40).collect::<Vec<_>>());
    assert_eq!(scene.key_requests.len(), 1, "after the patience, once a second: {:?}", scene.key_requests);
}

#[test]
fn audio_only_takes_no_video() {
    let mut scene = Scene::new(RecorderOptions::new("ada", Container::OggOpus));
    scene.published(true, true);
    scene.audio(0..1_000, 1);
    scene.video(0..1_000, 2, SMALL);
    scene.finish(2_000);
    assert_eq!(scene.names(), ["ada-001.ogg"]);
    assert_eq!(read::ogg(&scene.files[0].bytes).last().unwrap().1, Some(48_000));
}

#[test]
fn names_of_files_have_no_paths() {
    let name = |name: &str| RecorderOptions::new(name, Container::Mp4).file_name(Container::Mp4, 1);
    assert_eq!(name("../../etc/passwd"), "_.._.._etc_passwd-001.mp4");
    assert_eq!(name(".hidden"), "_.hidden-001.mp4");
    assert_eq!(name(""), "_-001.mp4");
    assert_eq!(name("Zoë & Co\n"), "Zo____Co_-001.mp4");
    assert_eq!(name(&"x".repeat(500)).len(), 100 + 8);
}

#[test]
fn a_camera_that_is_muted_changes_no_file() {
    let mut scene = Scene::new(webm());
    scene.published(true, true);
    scene.audio(0..6_000, 1);
    scene.video(0..2_000, 2, SMALL);
    // What livekit-server sends then.
    for number in 0..3 {
        let at = 2_000 + 40 * number;
        let mut blank = RecordedVideo::new(VideoCodec::Vp8, vp8(true, (8, 8)), ms(2_000_000 + at), true);
        blank.source = 2;
        scene.at(at + 30, RecorderInput::Video(blank));
    }
    scene.video(4_000..6_000, 2, SMALL);
    scene.finish(7_000);
    assert_eq!(scene.names(), ["ada-001.webm"]);
    assert_eq!((scene.files[0].times(1).len(), scene.recorder.stats().dropped), (100, 3));
}

#[test]
fn a_file_with_stereo_packets_has_two_channels() {
    // 20 ms of CELT, the second one stereo.
    for (tocs, channels) in [([0xf8, 0xf8], 1), ([0xf8, 0xfc], 2)] {
        let mut scene = Scene::new(RecorderOptions::new("ada", Container::OggOpus));
        scene.published(true, false);
        for (number, toc) in (0..100).zip(tocs.into_iter().cycle()) {
            let packet = RecordedAudio::new(vec![toc, 0xff, 0xfe], 960 * number, 1);
            scene.at(u64::from(20 * number), RecorderInput::Audio(packet));
        }
        scene.finish(3_000);
        let head = scene.files[0].bytes.windows(8).position(|at| at == b"OpusHead").unwrap();
        assert_eq!(scene.files[0].bytes[head + 9], channels);
    }
}

#[test]
fn sound_that_is_not_sent_at_the_end_is_silence() {
    let mut scene = Scene::new(webm());
    scene.published(true, true);
    // Its last packet comes some time before the last picture, as nobody speaks.
    scene.audio(0..2_600, 1);
    scene.video(0..3_000, 2, SMALL);
    scene.finish(3_100);
    let (audio, video) = (scene.files[0].times(0), scene.files[0].times(1));
    assert_eq!(video.last(), Some(&2_960));
    // Silence comes in packets of up to 120 ms.
    assert!(audio.last().is_some_and(|last| (2_800..3_000).contains(last)), "{audio:?}");
}

#[test]
fn pictures_that_take_longer_are_in_sync_once_the_publisher_has_reported() {
    let mut scene = Scene::new(webm());
    scene.published(true, true);
    let reported = |captured: u64| (captured >= 3_000).then(|| ms(1_700_000_000_000 + captured));
    for captured in (0..6_000).step_by(20) {
        let mut packet = RecordedAudio::new(&[0xf8, 0xff, 0xfe][..], 48 * captured as u32, 1);
        packet.captured = reported(captured);
        scene.at(captured + 30, RecorderInput::Audio(packet));
    }
    for captured in (0..6_000).step_by(40) {
        let is_key = captured == 0;
        let mut frame =
            RecordedVideo::new(VideoCodec::Vp8, vp8(is_key, SMALL), ms(70_000 + captured), is_key);
        frame.captured = reported(captured);
        // Encoding takes 100 ms.
        scene.at(captured + 130, RecorderInput::Video(frame));
    }
    scene.finish(6_500);
    let video = scene.files[0].times(1);
    assert_eq!((video.len(), scene.recorder.stats().dropped), (150, 0), "none is lost");
    let late = |at: usize| video[at] - 40 * at as u64;
    assert_eq!((late(20), late(149)), (100, 0));
    assert!(video.windows(2).all(|pair| pair[0] < pair[1]), "{video:?}");
}

/// A disk or a machine that was slow for a while: what has come is handed over at once, before any timeout.
#[test]
fn frames_that_waited_for_the_driver_are_written_in_order_and_without_silence() {
    let mut scene = Scene::new(webm());
    scene.published(true, true);
    scene.audio(0..10_000, 1);
    scene.video(0..10_000, 2, SMALL);
    let (before, mut waited): (Vec<_>, Vec<_>) =
        std::mem::take(&mut scene.inputs).into_iter().partition(|(at, _)| *at < Time::ZERO + ms(2_100));
    scene.inputs = before;
    scene.play();
    let now = Time::ZERO + ms(10_100);
    waited.sort_by_key(|(at, _)| *at);
    for (_, input) in waited {
        scene.recorder.handle_input(input, now);
        scene.drain();
    }
    scene.now = now;
    scene.finish(10_300);
    assert_eq!(scene.recorder.stats().dropped, 0);
    let file = &scene.files[0];
    assert_eq!((file.times(0).len(), steps(&file.times(0))), (500, vec![20]));
    assert_eq!((file.times(1).len(), steps(&file.times(1))), (250, vec![40]));
}

/// Some publishers stop their timestamps while they send nothing, and do not tell.
#[test]
fn timestamps_that_stood_still_over_a_pause_lose_no_audio() {
    let mut scene = Scene::new(webm());
    scene.published(true, false);
    scene.audio(0..12_000, 1);
    for (at, input) in &mut scene.inputs {
        if matches!(input, RecorderInput::Audio(_)) && *at >= Time::ZERO + ms(6_000) {
            *at = *at + ms(4_000);
        }
    }
    scene.finish(16_200);
    assert_eq!(scene.recorder.stats().dropped, 0);
    let times = scene.files[0].times(0);
    let begin = times.iter().filter(|time| **time < 5_950).count();
    let end = times.iter().filter(|time| **time >= 10_000).count();
    assert!(
        (297..=299).contains(&begin) && (299..=302).contains(&end),
        "{begin} and {end} packets: {times:?}"
    );
}

#[test]
fn a_packet_that_is_not_opus_begins_no_file() {
    let mut scene = Scene::new(webm());
    scene.published(true, false);
    // 63 frames of 20 ms are more than a packet may have.
    for at in [10, 30] {
        scene.at(at, RecorderInput::Audio(RecordedAudio::new(&[0xfb, 0x3f][..], at as u32 * 48, 1)));
    }
    scene.finish(5_000);
    assert_eq!((scene.names(), scene.recorder.stats().dropped), (vec![], 2));
}
