//! When a packet's content was captured, from the reports of its sender.

use std::time::{Duration, UNIX_EPOCH};

use str0m::rtp::RtpPacket;

/// The time of capture on the publisher's clock, since 1970. `None`: there was no report yet.
///
/// A report has one time on both clocks, that of the timestamps and that of the publisher, which
/// livekit-server passes on.
pub(super) fn time(packet: &RtpPacket) -> Option<Duration> {
    let report = packet.last_sender_info?;
    let reported = report.ntp_time.duration_since(UNIX_EPOCH).ok()?;
    let rate = packet.time.denom();
    after(reported, packet.time.numer(), report.rtp_time.numer(), rate)
}

/// `reported`, and what a timestamp is later than that of the report.
fn after(reported: Duration, timestamp: u64, of_report: u64, rate: u32) -> Option<Duration> {
    // Both were extended, possibly from different beginnings: their lower halves are what was sent.
    let later = low(timestamp).wrapping_sub(low(of_report)).cast_signed();
    let step = Duration::from_nanos(u64::from(later.unsigned_abs()) * 1_000_000_000 / u64::from(rate.max(1)));
    if later < 0 { reported.checked_sub(step) } else { reported.checked_add(step) }
}

#[expect(clippy::cast_possible_truncation, reason = "this is its purpose")]
const fn low(timestamp: u64) -> u32 {
    timestamp as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_may_be_before_or_after_the_report() {
        let reported = Duration::from_secs(1_000);
        let millis =
            |timestamp, of_report| after(reported, timestamp, of_report, 90_000).map(|at| at.as_millis());
        assert_eq!(millis(9_000, 0), Some(1_000_100));
        assert_eq!(millis(0, 9_000), Some(999_900));
        // Around the end of the numbers, and extended from another beginning.
        assert_eq!(millis(0x1_0000_0000, 0xffff_fff0), Some(1_000_000));
        assert_eq!(millis(9_000, 0x3_0000_0000), Some(1_000_100));
        assert_eq!(after(Duration::ZERO, 0, 9_000, 90_000), None);
    }
}
