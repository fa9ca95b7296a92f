//! ffmpeg as the judge of encoded video, and as the source of it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use agent_worker::room::VideoCodec;

/// ffmpeg, if it is installed.
#[derive(Clone, Debug)]
pub(crate) struct Ffmpeg(PathBuf);

/// What ffmpeg decoded of some frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Of each picture, as YUV 4:2:0: its size in bytes, and a checksum.
    pub(crate) pictures: Vec<(usize, String)>,
    /// What it complained about; empty: nothing.
    pub(crate) errors: String,
}

impl Ffmpeg {
    /// `None`: a test with it has to be skipped.
    pub(crate) fn find() -> Option<Self> {
        agent_testkit::program("ffmpeg", "Debian: apt-get install ffmpeg").map(Self)
    }

    /// Decodes frames, which follow each other in order.
    pub(crate) fn decode(&self, codec: VideoCodec, frames: &[impl AsRef<[u8]>]) -> Decoded {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("frames");
        std::fs::write(&file, container(codec, frames)).expect("written");
        let (input, output) = (format(codec), ["-fps_mode", "passthrough", "-f", "framecrc", "-"]);
        let mut command = self.command();
        let command = command.args(["-v", "error", "-f", input, "-i"]).arg(&file);
        let run = command.args(["-pix_fmt", "yuv420p"]).args(output).output().expect("ffmpeg runs");
        let text = String::from_utf8_lossy(&run.stdout);
        let picture = |line: &str| {
            let mut columns = line.split(',').skip(4).map(str::trim);
            Some((columns.next()?.parse().ok()?, columns.next()?.to_owned()))
        };
        Decoded {
            pictures: text.lines().filter(|line| !line.starts_with('#')).filter_map(picture).collect(),
            errors: String::from_utf8_lossy(&run.stderr).into_owned(),
        }
    }

    /// Encodes moving pictures: `count` of them, 30 a second, a key frame every `interval`.
    pub(crate) fn encode(
        &self,
        codec: VideoCodec,
        size: (u32, u32),
        count: u32,
        interval: u32,
    ) -> Vec<Vec<u8>> {
        let (width, height) = size;
        self.encode_source(codec, &format!("testsrc2=size={width}x{height}:rate=30"), count, interval)
    }

    /// As [`encode`](Self::encode), of a source of ffmpeg's `lavfi` with 30 pictures a second.
    pub(crate) fn encode_source(
        &self,
        codec: VideoCodec,
        source: &str,
        count: u32,
        interval: u32,
    ) -> Vec<Vec<u8>> {
        let encoder: &[&str] = match codec {
            VideoCodec::Vp8 => &[
                "libvpx",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-auto-alt-ref",
                "0",
                "-lag-in-frames",
                "0",
            ],
            VideoCodec::Vp9 => {
                &["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"]
            }
            VideoCodec::H264 => &[
                "libx264",
                "-preset",
                "ultrafast",
                "-tune",
                "zerolatency",
                "-profile:v",
                "baseline",
                "-bsf:v",
                "h264_metadata=aud=insert",
            ],
            VideoCodec::H265 => &[
                "libx265",
                "-preset",
                "ultrafast",
                "-tune",
                "zerolatency",
                "-x265-params",
                "log-level=none:aud=1",
            ],
            _ => &["libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-lag-in-frames", "0"],
        };
        let (count, interval) = (count.to_string(), interval.to_string());
        let mut command = self.command();
        command.args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            source,
            "-frames:v",
            &count,
            "-pix_fmt",
            "yuv420p",
        ]);
        command.args(["-g", &interval, "-b:v", "500k", "-c:v"]).args(encoder).args([
            "-f",
            format(codec),
            "-",
        ]);
        let run = command.output().expect("ffmpeg runs");
        assert!(run.status.success(), "{codec}: {}", String::from_utf8_lossy(&run.stderr));
        split(codec, &run.stdout)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("-nostdin").stdin(Stdio::null());
        command
    }
}

fn format(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "h264",
        VideoCodec::H265 => "hevc",
        _ => "ivf",
    }
}

/// The frames as a file: one after the other, or as IVF.
fn container(codec: VideoCodec, frames: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut file = Vec::new();
    let name = match codec {
        VideoCodec::Vp8 => b"VP80",
        VideoCodec::Vp9 => b"VP90",
        VideoCodec::Av1 => b"AV01",
        _ => {
            frames.iter().for_each(|frame| file.extend_from_slice(frame.as_ref()));
            return file;
        }
    };
    file.extend_from_slice(b"DKIF\0\0\x20\0");
    file.extend_from_slice(name);
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&30_u32.to_le_bytes());
    file.extend_from_slice(&1_u32.to_le_bytes());
    file.extend_from_slice(&[0; 8]);
    for (at, frame) in frames.iter().enumerate() {
        let frame = frame.as_ref();
        file.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_le_bytes());
        file.extend_from_slice(&u64::try_from(at).unwrap().to_le_bytes());
        file.extend_from_slice(frame);
    }
    file
}

/// The frames of a file that ffmpeg wrote: of IVF, or with a delimiter before each.
pub(crate) fn split(codec: VideoCodec, file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    // Before each frame there is a delimiter.
    let delimiter: &[u8] = match codec {
        VideoCodec::H264 => &[0, 0, 0, 1, 9],
        VideoCodec::H265 => &[0, 0, 0, 1, 0x46],
        _ => {
            let mut rest = &file[32..];
            while let Some((header, after)) = rest.split_first_chunk::<12>() {
                let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
                let (frame, after) = after.split_at(usize::try_from(len).unwrap());
                frames.push(frame.to_vec());
                rest = after;
            }
            return frames;
        }
    };
    let begins: Vec<usize> = file
        .windows(delimiter.len())
        .enumerate()
        .filter(|(_, at)| *at == delimiter)
        .map(|(at, _)| at)
        .collect();
    let ends = begins.iter().skip(1).copied().chain([file.len()]);
    begins.iter().zip(ends).map(|(begin, end)| file[*begin..end].to_vec()).collect()
}
