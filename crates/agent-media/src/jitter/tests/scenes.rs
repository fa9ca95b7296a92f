//! Short scenes: what arrives, and what is played.

use super::*;

/// A packet of 20 ms by its place in the stream.
fn packet(payload: &'static [u8], arrival: u64, place: u64) -> EncodedPacket {
    numbered(
        payload,
        arrival,
        100 + place,
        (u32::MAX - 1_000).wrapping_add(u32::try_from(place).unwrap() * 960),
    )
}

fn numbered(payload: &'static [u8], arrival: u64, sequence: u64, timestamp: u32) -> EncodedPacket {
    EncodedPacket { received: at(arrival), ..EncodedPacket::new(payload, sequence, timestamp) }
}

/// What was played, with pieces of the same kind as one: when, what, and for how long, in milliseconds.
/// Without what is made up at the end.
fn scene(packets: impl IntoIterator<Item = EncodedPacket>) -> (Vec<String>, JitterStats) {
    let mut player = Player::new(options());
    player.play(packets);
    let mut pieces: Vec<(f64, String, u128)> = Vec::new();
    for playout in player.played {
        let what = match playout.sound {
            PlayoutSound::Packet { sequence, .. } => format!("packet {}", sequence.wrapping_sub(100)),
            PlayoutSound::Fec { .. } => "copy".to_owned(),
            PlayoutSound::Conceal => "conceal".to_owned(),
            PlayoutSound::Silence { is_dtx: true } => "dtx".to_owned(),
            PlayoutSound::Silence { is_dtx: false } => "silence".to_owned(),
        };
        let duration = playout.duration().as_millis();
        match pieces.last_mut() {
            Some((_, last, sum)) if *last == what => *sum += duration,
            _ => pieces.push((millis(playout.due), what, duration)),
        }
    }
    let mut course: Vec<_> =
        pieces.iter().map(|(due, what, duration)| format!("{due:.0} {what} {duration}")).collect();
    let end = course.split_off(course.len() - 2);
    assert!(end[0].ends_with("conceal 120") && end[1].ends_with("silence 880"), "{end:?}");
    (course, player.buffer.stats())
}

/// A packet of silence at its place in the stream, late by some milliseconds.
fn late(place: u64, by: u64) -> EncodedPacket {
    packet(SILENCE, 1_000 + place * 20 + by, place)
}

fn in_time(places: impl IntoIterator<Item = u64>) -> Vec<EncodedPacket> {
    places.into_iter().map(|place| late(place, 0)).collect()
}

fn check(name: &str, packets: Vec<EncodedPacket>, expected: &[&str]) -> JitterStats {
    let (course, stats) = scene(packets);
    assert_eq!(course, expected, "{name}");
    stats
}

#[test]
fn lost_packets() {
    check("none", in_time(0..3), &["1003 packet 0 20", "1023 packet 1 20", "1043 packet 2 20"]);
    let one = &["1003 packet 0 20", "1023 conceal 20", "1043 packet 2 20"];
    let stats = check("one", in_time([0, 2]), one);
    assert_eq!((stats.received, stats.played, stats.lost), (2, 2, 1));
    let stats = check("two", in_time([0, 3]), &["1003 packet 0 20", "1023 conceal 40", "1063 packet 3 20"]);
    assert_eq!((stats.lost, stats.concealed), (2, Duration::from_millis(160)));
    // The delay is long enough to have the next packet.
    let stats = check(
        "with a copy in the next one",
        vec![late(0, 0), late(1, 30), packet(WITH_COPY, 1_060, 3), packet(WITH_COPY, 1_080, 4)],
        &[
            "1003 packet 0 20",
            "1023 conceal 30",
            "1053 packet 1 20",
            "1073 copy 20",
            "1093 packet 3 20",
            "1113 packet 4 20",
        ],
    );
    assert_eq!((stats.lost, stats.recovered), (1, 1));
    let outage = &["1003 packet 0 20", "1023 conceal 120", "1143 silence 260", "1403 packet 20 20"];
    let stats = check("an outage", in_time([0, 20]), outage);
    assert_eq!((stats.lost, stats.late), (19, 0));
}

