//! Receivers, unread content, and its limits.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::super::{StreamInfo, StreamKind, StreamLimits};
use super::*;

const TEXT: bool = true;

fn readers() -> StreamReaders {
    StreamReaders::new(StreamLimits {
        unread: 1000,
        unread_in_room: 5000,
        content: 100_000,
        untaken: 2,
        unclaimed: 2,
        unclaimed_bytes: 3000,
        ..StreamLimits::default()
    })
}

fn info(topic: &str) -> StreamInfo {
    StreamInfo::new("id", topic, StreamKind::text())
}

/// Returns the number of streams that were dropped.
fn opens(readers: &mut StreamReaders, number: u64, info: StreamInfo) -> usize {
    let unread = readers.push(StreamEvent::Opened { stream: IncomingStream(number), info: Arc::new(info) });
    unread.iter().filter(|stream| stream.dropped).count()
}

fn receives(readers: &mut StreamReaders, number: u64, content: impl Into<Bytes>) {
    readers.push(StreamEvent::Content { stream: IncomingStream(number), content: content.into() });
}

fn ends(readers: &mut StreamReaders, number: u64, result: Result<(), StreamError>) {
    let result = result.map(|()| BTreeMap::from([("at".to_owned(), "the end".to_owned())]));
    readers.push(StreamEvent::Ended { stream: IncomingStream(number), result });
}

fn next(readers: &mut StreamReaders, topic: &str) -> Option<u64> {
    match readers.next_stream(TEXT, topic) {
        Poll::Ready(Some(Ok(opened))) => Some(opened.stream.0),
        _ => None,
    }
}

