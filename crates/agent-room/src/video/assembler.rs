//! From the packets of one stream, in any order, to its frames in order.
//!
//! ```text
//!  Searching ──a packet that begins a key frame──▶ Following ──a packet is missing for too long──▶ Searching
//! ```
//!
//! A lost packet is requested again below this, so its place stays open for a while. Then everything up to
//! the next key frame is left out, as no decoder can continue without it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;

use super::payload;
use crate::{EncodedVideoFrame, VideoCodec};

/// How long a missing packet is awaited: several round trips of a request for it.
const MAX_GAP: Duration = Duration::from_millis(300);
/// Maximum number of packets that are kept: those of a frame, or behind a gap.
const MAX_PACKETS: usize = 4096;
/// How often a key frame that does not come is requested again.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// Units of a timestamp in a second.
const CLOCK_RATE: u64 = 90_000;

/// A packet of a video stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VideoPacket {
    /// Its stream (SSRC).
    pub(crate) source: u32,
    pub(crate) codec: VideoCodec,
    /// Extended, so that it does not wrap around.
    pub(crate) sequence: u64,
    /// As `sequence`.
    pub(crate) timestamp: u64,
    /// On the publisher's clock, since 1970.
    pub(crate) captured: Option<Duration>,
    /// Set on the last packet of a frame.
    pub(crate) marker: bool,
    /// Empty: it is padding.
    pub(crate) payload: Bytes,
}

/// The packets of one stream.
#[derive(Debug)]
pub(super) struct Assembler {
    packets: BTreeMap<u64, (VideoPacket, Time)>,
    place: Place,
    /// Since when the next packet is missing, while later ones are there.
    gap_since: Option<Time>,
    /// A key frame is needed.
    key_frame_needed: bool,
    /// When it was requested last.
    requested: Option<Time>,
    /// Whether there was a frame.
    begun: bool,
    /// Whether frames are missing before the next one.
    lost: bool,
    frames: VecDeque<EncodedVideoFrame>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Before a key frame; packets up to this one are done with.
    Searching(Option<u64>),
    /// In a frame.
    Following {
        /// Its first packet.
        first: u64,
        /// The next one; those before are there.
        next: u64,
    },
}

impl Assembler {
    pub(super) const fn new() -> Self {
        Self {
            packets: BTreeMap::new(),
            place: Place::Searching(None),
            gap_since: None,
            key_frame_needed: false,
            requested: None,
            begun: false,
            lost: false,
            frames: VecDeque::new(),
        }
    }

    pub(super) fn handle_packet(&mut self, packet: VideoPacket, now: Time) {
        let done = match self.place {
            Place::Searching(done) => done.is_some_and(|done| packet.sequence <= done),
            Place::Following { next, .. } => packet.sequence < next,
        };
        if done {
            return;
        }
        self.packets.insert(packet.sequence, (packet, now));
        self.advance(now);
        if self.packets.len() > MAX_PACKETS {
            self.give_up();
            self.advance(now);
        }
    }

    /// A key frame is needed, whatever is received.
    pub(super) const fn require_key_frame(&mut self) {
        self.key_frame_needed = true;
    }

    /// The next frame.
    pub(super) fn poll_frame(&mut self) -> Option<EncodedVideoFrame> {
        self.frames.pop_front()
    }

    /// Whether a key frame is to be requested now.
    pub(super) fn takes_request(&mut self, now: Time) -> bool {
        let due = self.key_frame_needed && self.requested.is_none_or(|at| at + REQUEST_INTERVAL <= now);
        if due {
            self.requested = Some(now);
        }
        due
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let again = self.requested.filter(|_| self.key_frame_needed).map(|at| at + REQUEST_INTERVAL);
        let gap = self.gap_since.map(|since| since + MAX_GAP);
        [again, gap].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        while self.gap_since.is_some_and(|since| since + MAX_GAP <= now) {
            self.give_up();
            self.advance(now);
        }
    }

