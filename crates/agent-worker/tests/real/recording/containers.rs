//! Each kind of file with each codec: complete, and cut anywhere.

use std::path::PathBuf;
use std::time::Duration;

use agent_worker::media::AudioFormat;
use agent_worker::recording::{
    Container, ContainerFrame, ContainerWriter, TrackFormat, VideoCodec, VideoFormat,
};

use super::ffmpeg::Ffmpeg;
use super::sources::{self, EVENT, LENGTH};

/// The track of audio, and the track of video.
const AUDIO: usize = 0;
const VIDEO: usize = 1;

/// A file and its parts.
struct Written {
    bytes: Vec<u8>,
    /// Its length after each part, and how long it is up to there.
    parts: Vec<(usize, Duration)>,
    finished: Vec<u8>,
}

fn write(
    container: Container,
    tracks: Vec<TrackFormat>,
    mut frames: Vec<(usize, ContainerFrame)>,
) -> Written {
    frames.sort_by_key(|(_, frame)| frame.timestamp);
    let mut writer = ContainerWriter::new(container, tracks).expect("a writer");
    let (mut bytes, mut parts) = (Vec::new(), Vec::new());
    for (track, frame) in frames {
        let begin = frame.timestamp;
        let part = writer.write(track, frame).expect("written");
        if !part.is_empty() {
            bytes.extend_from_slice(&part);
            parts.push((bytes.len(), begin));
        }
    }
    let mut finished = bytes.clone();
    writer.finish().expect("finished").complete(&mut finished);
    Written { bytes, parts, finished }
}