fn ok(text: &str) -> Option<Result<String, StreamError>> {
    Some(Ok(text.to_owned()))
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_stream_is_read_while_it_is_received() {
    let mut readers = readers();
    readers.open_topic(TEXT, "chat");
    assert!(!readers.has_stream(TEXT, "chat"));
    opens(&mut readers, 1, StreamInfo { total_length: Some(7), ..info("chat") });
    assert_eq!(next(&mut readers, "chat"), Some(1));
    let stream = IncomingStream(1);
    assert_eq!(read(&mut readers, stream), []);
    receives(&mut readers, 1, "abc");
    assert!(readers.is_ready(stream));
    assert_eq!(read(&mut readers, stream), [ok("abc")]);
    let progress = readers.progress(stream);
    assert_eq!((progress.read, progress.received, progress.total), (3, 3, Some(7)));
    receives(&mut readers, 1, "defg");
    ends(&mut readers, 1, Ok(()));
    assert_eq!(readers.trailer(stream), None);
    assert_eq!(read(&mut readers, stream), [ok("defg"), None]);
    assert_eq!(readers.trailer(stream).unwrap()["at"], "the end");
    readers.close(stream);
    assert_eq!(readers.unread(), 0);
}

#[test]
fn the_announced_length_is_held() {
    for (total, content, expected) in [
        (2, "abc", vec![Some(Err(StreamError::LengthExceeded { announced: 2 })), None]),
        (
            4,
            "abc",
            vec![
                ok("abc"),
                Some(Err(StreamError::incomplete("3 of the announced 4 bytes were received"))),
                None,
            ],
        ),
        (0, "", vec![None]),
    ] {
        for compressed in [false, true] {
            let mut readers = readers();
            opens(&mut readers, 1, StreamInfo { total_length: Some(total), compressed, ..info("chat") });
            let content = if compressed { deflated(content.as_bytes()) } else { content.into() };
            receives(&mut readers, 1, content);
            ends(&mut readers, 1, Ok(()));
            assert_eq!(read(&mut readers, IncomingStream(1)), expected);
        }
    }
}

#[test]
fn characters_are_whole_for_any_chunks() {
    let mut readers = readers();
    opens(&mut readers, 1, info("chat"));
    let smile = "a😀".as_bytes();
    for byte in smile {
        receives(&mut readers, 1, vec![*byte]);
    }
    assert_eq!(read(&mut readers, IncomingStream(1)), [ok("a"), ok("😀")]);
    receives(&mut readers, 1, smile[..3].to_vec());
    ends(&mut readers, 1, Ok(()));
    let expected = [ok("a"), Some(Err(StreamError::InvalidUtf8)), None];
    assert_eq!(read(&mut readers, IncomingStream(1)), expected);
    opens(&mut readers, 2, info("chat"));
    receives(&mut readers, 2, &b"\xff"[..]);
    assert_eq!(read(&mut readers, IncomingStream(2)), [Some(Err(StreamError::InvalidUtf8)), None]);
}

#[test]
fn a_stream_that_is_not_read_fails_alone() {
    let mut readers = readers();
    for number in [1, 2] {
        opens(&mut readers, number, info("chat"));
        receives(&mut readers, number, vec![b'x'; 600]);
    }
    receives(&mut readers, 1, vec![b'x'; 300]);
    let expected = [Some(Err(StreamError::BufferFull { unread: 1028, limit: 1000 })), None];
    assert_eq!(read(&mut readers, IncomingStream(1)), expected);
    assert_eq!(read(&mut readers, IncomingStream(2)), [ok(&"x".repeat(600))]);
    // What follows it is dropped.
    receives(&mut readers, 1, "more");
    ends(&mut readers, 1, Ok(()));
    assert_eq!(read(&mut readers, IncomingStream(1)), [None]);
}

#[test]
fn the_unread_content_of_a_room_is_limited() {
    let mut readers = readers();
    readers.open_topic(TEXT, "chat");
    for number in 0..20 {
        opens(&mut readers, number, info("chat"));
        let _ = readers.next_stream(TEXT, "chat");
        receives(&mut readers, number, vec![b'x'; 900]);
    }
    // The descriptions of the streams come on top, which their takers hold.
    assert!((4000..5000 + 20 * 500).contains(&readers.unread()), "{}", readers.unread());
    let failed = (0..20).filter(|number| {
        matches!(
            read(&mut readers, IncomingStream(*number))[0],
            Some(Err(StreamError::BufferFull { limit: 5000, .. }))
        )
    });
    assert!(failed.count() > 10);
    (0..20).for_each(|number| readers.close(IncomingStream(number)));
    assert_eq!(readers.unread(), 0);
}

#[test]
fn compressed_content_is_kept_as_it_is() {
    let mut readers = readers();
    let zeros = "0".repeat(90_000);
    let compressed = deflated(zeros.as_bytes());
    let stream = IncomingStream(1);
    opens(&mut readers, 1, StreamInfo { compressed: true, ..info("chat") });
    // Byte by byte would count as more than the content.
    for part in compressed.chunks(50) {
        receives(&mut readers, 1, part.to_vec());
    }
    assert!(compressed.len() < 500 && readers.unread() < 1500, "{}", readers.unread());
    let pieces = read(&mut readers, stream);
    assert_eq!(pieces.iter().flatten().flatten().map(String::as_str).collect::<String>(), zeros);
    ends(&mut readers, 1, Ok(()));
    assert_eq!(read(&mut readers, stream), [None]);

    // A short packet cannot become more than a stream may have.
    opens(&mut readers, 2, StreamInfo { compressed: true, ..info("chat") });
    receives(&mut readers, 2, deflated(&vec![0; 150_000]));
    let last = read(&mut readers, IncomingStream(2));
    assert_eq!(last[last.len() - 2], Some(Err(StreamError::PayloadTooLarge { limit: 100_000 })));
}

#[test]
fn damaged_and_unfinished_compression() {
    let whole = deflated(b"hello hello hello");
    let cut = &whole[..whole.len() - 2];
    let longer = [&whole[..], b"x"].concat();
    for (content, expected) in [
        (b"\xff\xff".to_vec(), StreamError::Decompression),
        (longer, StreamError::Decompression),
        (cut.to_vec(), StreamError::incomplete("the compressed content has no end")),
        (Vec::new(), StreamError::incomplete("the compressed content has no end")),
    ] {
        let mut readers = readers();
        opens(&mut readers, 1, StreamInfo { compressed: true, ..info("chat") });
        if !content.is_empty() {
            receives(&mut readers, 1, content);
        }
        ends(&mut readers, 1, Ok(()));
        let pieces = read(&mut readers, IncomingStream(1));
        assert_eq!(pieces[pieces.len() - 2], Some(Err(expected)));
    }
}

#[test]
fn streams_wait_for_their_receiver_within_limits() {
    let mut readers = readers();
    assert_eq!(opens(&mut readers, 1, info("early")), 0);
    receives(&mut readers, 1, "kept");
    ends(&mut readers, 1, Ok(()));
    assert_eq!(opens(&mut readers, 2, info("other")), 0);
    readers.open_topic(TEXT, "early");
    assert_eq!(next(&mut readers, "early"), Some(1));
    assert_eq!(read(&mut readers, IncomingStream(1)), [ok("kept"), None]);
    // The oldest without a receiver is dropped.
    assert_eq!(opens(&mut readers, 3, info("other")), 0);
    assert_eq!(opens(&mut readers, 4, info("other")), 1);
    readers.open_topic(TEXT, "other");
    assert_eq!((next(&mut readers, "other"), next(&mut readers, "other")), (Some(3), Some(4)));
    // Bytes are not text.
    opens(&mut readers, 5, StreamInfo::new("id", "other", StreamKind::bytes()));
    assert!(!readers.has_stream(TEXT, "other") && readers.has_stream(!TEXT, "other"));
}

#[test]
fn a_topic_without_a_receiver_is_reported_once() {
    let mut readers = readers();
    let mut waits = |number| {
        let info = Arc::new(info("chat"));
        let unread = readers.push(StreamEvent::Opened { stream: IncomingStream(number), info });
        unread.iter().filter(|stream| !stream.dropped && stream.first).count()
    };
    assert_eq!((waits(1), waits(2)), (1, 0));
}

#[test]
fn too_many_untaken_streams_are_counted() {
    let mut readers = readers();
    readers.open_topic(TEXT, "chat");
    let dropped: usize = (1..=4).map(|number| opens(&mut readers, number, info("chat"))).sum();
    assert_eq!(dropped, 2);
    let missed = readers.next_stream(TEXT, "chat");
    assert!(matches!(missed, Poll::Ready(Some(Err(missed))) if missed.count == 2), "{missed:?}");
    assert_eq!((next(&mut readers, "chat"), next(&mut readers, "chat")), (Some(3), Some(4)));
}

#[test]
fn untaken_streams_are_left_to_the_next_receiver() {
    let mut readers = readers();
    readers.open_topic(TEXT, "chat");
    readers.open_topic(TEXT, "chat");
    opens(&mut readers, 1, info("chat"));
    readers.close_topic(TEXT, "chat");
    readers.close_topic(TEXT, "chat");
    opens(&mut readers, 2, info("chat"));
    opens(&mut readers, 3, info("chat"));
    readers.open_topic(TEXT, "chat");
    readers.end();
    assert_eq!((next(&mut readers, "chat"), next(&mut readers, "chat")), (Some(2), Some(3)));
    assert_eq!(readers.next_stream(TEXT, "chat"), Poll::Ready(None));
    readers.close(IncomingStream(2));
    readers.close(IncomingStream(3));
    assert_eq!(readers.unread(), 0);
}
