//! Frames of audio tracks, from str0m as the server.

use std::time::Duration;

use agent_room::AudioLevel;

use crate::support::Pair;

/// A connected room with two audio sections that carry these tracks.
fn with_tracks(first: &str, second: &str) -> Pair {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    pair.ask_for_audio(2);
    let tracks = [(pair.audio[0], first), (pair.audio[1], second)];
    pair.carry(&tracks);
    pair
}

/// The track, number, timestamp and payload of each frame.
fn frames(pair: &Pair) -> Vec<(&str, u64, u32, &[u8])> {
    let frame = pair.frames.iter();
    frame.map(|(track, f)| (track.as_str(), f.sequence, f.timestamp, &f.payload[..])).collect()
}

#[test]
fn frames_of_two_tracks_come_out_as_they_were_sent() {
    let mut pair = with_tracks("TR_a", "TR_b");
    let [a, b] = [pair.audio[0], pair.audio[1]];
    let start = pair.now;
    for n in 0..3_u8 {
        pair.send_audio(a, n.into(), u32::from(n) * 960, &[b'a', n]);
        pair.send_audio(b, u64::from(n) + 70, u32::from(n) * 960 + 7, &[b'b', n]);
        pair.run_for(Duration::from_millis(20));
    }
    assert_eq!(
        frames(&pair),
        [
            ("TR_a", 0, 0, &b"a\0"[..]),
            ("TR_b", 70, 7, b"b\0"),
            ("TR_a", 1, 960, b"a\x01"),
            ("TR_b", 71, 967, b"b\x01"),
            ("TR_a", 2, 1920, b"a\x02"),
            ("TR_b", 72, 1927, b"b\x02"),
        ]
    );
    let (_, first) = &pair.frames[0];
    assert_eq!((first.clock_rate, first.marker), (48_000, true));
    assert_eq!(first.audio_level, Some(AudioLevel::new(-30, true)));
    assert_eq!(first.received, start + Duration::from_millis(2));
    assert!(!pair.frames[2].1.marker);
    assert_ne!(first.source, pair.frames[1].1.source);
    assert_eq!((pair.room.unrouted_frames(), pair.room.violations()), (0, 0));
}

#[test]
fn frames_come_in_the_order_of_their_arrival_each_once_and_numbers_do_not_wrap_around() {
    let mut pair = with_tracks("TR_a", "TR_b");
    let a = pair.audio[0];
    for n in [65_534, 65_536, 65_535, 65_536, 65_538] {
        pair.send_audio(a, n, u32::MAX.wrapping_add((n as u32 - 65_534) * 960), b"x");
    }
    pair.run_for(Duration::from_millis(20));
    let numbers: Vec<_> = pair.frames.iter().map(|(_, f)| (f.sequence, f.timestamp)).collect();
    assert_eq!(numbers, [(65_534, u32::MAX), (65_536, 1919), (65_535, 959), (65_538, 3839)]);
}

#[test]
fn frames_of_tracks_that_are_not_in_the_servers_answer_are_dropped_and_counted() {
    let mut pair = with_tracks("TR_a", "TR_b");
    let [a, b] = [pair.audio[0], pair.audio[1]];
    pair.send_audio(b, 0, 0, b"last");
    pair.run_for(Duration::from_millis(20));
    // The second one is unsubscribed.
    pair.carry(&[(a, "TR_a")]);
    pair.send_audio(b, 1, 960, b"late");
    pair.send_audio(a, 0, 0, b"x");
    pair.run_for(Duration::from_millis(20));
    assert_eq!(frames(&pair), [("TR_b", 0, 0, &b"last"[..]), ("TR_a", 0, 0, b"x")]);
    assert_eq!((pair.room.unrouted_frames(), pair.room.violations()), (1, 0));
    // And its section carries another track.
    pair.carry(&[(a, "TR_a"), (b, "TR_c")]);
    pair.send_audio(b, 2, 0, b"new");
    pair.run_for(Duration::from_millis(20));
    assert_eq!(frames(&pair).last(), Some(&("TR_c", 2, 0, &b"new"[..])));
}

#[test]
fn late_packets_of_a_track_are_not_assigned_to_the_next_track_of_its_section() {
    let mut pair = with_tracks("TR_a", "TR_b");
    let [a, b] = [pair.audio[0], pair.audio[1]];
    // The answer names another stream for the first section than the one that still sends.
    pair.tamper = |sdp| {
        let mut sections: Vec<String> = sdp.split("\nm=").map(str::to_owned).collect();
        let renamed = |line: &str| match line.strip_prefix("a=ssrc:").and_then(|rest| rest.split_once(' ')) {
            Some((_, rest)) => format!("a=ssrc:4242 {rest}"),
            None => line.to_owned(),
        };
        let audio = sections.iter_mut().find(|section| section.starts_with("audio")).unwrap();
        *audio = audio.lines().map(renamed).collect::<Vec<_>>().join("\n");
        sections.join("\nm=")
    };
    pair.carry(&[(a, "TR_c"), (b, "TR_b")]);
    pair.send_audio(a, 0, 0, b"late of TR_a");
    pair.send_audio(b, 0, 0, b"x");
    pair.run_for(Duration::from_millis(20));
    assert_eq!(frames(&pair), [("TR_b", 0, 0, &b"x"[..])]);
    assert_eq!(pair.room.unrouted_frames(), 1);
}

#[test]
fn another_session_continues_with_the_same_track() {
    let mut pair = with_tracks("TR_a", "TR_b");
    let a = pair.audio[0];
    pair.send_audio(a, 0, 0, b"before");
    pair.run_for(Duration::from_millis(20));
    pair.url = None;
    pair.input(agent_room::Input::SignalClosed { reason: "reset".to_owned() });
    pair.run_until("another try", |pair| pair.url.is_some());
    pair.input(agent_room::Input::SignalOpened);
    let leave = agent_proto::livekit::LeaveRequest {
        action: agent_proto::livekit::leave_request::Action::Reconnect as i32,
        ..Default::default()
    };
    pair.server_sends(agent_proto::livekit::signal_response::Message::Leave(leave));
    pair.run_until("a new session", |pair| pair.bind_asked);
    (pair.audio, pair.tracks) = (Vec::new(), Default::default());
    pair.rejoin();
    pair.run_until("the connection", |pair| pair.channels.len() == 3);
    pair.ask_for_audio(1);
    let a = pair.audio[0];
    pair.carry(&[(a, "TR_a")]);
    pair.send_audio(a, 0, 0, b"after");
    pair.run_for(Duration::from_millis(20));
    assert_eq!(frames(&pair), [("TR_a", 0, 0, &b"before"[..]), ("TR_a", 0, 0, b"after")]);
    assert_ne!(pair.frames[0].1.source, pair.frames[1].1.source);
}
