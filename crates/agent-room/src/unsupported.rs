//! Items from peers that nobody here takes: reported once.

use std::collections::BTreeSet;

use agent_proto::text::shorten;

use crate::StreamInfo;

/// Maximum number of kinds and topics that are reported for one room.
const MAX_REPORTED: usize = 32;
/// Maximum length of a topic, method or identity that is reported, in characters.
const MAX_TEXT_LEN: usize = 128;

/// A received item that this version does not support.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Unsupported {
    /// The kind.
    pub kind: UnsupportedKind,
    /// The topic of a stream or the method of a request, shortened.
    pub topic: String,
    /// Identity of the sender, shortened.
    pub sender: String,
}

/// Kinds of unsupported items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum UnsupportedKind {
    /// A text stream.
    TextStream,
    /// A byte stream.
    ByteStream,
    /// An RPC request. It was refused with error 1400, "Method not supported at destination".
    RpcRequest,
}

/// The items that have been reported.
#[derive(Default)]
pub(crate) struct Reported(BTreeSet<(UnsupportedKind, String)>);

impl Reported {
    /// Whether this is the first of its kind and topic.
    pub(crate) fn is_new(&mut self, data: &Unsupported) -> bool {
        self.0.len() < MAX_REPORTED && self.0.insert((data.kind, data.topic.clone()))
    }
}

/// The report of a stream.
pub(crate) fn stream(info: &StreamInfo) -> Unsupported {
    let kind = if info.is_text() { UnsupportedKind::TextStream } else { UnsupportedKind::ByteStream };
    report(kind, &info.topic, &info.sender)
}

/// The report of a request to a method that we do not have.
pub(crate) fn method(method: &str, caller: &str) -> Unsupported {
    report(UnsupportedKind::RpcRequest, method, caller)
}

fn report(kind: UnsupportedKind, topic: &str, sender: &str) -> Unsupported {
    Unsupported { kind, topic: shorten(topic, MAX_TEXT_LEN), sender: shorten(sender, MAX_TEXT_LEN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_is_reported_once_and_not_without_end() {
        let mut reported = Reported::default();
        let stream = |topic: &str| Unsupported {
            kind: UnsupportedKind::TextStream,
            topic: topic.to_owned(),
            sender: "ada".to_owned(),
        };
        assert!(reported.is_new(&stream("lk.chat")));
        assert!(!reported.is_new(&stream("lk.chat")));
        assert!(reported.is_new(&Unsupported { kind: UnsupportedKind::ByteStream, ..stream("lk.chat") }));
        let more = (0..1000).filter(|n| reported.is_new(&stream(&n.to_string()))).count();
        assert_eq!(more, 30);
    }

    #[test]
    fn what_is_reported_is_short_and_on_one_line() {
        let mut info = StreamInfo::new("id", "ä\n".repeat(1000), crate::StreamKind::text());
        info.sender = "x".repeat(1000);
        let data = stream(&info);
        for text in [&data.topic, &data.sender] {
            assert!(text.chars().count() <= 129 && !text.contains(char::is_control), "{text}");
        }
    }
}
