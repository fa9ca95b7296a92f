//! Tests of streams, without a room.

mod incoming;
mod outgoing;
mod readers;
mod round_trip;

use std::task::Poll;

use agent_proto::Time;
use agent_proto::livekit as proto;

use super::{Incoming, IncomingStream, PacketSender, StreamError, StreamEvent, StreamPacket, StreamReaders};
use proto::data_stream::header::ContentHeader;
use proto::data_stream::{ByteHeader, Chunk, Header, TextHeader, Trailer};

fn ada() -> PacketSender {
    PacketSender { sid: "PA_a".to_owned(), identity: "ada".to_owned() }
}

fn at(millis: u64) -> Time {
    Time::ZERO + std::time::Duration::from_millis(millis)
}

fn text(id: &str) -> Header {
    Header {
        stream_id: id.to_owned(),
        topic: "chat".to_owned(),
        content_header: Some(ContentHeader::TextHeader(TextHeader::default())),
        ..Header::default()
    }
}

fn bytes(id: &str) -> Header {
    Header { content_header: Some(ContentHeader::ByteHeader(ByteHeader::default())), ..text(id) }
}

fn chunk(id: &str, chunk_index: u64, content: &[u8]) -> StreamPacket {
    let content = content.to_vec().into();
    StreamPacket::Chunk(Chunk { stream_id: id.to_owned(), chunk_index, content, ..Chunk::default() })
}

fn trailer(id: &str, reason: &str) -> StreamPacket {
    StreamPacket::Trailer(Trailer {
        stream_id: id.to_owned(),
        reason: reason.to_owned(),
        ..Trailer::default()
    })
}

/// The events in one line each.
fn events(incoming: &mut Incoming) -> Vec<String> {
    std::iter::from_fn(|| incoming.poll_event())
        .map(|event| match event {
            StreamEvent::Opened { stream, info } => {
                format!("{} opened: {} on {} by {}", stream.0, info.id, info.topic, info.sender)
            }
            StreamEvent::Content { stream, content } => {
                format!("{} content: {}", stream.0, String::from_utf8_lossy(&content))
            }
            StreamEvent::Ended { stream, result: Ok(attributes) } => {
                format!("{} ended: {attributes:?}", stream.0)
            }
            StreamEvent::Ended { stream, result: Err(error) } => format!("{} failed: {error}", stream.0),
        })
        .collect()
}

/// Reads what there is; the last element is `None` if the stream has ended.
fn read(readers: &mut StreamReaders, stream: IncomingStream) -> Vec<Option<Result<String, StreamError>>> {
    let mut pieces = Vec::new();
    loop {
        match readers.read(stream) {
            Poll::Pending => return pieces,
            Poll::Ready(None) => {
                pieces.push(None);
                return pieces;
            }
            Poll::Ready(Some(piece)) => {
                pieces.push(Some(piece.map(|piece| String::from_utf8(piece.to_vec()).unwrap())));
            }
        }
    }
}
