//! The events of a job's channel, in a form that can be sent, and their sums.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use agent_worker::coordination::ChannelEvent;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Received {
    Message {
        from: String,
        text: String,
    },
    Announced(String),
    Missed {
        from: String,
        count: u64,
    },
    Interrupted,
    /// An event that no test expects.
    Other(String),
}

impl From<ChannelEvent> for Received {
    fn from(event: ChannelEvent) -> Self {
        match event {
            ChannelEvent::Message(message) => Self::Message { text: message.text(), from: message.from },
            ChannelEvent::Announced(other) => Self::Announced(other.capability),
            ChannelEvent::Missed { from, count } => Self::Missed { from, count },
            ChannelEvent::Interrupted => Self::Interrupted,
            other => Self::Other(format!("{other:?}")),
        }
    }
}

/// The growing numbers of each of the others, and how many of them were reported as lost.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_publisher: BTreeMap<String, Counted>,
    pub(crate) interruptions: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) received: usize,
    pub(crate) missed: usize,
    /// After the last number.
    next: usize,
}

impl Counted {
    /// Everything up to this number, without a loss.
    pub(crate) fn all(end: usize) -> Self {
        Self { received: end, missed: 0, next: end }
    }
}

impl Tally {
    pub(crate) fn take(&mut self, received: Received) {
        match received {
            Received::Message { from, text } => {
                let counted = self.by_publisher.entry(from).or_default();
                let number: usize = text.parse().unwrap();
                assert!(number >= counted.next, "{number} after {counted:?}");
                counted.next = number + 1;
                counted.received += 1;
            }
            Received::Missed { from, count } => {
                self.by_publisher.entry(from).or_default().missed += usize::try_from(count).unwrap();
            }
            Received::Interrupted => self.interruptions += 1,
            Received::Announced(_) | Received::Other(_) => panic!("{received:?}"),
        }
    }

    /// Of how many others it has received the last number before this one.
    pub(crate) fn complete(&self, end: usize) -> usize {
        self.by_publisher.values().filter(|counted| counted.next == end).count()
    }

    pub(crate) fn messages(&self) -> usize {
        self.by_publisher.values().map(|counted| counted.received).sum()
    }

    pub(crate) fn missed(&self) -> usize {
        self.by_publisher.values().map(|counted| counted.missed).sum()
    }

    /// Of the publisher of this job.
    pub(crate) fn of(&self, job: &str) -> Counted {
        let mut of = self.by_publisher.iter().filter(|(id, _)| id.split('/').next() == Some(job));
        of.next().map(|(_, counted)| counted.clone()).unwrap_or_default()
    }

    /// By the ids of the others.
    pub(crate) fn of_others(&self) -> &BTreeMap<String, Counted> {
        &self.by_publisher
    }
}
