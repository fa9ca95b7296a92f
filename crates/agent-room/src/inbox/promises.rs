//! Any events in any order: each message is read or reported as missed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::{SMALL, data, joined, number, topic};
use super::*;

/// An operation on an inbox.
#[derive(Clone, Debug)]
enum Op {
    Push(usize),
    State,
    Open(usize),
    Read(usize, usize),
    Close(usize),
    EndAttempt,
    BeginAttempt,
}

/// Two topics with streams of their own, one without, all topics, and events.
const FILTERS: usize = 4;
const TOPICS: [&str; 3] = ["a", "b", "c"];

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        10 => (0..TOPICS.len()).prop_map(Op::Push),
        1 => Just(Op::State),
        2 => (0..FILTERS).prop_map(Op::Open),
        3 => (0..12_usize, 0..6_usize).prop_map(|(stream, most)| Op::Read(stream, most)),
        2 => (0..12_usize).prop_map(Op::Close),
        1 => Just(Op::EndAttempt),
        1 => Just(Op::BeginAttempt),
    ];
    prop::collection::vec(op, 0..200)
}

#[derive(Default)]
struct Reader {
    /// Numbers in the order of reading.
    read: Vec<u32>,
    missed: u64,
}

struct Play {
    inbox: Inbox,
    sent: BTreeMap<usize, BTreeSet<u32>>,
    readers: [Reader; FILTERS],
    open: Vec<(usize, StreamId)>,
    /// Number of messages sent before the first stream of all topics was opened.
    before_all: Option<u32>,
    next: u32,
}

impl Play {
    fn open(&mut self, filter: usize) {
        let id = match filter {
            0 | 1 => self.inbox.open_data(topic(TOPICS[filter])).0,
            2 => self.inbox.open_data(DataFilter::AllTopics).0,
            _ => self.inbox.open_events([joined("ada")]).0,
        };
        if filter == 2 {
            self.before_all.get_or_insert(self.next);
        }
        self.open.push((filter, id));
    }

    fn read(&mut self, stream: usize, most: usize) {
        let Some(&(filter, id)) = self.open.get(stream) else { return };
        for _ in 0..most {
            let reader = &mut self.readers[filter];
            if filter == 3 {
                match self.inbox.next_event(id) {
                    Poll::Ready(Some(RoomEvent::DataReceived(message))) => reader.read.push(number(&message)),
                    Poll::Ready(Some(RoomEvent::Lagged { missed })) => reader.missed += missed,
                    Poll::Ready(Some(_)) => {}
                    _ => return,
                }
            } else {
                match self.inbox.next_message(id) {
                    Poll::Ready(Some(Ok(message))) => reader.read.push(number(&message)),
                    Poll::Ready(Some(Err(missed))) => reader.missed += missed.count,
                    _ => return,
                }
            }
        }
    }

    fn sent_to(&self, filter: usize) -> BTreeSet<u32> {
        match filter {
            0 | 1 => self.sent.get(&filter).cloned().unwrap_or_default(),
            2 => (self.before_all.unwrap_or(self.next)..self.next).collect(),
            _ => (0..self.next).collect(),
        }
    }
}

fn play(ops: Vec<Op>, one_stream_each: bool) -> Play {
    let mut play = Play {
        inbox: Inbox::with_limits(SMALL, []),
        sent: BTreeMap::new(),
        readers: Default::default(),
        open: Vec::new(),
        before_all: None,
        next: 0,
    };
    for op in ops {
        match op {
            Op::Push(of) => {
                play.inbox.push(&data(TOPICS[of], play.next));
                play.sent.entry(of).or_default().insert(play.next);
                play.next += 1;
            }
            Op::State => drop(play.inbox.push(&joined("bob"))),
            Op::Open(filter) => {
                if !one_stream_each || play.open.iter().all(|(open, _)| *open != filter) {
                    play.open(filter);
                }
            }
            Op::Read(stream, most) => play.read(stream, most),
            Op::Close(stream) => {
                if stream < play.open.len() {
                    let (_, id) = play.open.remove(stream);
                    play.inbox.close(id);
                }
            }
            Op::EndAttempt => {
                play.inbox.end_attempt();
                play.open.clear();
            }
            Op::BeginAttempt => {
                play.inbox.begin_attempt([joined("ada")]);
                play.open.clear();
            }
        }
        let (topics, _) = play.inbox.for_topics.topics();
        assert!(topics <= SMALL.entries, "the table of topics has grown");
        let waiting: usize = play.open.iter().map(|(_, id)| play.inbox.len(*id)).sum();
        assert!(waiting <= play.open.len() * (SMALL.entries + 1), "a queue has grown");
    }
    // At the end everything is read.
    play.inbox.begin_attempt([]);
    play.open.clear();
    for filter in 0..FILTERS {
        play.open(filter);
        play.read(filter, usize::MAX);
    }
    play
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn consecutive_streams_have_each_message_once_or_report_it(ops in ops()) {
        let mut play = play(ops, true);
        for filter in 0..FILTERS {
            let sent = play.sent_to(filter);
            let Reader { read, missed } = &mut play.readers[filter];
            prop_assert!(read.is_sorted_by(|a, b| a < b), "{filter}: {read:?}");
            if filter < 2 {
                prop_assert_eq!(read.len() as u64 + *missed, sent.len() as u64, "{}", filter);
                prop_assert!(read.iter().all(|n| sent.contains(n)));
            } else {
                // Other events are missed, too, and messages before the first stream of all topics may have
                // gone to another one.
                let read: BTreeSet<u32> = read.iter().copied().filter(|n| sent.contains(n)).collect();
                let lost = (sent.len() - read.len()) as u64;
                prop_assert!(lost <= *missed, "{filter}: {lost} lost, {missed} reported");
            }
        }
    }

    #[test]
    fn several_streams_report_every_loss(ops in ops()) {
        let play = play(ops, false);
        for (filter, Reader { read, missed }) in play.readers.iter().enumerate() {
            let read: BTreeSet<u32> = read.iter().copied().collect();
            let lost = play.sent_to(filter).difference(&read).count() as u64;
            prop_assert!(lost <= *missed, "{filter}: {lost} lost, {missed} reported");
        }
    }
}
