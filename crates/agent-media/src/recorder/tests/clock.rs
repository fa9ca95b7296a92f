//! The clock alone.

use super::*;
use crate::recorder::clock::{Arrival, SourceClock, Unwrapped};

fn observe(clock: &mut SourceClock, timestamp: u64, at: u64) {
    report(clock, timestamp, at, None);
}

fn report(clock: &mut SourceClock, timestamp: u64, at: u64, captured: Option<u64>) {
    clock.observe(Arrival { timestamp: ms(timestamp), at: Time::ZERO + ms(at), captured: captured.map(ms) });
}

fn place(clock: &mut SourceClock, timestamp: u64) -> u64 {
    (clock.place(ms(timestamp), ms(20)) - Time::ZERO).as_millis() as u64
}

#[test]
fn the_fastest_frames_give_the_capture_times_of_all() {
    let mut clock = SourceClock::new(true);
    for (number, delay) in [80, 30, 90, 35, 120].into_iter().enumerate() {
        let captured = 20 * number as u64;
        observe(&mut clock, 7_000 + captured, 1_000 + captured + delay);
    }
    assert_eq!(place(&mut clock, 7_000), 1_030);
    assert_eq!(place(&mut clock, 7_040), 1_070);
    // A faster frame changes nothing, as sound would have to be left out.
    observe(&mut clock, 7_060, 1_045);
    assert_eq!(place(&mut clock, 7_060), 1_090);
    // A gap becomes shorter.
    assert_eq!(place(&mut clock, 7_090), 1_110);
    assert_eq!(place(&mut clock, 7_210), 1_195);
}

#[test]
fn a_gap_becomes_longer_if_it_is_a_pause() {
    let mut clock = SourceClock::new(true);
    observe(&mut clock, 1_000, 1_030);
    assert_eq!(place(&mut clock, 1_000), 1_030);
    for timestamp in (5_000..20_000).step_by(20) {
        observe(&mut clock, timestamp, timestamp + 230);
    }
    assert_eq!(place(&mut clock, 1_020), 1_050);
    assert_eq!(place(&mut clock, 1_100), 1_130, "a loss");
    assert_eq!(place(&mut clock, 1_250), 1_410, "by its length");
    assert_eq!(place(&mut clock, 1_270), 1_430);
    assert_eq!(place(&mut clock, 1_400), 1_630);
}

#[test]
fn reports_of_the_publisher_are_used_once_both_streams_have_one() {
    let (mut audio, mut video) = (SourceClock::new(true), SourceClock::new(false));
    observe(&mut audio, 5_000, 1_030);
    // Captured at the same time, and encoded 60 ms longer.
    observe(&mut video, 90_000, 1_090);
    assert_eq!(place(&mut audio, 5_000), 1_030);
    video.align(audio.standing());
    assert_eq!(video.time(ms(90_000)), Time::ZERO + ms(1_090));
    report(&mut audio, 5_020, 1_050, Some(1_700_000_000_020));
    video.align(audio.standing());
    assert_eq!(video.time(ms(90_000)), Time::ZERO + ms(1_090), "its own report is missing");
    report(&mut video, 90_040, 1_130, Some(1_700_000_000_040));
    assert_eq!(place(&mut video, 90_040), 1_070);
    // Reports are not exact to the last.
    report(&mut video, 90_080, 1_170, Some(1_700_000_000_083));
    assert_eq!(place(&mut video, 90_080), 1_110);
    // Of another clock. It is not believed, after some seconds.
    report(&mut video, 90_120, 1_210, Some(1_700_000_009_000));
    assert_eq!(place(&mut video, 90_120), 1_150);
    report(&mut video, 96_120, 7_210, Some(1_700_000_015_000));
    assert_eq!(place(&mut video, 96_120), 7_210);
}

#[test]
fn a_clock_that_is_slow_is_followed_in_pauses() {
    let mut clock = SourceClock::new(true);
    for second in 0..600 {
        // A thousandth slower.
        let (timestamp, now) = (second * 999, second * 1_000);
        observe(&mut clock, timestamp, now);
        let time = place(&mut clock, timestamp);
        assert!(time <= now && now - time <= 35, "{time} {now}");
    }
}

#[test]
fn rtp_wraps_around() {
    let mut times = Unwrapped::default();
    let first = times.audio(u32::MAX - 479);
    assert_eq!(times.audio(480) - first, ms(20));
    assert_eq!(first - times.audio(u32::MAX - 479 - 48_000), ms(1_000));
    assert_eq!(times.audio(48_000 * 3_600) - first, Duration::from_secs(3_600) + ms(10));
}
