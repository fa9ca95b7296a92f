use std::sync::Arc;

use super::*;
use crate::{
    ConnectionQuality, DataReceived, DataTrack, Participant, Reconnected, RoomInfo, Speaker,
    SubscriptionFailure, Track,
};

pub(super) const SMALL: QueueLimits = QueueLimits { entries: 8, bytes: 400 };

pub(super) fn data(topic: &str, n: u32) -> RoomEvent {
    RoomEvent::DataReceived(DataReceived::new(topic, n.to_string(), Some("ada".to_owned())))
}

pub(super) fn number(message: &DataReceived) -> u32 {
    std::str::from_utf8(&message.payload).unwrap().parse().unwrap()
}

pub(super) fn topic(name: &str) -> DataFilter {
    DataFilter::Topic(name.to_owned())
}

fn new_session() -> RoomEvent {
    RoomEvent::Reconnected(Box::default())
}

/// The contents of a data stream, as text.
fn messages(inbox: &mut Inbox, id: StreamId) -> Vec<String> {
    let mut all = Vec::new();
    while let Poll::Ready(Some(next)) = inbox.next_message(id) {
        all.push(match next {
            Ok(message) => number(&message).to_string(),
            Err(missed) => missed.to_string(),
        });
    }
    all
}

/// The contents of an event stream, as text.
fn events(inbox: &mut Inbox, id: StreamId) -> Vec<String> {
    let mut all = Vec::new();
    while let Poll::Ready(Some(next)) = inbox.next_event(id) {
        all.push(match next {
            RoomEvent::DataReceived(message) => number(&message).to_string(),
            RoomEvent::ParticipantJoined(who) => format!("joined {}", who.identity),
            RoomEvent::Lagged { missed } => format!("missed {missed}"),
            RoomEvent::DataMissed { sender, up_to } => format!("missed up to {up_to} of {sender}"),
            other => format!("{other:?}"),
        });
    }
    all
}

pub(super) fn joined(identity: &str) -> RoomEvent {
    RoomEvent::ParticipantJoined(Participant::new("PA", identity).into())
}

#[test]
fn a_flood_of_one_topic_drops_nothing_of_another() {
    let mut inbox = Inbox::with_limits(SMALL, []);
    let (a, _) = inbox.open_data(topic("a"));
    inbox.push(&data("a", 0));
    // While a stream of `a` is open, and before there is one of `b`.
    inbox.push(&data("b", 1));
    let mut dropped = Dropped::default();
    for n in 2..100 {
        dropped.messages += inbox.push(&data("flood", n)).messages;
    }
    inbox.push(&data("a", 100));
    inbox.push(&data("b", 101));
    assert_eq!(dropped, Dropped::default(), "there is no reader of the flood");
    assert_eq!(messages(&mut inbox, a), ["0", "100"]);
    let (b, dropped) = inbox.open_data(topic("b"));
    assert_eq!((messages(&mut inbox, b), dropped.any()), (vec!["1".to_owned(), "101".to_owned()], false));
    let (flood, dropped) = inbox.open_data(topic("flood"));
    assert_eq!(dropped, Dropped { messages: 92, ..Dropped::default() });
    let expected =
        "92 data messages dropped: the reader is too slow, and more than 1,024 messages or 4 MiB were queued";
    assert_eq!(messages(&mut inbox, flood), [expected, "94", "95", "96", "97", "98", "99"]);
}

#[test]
fn a_slow_reader_gets_the_gap_at_its_position() {
    let mut inbox = Inbox::new([]);
    let (slow, _) = inbox.open_data(topic("t"));
    let dropped: u64 = (0..5000).map(|n| inbox.push(&data("t", n)).messages).sum();
    let all = messages(&mut inbox, slow);
    assert_eq!((dropped, all.len()), (5000 - 1024, 1 + 1024));
    assert!(all[0].starts_with("3976 data messages dropped"), "{}", all[0]);
    assert_eq!(all[1], "3976");
    // Once, not again.
    inbox.push(&data("t", 5000));
    assert_eq!(messages(&mut inbox, slow), ["5000"]);
}