    /// Leaves out what is missing, and all that follows up to a key frame.
    fn give_up(&mut self) {
        let Place::Following { next, .. } = self.place else { return };
        self.take_before(next);
        self.search(next.checked_sub(1));
    }

    fn search(&mut self, done: Option<u64>) {
        self.place = Place::Searching(done);
        (self.gap_since, self.key_frame_needed, self.lost) = (None, true, self.begun);
    }

    /// Makes frames of what is there.
    fn advance(&mut self, now: Time) {
        loop {
            match self.place {
                Place::Searching(_) => {
                    if !self.find_key_frame() {
                        return;
                    }
                }
                Place::Following { first, next } => {
                    let Some((packet, _)) = self.packets.get(&next) else {
                        let missing = self.packets.last_key_value().is_some_and(|(last, _)| *last > next);
                        self.gap_since = self.gap_since.filter(|_| missing).or(missing.then_some(now));
                        return;
                    };
                    self.gap_since = None;
                    let before = self.packets.get(&first).filter(|_| first < next);
                    let another = before.is_some_and(|(before, _)| {
                        !packet.payload.is_empty() && before.timestamp != packet.timestamp
                    });
                    if first == next && packet.payload.is_empty() {
                        // Padding between two frames.
                        self.packets.remove(&next);
                        self.place = Place::Following { first: next + 1, next: next + 1 };
                    } else if another {
                        self.finish(next);
                    } else if packet.marker {
                        self.finish(next + 1);
                    } else {
                        self.place = Place::Following { first, next: next + 1 };
                    }
                }
            }
        }
    }

    /// Removes packets up to one that begins a key frame. `false`: there is none.
    fn find_key_frame(&mut self) -> bool {
        while let Some(entry) = self.packets.first_entry() {
            let (sequence, (packet, _)) = (*entry.key(), entry.get());
            if payload::starts_key_frame(packet.codec, &packet.payload) {
                self.place = Place::Following { first: sequence, next: sequence };
                return true;
            }
            self.key_frame_needed |= !packet.payload.is_empty();
            self.place = Place::Searching(Some(sequence));
            entry.remove();
        }
        false
    }

    fn take_before(&mut self, end: u64) -> Vec<(VideoPacket, Time)> {
        let mut taken = Vec::new();
        while let Some(entry) = self.packets.first_entry().filter(|entry| *entry.key() < end) {
            taken.push(entry.remove());
        }
        taken
    }

    /// The packets before this one are those of a frame.
    fn finish(&mut self, end: u64) {
        let packets = self.take_before(end);
        self.place = Place::Following { first: end, next: end };
        let Some((first, _)) = packets.first() else { return };
        let (codec, source, timestamp) = (first.codec, first.source, first.timestamp);
        let captured = packets.iter().find_map(|(packet, _)| packet.captured);
        let received = packets.iter().map(|(_, at)| *at).max().unwrap_or(Time::ZERO);
        let payloads: Vec<Bytes> = packets
            .into_iter()
            .filter(|(packet, _)| !packet.payload.is_empty())
            .map(|(packet, _)| packet.payload)
            .collect();
        let after_loss = self.lost;
        match payload::assemble(codec, &payloads) {
            // What follows a loss, or comes first, is a key frame.
            Some(picture) if picture.key_frame || (self.begun && !after_loss) => {
                if picture.key_frame {
                    (self.key_frame_needed, self.lost) = (false, false);
                }
                self.begun = true;
                self.frames.push_back(EncodedVideoFrame {
                    payload: picture.data,
                    codec,
                    timestamp: duration(timestamp),
                    key_frame: picture.key_frame,
                    width: picture.size.map(|(width, _)| width),
                    height: picture.size.map(|(_, height)| height),
                    after_loss,
                    source,
                    captured,
                    received,
                });
            }
            _ => self.search(end.checked_sub(1)),
        }
    }
}

fn duration(timestamp: u64) -> Duration {
    let nanos = timestamp % CLOCK_RATE * 1_000_000_000 / CLOCK_RATE;
    Duration::new(timestamp / CLOCK_RATE, u32::try_from(nanos).unwrap_or_default())
}
