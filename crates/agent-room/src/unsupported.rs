//! Items from peers that this version does not support: reported once; an RPC request is refused immediately,
//! so that its caller does not wait.

use std::collections::BTreeSet;

use agent_proto::livekit as proto;
use agent_proto::text::shorten;

use proto::data_packet::Value;
use proto::data_stream::Header;
use proto::data_stream::header::ContentHeader;

/// Maximum number of kinds and topics that are reported for one room.
const MAX_REPORTED: usize = 32;
/// Maximum length of a topic, method or identity that is reported, in characters.
const MAX_TEXT_LEN: usize = 128;
/// Maximum length of a request id that is answered, in bytes: the answer repeats it. A UUID has 36.
const MAX_ID_LEN: usize = 256;
/// The version of RPC requests in packets.
const RPC_VERSION: u32 = 1;

/// A received item that this version does not support.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Unsupported {
    /// The kind.
    pub kind: UnsupportedKind,
    /// The topic of a stream or the method of a request, shortened; empty for other kinds.
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
    /// A message of the legacy chat.
    ChatMessage,
    /// A telephone key.
    Dtmf,
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

/// A request that awaits an answer.
#[derive(Debug, PartialEq)]
pub(crate) struct RpcRequest {
    pub(crate) caller: String,
    id: String,
    version: u32,
}

impl RpcRequest {
    /// The acknowledgement and the refusal.
    pub(crate) fn refusal(self) -> [Value; 2] {
        let (code, message) = match self.version {
            RPC_VERSION => (1400, "Method not supported at destination"),
            _ => (1404, "Unsupported RPC version"),
        };
        let error = proto::RpcError { code, message: message.to_owned(), ..Default::default() };
        [
            Value::RpcAck(proto::RpcAck { request_id: self.id.clone() }),
            Value::RpcResponse(proto::RpcResponse {
                request_id: self.id,
                value: Some(proto::rpc_response::Value::Error(error)),
            }),
        ]
    }
}

/// The report of a stream.
pub(crate) fn stream(header: &Header, sender: &str) -> Unsupported {
    let kind = match header.content_header {
        Some(ContentHeader::ByteHeader(_)) => UnsupportedKind::ByteStream,
        _ => UnsupportedKind::TextStream,
    };
    Unsupported { kind, topic: shorten(&header.topic, MAX_TEXT_LEN), sender: shorten(sender, MAX_TEXT_LEN) }
}

/// The report and the request in a packet without user data; `None`: it can be ignored.
pub(crate) fn of(value: Value, sender: String) -> Option<(Unsupported, Option<RpcRequest>)> {
    let mut request = None;
    let (kind, topic) = match value {
        Value::RpcRequest(rpc) => {
            if !sender.is_empty() && (1..=MAX_ID_LEN).contains(&rpc.id.len()) {
                request = Some(RpcRequest { caller: sender.clone(), id: rpc.id, version: rpc.version });
            }
            (UnsupportedKind::RpcRequest, rpc.method)
        }
        Value::ChatMessage(_) => (UnsupportedKind::ChatMessage, String::new()),
        Value::SipDtmf(_) => (UnsupportedKind::Dtmf, String::new()),
        // Parts of reported items, answers to requests that we did not make, and items for recorders and
        // dashboards.
        _ => return None,
    };
    let data =
        Unsupported { kind, topic: shorten(&topic, MAX_TEXT_LEN), sender: shorten(&sender, MAX_TEXT_LEN) };
    Some((data, request))
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
    fn a_request_is_acknowledged_and_refused() {
        let rpc = |id: &str, version| {
            let request = proto::RpcRequest { id: id.to_owned(), version, ..Default::default() };
            of(Value::RpcRequest(request), "ada".to_owned()).unwrap().1
        };
        for (version, expected) in [(1, 1400), (2, 1404)] {
            let [ack, response] = rpc("r1", version).unwrap().refusal();
            assert_eq!(ack, Value::RpcAck(proto::RpcAck { request_id: "r1".to_owned() }));
            let Value::RpcResponse(response) = response else { panic!("{response:?}") };
            let Some(proto::rpc_response::Value::Error(error)) = response.value else { panic!("no error") };
            assert_eq!((response.request_id.as_str(), error.code), ("r1", expected));
        }
        assert_eq!(rpc("", 1), None);
        assert_eq!(rpc(&"x".repeat(257), 1), None);
        let (data, request) = of(Value::RpcRequest(proto::RpcRequest::default()), String::new()).unwrap();
        assert_eq!((data.kind, request), (UnsupportedKind::RpcRequest, None), "nobody to answer");
    }

    #[test]
    fn what_is_reported_is_short_and_on_one_line() {
        let header = Header { topic: "ä\n".repeat(1000), ..Default::default() };
        let data = stream(&header, &"x".repeat(1000));
        for text in [&data.topic, &data.sender] {
            assert!(text.chars().count() <= 129 && !text.contains(char::is_control), "{text}");
        }
    }
}
