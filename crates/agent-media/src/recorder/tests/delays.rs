//! Network delays that change, clocks that drift, and timestamps that jump.

use proptest::prelude::*;

use super::*;
use crate::opus_packet;

/// What happens to the packet with this number: after how many ms it arrives, and its timestamp in ms.
/// `None`: nothing is sent.
type Change = fn(u64) -> Option<(u64, u64)>;

/// Packets of 20 ms, each with its number in it.
fn speech(scene: &mut Scene, numbers: std::ops::Range<u64>, change: Change) {
    for number in numbers {
        let Some((delay, timestamp)) = change(number) else { continue };
        let mut packet = vec![0xf8];
        packet.extend((number as u32).to_be_bytes());
        let packet = RecordedAudio::new(packet, (timestamp as u32).wrapping_mul(48), 1);
        scene.at(20 * number + delay, RecorderInput::Audio(packet));
    }
}

/// The times of the packets of speech, in ms, and their numbers.
fn heard(file: &File) -> Vec<(u64, u64)> {
    let is_speech = |read: &&Read| read.track == 0 && read.payload.len() == 5;
    let heard = |read: &Read| {
        let number: [u8; 4] = read.payload[1..].try_into().unwrap();
        (read.time.as_millis() as u64, u64::from(u32::from_be_bytes(number)))
    };
    file.frames().iter().filter(is_speech).map(heard).collect()
}

/// How late each packet of speech is in the file, in ms: the neighbours that are alike are one.
fn lateness(file: &File) -> Vec<i64> {
    let late = |(time, number): &(u64, u64)| *time as i64 - 20 * *number as i64;
    let mut late: Vec<i64> = heard(file).iter().map(late).collect();
    late.dedup();
    late
}

/// That all packets with these numbers were written, and nothing else between them.
fn assert_whole(scene: &Scene, numbers: std::ops::Range<u64>) {
    let [file] = &scene.files[..] else { panic!("{:?}", scene.names()) };
    let written: Vec<u64> = heard(file).iter().map(|(_, number)| *number).collect();
    assert_eq!(written, numbers.collect::<Vec<_>>());
    let lengths = |read: &Read| opus_packet::duration(&read.payload).unwrap();
    let length: Duration = file.frames().iter().filter(|read| read.track == 0).map(lengths).sum();
    assert_eq!(length, ms(20 * written.len() as u64), "nothing was made up");
}

fn audio_scene() -> Scene {
    let mut scene = Scene::new(webm());
    scene.published(true, false);
    scene
}

/// Records this number of packets until a time in ms: all of them are written, and nothing else.
fn assert_nothing_lost(packets: u64, change: Change, until: u64) {
    let mut scene = audio_scene();
    speech(&mut scene, 0..packets, change);
    scene.finish(until);
    assert_eq!(scene.recorder.stats().dropped, 0);
    assert_whole(&scene, 0..packets);
}

/// The delay of packets and pictures that were captured at this time, of a network that is full for a while.
fn full_network(captured: u64) -> u64 {
    30 + if (20_000..80_000).contains(&captured) { 150 } else { 0 }
}

/// How late each picture is, in ms, from which one on.
fn picture_lateness(file: &File) -> Vec<(usize, i64)> {
    let late =
        file.times(1).into_iter().zip(0..).map(|(time, number)| (number, time as i64 - 40 * number as i64));
    let mut late: Vec<(usize, i64)> = late.collect();
    late.dedup_by_key(|(_, late)| *late);
    late
}

/// Frames of VP8 each 40 ms.
fn pictures(scene: &mut Scene, until: u64, delay: fn(u64) -> u64) {
    for captured in (0..until).step_by(40) {
        let is_key = captured == 0;
        let frame = RecordedVideo::new(VideoCodec::Vp8, vp8(is_key, SMALL), ms(7_000 + captured), is_key);
        scene.at(captured + delay(captured), RecorderInput::Video(frame));
    }
}

/// The publisher has reported when this was captured.
fn report(input: &mut RecorderInput, captured: Duration) {
    match input {
        RecorderInput::Audio(packet) => packet.captured = Some(captured),
        RecorderInput::Video(frame) => frame.captured = Some(captured),
        _ => {}
    }
}