#[test]
fn late_packets() {
    let stats = check(
        "one",
        vec![late(0, 0), late(1, 9), late(2, 0)],
        &["1003 packet 0 20", "1023 conceal 10", "1033 packet 1 20", "1053 packet 2 20"],
    );
    assert_eq!((stats.lost, stats.late), (0, 0));
    check(
        "swapped",
        vec![late(0, 0), late(2, 0), late(1, 21), late(3, 0)],
        &["1003 packet 0 20", "1023 conceal 20", "1043 packet 1 20", "1063 packet 2 20", "1083 packet 3 20"],
    );
    check(
        "the first ones",
        vec![late(1, 0), late(0, 21), late(2, 0)],
        &["1023 packet 0 20", "1043 packet 1 20", "1063 packet 2 20"],
    );
    let stats = check(
        "when its place is taken",
        vec![late(0, 0), late(2, 0), late(3, 0), late(1, 50)],
        &["1003 packet 0 20", "1023 conceal 20", "1043 packet 2 20", "1063 packet 3 20"],
    );
    assert_eq!((stats.lost, stats.late), (1, 1));
    let stats = check("repeated", vec![late(0, 0), late(0, 1), late(0, 9)], &["1003 packet 0 20"]);
    assert_eq!((stats.received, stats.played, stats.duplicates), (3, 1, 2));
    let stalled = (2..13).map(|place| packet(SILENCE, 1_340, place));
    let stats = check(
        "a stall of more than the bound",
        in_time(0..2).into_iter().chain(stalled).collect(),
        &[
            "1003 packet 0 20",
            "1023 packet 1 20",
            "1043 conceal 120",
            "1163 silence 195",
            "1358 packet 8 20",
            "1378 packet 9 20",
            "1398 packet 10 20",
            "1418 packet 11 20",
            "1438 packet 12 20",
        ],
    );
    assert_eq!((stats.late, stats.lost), (6, 0));
}

/// Packets from this place on, each late by some milliseconds.
fn all_late(places: std::ops::Range<u64>, by: u64) -> impl Iterator<Item = EncodedPacket> {
    places.map(move |place| late(place, by))
}

/// The course of packets that are played one after the other from this time on.
fn one_after_the_other(from: u64, places: std::ops::Range<u64>) -> Vec<String> {
    let due = |place: u64| from + 20 * (place - places.start);
    places.clone().map(|place| format!("{} packet {place} 20", due(place))).collect()
}

/// A source without frames for a while, or a network that becomes slower: what comes then is not played at
/// the times of before, and none of it is missing.
#[test]
fn all_packets_become_later_than_the_bound() {
    for (by, silence, begins) in [(300, 220, 1_443), (500, 420, 1_643), (900, 820, 2_043)] {
        let (course, stats) = scene(in_time(0..5).into_iter().chain(all_late(5..60, by)));
        let mut expected = one_after_the_other(1_003, 0..5);
        expected.extend(["1103 conceal 120".to_owned(), format!("1223 silence {silence}")]);
        expected.extend(one_after_the_other(begins, 5..60));
        assert_eq!(course, expected, "late by {by} ms");
        assert_eq!((stats.played, stats.late, stats.lost), (60, 0, 0), "late by {by} ms");
    }
    // Packets of other durations, and one that is lost.
    let short = |place: u64, by: u64| {
        let payload: &[u8] = b"\xe0\x01\x02";
        let timestamp = u32::try_from(place).unwrap() * 120;
        EncodedPacket {
            received: Time::ZERO + Duration::from_micros((1_000 + by) * 1_000 + place * 2_500),
            ..EncodedPacket::new(payload, place, timestamp)
        }
    };
    let packets = (0..40).map(|place| short(place, 0)).chain((40..200).map(|place| short(place, 400)));
    let (_, stats) = scene(packets);
    assert_eq!((stats.played, stats.late, stats.lost), (200, 0, 0), "of 2.5 ms");
    let packets = in_time(0..5).into_iter().chain(all_late(5..6, 400)).chain(all_late(7..60, 400));
    let (_, stats) = scene(packets);
    assert_eq!((stats.played, stats.late, stats.lost), (59, 0, 1), "one is lost");
}

