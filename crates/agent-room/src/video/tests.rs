use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use agent_proto::Time;

use super::*;
use crate::VideoCodec;

/// The packets of frames of three packets each, every tenth a key frame.
fn packets(frames: u64) -> Vec<VideoPacket> {
    (0..frames * 3)
        .map(|sequence| {
            let (frame, part) = (sequence / 3, sequence % 3);
            let tag = if frame % 10 == 0 { 0x10 } else { 0x11 };
            let number = u8::try_from(frame).unwrap();
            let payload = match part {
                0 => vec![0x10, tag, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xf0, 0, number],
                _ => vec![0x00, number, 7],
            };
            VideoPacket {
                source: 5,
                codec: VideoCodec::Vp8,
                sequence: 1_000 + sequence,
                timestamp: frame * 3_000,
                captured: (frame > 2).then(|| Duration::from_millis(1_000 + 33 * frame)),
                marker: part == 2,
                payload: payload.into(),
            }
        })
        .collect()
}

fn padding(sequence: u64, timestamp: u64) -> VideoPacket {
    let (source, codec) = (5, VideoCodec::Vp8);
    VideoPacket { source, codec, sequence, timestamp, captured: None, marker: false, payload: Bytes::new() }
}

struct Rig {
    receiver: VideoReceiver,
    now: Time,
    requests: usize,
    /// Whether there is a key for the frames.
    has_key: bool,
}

impl Rig {
    fn new() -> Self {
        let mut receiver = VideoReceiver::default();
        receiver.set_read("TR_1", true);
        Self { receiver, now: Time::ZERO, requests: 0, has_key: true }
    }

    fn after(&mut self, millis: u64) -> Vec<EncodedVideoFrame> {
        self.now = self.now + Duration::from_millis(millis);
        self.receiver.handle_timeout(self.now);
        self.drain()
    }

    fn push(&mut self, packets: impl IntoIterator<Item = VideoPacket>) -> Vec<EncodedVideoFrame> {
        let track: Arc<str> = "TR_1".into();
        for packet in packets {
            self.receiver.handle_packet(&track, packet, self.now);
        }
        self.drain()
    }

    fn drain(&mut self) -> Vec<EncodedVideoFrame> {
        let mut frames = Vec::new();
        while let Some(output) = {
            let has_key = self.has_key;
            self.receiver.poll_output(self.now, |_, frame| has_key.then_some(frame))
        } {
            match output {
                VideoOutput::Frame(track, frame) => {
                    assert_eq!(&*track, "TR_1");
                    frames.push(frame);
                }
                VideoOutput::RequestKeyFrame(source) => {
                    assert_eq!(source, 5);
                    self.requests += 1;
                }
            }
        }
        assert!(self.receiver.poll_timeout().is_none_or(|at| at > self.now));
        frames
    }
}

/// The number of each frame.
fn numbers(frames: &[EncodedVideoFrame]) -> Vec<u8> {
    frames.iter().map(|frame| frame.payload[10]).collect()
}

#[test]
fn frames_are_whole_and_described() {
    let mut rig = Rig::new();
    let frames = rig.push(packets(12));
    assert_eq!(numbers(&frames), (0..12).collect::<Vec<u8>>());
    let key: Vec<bool> = frames.iter().map(|frame| frame.key_frame).collect();
    assert_eq!(key, (0..12).map(|n| n % 10 == 0).collect::<Vec<_>>());
    assert_eq!((frames[10].width, frames[10].height, frames[11].width), (Some(320), Some(240), None));
    assert_eq!(frames[11].timestamp - frames[10].timestamp, Duration::from_nanos(33_333_333));
    assert!(frames.iter().all(|frame| !frame.after_loss && frame.source == 5));
    assert_eq!((frames[2].captured, frames[3].captured), (None, Some(Duration::from_millis(1_099))));
    assert_eq!(rig.requests, 0);
}