#[test]
fn topics_and_states_count_into_the_bytes() {
    let mut inbox = Inbox::new([]);
    let (id, _) = inbox.open_events([]);
    let long = "x".repeat(64 * 1024);
    let dropped: u64 = (0..100).map(|n| inbox.push(&data(&long, n)).events).sum();
    assert_eq!((dropped, inbox.len(id)), (37, 63));
    let mut heavy = Participant::new("PA", "ada");
    heavy.metadata = "x".repeat(512 * 1024);
    for _ in 0..100 {
        inbox.push(&RoomEvent::MetadataChanged(heavy.clone().into()));
    }
    assert!(inbox.len(id) <= 8, "{} wait", inbox.len(id));
}

/// One event of each kind that the server or a participant can make large, with this text in one place.
fn large(text: &str) -> Vec<RoomEvent> {
    let of = |change: fn(&mut Participant, String)| {
        let mut participant = Participant::default();
        change(&mut participant, text.to_owned());
        RoomEvent::ParticipantActive(participant.into())
    };
    let named = |name: &str| Track { name: name.to_owned(), ..Track::default() };
    let (participant, text) = (Arc::new(Participant::default()), text.to_owned());
    vec![
        of(|participant, text| participant.sid = text),
        of(|participant, text| participant.identity = text),
        of(|participant, text| drop(participant.attributes.insert("key".to_owned(), text))),
        of(|participant, text| {
            drop(participant.tracks.insert("TR".to_owned(), Track { name: text, ..Track::default() }))
        }),
        of(|participant, text| {
            participant.tracks.insert("TR".to_owned(), Track { mime_type: text, ..Track::default() });
        }),
        of(|participant, text| {
            drop(participant.data_tracks.insert("DTR".to_owned(), DataTrack::new("", text)))
        }),
        RoomEvent::TrackPublished { participant: participant.clone(), track: named(&text) },
        RoomEvent::TrackStreamStateChanged {
            participant: participant.clone(),
            track: named(&text),
            paused: true,
        },
        RoomEvent::LocalTrackSubscribed { track: named(&text) },
        RoomEvent::DataTrackUnpublished {
            participant: participant.clone(),
            track: DataTrack::new(&*text, ""),
        },
        RoomEvent::AttributesChanged { participant, changed: [(text.clone(), String::new())].into() },
        RoomEvent::SpeakersChanged(vec![Speaker::new("ada", 0.5), Speaker::new(&*text, 0.1)]),
        RoomEvent::ConnectionQualityChanged { identity: text.clone(), quality: ConnectionQuality::Good },
        RoomEvent::TrackUnsubscribed { track_sid: text.clone() },
        RoomEvent::TrackSubscriptionFailed { track_sid: text.clone(), reason: SubscriptionFailure::Unknown },
        RoomEvent::RoomUpdated(RoomInfo::new("RM", &*text)),
        RoomEvent::TokenRefreshed { token: text.into() },
    ]
}

#[test]
fn all_that_an_event_holds_counts_into_the_bytes() {
    for event in large(&"x".repeat(64 * 1024)) {
        let mut inbox = Inbox::new([]);
        let (id, _) = inbox.open_events([]);
        let dropped: u64 = (0..100).map(|_| inbox.push(&event).events).sum();
        assert_eq!(dropped, 100 - inbox.len(id) as u64);
        assert!(inbox.len(id) <= 64, "{} of {}", inbox.len(id), &format!("{event:?}")[..40]);
    }
    // Many small parts: they have no texts.
    let mut participant = Participant::default();
    for n in 0..500 {
        participant.tracks.insert(n.to_string(), Track::default());
    }
    let mut inbox = Inbox::new([]);
    let (id, _) = inbox.open_events([]);
    for _ in 0..1000 {
        inbox.push(&RoomEvent::ParticipantActive(participant.clone().into()));
    }
    assert!(inbox.len(id) < 100, "{}", inbox.len(id));
}