#[test]
fn a_network_delay_that_rises_and_falls_changes_nothing() {
    let mut scene = Scene::new(webm());
    scene.published(true, true);
    speech(&mut scene, 0..5_000, |number| Some((full_network(20 * number), 20 * number)));
    pictures(&mut scene, 100_000, full_network);
    scene.finish(100_500);
    assert_eq!(scene.recorder.stats().dropped, 0);
    assert_whole(&scene, 0..5_000);
    assert_eq!(picture_lateness(&scene.files[0]), [(0, 0)]);
}

#[test]
fn a_clock_that_drifts_loses_nothing_and_adds_nothing() {
    // 200 ppm fast and slow, for ten minutes.
    let fast: Change = |number| Some((300 - number / 250, 20 * number));
    let slow: Change = |number| Some((30 + number / 250, 20 * number));
    for change in [fast, slow] {
        assert_nothing_lost(30_000, change, 601_000);
    }
}

#[test]
fn a_packet_of_another_time_is_left_out_alone() {
    const MINUTES: u64 = 30 * 60 * 1_000;
    let ahead: Change = |number| Some((30, 20 * number + if number == 500 { MINUTES } else { 0 }));
    let behind: Change = |number| Some((30, MINUTES + 20 * number - if number == 500 { MINUTES } else { 0 }));
    let seconds: Change = |number| Some((30, 20 * number + if number == 500 { 2_000 } else { 0 }));
    let last: Change = |number| Some((30, 20 * number + if number == 999 { MINUTES } else { 0 }));
    for (change, lost) in [(ahead, 500), (behind, 500), (seconds, 500), (last, 999)] {
        let mut scene = audio_scene();
        speech(&mut scene, 0..1_000, change);
        scene.finish(21_000);
        assert_eq!((scene.recorder.stats().dropped, scene.recorder.stats().parts), (1, 1));
        let numbers: Vec<u64> = heard(&scene.files[0]).iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, (0..1_000).filter(|number| *number != lost).collect::<Vec<_>>());
        assert_eq!(lateness(&scene.files[0]), [0]);
    }
}

#[test]
fn a_picture_of_another_time_is_left_out_alone() {
    let mut scene = Scene::new(webm());
    scene.published(false, true);
    pictures(&mut scene, 10_000, |_| 30);
    let stray = RecordedVideo::new(VideoCodec::Vp8, vp8(false, SMALL), ms(2_000_000), false);
    scene.at(5_031, RecorderInput::Video(stray));
    scene.finish(10_500);
    assert_eq!(scene.recorder.stats().dropped, 1);
    assert_eq!(scene.files[0].times(0), (0..250).map(|number| 40 * number).collect::<Vec<_>>());
}

#[test]
fn timestamps_that_jump_lose_nothing() {
    let steps: [Change; 4] = [
        |number| Some((30, 9_000 + 20 * number - if number < 500 { 0 } else { 3_000 })),
        |number| Some((30, 9_000 + 20 * number + if number < 500 { 0 } else { 3_000 })),
        |number| Some((30, 20 * number + if number < 500 { 0 } else { 1_800_000 })),
        // More than once.
        |number| Some((30, 90_000 + 20 * number - 3_000 * (number / 50))),
    ];
    for change in steps {
        assert_nothing_lost(1_000, change, 21_000);
    }
}

#[test]
fn timestamps_that_jump_while_the_network_is_full_lose_nothing() {
    let change: Change =
        |number| Some((full_network(20 * number), 20 * number + if number < 2_500 { 0 } else { 1_800_000 }));
    assert_nothing_lost(5_000, change, 100_500);
}

