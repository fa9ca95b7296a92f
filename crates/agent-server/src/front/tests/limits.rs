//! Connections that never complete a request, or never read a response.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::front::ToWorker;
use crate::front::limits::WriteLimit;
use fake::Event;

/// Waits until the server has closed the connection; returns the response and the elapsed time.
async fn closed(mut io: DuplexStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(120), io.read_to_end(&mut answer)).await.expect("it is closed").unwrap();
    (String::from_utf8(answer).unwrap(), begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_header_that_never_ends_is_not_waited_for() {
    let (fake, _events) = Fake::new();
    for beginning in ["", "G", "POST /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\nhost: mock\r\n"] {
        let mut io = in_memory(&fake);
        io.write_all(beginning.as_bytes()).await.unwrap();
        let (_, after) = closed(io).await;
        assert!(after <= Duration::from_secs(11), "{beginning:?}: {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_comes_byte_by_byte_has_no_more_time() {
    let (fake, _events) = Fake::new();
    let mut io = in_memory(&fake);
    let begun = Instant::now();
    let trickled = async {
        io.write_all(b"GET / HTTP/1.1\r\nx: ").await?;
        loop {
            sleep(Duration::from_secs(1)).await;
            io.write_all(b"x").await?;
        }
    };
    let end: std::io::Result<()> = timeout(Duration::from_secs(120), trickled).await.expect("it is closed");
    assert!(end.is_err() && begun.elapsed() <= Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_for_nothing_more_is_closed() {
    let (fake, _events) = Fake::new();
    let mut io = in_memory(&fake);
    io.write_all(b"GET / HTTP/1.1\r\nhost: mock\r\n\r\n").await.unwrap();
    let (answer, after) = closed(io).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(after <= Duration::from_secs(11), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_answered_and_not_waited_for() {
    let (fake, _events) = Fake::new();
    let token = token().create_rooms().sign().unwrap();
    for body in ["", "{"] {
        let mut io = in_memory(&fake);
        let head = format!(
            "POST /twirp/livekit.RoomService/CreateRoom HTTP/1.1\r\nhost: mock\r\ncontent-type: application/json\r\n\
             authorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{body}",
            token.expose()
        );
        io.write_all(head.as_bytes()).await.unwrap();
        let (answer, after) = closed(io).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("deadline_exceeded"), "{answer}");
        assert!(after <= Duration::from_secs(21), "{after:?}");
    }
    assert!(fake.calls().is_empty());
}

/// The responses exceed the pipe's capacity, and nothing reads them.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_never_read_is_not_waited_for() {
    let (fake, _events) = Fake::new();
    let mut io = in_memory(&fake);
    let begun = Instant::now();
    let asking = async {
        loop {
            io.write_all(b"GET /twirp/x HTTP/1.1\r\nhost: mock\r\n\r\n").await?;
        }
    };
    let end: std::io::Result<()> = timeout(Duration::from_secs(120), asking).await.expect("it is closed");
    assert!(end.is_err() && begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());
}

/// Every successful write restarts the timeout.
#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_is_waited_for() {
    let (near, mut far) = duplex(1);
    let mut limited = WriteLimit::new(near);
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_secs(6)).await;
            far.read_u8().await.unwrap();
        }
    });
    limited.write_all(b"slow").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_reads_nothing_is_disconnected() {
    let (fake, mut events) = Fake::new();
    let _socket = worker(in_memory(&fake)).await;
    assert_eq!(events.next().await, Event::Connected(1));
    let begun = Instant::now();
    // More than the pipe's capacity.
    fake.send(1, ToWorker::Raw(vec![0; 128 * 1024].into()));
    let gone = timeout(Duration::from_secs(120), events.next()).await.expect("it is let go");
    assert_eq!(gone, Event::Gone(1));
    assert!(begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());
}