/// A recording of the sources.
fn recording(ffmpeg: &Ffmpeg, container: Container, codec: VideoCodec) -> Written {
    let video = sources::video(ffmpeg, codec);
    assert_eq!(video.len(), 250, "{codec}");
    let format = VideoFormat::of_key_frame(codec, &video[0].payload).expect("a key frame");
    assert_eq!((format.width(), format.height()), (320, 240), "{codec}");
    let audio = sources::opus(AudioFormat::STEREO_48K).into_iter().map(|frame| (AUDIO, frame));
    let frames = audio.chain(video.into_iter().map(|frame| (VIDEO, frame))).collect();
    write(container, vec![TrackFormat::Opus { channels: 2 }, TrackFormat::Video(format)], frames)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, container: Container, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("file").with_extension(container.extension());
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

fn near(value: f64, expected: Duration, within: f64) -> bool {
    (value - expected.as_secs_f64()).abs() <= within
}

#[test]
fn players_play_each_codec_in_each_kind_of_file() {
    use VideoCodec::{Av1, H264, H265, Vp8, Vp9};
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let folder = Folder::new();
    let webm = [Vp8, Vp9, Av1].map(|codec| (Container::WebM, codec));
    let mp4 = [H264, H265, Vp8, Vp9, Av1].map(|codec| (Container::Mp4, codec));
    for (container, codec) in webm.into_iter().chain(mp4) {
        let name = format!("{codec} in {container}");
        let written = recording(&ffmpeg, container, codec);
        let file = folder.file(container, &written.finished);
        ffmpeg.decode(&file);
        let probe = ffmpeg.probe(&file);
        assert!(near(probe.duration.expect("a duration"), LENGTH, 0.1), "{name}: {probe:?}");
        let [audio, video] = &probe.streams[..] else { panic!("{name}: {probe:?}") };
        assert_eq!((&*audio.codec, audio.packets, video.packets), ("opus", 250, 250), "{name}");
        for stream in [audio, video] {
            assert!(stream.begin.abs() < 0.01 && near(stream.end, LENGTH, 0.1), "{name}: {stream:?}");
        }
        let (flash, beep) = ffmpeg.flash_and_beep(&file);
        assert!((flash - beep).abs() <= 0.04, "{name}: a flash at {flash} s, a beep at {beep} s");
        assert!(near(flash, EVENT, 0.04), "{name}: a flash at {flash} s");

        // An unfinished file has everything except its duration.
        let file = folder.file(container, &written.bytes);
        ffmpeg.decode(&file);
        let (sound, pictures) = ffmpeg.length(&file);
        let (_, last) = *written.parts.last().expect("parts");
        assert!(near(sound.as_secs_f64(), last, 0.1), "{name}: {sound:?} of {last:?}");
        assert!(pictures.abs_diff(last.as_millis() as usize / 20) <= 2, "{name}: {pictures} of {last:?}");
    }
}

#[test]
fn a_cut_leaves_the_complete_parts() {
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let folder = Folder::new();
    for (container, codec) in [(Container::WebM, VideoCodec::Vp8), (Container::Mp4, VideoCodec::H264)] {
        let Written { bytes, parts, .. } = recording(&ffmpeg, container, codec);
        assert!(parts.len() >= 3, "{parts:?}");
        // At the end of a part, a byte later, and within the next one. In MP4 that is in its samples: ffmpeg
        // opens no file that ends within the list of them.
        for pair in parts.windows(2) {
            let [(len, complete), (next, _)] = pair else { continue };
            for cut in [*len, len + 1, len + (next - len) * 2 / 3, next - 1] {
                let file = folder.file(container, &bytes[..cut]);
                let (sound, pictures) = ffmpeg.length(&file);
                let place = format!("{container}, {cut} of {} bytes", bytes.len());
                assert!(
                    sound + Duration::from_millis(100) >= *complete,
                    "{place}: {sound:?} of {complete:?}"
                );
                let least = complete.as_millis() as usize / 20;
                assert!(pictures + 2 >= least, "{place}: {pictures} of {least} pictures");
            }
        }
    }
}

#[test]
fn players_play_sound_alone() {
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let folder = Folder::new();
    for container in [Container::OggOpus, Container::WebM, Container::Mp4] {
        let frames = sources::opus(AudioFormat::MONO_48K).into_iter().map(|frame| (AUDIO, frame));
        let written = write(container, vec![TrackFormat::Opus { channels: 1 }], frames.collect());
        let file = folder.file(container, &written.finished);
        ffmpeg.decode(&file);
        let probe = ffmpeg.probe(&file);
        assert!(near(probe.duration.expect("a duration"), LENGTH, 0.1), "{container}: {probe:?}");
        assert_eq!(probe.streams[0].packets, 250, "{container}");
        let sound = ffmpeg.sound(&file);
        assert!(near(sound.len() as f64 / 48_000.0, LENGTH, 0.1), "{container}: {}", sound.len());
        let beep = sound.iter().position(|sample| sample.unsigned_abs() > 3_000).expect("a beep");
        assert!(near(beep as f64 / 48_000.0, EVENT, 0.04), "{container}: {beep}");
        // Cut in the middle of the last page, cluster or fragment but one.
        let [.., (len, complete), (next, _)] = written.parts[..] else { panic!("{:?}", written.parts) };
        let file = folder.file(container, &written.bytes[..len + (next - len) / 2]);
        let sound = ffmpeg.sound(&file).len() as f64 / 48_000.0;
        assert!(sound + 0.1 >= complete.as_secs_f64(), "{container}: {sound} s of {complete:?}");
    }
}

/// Lost packets, and a pause: the sound after them keeps its time, also for players that ignore pauses.
#[test]
fn sound_after_a_pause_is_where_it_was() {
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let folder = Folder::new();
    let is_there = |frame: &ContainerFrame| {
        let millis = frame.timestamp.as_millis();
        !(1_000..1_040).contains(&millis) && !(1_500..3_300).contains(&millis)
    };
    let frames =
        sources::opus(AudioFormat::MONO_48K).into_iter().filter(is_there).map(|frame| (AUDIO, frame));
    let written = write(Container::OggOpus, vec![TrackFormat::Opus { channels: 1 }], frames.collect());
    let file = folder.file(Container::OggOpus, &written.finished);
    ffmpeg.decode(&file);
    let sound = ffmpeg.sound(&file);
    let beep = sound.iter().position(|sample| sample.unsigned_abs() > 3_000).expect("a beep");
    assert!(near(beep as f64 / 48_000.0, EVENT, 0.04), "{beep}");
    assert!(near(sound.len() as f64 / 48_000.0, LENGTH, 0.1), "{}", sound.len());
}
