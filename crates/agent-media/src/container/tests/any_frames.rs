//! Any frames in any order: no panic, a bounded memory, and what was taken is there.

use bytes::Bytes;
use proptest::prelude::*;

use super::read;
use super::*;
use crate::container::pending::MAX_BYTES;

fn payload() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        6 => Just(Bytes::from_static(&OPUS)),
        4 => Just(Bytes::from_static(VP8_KEY)),
        4 => Just(Bytes::from_static(VP8_DELTA)),
        // An access unit of H.264, and something like one.
        2 => prop::collection::vec(any::<u8>(), 0..30).prop_map(|bytes| [&[0, 0, 0, 1, 0x65][..], &bytes].concat().into()),
        2 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from),
        1 => (1_usize..3_000_000).prop_map(|len| vec![0xf8; len].into()),
        1 => Just(Bytes::new()),
    ]
}

fn timestamp() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (0..5_000_000_u64).prop_map(Duration::from_micros),
        2 => (0..100_000_u64).prop_map(Duration::from_secs),
        1 => any::<Duration>(),
        1 => Just(Duration::MAX),
    ]
}

fn tracks() -> impl Strategy<Value = (Container, Vec<TrackFormat>)> {
    prop_oneof![
        Just((Container::OggOpus, vec![AUDIO])),
        Just((Container::WebM, vec![AUDIO, vp8()])),
        Just((Container::WebM, vec![vp8(), AUDIO, AUDIO])),
        Just((Container::Mp4, vec![AUDIO, vp8()])),
        Just((Container::Mp4, vec![vp8()])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn accepted_frames_are_in_the_file(
        (container, tracks) in tracks(),
        frames in prop::collection::vec((0..4_usize, payload(), timestamp(), any::<bool>(), 0..20_u8), 0..80),
        sorted in any::<bool>(),
    ) {
        let mut frames = frames;
        if sorted {
            frames.sort_by_key(|(_, _, timestamp, _, _)| *timestamp);
        }
        let timescales: Vec<u64> = tracks.iter().map(|track| if track.is_video() { 90_000 } else { 48_000 }).collect();
        let mut writer = ContainerWriter::new(container, tracks.clone()).unwrap();
        let (mut file, mut taken, mut waiting) = (Vec::new(), vec![Vec::new(); tracks.len()], 0);
        for (track, payload, timestamp, is_key, flush) in frames {
            let len = payload.len();
            let Ok(written) = writer.write(track, ContainerFrame::video(payload.clone(), timestamp, is_key)) else { continue };
            taken[track].push((timestamp, payload));
            // What is kept is less than a part and a frame.
            waiting += len;
            if !written.is_empty() {
                waiting = len;
            }
            prop_assert!(container == Container::OggOpus || waiting <= MAX_BYTES + len);
            file.extend(written);
            if flush == 0 {
                file.extend(writer.flush().unwrap());
                waiting = 0;
            }
        }
        let end = writer.finish().unwrap();
        if let Some(header) = &end.header {
            prop_assert!(header.len() <= file.len() + end.append.len());
        }
        end.complete(&mut file);
        if container == Container::OggOpus {
            let packets = read::ogg(&file);
            let mut found = packets.iter().map(|(packet, ..)| packet);
            for (_, payload) in &taken[0] {
                prop_assert!(found.any(|packet| packet == payload), "a packet is missing, or out of order");
            }
            return Ok(());
        }
        let read = match container {
            Container::WebM => read::webm(&file),
            _ => read::mp4(&file, &timescales),
        };
        for (track, taken) in taken.iter().enumerate() {
            let found: Vec<_> = read.iter().filter(|read| read.track == track).collect();
            prop_assert_eq!(found.len(), taken.len());
            for (read, (timestamp, payload)) in found.iter().zip(taken) {
                prop_assert_eq!(&read.payload[..], &payload[..]);
                let off = read.time.abs_diff(*timestamp);
                prop_assert!(off <= ms(1), "{off:?}");
            }
        }
    }

    /// Codecs whose frames are read and rewritten.
    #[test]
    fn any_bytes_of_any_codec(
        payload in prop::collection::vec(any::<u8>(), 0..100),
        nal in any::<bool>(),
        codec in prop::sample::select(vec![VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::Av1, VideoCodec::H264, VideoCodec::H265]),
    ) {
        let mut payload = payload;
        if nal {
            payload.splice(0..0, [0, 0, 1, 0x67]);
        }
        if let Ok(format) = VideoFormat::of_key_frame(codec, &payload) {
            let mut writer = ContainerWriter::new(Container::Mp4, vec![TrackFormat::Video(format)]).unwrap();
            let _ = writer.write(0, ContainerFrame::video(payload.clone(), ms(0), true));
            let _ = writer.write(0, ContainerFrame::video(payload, ms(1), false));
            writer.finish().unwrap();
        }
    }
}