/// As above, by hardly more than the bound, and with jitter: it may be a while until all are later.
#[test]
fn packets_become_later_by_about_the_bound() {
    for by in (150..260).step_by(5) {
        for jitter in [0, 10, 30] {
            let mut random = fastrand::Rng::with_seed(by);
            let mut packets: Vec<_> = (0..200)
                .map(|place| late(place, if place < 50 { 0 } else { by } + random.u64(0..=jitter)))
                .collect();
            packets.sort_by_key(|packet| packet.received);
            let mut player = Player::new(options());
            player.play(packets);
            let stats = player.buffer.stats();
            assert!(stats.played >= 180, "late by {by} ms, {jitter} ms of jitter: {stats:?}");
        }
    }
}

/// Packets that were held up come faster than in real time: those that are too late are not played, so that
/// the delay remains what it was. Nor is a straggler.
#[test]
fn held_up_packets_do_not_make_the_delay_longer() {
    for (held_up, gap) in [(300, 0.3), (600, 2.0), (600, 5.0)] {
        let arrival = |place: u64| {
            let burst = 1_100.0 + held_up as f64 + (place - 5) as f64 * gap;
            Time::ZERO + Duration::from_secs_f64(burst.max(1_000.0 + 20.0 * place as f64) / 1_000.0)
        };
        let burst = (5..300).map(|place| EncodedPacket { received: arrival(place), ..late(place, 0) });
        let mut player = Player::new(options());
        player.play(in_time(0..5).into_iter().chain(burst));
        let delay = |playout: &Playout| match playout.sound {
            PlayoutSound::Packet { sequence, .. } => {
                Some(millis(playout.due) - 1_000.0 - 20.0 * (sequence - 100) as f64)
            }
            _ => None,
        };
        let delays: Vec<_> = player.played.iter().filter_map(delay).collect();
        assert!(delays.iter().all(|delay| *delay <= 200.5), "held up for {held_up} ms: {delays:?}");
        assert!(delays.len() as u64 >= 300 - held_up / 20, "held up for {held_up} ms: {delays:?}");
    }
    let stats = scene(in_time(0..5).into_iter().chain([late(5, 300)])).1;
    assert_eq!((stats.played, stats.late), (5, 1));
    // Those that follow are in time.
    let packets = in_time(0..5).into_iter().chain([late(5, 400)]).chain(in_time(26..40));
    let stats = scene(packets).1;
    assert_eq!((stats.played, stats.late, stats.lost), (19, 1, 20));
}

#[test]
fn silence() {
    check(
        "DTX",
        vec![late(0, 0), packet(DTX, 1_020, 1), numbered(SILENCE, 1_400, 102, 18_239)],
        &["1003 packet 0 20", "1023 packet 1 20", "1043 dtx 360", "1403 packet 2 20"],
    );
    check(
        "without its announcement",
        vec![late(0, 0), numbered(SILENCE, 1_400, 101, 18_239)],
        &["1003 packet 0 20", "1023 conceal 120", "1143 silence 260", "1403 packet 1 20"],
    );
    let paused = ["1003 packet 0 20", "1023 conceal 120", "1143 silence 880", "9003 packet 1 20"];
    check("a mute, in which timestamps do not advance", vec![late(0, 0), packet(SILENCE, 9_000, 1)], &paused);
    check(
        "a mute, in which timestamps advance",
        vec![late(0, 0), numbered(SILENCE, 9_000, 101, 383_000)],
        &paused,
    );
    let stats = check(
        "without bytes",
        vec![late(0, 0), packet(b"", 1_020, 1), late(2, 0), packet(b"", 1_060, 3)],
        &["1003 packet 0 20", "1023 conceal 20", "1043 packet 2 20"],
    );
    assert_eq!((stats.lost, stats.discarded), (0, 2));
}

