//! Recordings on virtual time.
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

mod any_inputs;
mod clock;
mod delays;
mod scenes;

use std::time::Duration;

use agent_proto::Time;

use super::*;
use crate::container::tests::read::{self, Read};
use crate::container::{Container, VideoCodec};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A file that was written.
#[derive(Debug, Default)]
struct File {
    name: String,
    bytes: Vec<u8>,
    /// Of a file that was completed.
    duration: Option<Duration>,
}

impl File {
    /// Its frames. Track 0 is audio if there is any.
    fn frames(&self) -> Vec<Read> {
        match self.name.rsplit_once('.').unwrap().1 {
            "webm" => read::webm(&self.bytes),
            "mp4" => read::mp4(&self.bytes, &[48_000, 90_000]),
            other => panic!("{other}"),
        }
    }

    /// The times of the frames of a track, in ms.
    fn times(&self, track: usize) -> Vec<u64> {
        let of_track = |read: &Read| read.track == track;
        self.frames().iter().filter(|read| of_track(read)).map(|read| read.time.as_millis() as u64).collect()
    }
}

/// A recorder, its files, and what comes when.
struct Scene {
    recorder: Recorder,
    now: Time,
    inputs: Vec<(Time, RecorderInput)>,
    files: Vec<File>,
    key_requests: Vec<Time>,
    finished: bool,
}

impl Scene {
    fn new(options: RecorderOptions) -> Self {
        Self {
            recorder: Recorder::new(options),
            now: Time::ZERO,
            inputs: Vec::new(),
            files: Vec::new(),
            key_requests: Vec::new(),
            finished: false,
        }
    }

    fn at(&mut self, millis: u64, input: RecorderInput) {
        self.inputs.push((Time::ZERO + ms(millis), input));
    }

    /// Packets of 20 ms that are captured in this range of ms, and arrive 30 ms later and sometimes 80 ms.
    /// The stream's timestamps begin at any number.
    fn audio(&mut self, range: std::ops::Range<u64>, source: u32) {
        for (number, captured) in range.step_by(20).enumerate() {
            let delay = if number % 7 == 3 { 80 } else { 30 };
            let timestamp = (captured as u32).wrapping_mul(48).wrapping_add(source.wrapping_mul(1_000_003));
            let packet = RecordedAudio::new(&[0xf8, 0xff, 0xfe][..], timestamp, source);
            self.at(captured + delay, RecorderInput::Audio(packet));
        }
    }

    /// Frames of VP8 each 40 ms, of which the first is a key frame of this size, and arrive 30 ms later.
    fn video(&mut self, range: std::ops::Range<u64>, source: u32, size: (u16, u16)) {
        for (number, captured) in range.step_by(40).enumerate() {
            let mut frame = RecordedVideo::new(
                VideoCodec::Vp8,
                vp8(number == 0, size),
                ms(captured + 1_000_000 * u64::from(source)),
                number == 0,
            );
            frame.source = source;
            self.at(captured + 30, RecorderInput::Video(frame));
        }
    }

    fn published(&mut self, audio: bool, video: bool) {
        self.at(0, RecorderInput::Published { audio, video });
    }

    /// Runs until this time, with all that comes, and ends the recording.
    fn finish(&mut self, millis: u64) {
        self.at(millis, RecorderInput::Finish);
        self.play();
        assert!(self.finished);
    }

    /// Runs with all that comes.
    fn play(&mut self) {
        let mut inputs = std::mem::take(&mut self.inputs);
        inputs.sort_by_key(|(at, _)| *at);
        for (at, input) in inputs {
            while let Some(due) =
                self.recorder.poll_timeout().map(|due| due.max(self.now)).filter(|due| *due < at)
            {
                self.now = due;
                self.recorder.handle_timeout(due);
                self.drain();
                let next = self.recorder.poll_timeout();
                assert!(next.is_none_or(|next| next > due), "{next:?} is in the past at {due}");
            }
            self.now = at;
            self.recorder.handle_input(input, at);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.recorder.poll_output() {
            assert!(!self.finished, "{output:?} after the end");
            match output {
                RecorderOutput::Begin { file_name, container } => {
                    assert!(self.files.last().is_none_or(|file| file.duration.is_some()));
                    assert!(file_name.ends_with(container.extension()));
                    self.files.push(File { name: file_name, ..File::default() });
                }
                RecorderOutput::Append(bytes) => {
                    let file = self.files.last_mut().expect("a file");
                    assert!(file.duration.is_none(), "{} has ended", file.name);
                    file.bytes.extend_from_slice(&bytes);
                }
                RecorderOutput::End { header, duration } => {
                    let file = self.files.last_mut().expect("a file");
                    assert!(file.duration.replace(duration).is_none(), "{} has ended", file.name);
                    if let Some(header) = header {
                        file.bytes[..header.len()].copy_from_slice(&header);
                    }
                }
                RecorderOutput::RequestKeyFrame => self.key_requests.push(self.now),
                RecorderOutput::Finished => self.finished = true,
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        self.files.iter().map(|file| &*file.name).collect()
    }
}

/// Something like a frame of VP8.
fn vp8(is_key: bool, (width, height): (u16, u16)) -> Vec<u8> {
    if !is_key {
        return b"\x31\0\0\0".to_vec();
    }
    [&b"\x30\0\0\x9d\x01\x2a"[..], &width.to_le_bytes(), &height.to_le_bytes(), &[0, 0]].concat()
}

const SMALL: (u16, u16) = (320, 180);
const LARGE: (u16, u16) = (1_280, 720);

fn webm() -> RecorderOptions {
    RecorderOptions::new("ada", Container::WebM)
}
