//! Plays a file to a room, once somebody is there, and ends: WAV, which is encoded, or Ogg Opus, whose
//! packets are sent as they are.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, as `cargo run -p examples --bin
//! speaker -- FILE`, then dispatch the agent `speaker` to a room. The file is an argument of the program and
//! not of the job: a dispatch must not choose which files of this machine are read.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hound::{SampleFormat, WavReader};
use ogg::PacketReader;
use tokio::time::{Instant, sleep_until};

use agent_worker::cli::Cli;
use agent_worker::media::{AudioFormat, AudioFrame, opus_packet};
use agent_worker::room::{
    AudioLevel, AudioTrackOptions, MAX_AUDIO_FRAME_LEN, OutgoingFrame, ParticipantFilter,
};
use agent_worker::{JobContext, JobError, JobResult, Worker};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Maximum length of a file, as it is kept in memory: six minutes of WAV in CD quality, hours of Opus.
const MAX_FILE_LEN: u64 = 64 << 20;

/// How long to wait for somebody to play to.
const PATIENCE: Duration = Duration::from_secs(60);

/// The level that is reported of packets, in dBov, as they are not decoded: others see the agent speaking.
const LEVEL: i8 = -20;

/// The sound of a file. Clones share it, so that each job plays the same one.
#[derive(Clone)]
enum Sound {
    Pcm(Arc<AudioFrame>),
    Opus { packets: Arc<[Vec<u8>]>, stereo: bool },
}

