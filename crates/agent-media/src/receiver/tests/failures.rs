//! A codec that fails, and a caller that comes late.

use super::*;
use crate::{AudioEncoder, EncoderOptions};

/// A codec that decodes a packet to as many milliseconds as its second byte, and conceals nothing.
#[derive(Debug)]
struct Failing;

#[derive(Debug)]
struct FailingDecoder(AudioFormat);

impl AudioCodec for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn encoder(&self, _: AudioFormat, _: &EncoderOptions) -> Result<Box<dyn AudioEncoder>, CodecError> {
        Err(CodecError::Failed { codec: "failing", what: "no encoder" })
    }

    fn decoder(&self, format: AudioFormat) -> Result<Box<dyn AudioDecoder>, CodecError> {
        Ok(Box::new(FailingDecoder(format)))
    }
}

impl AudioDecoder for FailingDecoder {
    fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> Result<usize, CodecError> {
        let millis =
            packet.get(1).copied().filter(|millis| *millis > 0).ok_or(CodecError::InvalidPacket(1))?;
        let frames = self.0.frames_in(Duration::from_millis(millis.into()));
        samples.resize(samples.len() + frames * usize::from(self.0.channels()), 1_000);
        Ok(frames)
    }

    fn conceal(&mut self, _: usize, _: &mut Vec<i16>) -> Result<usize, CodecError> {
        Err(CodecError::Failed { codec: "failing", what: "cannot conceal" })
    }

    fn decode_fec(&mut self, _: &[u8], _: usize, _: &mut Vec<i16>) -> Result<usize, CodecError> {
        Err(CodecError::InvalidPacket(0))
    }

    fn reset(&mut self) {}
}

fn packet(number: u32, payload: &'static [u8]) -> EncodedPacket {
    EncodedPacket {
        received: at(u64::from(number) * 20),
        ..EncodedPacket::new(payload, number.into(), number * 960)
    }
}

#[test]
fn no_packet_ends_the_stream() {
    for rate in [8_000, 44_100, 48_000, 192_000] {
        let options = AudioReceiverOptions::new().format(AudioFormat::new(rate, 2).unwrap());
        let mut receiver = AudioReceiver::new(&Failing, options).unwrap();
        // Decoded to the announced length, not decodable, too short, too long, and not Opus.
        let packets = [b"\xf8\x14", b"\xf8\x00", b"\xf8\x01", b"\xf8\xff", b"\xff\xff"];
        let packets = (0..).zip(packets).map(|(number, payload)| packet(number, payload));
        let all = heard(&mut receiver, packets);
        let frames: usize = all.iter().map(|(_, received)| received.audio.frames()).sum();
        // 100 ms, and what is made up at the end.
        let expected = options.format.frames_in(Duration::from_millis(1_100));
        assert!(frames.abs_diff(expected) <= 2, "{rate}: {frames}");
        assert_eq!(receiver.stats().invalid, 1);
        assert_eq!(receiver.stats().jitter.played, 5);
        assert!(all.iter().any(|(_, received)| received.is_concealed));
        assert!(all.iter().all(|(_, received)| received.audio.format() == options.format));
    }
}

/// A caller that is late gets all overdue sound at once, and nothing of it counts as lost.
#[test]
fn a_late_caller() {
    let mut receiver = AudioReceiver::new(&Failing, AudioReceiverOptions::new()).unwrap();
    for number in 0..50 {
        receiver.push(packet(number, b"\xf8\x14"), at(5_000));
    }
    receiver.handle_timeout(at(1_000));
    let all: Vec<_> = std::iter::from_fn(|| receiver.poll_output()).collect();
    assert_eq!(all.len(), 50);
    assert!(all.iter().all(|received| !received.is_concealed));
    assert_eq!(all[49].media_time, Duration::from_millis(980));
    let stats = receiver.stats().jitter;
    assert_eq!((stats.lost, stats.late, stats.concealed), (0, 0, Duration::ZERO));
}

#[test]
fn errors_of_a_codec() {
    let options = AudioReceiverOptions::new().format(AudioFormat::new(44_100, 1).unwrap());
    let receiver = AudioReceiver::new(&Failing, options).unwrap();
    assert_eq!(receiver.format().sample_rate(), 44_100);
    let _: &dyn Send = &receiver;
    assert!(Failing.encoder(AudioFormat::MONO_48K, &EncoderOptions::new()).is_err());
}
