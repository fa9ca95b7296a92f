//! Servers that send something else instead of the response to a handshake.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use agent_worker::net::NetOptions;
use agent_worker::{JobContext, JobResult, Worker};

use crate::memory::Memory;
use crate::support::raw_server::{Server, head};
use crate::support::within;

async fn done(_: JobContext) -> JobResult {
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_malformed_or_endless_is_an_error() {
    let memory = Memory::measure().await;
    let mut rng = fastrand::Rng::with_seed(3);
    let random: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(1024 * 1024).collect();
    for (what, begin, more) in [
        ("random bytes", random.clone(), Vec::new()),
        ("random bytes without end", Vec::new(), random),
        (
            "a header without end",
            b"HTTP/1.1 101 Switching Protocols\r\nX: ".to_vec(),
            vec![b'x'; 1024 * 1024],
        ),
        (
            "headers without end",
            b"HTTP/1.1 101 Switching Protocols\r\n".to_vec(),
            b"X: y\r\n".repeat(100_000),
        ),
        ("a line without end", Vec::new(), vec![b'x'; 1024 * 1024]),
        (
            "a body without end",
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000000000\r\n\r\n".to_vec(),
            vec![b'y'; 1024 * 1024],
        ),
        ("half an answer", b"HTTP/1.1 101 Switch".to_vec(), Vec::new()),
    ] {
        let server = Server::start().await;
        let worker = Worker::builder(done)
            .url(server.url())
            .credentials("key", "secret")
            .max_connect_attempts(1)
            .net(NetOptions::default().connect_timeout(Duration::from_secs(2)))
            .build()
            .unwrap();
        let running = tokio::spawn(worker.run());
        let mut tcp = server.accept_raw().await;
        head(&mut tcp).await;
        let flooding = async {
            let _ = tcp.write_all(&begin).await;
            if more.is_empty() {
                return std::future::pending().await;
            }
            while tcp.write_all(&more).await.is_ok() {}
            std::future::pending().await
        };
        let ended = tokio::select! {
            ended = within(running) => ended.expect("no panic"),
            () = flooding => unreachable!("it waits forever"),
        };
        memory.check(what);
        let error = ended.expect_err(what).to_string();
        assert!(error.len() < 2000, "{what}: {error}");
    }
}