#[test]
fn after_frames_without_a_key_a_key_frame_is_awaited_and_requested() {
    let mut rig = Rig::new();
    let all = packets(31);
    assert_eq!(numbers(&rig.push(all[..9].to_vec())), [0, 1, 2]);
    rig.has_key = false;
    assert!(rig.push(all[9..15].to_vec()).is_empty());
    // A key frame is of no use to who cannot read it.
    assert!(rig.after(5_000).is_empty());
    assert_eq!(rig.requests, 0);
    rig.has_key = true;
    assert!(rig.push(all[15..24].to_vec()).is_empty(), "they need those that were dropped");
    assert_eq!(rig.requests, 1);
    assert!(rig.after(1_000).is_empty());
    assert_eq!(rig.requests, 2, "once a second");
    let frames = rig.push(all[24..36].to_vec());
    assert_eq!(numbers(&frames), [10, 11]);
    assert!(frames[0].after_loss && frames[0].key_frame && !frames[1].after_loss);
    assert!(rig.after(5_000).is_empty());
    assert_eq!(rig.requests, 2);
    // Several at once: what follows a dropped one is left out up to the key frame in the middle.
    rig.has_key = false;
    assert!(rig.push(all[36..39].to_vec()).is_empty());
    rig.has_key = true;
    let frames = rig.push(all[39..63].to_vec());
    assert_eq!((numbers(&frames), frames[0].after_loss), (vec![20], true));
    assert!(rig.after(5_000).is_empty());
    assert_eq!(rig.requests, 2, "the key frame was there");
}

#[test]
fn the_first_frame_that_can_be_read_follows_no_loss() {
    let mut rig = Rig::new();
    rig.has_key = false;
    assert!(rig.push(packets(21)[..33].to_vec()).is_empty());
    rig.has_key = true;
    let frames = rig.push(packets(21)[33..63].to_vec());
    assert_eq!(numbers(&frames), [20]);
    assert!(!frames[0].after_loss, "nothing was read before it");
}

#[test]
fn packets_may_come_in_another_order_late_and_twice() {
    let mut rig = Rig::new();
    let all = packets(4);
    assert_eq!(numbers(&rig.push(all[..4].to_vec())), [0]);
    // The fifth packet comes last.
    assert!(rig.push([7, 6, 5, 8].map(|at| all[at].clone())).is_empty());
    assert!(rig.after(299).is_empty());
    assert_eq!(numbers(&rig.push([4, 4, 1].map(|at| all[at].clone()))), [1, 2]);
    assert_eq!(numbers(&rig.push(all[9..].to_vec())), [3]);
    assert_eq!(rig.requests, 0);
}

#[test]
fn after_a_loss_a_key_frame_is_requested_until_it_comes() {
    let mut rig = Rig::new();
    let all = packets(21);
    rig.push(all[..9].to_vec());
    assert!(rig.push(all[10..27].to_vec()).is_empty());
    assert_eq!((rig.after(299).len(), rig.requests), (0, 0));
    assert_eq!((rig.after(1).len(), rig.requests), (0, 1));
    assert_eq!((rig.after(999).len(), rig.requests), (0, 1));
    assert_eq!((rig.after(1).len(), rig.requests), (0, 2));
    let frames = rig.push(all[27..].to_vec());
    assert_eq!(numbers(&frames), (10..21).collect::<Vec<u8>>());
    assert_eq!(frames.iter().map(|frame| frame.after_loss).filter(|after| *after).count(), 1);
    assert!(frames[0].after_loss && frames[0].key_frame);
    assert_eq!((rig.after(5_000).len(), rig.requests), (0, 2));
}

#[test]
fn a_stream_that_is_joined_in_its_middle_begins_with_a_requested_key_frame() {
    let mut rig = Rig::new();
    let all = packets(12);
    assert!(rig.push(all[4..30].to_vec()).is_empty());
    assert_eq!(rig.requests, 1);
    let frames = rig.push(all[30..].to_vec());
    assert_eq!(numbers(&frames), [10, 11]);
    assert!(!frames[0].after_loss, "it is the first one");
}

#[test]
fn padding_is_no_part_of_a_frame() {
    let mut rig = Rig::new();
    let mut all = packets(3);
    all[6..].iter_mut().for_each(|packet| packet.sequence += 4);
    rig.push(all[..6].to_vec());
    // Of the time of the previous frame, and of another one.
    let between = [(1_006, 3_000), (1_007, 3_000), (1_008, 4_000), (1_009, 6_000)];
    rig.push(between.map(|(sequence, timestamp)| padding(sequence, timestamp)));
    assert_eq!(numbers(&rig.push(all[6..].to_vec())), [2]);
}

