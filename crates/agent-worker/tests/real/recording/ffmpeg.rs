//! ffmpeg and ffprobe of the system, as encoders, and as independent decoders.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use agent_testkit::program;

const HELP: &str = "Debian: apt-get install ffmpeg";

/// Frames of decoded video in a second.
const FRAME_RATE: usize = 50;
/// Samples of decoded audio in a second.
const SAMPLE_RATE: usize = 48_000;

/// The two programs.
pub(crate) struct Ffmpeg {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
}

/// The result of ffprobe.
#[derive(Debug)]
pub(crate) struct Probe {
    /// As in the file's header, if it is there.
    pub(crate) duration: Option<f64>,
    pub(crate) streams: Vec<ProbedStream>,
}

#[derive(Debug)]
pub(crate) struct ProbedStream {
    pub(crate) codec: String,
    pub(crate) packets: usize,
    /// When the first packet begins, and the last one ends, in seconds.
    pub(crate) begin: f64,
    pub(crate) end: f64,
}

impl Ffmpeg {
    /// `None`: the test is skipped.
    pub(crate) fn find() -> Option<Self> {
        Some(Self { ffmpeg: program("ffmpeg", HELP)?, ffprobe: program("ffprobe", HELP)? })
    }

    /// Runs ffmpeg, and returns what it writes to its output.
    pub(crate) fn run(&self, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(&self.ffmpeg);
        let output = command.args(["-nostdin", "-v", "error"]).args(args).output().expect("ffmpeg runs");
        check(&output, args);
        output.stdout
    }

    pub(crate) fn probe(&self, file: &Path) -> Probe {
        let entries = "format=duration:stream=codec_name:packet=stream_index,pts_time,duration_time";
        let mut command = Command::new(&self.ffprobe);
        command.args(["-v", "error", "-of", "json", "-show_packets", "-show_entries", entries]).arg(file);
        let output = command.output().expect("ffprobe runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let seconds = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
        let streams = found["streams"].as_array().expect("streams").iter().enumerate();
        let streams = streams.map(|(index, stream)| {
            let packets = found["packets"].as_array().expect("packets").iter();
            let packets: Vec<&Value> = packets.filter(|packet| packet["stream_index"] == index).collect();
            let times = packets.iter().map(|packet| {
                let begin = seconds(&packet["pts_time"]).expect("a time");
                (begin, begin + seconds(&packet["duration_time"]).unwrap_or(0.0))
            });
            let times: Vec<(f64, f64)> = times.collect();
            ProbedStream {
                codec: stream["codec_name"].as_str().expect("a codec").to_owned(),
                packets: packets.len(),
                begin: times.iter().map(|time| time.0).fold(f64::MAX, f64::min),
                end: times.iter().map(|time| time.1).fold(0.0, f64::max),
            }
        });
        Probe { duration: seconds(&found["format"]["duration"]), streams: streams.collect() }
    }

    /// Decodes everything, and fails if a decoder reports anything.
    pub(crate) fn decode(&self, file: &Path) {
        self.run(&["-xerror", "-i", &text(file), "-f", "null", "-"]);
    }

    /// The sound of a file, mono of 48 kHz from its beginning on, as a player plays it.
    pub(crate) fn sound(&self, file: &Path) -> Vec<i16> {
        let filter = "aresample=async=1:first_pts=0";
        let raw = ["-map", "0:a:0", "-af", filter, "-ac", "1", "-ar", "48000", "-f", "s16le", "-"];
        let bytes = self.output(file, &raw);
        bytes.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]])).collect()
    }

    /// How bright the pictures of a file are, at 50 a second from its beginning on.
    pub(crate) fn brightness(&self, file: &Path) -> Vec<u8> {
        let filter = "fps=50:start_time=0,scale=1:1:flags=area";
        self.output(file, &["-map", "0:v:0", "-vf", filter, "-pix_fmt", "gray", "-f", "rawvideo", "-"])
    }

    /// When it flashes and when it beeps, in seconds.
    pub(crate) fn flash_and_beep(&self, file: &Path) -> (f64, f64) {
        let flash = self.brightness(file).iter().position(|brightness| *brightness > 128).expect("a flash");
        let beep = self.sound(file).iter().position(|sample| sample.unsigned_abs() > 3_000).expect("a beep");
        (flash as f64 / FRAME_RATE as f64, beep as f64 / SAMPLE_RATE as f64)
    }

    /// The decoded sound and pictures of a file, also if its end is missing.
    fn output(&self, file: &Path, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(&self.ffmpeg);
        command.args(["-nostdin", "-v", "error", "-i"]).arg(file).args(args);
        command.output().expect("ffmpeg runs").stdout
    }

    /// The duration of the sound and the number of pictures in the beginning of a file.
    pub(crate) fn length(&self, file: &Path) -> (Duration, usize) {
        let sound = self.sound(file).len();
        (Duration::from_secs_f64(sound as f64 / SAMPLE_RATE as f64), self.brightness(file).len())
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn check(output: &Output, args: &[&str]) {
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && log.is_empty(), "ffmpeg {args:?}: {}: {log}", output.status);
}