/// Another path is 300 ms longer, from 10 s on. Nothing is said from 30 s to 31 s.
#[test]
fn a_pause_corrects_sound_and_pictures_alike() {
    for is_reported in [false, true] {
        let mut scene = Scene::new(webm());
        scene.published(true, true);
        let delay = |captured: u64| 30 + if captured < 10_000 { 0 } else { 300 };
        speech(&mut scene, 0..2_500, |number| {
            let delay = 30 + if number < 500 { 0 } else { 300 };
            Some((delay, 20 * number)).filter(|_| !(1_500..1_550).contains(&number))
        });
        pictures(&mut scene, 50_000, delay);
        for (at, input) in scene.inputs.iter_mut().filter(|_| is_reported) {
            let captured = (*at - Time::ZERO).saturating_sub(ms(30));
            report(input, if captured < ms(10_000) { captured } else { captured - ms(300) });
        }
        scene.finish(51_000);
        assert_eq!(scene.recorder.stats().dropped, 0);
        let file = &scene.files[0];
        assert_eq!(lateness(file), [0, 300]);
        assert_eq!(heard(file)[1_500], (31_300, 1_550));
        assert_eq!(file.times(1).len(), 1_250);
        let late = picture_lateness(file);
        assert_eq!(late, [(0, 0), (783, 300)], "{is_reported}");
    }
}

#[test]
fn a_delay_that_grows_beyond_all_waiting_loses_nothing() {
    let mut scene = audio_scene();
    // It grows by 100 ms each second, up to 4 s, and falls back as fast.
    speech(&mut scene, 0..6_000, |number| {
        let (up, down) = (number.saturating_sub(500), number.saturating_sub(4_000));
        Some((30 + (2 * up).min(4_000) - (2 * down).min(4_000), 20 * number))
    });
    scene.finish(122_000);
    let heard = heard(&scene.files[0]);
    // When it falls, the recording is too late, which is corrected at once.
    let before: Vec<u64> =
        heard.iter().map(|(_, number)| *number).take_while(|number| *number < 4_000).collect();
    assert_eq!(before, (0..4_000).collect::<Vec<_>>());
    assert!(lateness(&scene.files[0]).iter().all(|late| (0..=4_500).contains(late)));
    assert!(heard.last().is_some_and(|(time, number)| time - 20 * number <= 2_500), "{:?}", heard.last());
    assert!(scene.recorder.stats().dropped < 300, "{:?}", scene.recorder.stats());
}

#[test]
fn sound_that_comes_after_silence_was_written_in_its_place_is_not_lost() {
    // Nothing comes from 10 s to 12.2 s, and then all at once. Nothing is said from 20 s to 25 s.
    let delay = |captured: u64| if (10_000..12_200).contains(&captured) { 12_230 - captured } else { 30 };
    for has_video in [false, true] {
        let mut scene = Scene::new(webm());
        scene.published(true, has_video);
        speech(&mut scene, 0..1_500, |number| {
            let delay = if (500..610).contains(&number) { 12_230 - 20 * number } else { 30 };
            Some((delay, 20 * number)).filter(|_| !(1_000..1_250).contains(&number))
        });
        if has_video {
            pictures(&mut scene, 30_000, delay);
        }
        scene.finish(31_000);
        assert_eq!(scene.recorder.stats().dropped, 0);
        let file = &scene.files[0];
        assert_eq!((heard(file).len(), lateness(file)), (1_250, vec![0, 1_000, 0]), "up to the next pause");
        if has_video {
            let late = picture_lateness(file);
            let late_at = |picture| late.iter().rfind(|(first, _)| *first <= picture).map(|(_, late)| *late);
            assert_eq!([200, 320, 490, 650, 740].map(late_at), [0, 1_000, 1_000, 0, 0].map(Some), "{late:?}");
        }
    }
}

/// The pause ends when the next window of times of arrival begins, at 15 s, or before or after that.
#[test]
fn timestamps_that_stood_still_move_no_pictures() {
    let pauses: [Change; 3] = [
        |number| Some((30 + if number < 500 { 0 } else { 4_000 }, 20 * number)),
        |number| Some((30 + if number < 500 { 0 } else { 4_900 }, 20 * number)),
        |number| Some((30 + if number < 500 { 0 } else { 5_000 }, 20 * number)),
    ];
    for (pause, is_reported) in pauses.into_iter().flat_map(|pause| [(pause, false), (pause, true)]) {
        let mut scene = Scene::new(webm());
        scene.published(true, true);
        speech(&mut scene, 0..1_500, pause);
        pictures(&mut scene, 34_000, |_| 30);
        for (at, input) in scene.inputs.iter_mut().filter(|_| is_reported) {
            report(input, (*at - Time::ZERO).saturating_sub(ms(30)));
        }
        scene.finish(36_000);
        assert_eq!((scene.recorder.stats().dropped, heard(&scene.files[0]).len()), (0, 1_500));
        let late = pause(500).map_or(0, |(delay, _)| delay as i64 - 30);
        assert_eq!(lateness(&scene.files[0]), [0, late]);
        assert_eq!(picture_lateness(&scene.files[0]), [(0, 0)]);
    }
}

