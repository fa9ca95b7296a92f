//! Any inputs at any times: no panic, and files that begin and end in order.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Input(RecorderInput),
    Wait(Duration),
    /// Does what is due.
    Timeout,
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(vec![0xf8, 0xff, 0xfe]),
        3 => Just(vp8(true, SMALL)),
        1 => Just(vp8(true, LARGE)),
        3 => Just(vp8(false, SMALL)),
        2 => prop::collection::vec(any::<u8>(), 0..50),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let audio = (payload(), prop_oneof![(0..2_000_000_u32).boxed(), any::<u32>().boxed()], 0..3_u32)
        .prop_map(|(payload, timestamp, source)| {
            RecorderInput::Audio(RecordedAudio::new(payload, timestamp, source))
        });
    let time =
        prop_oneof![(0..40_000_u64).prop_map(Duration::from_millis).boxed(), any::<Duration>().boxed()];
    let codec = prop::sample::select(vec![VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::H264]);
    let video = (payload(), time, any::<bool>(), codec, 0..3_u32, any::<Option<(u16, u16)>>()).prop_map(
        |(payload, timestamp, is_key, codec, source, size)| {
            let frame = RecordedVideo::new(codec, payload, timestamp, is_key);
            RecorderInput::Video(RecordedVideo { source, size, ..frame })
        },
    );
    let published =
        any::<(bool, bool)>().prop_map(|(audio, video)| RecorderInput::Published { audio, video });
    let wait = prop_oneof![
        8 => (0..300_u64).prop_map(Duration::from_millis),
        2 => (0..20_000_u64).prop_map(Duration::from_secs),
    ];
    prop_oneof![
        8 => audio.prop_map(Step::Input),
        8 => video.prop_map(Step::Input),
        1 => published.prop_map(Step::Input),
        8 => wait.prop_map(Step::Wait),
        4 => Just(Step::Timeout),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn files_begin_and_end_in_order(
        steps in prop::collection::vec(step(), 0..120),
        container in prop::sample::select(vec![Container::OggOpus, Container::WebM, Container::Mp4]),
        max_duration in prop::option::of((0..30_000_u64).prop_map(Duration::from_millis)),
    ) {
        let mut options = RecorderOptions::new("ada", container);
        if let Some(max_duration) = max_duration {
            options = options.max_duration(max_duration);
        }
        let mut scene = Scene::new(options);
        for step in steps {
            match step {
                Step::Input(input) => scene.recorder.handle_input(input, scene.now),
                Step::Wait(wait) => scene.now = scene.now + wait,
                Step::Timeout => scene.recorder.handle_timeout(scene.now),
            }
            scene.drain();
            // What has become due between two calls is done at once.
            if scene.recorder.poll_timeout().is_some_and(|due| due <= scene.now) {
                scene.recorder.handle_timeout(scene.now);
                scene.drain();
                prop_assert!(scene.recorder.poll_timeout().is_none_or(|due| due > scene.now));
            }
        }
        scene.recorder.handle_input(RecorderInput::Finish, scene.now);
        scene.drain();
        prop_assert!(scene.finished);
        let stats = scene.recorder.stats();
        prop_assert_eq!(stats.parts as usize, scene.files.len());
        let bytes: usize = scene.files.iter().map(|file| file.bytes.len()).sum();
        prop_assert_eq!(stats.bytes, bytes as u64);
        prop_assert!(scene.files.iter().all(|file| file.duration.is_some()));
    }
}