#[test]
fn without_a_marker_a_frame_ends_with_the_next() {
    let mut rig = Rig::new();
    let mut all = packets(3);
    all.iter_mut().for_each(|packet| packet.marker = false);
    assert_eq!(numbers(&rig.push(all)), [0, 1]);
}

#[test]
fn a_key_frame_can_be_requested_once_a_second() {
    let mut rig = Rig::new();
    let all = packets(11);
    rig.push(all[..3].to_vec());
    for _ in 0..5 {
        rig.receiver.require_key_frame("TR_1");
        rig.receiver.require_key_frame("TR_2");
        rig.after(10);
    }
    assert_eq!(rig.requests, 1);
    rig.after(1_000);
    assert_eq!(rig.requests, 2);
    assert_eq!(rig.push(all[3..].to_vec()).len(), 10, "and nothing is left out");
    rig.after(5_000);
    assert_eq!(rig.requests, 2);
}

#[test]
fn a_track_that_is_not_read_has_no_frames_and_no_memory() {
    let mut rig = Rig::new();
    rig.receiver.set_read("TR_1", false);
    assert!(rig.push(packets(3)).is_empty());
    assert_eq!(format!("{:?}", rig.receiver), format!("{:?}", VideoReceiver::default()));
}

#[test]
fn packets_that_are_never_a_frame_are_bounded() {
    let mut rig = Rig::new();
    let first = packets(1).remove(0);
    let endless = (0..10_000).map(|n| VideoPacket { sequence: first.sequence + n, ..first.clone() });
    assert!(rig.push(endless).is_empty());
    let gaps = (0..10_000).map(|n| VideoPacket { sequence: 100_000 + 2 * n, marker: true, ..first.clone() });
    let frames = rig.push(gaps);
    assert!(frames.len() > 5_000, "each is a key frame, and one is missing before it: {}", frames.len());
    assert!(format!("{:?}", rig.receiver).matches("VideoPacket").count() <= 4_097);
}

proptest! {
    /// Whatever is lost, late or repeated: frames come in order, each is whole, and a frame that is none of a
    /// key frame follows the one before it. Some time after the last packet all are there that can be.
    #[test]
    fn no_frame_comes_without_the_one_before(
        fates in vec(prop_oneof![8 => Just(0_u64), 1 => Just(1), 1 => 2_u64..40], 90),
        random in any::<u64>(),
    ) {
        let mut rig = Rig::new();
        let mut arrivals: Vec<(u64, VideoPacket)> = Vec::new();
        let mut random = random;
        for (at, (packet, fate)) in packets(30).into_iter().zip(&fates).enumerate() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = u64::try_from(at).unwrap();
            match fate {
                0 => arrivals.push((at, packet)),
                1 => {}
                delay => {
                    arrivals.push((at + delay, packet.clone()));
                    if random % 2 == 0 {
                        arrivals.push((at + delay + 1, packet));
                    }
                }
            }
        }
        arrivals.sort_by_key(|(at, _)| *at);
        let mut frames = Vec::new();
        for (_, packet) in arrivals {
            frames.extend(rig.push([packet]));
            frames.extend(rig.after(11));
        }
        frames.extend(rig.after(1_000));
        let found = numbers(&frames);
        prop_assert!(found.is_sorted_by(|a, b| a < b));
        for (frame, number) in frames.iter().zip(&found) {
            prop_assert_eq!(frame.payload.len(), 15);
            let follows = number.checked_sub(1).is_some_and(|before| found.contains(&before));
            prop_assert!(frame.key_frame || follows, "{}: {:?}", number, found);
        }
    }

    #[test]
    fn anything_can_come(
        all in vec((0_u64..40, 0_u64..5, any::<bool>(), 0..5_usize, vec(any::<u8>(), 0..6), 0_u64..400), 0..200),
    ) {
        let mut rig = Rig::new();
        for (sequence, timestamp, marker, codec, payload, pause) in all {
            let codec = VideoCodec::ALL[codec];
            rig.push([VideoPacket {
                source: 5,
                codec,
                sequence,
                timestamp,
                captured: None,
                marker,
                payload: payload.into(),
            }]);
            rig.after(pause);
        }
    }
}
