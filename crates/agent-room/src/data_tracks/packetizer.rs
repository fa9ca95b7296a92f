//! Divides the frames of one data track of ours into packets.

use agent_proto::Time;

use super::DataTrackFrame;
use super::packet::{Extensions, FrameEncryption, Packet};

/// Maximum length of a packet, in bytes, as LiveKit's SDKs send them.
const MAX_LEN: usize = 16_000;

/// The counters of one track.
#[derive(Debug)]
pub(super) struct Packetizer {
    handle: u16,
    sequence: u16,
    frame: u16,
}

impl Packetizer {
    pub(super) const fn new(handle: u16) -> Self {
        Self { handle, sequence: 0, frame: 0 }
    }

    /// The packets of a frame, at least one. `encryption`: how its payload was encrypted.
    pub(super) fn packets(
        &mut self,
        frame: &DataTrackFrame,
        encryption: Option<FrameEncryption>,
        now: Time,
    ) -> Vec<Packet> {
        let extensions = Extensions { encryption, user_timestamp: frame.user_timestamp };
        let most = MAX_LEN - extensions.header_len();
        let count = frame.payload.len().div_ceil(most).max(1);
        let number = self.frame;
        self.frame = self.frame.wrapping_add(1);
        (0..count)
            .map(|index| {
                let sequence = self.sequence;
                self.sequence = self.sequence.wrapping_add(1);
                let part = index * most..frame.payload.len().min((index + 1) * most);
                Packet {
                    handle: self.handle,
                    sequence,
                    frame: number,
                    timestamp: ticks(now),
                    start: index == 0,
                    last: index + 1 == count,
                    extensions,
                    payload: frame.payload.slice(part),
                }
            })
            .collect()
    }
}

/// The time in units of 1/90,000 s, which wraps around.
fn ticks(now: Time) -> u32 {
    ((now - Time::ZERO).as_micros() * 9 / 100) as u32
}
