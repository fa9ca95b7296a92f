//! Streams that are not read, for the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::StreamInfo;

/// Maximum number of topics that are reported for one room.
const MAX_REPORTED: usize = 32;

/// A stream that waits for a receiver of its topic, or was dropped before it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadStream {
    /// Its description.
    pub info: Arc<StreamInfo>,
    /// Whether it was dropped. Otherwise it waits.
    pub dropped: bool,
    /// Whether to log it: it is the first one of its kind and topic, and there are few topics.
    pub first: bool,
}

/// What was reported: the kind, the topic and whether the stream was dropped.
#[derive(Debug, Default)]
pub(super) struct Reported(BTreeSet<(bool, String, bool)>);

impl Reported {
    pub(super) fn waits(&mut self, info: Arc<StreamInfo>) -> UnreadStream {
        self.report(info, false)
    }

    pub(super) fn dropped(&mut self, info: Arc<StreamInfo>) -> UnreadStream {
        self.report(info, true)
    }

    fn report(&mut self, info: Arc<StreamInfo>, dropped: bool) -> UnreadStream {
        let first =
            self.0.len() < MAX_REPORTED && self.0.insert((info.is_text(), info.topic.clone(), dropped));
        UnreadStream { info, dropped, first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamKind;

    #[test]
    fn each_topic_is_reported_once_and_their_number_is_limited() {
        let mut reported = Reported::default();
        let info = |topic: &str, kind: StreamKind| Arc::new(StreamInfo::new("id", topic, kind));
        assert!(reported.waits(info("lk.chat", StreamKind::text())).first);
        assert!(!reported.waits(info("lk.chat", StreamKind::text())).first);
        assert!(reported.waits(info("lk.chat", StreamKind::bytes())).first);
        assert!(reported.dropped(info("lk.chat", StreamKind::text())).first);
        let topics = (0..1000).map(|n| info(&n.to_string(), StreamKind::text()));
        assert_eq!(topics.filter(|topic| reported.waits(topic.clone()).first).count(), MAX_REPORTED - 3);
    }
}