#[test]
fn a_lost_packet_is_concealed_by_its_length_while_the_network_is_full() {
    let mut scene = audio_scene();
    // One in 50 is lost, and they overtake each other.
    speech(&mut scene, 0..5_000, |number| {
        let delay = full_network(20 * number) + if number % 7 == 3 { 50 } else { 0 };
        Some((delay, 20 * number)).filter(|_| number % 50 != 25)
    });
    scene.finish(100_500);
    assert_eq!((scene.recorder.stats().dropped, heard(&scene.files[0]).len()), (0, 4_900));
    assert_eq!(lateness(&scene.files[0]), [0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Of a network whose delay changes at any time, also within a word, and of any clock.
    #[test]
    fn what_runs_on_is_written_whole(
        delays in prop::collection::vec((0..400_u64, 1..400_u64), 1..20),
        jitter in prop::collection::vec(0..80_u64, 7),
        ppm in -200..200_i64,
        first in any::<u32>(),
    ) {
        let mut scene = audio_scene();
        let mut number = 0_u32;
        for (delay, packets) in delays {
            for _ in 0..packets {
                let captured = 20_000 * i64::from(number) * (1_000_000 + ppm) / 1_000_000;
                let packet = [&[0xf8][..], &number.to_be_bytes()].concat();
                let packet = RecordedAudio::new(packet, first.wrapping_add(960 * number), 1);
                let at = captured as u64 / 1_000 + delay + jitter[number as usize % 7];
                scene.at(at, RecorderInput::Audio(packet));
                number += 1;
            }
        }
        scene.finish(20 * u64::from(number) + 1_000);
        prop_assert_eq!(scene.recorder.stats().dropped, 0);
        assert_whole(&scene, 0..u64::from(number));
    }

    /// Of any jumps, and with stray packets between them.
    #[test]
    fn jumps_lose_nothing_but_stray_packets(
        segments in prop::collection::vec((10..100_u64, any::<u32>(), 0..300_u64, any::<Option<u32>>()), 1..12),
    ) {
        let mut scene = audio_scene();
        let (mut number, mut timestamp, mut strays, mut at) = (0_u32, 0_u32, 0, 0);
        for (packets, jump, delay, stray) in segments {
            // Jumps of more than a second.
            timestamp = timestamp.wrapping_add(jump % (u32::MAX - 200_000) + 100_000);
            for index in 0..packets {
                let packet = [&[0xf8][..], &number.to_be_bytes()].concat();
                // They do not overtake each other.
                at = at.max(20 * u64::from(number) + delay);
                scene.at(at, RecorderInput::Audio(RecordedAudio::new(packet, timestamp, 1)));
                if let Some(stray) = stray.filter(|_| index == 5) {
                    let stray = timestamp.wrapping_add(stray % (u32::MAX - 200_000) + 100_000);
                    let packet = RecordedAudio::new(&[0xf8, 1][..], stray, 1);
                    scene.at(at, RecorderInput::Audio(packet));
                    strays += 1;
                }
                number += 1;
                timestamp = timestamp.wrapping_add(960);
            }
        }
        scene.finish(20 * u64::from(number) + 1_000);
        let numbers: Vec<u64> = heard(&scene.files[0]).iter().map(|(_, number)| *number).collect();
        prop_assert_eq!(numbers, (0..u64::from(number)).collect::<Vec<_>>());
        prop_assert_eq!(scene.recorder.stats().dropped, strays);
    }
}