#[test]
fn the_list_of_present_participants_is_never_dropped() {
    let present = || (0..20).map(|n| joined(&n.to_string()));
    let mut inbox = Inbox::with_limits(SMALL, present());
    let (id, _) = inbox.open_events([]);
    for n in 0..10 {
        inbox.push(&data("t", n));
    }
    let all = events(&mut inbox, id);
    assert_eq!(all[19..22], ["joined 19", "missed 2", "2"]);
}

#[test]
fn a_new_session_is_reported_once_to_open_and_later_streams() {
    let mut inbox = Inbox::new([]);
    let (open, _) = inbox.open_data(topic("t"));
    inbox.push(&data("t", 1));
    inbox.push(&data("late", 2));
    inbox.push(&new_session());
    inbox.push(&RoomEvent::DataMissed { sender: "ada".to_owned(), up_to: 3 });
    inbox.push(&data("t", 4));
    inbox.push(&data("late", 5));
    let gaps = [
        "an unknown number of data messages may be missing: the connection to the room was re-established",
        "at most 3 data messages from ada may be missing: the connection to the room was re-established",
    ];
    assert_eq!(messages(&mut inbox, open), ["1", gaps[0], gaps[1], "4"]);
    let (late, _) = inbox.open_data(topic("late"));
    assert_eq!(messages(&mut inbox, late), ["2", gaps[0], gaps[1], "5"]);
    // A second stream beside one that has had them, and one after it, have no gaps to report.
    let (second, _) = inbox.open_data(topic("late"));
    assert_eq!(messages(&mut inbox, second), [""; 0]);
    inbox.close(late);
    inbox.close(second);
    let (third, _) = inbox.open_data(topic("late"));
    assert_eq!(messages(&mut inbox, third), [""; 0]);
    let resumed = Reconnected { resumed: true, ..Reconnected::default() };
    inbox.push(&RoomEvent::Reconnected(Box::new(resumed)));
    assert_eq!(messages(&mut inbox, third), [""; 0], "nothing was lost");
}

#[test]
fn many_interruptions_are_reported_as_few() {
    let mut inbox = Inbox::new([]);
    for _ in 0..1000 {
        inbox.push(&RoomEvent::DataMissed { sender: "ada".to_owned(), up_to: 1 });
    }
    let (id, _) = inbox.open_data(topic("t"));
    let all = messages(&mut inbox, id);
    assert_eq!(all.len(), 16);
    assert!(all[15].starts_with("an unknown number"), "{all:?}");
}

#[test]
fn unread_events_of_an_attempt_are_queued_for_the_next_one() {
    let mut inbox = Inbox::new([joined("ada")]);
    let (first, _) = inbox.open_events([]);
    let (topics, _) = inbox.open_data(DataFilter::AllTopics);
    let (one, _) = inbox.open_data(topic("t"));
    let side = inbox.open_side([]);
    inbox.push(&data("t", 1));
    inbox.push(&data("t", 2));
    assert_eq!(events(&mut inbox, first), ["joined ada", "1", "2"]);
    assert!(matches!(inbox.next_message(topics), Poll::Ready(Some(Ok(message))) if number(&message) == 1));
    inbox.push(&joined("bob"));
    inbox.push(&data("u", 3));
    inbox.close(first);
    // Between two attempts, with streams of the last one still open: a task that it left behind holds them.
    inbox.push(&data("t", 4));
    inbox.push(&RoomEvent::DataMissed { sender: "ada".to_owned(), up_to: 5 });
    let beside = ["1", "2", "joined bob", "3", "4", "missed up to 5 of ada"];
    assert_eq!(events(&mut inbox, side), beside);
    inbox.end_attempt();
    for ended in [topics, one, side] {
        assert_eq!(inbox.next_event(ended), Poll::Ready(None), "it ended with its attempt");
    }
    inbox.push(&data("t", 5));
    inbox.begin_attempt([joined("ada"), joined("bob")]);
    inbox.push(&data("t", 6));
    let missed =
        "at most 5 data messages from ada may be missing: the connection to the room was re-established";
    let (second, _) = inbox.open_events([]);
    assert_eq!(
        events(&mut inbox, second),
        ["joined ada", "joined bob", "3", "4", "missed up to 5 of ada", "5", "6"]
    );
    let (topics, _) = inbox.open_data(DataFilter::AllTopics);
    assert_eq!(messages(&mut inbox, topics), ["2", "3", "4", missed, "5", "6"]);
    let (again, _) = inbox.open_data(topic("t"));
    assert_eq!(messages(&mut inbox, again), ["1", "2", "4", missed, "5", "6"]);
    assert_eq!(inbox.next_event(StreamId::ENDED), Poll::Ready(None));
}

