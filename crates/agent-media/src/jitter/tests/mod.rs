//! What is played, on virtual time.

mod network;
mod promises;
mod scenes;

use std::time::Duration;

use agent_proto::Time;

use super::*;

/// 20 ms of silence in Opus.
const SILENCE: &[u8] = b"\xf8\xff\xfe";

/// 20 ms of speech with a copy of the packet before.
const WITH_COPY: &[u8] = b"\x08\x40\x00";

/// 20 ms of silence after which nothing is sent.
const DTX: &[u8] = b"\xf8";

/// Options without a minimum delay, so that the measured delay is visible.
fn options() -> JitterOptions {
    JitterOptions::default().min_delay(Duration::ZERO)
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

fn millis(time: Time) -> f64 {
    (time - Time::ZERO).as_secs_f64() * 1_000.0
}

/// A buffer, what it has played, and a function that stretches the sound.
struct Player {
    buffer: JitterBuffer,
    played: Vec<Playout>,
    /// By how many samples sound becomes longer, for the number that is wanted.
    stretch: fn(i64) -> i64,
}

impl Player {
    /// Without stretching.
    fn new(options: JitterOptions) -> Self {
        Self { buffer: JitterBuffer::new(options), played: Vec::new(), stretch: |_| 0 }
    }

    /// Packets at the times of their arrival, then nothing until the stream pauses.
    fn play(&mut self, packets: impl IntoIterator<Item = EncodedPacket>) {
        for packet in packets {
            let now = packet.received;
            self.run_until(now);
            self.buffer.push(packet, now);
            self.drain();
        }
        self.run_until(Time::from_nanos(u64::MAX));
    }

    /// Calls the buffer at each of its timeouts before this time.
    fn run_until(&mut self, end: Time) {
        while let Some(due) = self.buffer.poll_timeout().filter(|due| *due < end) {
            self.buffer.handle_timeout(due);
            self.drain();
            assert!(self.buffer.poll_timeout().is_none_or(|next| next > due), "{due}");
        }
    }

    fn drain(&mut self) {
        while let Some(playout) = self.buffer.poll_output() {
            let by = (self.stretch)(self.buffer.correction(false));
            self.buffer.stretched(by);
            self.played.push(playout);
        }
    }
}
