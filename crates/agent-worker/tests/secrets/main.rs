//! A job with everything logged: no token and no password is in the text of any crate.
//!
//! The server is made of bytes, so that the text has only what a worker's process would have; and this is a
//! program of its own, as all that its process logs is searched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod server;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use agent_worker::net::NetOptions;
use agent_worker::{JobContext, JobResult, Worker};

use server::{Server, line_after};
use support::authority::authority;
use support::{full_log, join_request};

const API_SECRET: &str = "the-api-secret-8d1f6a";
const ROOM_TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJyb29tIjoiMTIzNDUifQ.the-room-token-c27e";
const FRESH_TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJyb29tIjoiNjc4OTAifQ.the-fresh-token-94ab";
const TURN_PASSWORD: &str = "the-turn-password-51c0";
const SERVER_ICE_PASSWORD: &str = "theServersIcePassword7731";
const PROXY_PASSWORD: &str = "the-proxy-password-e0d9";

async fn stays(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

#[tokio::test]
async fn no_library_logs_a_token_or_a_password() {
    full_log::log_everything();
    let authority = authority("media.test");
    let server = Server::start(authority.acceptor).await;
    let net = NetOptions::default().ca_file(authority.file);
    let net = net.proxy(&format!("http://ada:{PROXY_PASSWORD}@{}", server.address)).unwrap();
    let worker = Worker::builder(stays)
        .url("wss://media.test")
        .credentials("the-key", API_SECRET)
        .agent_name("tester")
        .net(net)
        .join_timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());

    let mut worker_socket = server.accept().await;
    let worker_token = line_after(&worker_socket.head, "authorization: bearer ");
    worker_socket.register().await;
    worker_socket.assign(ROOM_TOKEN).await;
    let mut room_socket = server.accept().await;
    assert_eq!(line_after(&room_socket.head, "authorization: bearer "), ROOM_TOKEN);
    let sdp = join_request::offer(&room_socket.target);
    let ice_password = line_after(&sdp, "a=ice-pwd:");
    room_socket.let_in(TURN_PASSWORD).await;
    room_socket.refresh(FRESH_TOKEN).await;
    room_socket.answer(&sdp, SERVER_ICE_PASSWORD).await;
    // No media connection comes about: the join ends with its time.
    worker_socket.read_until_idle(Duration::from_secs(3)).await;
    handle.stop();
    let _ = tokio::time::timeout(Duration::from_secs(20), running).await.expect("it stops");

    let text = full_log::text();
    for part in ["registered worker", "job assigned", "str0m"] {
        assert!(text.contains(part), "{part} is not logged: everything should be");
    }
    full_log::assert_none_of(&[
        ("the API secret", API_SECRET.to_owned()),
        ("the worker's token", worker_token),
        ("the room's token", ROOM_TOKEN.to_owned()),
        ("the refreshed token", FRESH_TOKEN.to_owned()),
        ("the TURN password", TURN_PASSWORD.to_owned()),
        ("our ICE password", ice_password),
        ("the server's ICE password", SERVER_ICE_PASSWORD.to_owned()),
        ("the proxy's password", PROXY_PASSWORD.to_owned()),
        ("the proxy's credentials", format!("ada:{PROXY_PASSWORD}")),
    ]);
}
