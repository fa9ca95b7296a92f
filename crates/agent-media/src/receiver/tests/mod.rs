//! The sound that is made of packets, on virtual time.

#[cfg(feature = "ropus")]
mod any_packets;
mod failures;
#[cfg(feature = "ropus")]
mod tones;

use super::*;

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

/// Packets at the times of their arrival, then nothing for two seconds: what comes out, and when.
fn heard(
    receiver: &mut AudioReceiver,
    packets: impl IntoIterator<Item = EncodedPacket>,
) -> Vec<(Time, ReceivedAudio)> {
    let mut all = Vec::new();
    let mut end = Time::ZERO;
    for packet in packets {
        end = packet.received;
        run_until(receiver, end, &mut all);
        receiver.push(packet, end);
        all.extend(std::iter::from_fn(|| receiver.poll_output()).map(|audio| (end, audio)));
    }
    run_until(receiver, end + Duration::from_secs(2), &mut all);
    all
}

fn run_until(receiver: &mut AudioReceiver, end: Time, all: &mut Vec<(Time, ReceivedAudio)>) {
    while let Some(due) = receiver.poll_timeout().filter(|due| *due < end) {
        receiver.handle_timeout(due);
        all.extend(std::iter::from_fn(|| receiver.poll_output()).map(|audio| (due, audio)));
        assert!(receiver.poll_timeout().is_none_or(|next| next > due), "{due}");
    }
}