impl Sound {
    fn open(path: &Path) -> Result<Self, BoxError> {
        let mut bytes = Vec::new();
        // It may be a pipe, which has no length.
        File::open(path)?.take(MAX_FILE_LEN + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_LEN {
            return Err(format!("the file is longer than {MAX_FILE_LEN} bytes").into());
        }
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, BoxError> {
        match bytes.first_chunk() {
            Some(b"RIFF") => parse_wav(bytes),
            Some(b"OggS") => parse_ogg(bytes),
            _ => Err("the file is neither WAV nor Ogg".into()),
        }
    }
}

fn parse_wav(bytes: &[u8]) -> Result<Sound, BoxError> {
    let mut wav = WavReader::new(bytes)?;
    let spec = wav.spec();
    let samples: Vec<i16> = match (spec.sample_format, spec.bits_per_sample) {
        (SampleFormat::Float, _) => {
            // The cast of a float saturates.
            wav.samples::<f32>()
                .map(|sample| Ok((sample? * 32_768.0) as i16))
                .collect::<hound::Result<_>>()?
        }
        (SampleFormat::Int, bits @ (8 | 16 | 24 | 32)) => {
            let to_16 = |sample: i32| (i64::from(sample) << 16 >> bits) as i16;
            wav.samples::<i32>().map(|sample| Ok(to_16(sample?))).collect::<hound::Result<_>>()?
        }
        (SampleFormat::Int, bits) => return Err(format!("WAV of {bits} bits: use 8, 16, 24 or 32").into()),
    };
    if samples.is_empty() {
        return Err("WAV without sound".into());
    }
    let (channels, samples) = match spec.channels {
        0 => return Err("WAV without channels".into()),
        channels @ (1 | 2) => (channels as u8, samples),
        more => (1, samples.chunks(usize::from(more)).map(mean).collect()),
    };
    Ok(Sound::Pcm(Arc::new(AudioFrame::new(AudioFormat::new(spec.sample_rate, channels)?, samples)?)))
}

/// The samples of all channels in one.
fn mean(samples: &[i16]) -> i16 {
    let sum: i64 = samples.iter().map(|sample| i64::from(*sample)).sum();
    (sum / samples.len() as i64) as i16
}

/// Takes the packets out of their container (RFC 7845).
fn parse_ogg(bytes: &[u8]) -> Result<Sound, BoxError> {
    let mut ogg = PacketReader::new(Cursor::new(bytes));
    let head = ogg.read_packet()?.ok_or("Ogg without packets")?;
    let fields = head.data.strip_prefix(b"OpusHead").ok_or("Ogg, but not Opus")?;
    // The version, of which the upper half is to be 0, the channels, and how they are mapped.
    let stereo = match (fields.first(), fields.get(1), fields.get(10)) {
        (Some(0..=15), Some(channels @ (1 | 2)), Some(0)) => *channels == 2,
        _ => return Err("Ogg Opus with a header that is not that of mono or stereo".into()),
    };
    let tags = ogg.read_packet()?.ok_or("Ogg Opus without its second header")?;
    if !tags.data.starts_with(b"OpusTags") {
        return Err("Ogg Opus without its second header".into());
    }
    let mut packets = Vec::new();
    while let Some(packet) = ogg.read_packet()? {
        let number = packets.len() + 1;
        if packet.stream_serial() != head.stream_serial() || packet.first_in_stream() {
            return Err("Ogg with more than one stream".into());
        }
        if packet.data.len() > MAX_AUDIO_FRAME_LEN {
            return Err(format!("packet {number} has more than {MAX_AUDIO_FRAME_LEN} bytes").into());
        }
        if opus_packet::duration(&packet.data).is_none() {
            return Err(format!("packet {number} is not Opus").into());
        }
        packets.push(packet.data);
    }
    if packets.is_empty() {
        return Err("Ogg Opus without sound".into());
    }
    Ok(Sound::Opus { packets: packets.into(), stereo })
}

async fn speak(ctx: JobContext, sound: Sound) -> JobResult {
    tokio::select! {
        _ = ctx.cancelled() => Ok(()),
        result = play(&ctx, &sound) => result,
    }
}

async fn play(ctx: &JobContext, sound: &Sound) -> Result<(), JobError> {
    ctx.room().wait_for_participant(ParticipantFilter::human().within(PATIENCE)).await?;
    match sound {
        Sound::Pcm(sound) => {
            let mut options = AudioTrackOptions::new("speaker");
            options.stereo = sound.channels() == 2;
            let track = ctx.room().publish_audio(options).await?;
            track.push(sound).await?;
            track.wait_for_playout().await?;
            track.unpublish().await?;
        }
        Sound::Opus { packets, stereo } => {
            let mut options = AudioTrackOptions::new("speaker");
            options.stereo = *stereo;
            let track = ctx.room().publish_encoded_audio(options).await?;
            let (mut due, mut timestamp) = (Instant::now(), 0_u32);
            for packet in packets.iter() {
                sleep_until(due).await;
                track.send(
                    OutgoingFrame::new(packet.clone(), timestamp).level(AudioLevel::new(LEVEL, true)),
                )?;
                // The parser has refused what has no duration.
                due += opus_packet::duration(packet).unwrap_or_default();
                timestamp = timestamp.wrapping_add(opus_packet::samples(packet).unwrap_or_default());
            }
            sleep_until(due).await;
            track.unpublish().await?;
        }
    }
    Ok(())
}

/// Plays a file to a room
#[derive(Debug, Parser)]
struct Options {
    /// The file, of WAV or Ogg Opus
    file: PathBuf,

    #[command(flatten)]
    cli: Cli,
}

fn main() -> Result<ExitCode, String> {
    let Options { file, cli } = Options::parse();
    let sound = Sound::open(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let agent = move |ctx| speak(ctx, sound.clone());
    Ok(cli.main(Worker::builder(agent).default_agent_name("speaker")))
}

#[cfg(test)]
mod tests {
    use hound::{WavSpec, WavWriter};
    use ogg::{PacketWriteEndInfo, PacketWriter};

    use agent_testkit::{JobSpec, MeasuredSound, Tone, run_job};
    use agent_worker::RoomEvent;
    use agent_worker::media::{AudioCodec, EncoderOptions, RopusCodec};

    use super::*;

    const TONE: Tone = Tone::new(440.0).level(-12.0);

    /// Two seconds of it.
    fn tone(sample_rate: u32) -> Vec<i16> {
        TONE.samples(sample_rate, 1, Duration::from_secs(2))
    }

    fn wav(channels: u16, sample_rate: u32, bits_per_sample: u16) -> Vec<u8> {
        let spec = WavSpec { channels, sample_rate, bits_per_sample, sample_format: SampleFormat::Int };
        let mut file = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut file, spec).unwrap();
        for sample in tone(sample_rate) {
            for _ in 0..channels {
                writer.write_sample(i32::from(sample) << (bits_per_sample - 16)).unwrap();
            }
        }
        writer.finalize().unwrap();
        file.into_inner()
    }

    /// A file of these packets, each on a page of its own.
    fn ogg(packets: Vec<Vec<u8>>) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = PacketWriter::new(&mut file);
        let last = packets.len() - 1;
        for (number, packet) in packets.into_iter().enumerate() {
            let end =
                if number == last { PacketWriteEndInfo::EndStream } else { PacketWriteEndInfo::EndPage };
            writer.write_packet(packet, 7, end, 960 * (number as u64).saturating_sub(1)).unwrap();
        }
        file
    }

    fn head() -> Vec<u8> {
        b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0".to_vec()
    }

    fn tags() -> Vec<u8> {
        b"OpusTags\x04\0\0\0test\0\0\0\0".to_vec()
    }

    fn opus() -> Vec<u8> {
        let mut encoder = RopusCodec.encoder(AudioFormat::MONO_48K, &EncoderOptions::new()).unwrap();
        let samples = tone(48_000);
        let packets = samples.chunks(960).map(|frame| {
            let mut packet = Vec::new();
            encoder.encode(frame, &mut packet).unwrap();
            packet
        });
        ogg([head(), tags()].into_iter().chain(packets).collect())
    }

    /// Plays a file, and compares what a participant hears with the tone.
    async fn check_played(file: &[u8]) {
        let sound = Sound::parse(file).unwrap();
        let spec = JobSpec::room("lobby").script(|room| async move {
            let ada = room.join("ada");
            let mut events = ada.room().events();
            let track = loop {
                if let RoomEvent::TrackSubscribed { track, .. } = events.next().await.unwrap() {
                    break track;
                }
            };
            let mut audio = ada.room().audio(&track.sid, AudioFormat::MONO_48K).unwrap();
            let mut heard = Vec::new();
            while let Some(received) = audio.next().await {
                heard.extend_from_slice(received.audio.samples());
            }
            let heard = MeasuredSound::of(&heard, 48_000, 1);
            let seconds = heard.duration().as_secs_f64();
            assert!((1.9..2.1).contains(&seconds) && heard.is(TONE), "{heard:?}");
        });
        let run = run_job(move |ctx| speak(ctx, sound.clone()), spec).await;
        run.assert_success();
        let played = run.duration.as_secs_f64();
        assert!((1.95..2.5).contains(&played), "the job ends when the file was played: {played} s");
    }

    #[tokio::test]
    async fn wav_of_any_rate_and_channel_count() {
        for (channels, rate, bits) in [(1, 48_000, 16), (2, 44_100, 24), (6, 22_050, 32)] {
            check_played(&wav(channels, rate, bits)).await;
        }
    }

    #[tokio::test]
    async fn packets_of_ogg_opus_as_they_are() {
        check_played(&opus()).await;
    }

    #[test]
    fn files_that_cannot_be_played() {
        let error = |file: &[u8]| Sound::parse(file).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error(b"ID3"), "the file is neither WAV nor Ogg");
        assert_eq!(error(&ogg(vec![b"\x01vorbis".to_vec()])), "Ogg, but not Opus");
        let surround = [&head()[..9], &[6], &head()[10..]].concat();
        assert_eq!(error(&ogg(vec![surround])), "Ogg Opus with a header that is not that of mono or stereo");
        assert_eq!(error(&ogg(vec![head()])), "Ogg Opus without its second header");
        assert_eq!(error(&ogg(vec![head(), tags()])), "Ogg Opus without sound");
        assert_eq!(error(&ogg(vec![head(), tags(), vec![0xff; 3]])), "packet 1 is not Opus");
        assert_eq!(error(&ogg(vec![head(), tags(), vec![0; 1_401]])), "packet 1 has more than 1400 bytes");
        // Whatever a file is cut to or has for bytes, it is played or refused.
        for file in [wav(2, 8_000, 16), opus()] {
            for len in 0..400 {
                let _ = Sound::parse(&file[..len]);
                let mut file = file[..4_000].to_vec();
                file[len] ^= 0xff;
                let _ = Sound::parse(&file);
            }
        }
    }
}