/// A delay that jitter has increased is reduced again in silence.
#[test]
fn silence_corrects_the_delay() {
    let voice = (2..100).map(|place| late(place, 0));
    let silence = [packet(DTX, 3_000, 100), numbered(SILENCE, 3_400, 201, 114_239)];
    let packets = [late(0, 0), late(1, 100)].into_iter().chain(voice).chain(silence).collect::<Vec<_>>();
    let (course, _) = scene(packets);
    assert!(course.contains(&"3083 packet 99 20".to_owned()), "{course:?}");
    assert_eq!(course[course.len() - 3..], ["3103 packet 100 20", "3123 dtx 280", "3403 packet 101 20"]);
}

/// By default a network without jitter has a delay of 10 ms: a packet that is held up by less is in time.
#[test]
fn the_default_delay() {
    let mut player = Player::new(JitterOptions::default());
    let packets = (0..4)
        .map(|n| numbered(SILENCE, 1_000 + 20 * n + if n == 2 { 9 } else { 0 }, 100 + n, 960 * n as u32));
    player.play(packets);
    let played: Vec<_> = player.played.iter().take(4).map(|playout| millis(playout.due)).collect();
    assert_eq!(played, [1_010.0, 1_030.0, 1_050.0, 1_070.0]);
    assert_eq!((player.buffer.stats().late, player.buffer.stats().played), (0, 4));
}

#[test]
fn jumps() {
    let stats = check(
        "garbage",
        vec![
            late(0, 0),
            numbered(SILENCE, 1_010, 1 << 40, 7),
            late(1, 0),
            numbered(SILENCE, 1_030, 102, 1 << 30),
            late(2, 0),
        ],
        &["1003 packet 0 20", "1023 packet 1 20", "1043 packet 2 20"],
    );
    assert_eq!((stats.discarded, stats.resyncs), (2, 0));
    let stats = check(
        "to another place",
        vec![late(0, 0), numbered(SILENCE, 1_020, 9_100, 7), numbered(SILENCE, 1_040, 9_101, 967)],
        &["1003 packet 0 20", "1023 conceal 20", "1043 packet 9001 20"],
    );
    assert_eq!((stats.discarded, stats.resyncs), (1, 1));
    let other = EncodedPacket { source: 7, ..numbered(SILENCE, 1_020, 105, 7) };
    let stats =
        check("to another source", vec![late(0, 0), other], &["1003 packet 0 20", "1023 packet 5 20"]);
    assert_eq!((stats.discarded, stats.resyncs, stats.lost), (0, 0, 0));
}

/// Nothing is made up for what the queue before the buffer has dropped.
#[test]
fn dropped_before() {
    let mut player = Player::new(options());
    for packet in in_time(0..2) {
        player.buffer.push(packet, at(9_000));
    }
    player.buffer.note_dropped(300);
    for packet in in_time(302..305) {
        player.buffer.push(packet, at(9_000));
    }
    player.buffer.handle_timeout(at(7_102));
    player.drain();
    let all: Vec<_> = player.played.iter().map(|playout| (playout.due, playout.media_time)).collect();
    assert_eq!(all.len(), 5, "{all:?}");
    // 1,023 ms after the first one.
    let after = Duration::from_millis(6_040);
    assert_eq!(all[2].1, after);
    assert_eq!(all[2].0 - all[0].0, after);
    let stats = player.buffer.stats();
    assert_eq!((stats.dropped_before, stats.lost, stats.concealed), (300, 0, Duration::ZERO));
}

/// The time of the sound continues by the clock when a stream ends and another one begins.
#[test]
fn media_time_continues() {
    let mut player = Player::new(options());
    let other = |arrival: u64, place: u32| EncodedPacket {
        source: 9,
        ..numbered(SILENCE, arrival, place.into(), place * 960)
    };
    let muted = [late(0, 0), numbered(SILENCE, 5_000, 101, 7)];
    player.play(muted.into_iter().chain([other(5_100, 0), other(5_120, 1), other(9_000, 2)]));
    let packets = player.played.iter().filter(|playout| matches!(playout.sound, PlayoutSound::Packet { .. }));
    let times: Vec<_> =
        packets.map(|playout| (playout.media_time.as_millis(), playout.is_new_stream)).collect();
    assert_eq!(times, [(0, true), (4_000, false), (4_100, true), (4_120, false), (8_000, false)]);
}
