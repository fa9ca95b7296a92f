//! The worker's WebSocket.

use std::time::Duration;

use tokio::task::JoinHandle;

use agent_worker::stats::DrainReport;
use agent_worker::{JobContext, JobResult, Worker, WorkerError, WorkerHandle};

use crate::memory::Memory;
use crate::support::raw_server::{PING, Peer, Server, TEXT, binary, breaches, whole};
use crate::support::within;

async fn done(_: JobContext) -> JobResult {
    Ok(())
}

struct Running {
    handle: WorkerHandle,
    task: JoinHandle<Result<DrainReport, WorkerError>>,
}

fn start(server: &Server) -> Running {
    let worker = Worker::builder(done).url(server.url()).credentials("key", "secret");
    let worker = worker.agent_name("tester").build().unwrap();
    Running { handle: worker.handle(), task: tokio::spawn(worker.run()) }
}

impl Running {
    async fn registered(&self) {
        assert!(within(self.handle.registered()).await);
    }

    async fn stop(self, peer: Peer) {
        // Without a connection there is nothing to wait for at the end.
        drop(peer);
        self.handle.start_drain(Duration::ZERO);
        within(self.task).await.expect("no panic").expect("drained");
    }
}

#[tokio::test]
async fn protocol_violations_end_the_connection_and_the_worker_reconnects() {
    let memory = Memory::measure().await;
    for (what, bytes, more) in breaches() {
        let server = Server::start().await;
        let worker = start(&server);
        let mut peer = server.accept_worker().await;
        worker.registered().await;
        peer.send(&bytes).await;
        if more.is_empty() {
            peer.ended().await;
        } else {
            let taken = peer.flood(&more, 64 * 1024 * 1024).await;
            assert!(taken < 64 * 1024 * 1024, "{what}: all of it was taken");
        }
        memory.check(what);
        let peer = server.accept_worker().await.answers_an_offer().await;
        worker.stop(peer).await;
    }
}

#[tokio::test]
async fn invalid_messages_are_skipped() {
    let memory = Memory::measure().await;
    let server = Server::start().await;
    let worker = start(&server);
    let mut peer = server.accept_worker().await;
    worker.registered().await;
    let mut rng = fastrand::Rng::with_seed(11);
    let mut sent = 0;
    while sent < 16 * 1024 * 1024 {
        let len = rng.usize(..20_000);
        let payload: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        let frames = binary(&payload).repeat(10);
        sent += peer.flood(&frames, frames.len()).await;
    }
    memory.check("frames that are no messages");
    let texts = whole(TEXT, "{\"register\":{}}".as_bytes()).repeat(1000);
    assert!(peer.flood(&texts, 8 * 1024 * 1024).await >= 8 * 1024 * 1024);
    memory.check("texts");
    // As large as a message may be, and one byte more.
    let largest = 2 * 1024 * 1024;
    peer.send(&binary(&vec![0xff; largest])).await;
    let mut peer = peer.answers_an_offer().await;
    peer.send(&binary(&vec![0xff; largest + 1])).await;
    peer.ended().await;
    let peer = server.accept_worker().await.answers_an_offer().await;
    worker.stop(peer).await;
}

/// As a newer server might have it.
#[tokio::test]
async fn an_offer_of_an_unknown_kind_is_declined() {
    let server = Server::start().await;
    let worker = start(&server);
    let peer = server.accept_worker().await;
    worker.registered().await;
    let (accepted, peer) = peer.offer(77).await;
    assert!(!accepted);
    let peer = peer.answers_an_offer().await;
    worker.stop(peer).await;
}

/// Every ping needs a pong. A server that reads none of them must not fill our memory with them.
#[tokio::test]
async fn a_flood_of_pings_is_answered_as_far_as_it_is_read() {
    let memory = Memory::measure().await;
    let server = Server::start().await;
    let worker = start(&server);
    let mut peer = server.accept_worker().await;
    worker.registered().await;
    let total = 64 * 1024 * 1024;
    let taken = peer.flood(&whole(PING, &[7; 125]).repeat(1000), total).await;
    memory.check("pings");
    assert!(taken >= total, "the connection ended after {taken} bytes");
    let peer = peer.answers_an_offer().await;
    memory.check("pings that were read at last");
    worker.stop(peer).await;
}