#[test]
fn a_stream_that_was_opened_later_does_not_hide_what_an_earlier_one_leaves() {
    let mut inbox = Inbox::new([]);
    let (early, _) = inbox.open_data(topic("t"));
    inbox.push(&data("t", 1));
    let (late, _) = inbox.open_data(topic("t"));
    inbox.push(&data("t", 2));
    assert_eq!(messages(&mut inbox, late), ["2"]);
    inbox.close(early);
    inbox.close(late);
    let (next, _) = inbox.open_data(topic("t"));
    assert_eq!(messages(&mut inbox, next), ["1"]);
}

#[test]
fn a_stream_that_took_over_what_waits_does_not_hide_what_came_before_it() {
    let mut inbox = Inbox::new([]);
    inbox.push(&data("t", 1));
    let (first, _) = inbox.open_data(topic("t"));
    let (second, _) = inbox.open_data(topic("t"));
    inbox.close(first);
    inbox.push(&data("t", 2));
    let (third, _) = inbox.open_data(topic("t"));
    inbox.close(second);
    assert_eq!(messages(&mut inbox, third), ["1"]);
    let (fourth, _) = inbox.open_data(topic("t"));
    assert_eq!(messages(&mut inbox, fourth), ["2"]);
}

#[test]
fn the_end_of_the_room_ends_streams_after_their_queued_events() {
    let mut inbox = Inbox::new([]);
    let (open, _) = inbox.open_data(topic("t"));
    inbox.push(&data("t", 1));
    inbox.push(&data("u", 2));
    inbox.push(&RoomEvent::Disconnected { reason: crate::DisconnectReason::RoomClosed });
    inbox.push(&data("t", 3));
    assert_eq!(messages(&mut inbox, open), ["1"]);
    assert_eq!(inbox.next_message(open), Poll::Ready(None));
    let (late, _) = inbox.open_data(topic("u"));
    assert_eq!(messages(&mut inbox, late), ["2"]);
    assert_eq!(inbox.next_message(late), Poll::Ready(None));
}

#[test]
fn topics_without_end_are_bounded_and_not_forgotten_silently() {
    let mut inbox = Inbox::with_limits(SMALL, []);
    for n in 0..1000 {
        inbox.push(&data(&format!("topic {n}"), n));
    }
    assert!(inbox.for_topics.topics().0 <= SMALL.entries);
    let (id, _) = inbox.open_data(topic("topic 3"));
    let all = messages(&mut inbox, id);
    assert!(all.len() == 1 && all[0].contains("dropped"), "{all:?}");

    // Long names are limited, too, including those of topics that have lost all their messages.
    let mut inbox = Inbox::new([]);
    for n in 0..1000 {
        inbox.push(&data(&format!("{n}{}", "x".repeat(64 * 1024)), n));
    }
    let (topics, names) = inbox.for_topics.topics();
    assert!(names <= 4 * 1024 * 1024, "{topics} topics, {names} bytes");
}
