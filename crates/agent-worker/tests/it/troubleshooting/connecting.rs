//! What is reported when there is no connection: as the end of `run()`, or in the log with a retry.

use std::time::Duration;

use agent_testkit::MockServer;
use agent_worker::net::NetOptions;
use agent_worker::{Worker, WorkerBuilder, WorkerError};

use super::{done, servers, worker};
use crate::support::authority::authority;
use crate::support::guide_tables::{self, Line, steady, up_to};
use crate::support::steady_log::Log;
use crate::support::within;

/// The error that ends a worker.
async fn ended(what: &'static str, builder: WorkerBuilder) -> Line {
    let ended = within(builder.build().unwrap().run()).await;
    let error: WorkerError = ended.err().unwrap_or_else(|| panic!("{what}: it ran"));
    assert_eq!(error.exit_code(), 1);
    (what, steady(&error.to_string()))
}

/// The first line in the log of a worker that retries.
async fn retried(what: &'static str, builder: WorkerBuilder) -> Line {
    let (log, _guard) = Log::keep();
    let worker = builder.build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let line = log.line("retrying").await;
    within(handle.drain(Duration::ZERO)).await;
    running.await.expect("no panic").unwrap_or_else(|error| panic!("{what}: it does not retry: {error}"));
    (what, steady(&line))
}

fn url(scheme: &str, address: &str) -> String {
    format!("{scheme}://{address}")
}

#[tokio::test]
async fn a_first_connection_that_ends_the_worker() {
    let server = MockServer::start().await.unwrap();
    let with = |key: &str, secret: &str| worker(server.url()).credentials(key, secret);
    let not_found = servers::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let moved = servers::answering(
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://media.example.com/agent\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let no_listener = servers::no_listener().await;
    let (what, gave_up) = ended(
        "nothing listens, and `.max_connect_attempts(2)`",
        worker(url("ws", &no_listener)).max_connect_attempts(2),
    )
    .await;
    let lines = [
        ended("a key that the server does not know", with("another", server.api_secret().expose())).await,
        ended("a wrong secret", with(server.api_key(), "another")).await,
        ended("not a LiveKit server, or a wrong path", worker(url("ws", &not_found))).await,
        ended("a server that has moved permanently (301 or 308)", worker(url("ws", &moved))).await,
        (what, up_to(&gave_up, "LIVEKIT_URL)")),
    ];
    guide_tables::check("first", &lines);
}

#[tokio::test]
async fn a_connection_that_is_retried() {
    let no_listener = servers::no_listener().await;
    let (_listener, silent) = servers::silent().await;
    let website = servers::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let broken = servers::answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let elsewhere = servers::answering(
        "HTTP/1.1 302 Found\r\nLocation: https://login.example.com/\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let mail = servers::answering("220 mail.example.com ESMTP\r\n").await;
    let encrypted = servers::encrypted().await;
    let no_tunnel = servers::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let another = authority("another");
    let slow = NetOptions::default().connect_timeout(Duration::from_secs(1));
    let proxied = NetOptions::default().proxy(&url("http", &no_tunnel)).unwrap();

    let first = |(what, line): Line, mark: &str| (what, up_to(&line, mark));
    let mut lines = vec![
        first(retried("nothing listens there", worker(url("ws", &no_listener))).await, "LIVEKIT_URL)"),
        retried("it does not answer", worker(url("ws", &silent)).net(slow)).await,
        retried("it is a web server", worker(url("ws", &website))).await,
        retried("it or the proxy in front of it fails", worker(url("ws", &broken))).await,
        retried("it redirects temporarily (302, 303 or 307)", worker(url("ws", &elsewhere))).await,
        first(retried("it speaks another protocol", worker(url("ws", &mail))).await, "LIVEKIT_URL)"),
        first(
            retried(
                "its certificate is not trusted",
                worker(url("wss", &encrypted)).net(NetOptions::default().ca_file(&another.file)),
            )
            .await,
            "SSL_CERT_FILE)",
        ),
        first(retried("`wss://`, and it has no TLS", worker(url("wss", &mail))).await, "LIVEKIT_URL)"),
        first(retried("`ws://`, and it requires TLS", worker(url("ws", &encrypted))).await, "LIVEKIT_URL)"),
        first(
            retried("a proxy that refuses the connection", worker("ws://media.example.com").net(proxied))
                .await,
            "NO_PROXY)",
        ),
    ];
    let (what, unknown) = retried("an unknown host", worker("ws://host.invalid:7880")).await;
    if unknown.contains("(TCP connection)") {
        // Where no resolver is reached at all, that is what is logged; the line of the guide is not checked
        // then.
        eprintln!("skipped: {what:?}, as no name can be looked up here");
    } else {
        lines.push((what, up_to(&unknown, "DNS")));
    }
    guide_tables::check("again", &lines);
}

/// An ingress without endpoints, or a server that is being replaced.
#[tokio::test]
async fn a_server_that_refuses_a_worker_that_was_registered() {
    let server = MockServer::start().await.unwrap();
    let (log, _guard) = Log::keep();
    let target = server.url().trim_start_matches("ws://").to_owned();
    let gate = servers::gate(target, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let builder = worker(url("ws", &gate.address)).agent_name("tester");
    let worker = builder.credentials(server.api_key(), server.api_secret().clone()).build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(within(handle.registered()).await);
    gate.refuse();
    server.cut_workers();
    let line = steady(&log.line("registered before").await);
    within(handle.drain(Duration::ZERO)).await;
    running.await.unwrap().unwrap();
    guide_tables::check("refused_later", &[("an ingress without a server for a while", line)]);
}

/// On a clock that jumps: 10 s and 25 s take no time.
#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent() {
    let server = MockServer::builder().start_in_process();
    server.mute(true);
    let mut lines =
        vec![retried("it never answers the registration", server.worker(done).agent_name("tester")).await];
    server.mute(false);

    let (log, _guard) = Log::keep();
    let worker = server.worker(done).agent_name("tester").build().unwrap();
    let handle = worker.handle();
    tokio::spawn(worker.run());
    assert!(within(handle.registered()).await);
    server.freeze(true);
    lines.push(("it stops sending", log.line("retrying").await));
    server.freeze(false);
    assert!(within(handle.registered()).await);
    handle.drain(Duration::ZERO).await;
    guide_tables::check("silent", &lines);
}

/// The worker itself ends without an error, whatever the server answered before.
#[tokio::test]
async fn a_server_that_closes() {
    let server = MockServer::start().await.unwrap();
    let mut lines = Vec::new();
    for (what, code, reason) in [
        ("a normal close", 1000, "bye"),
        ("the server is stopped", 1001, "going away"),
        ("an error of the server", 1011, "internal error"),
    ] {
        let (log, _guard) = Log::keep();
        let worker = server.worker(done).agent_name("tester").build().unwrap();
        let handle = worker.handle();
        let running = tokio::spawn(Worker::run(worker));
        assert!(within(handle.registered()).await);
        server.close_workers(code, reason);
        lines.push((what, log.line("retrying").await));
        log.line("reregistered=true").await;
        within(handle.drain(Duration::ZERO)).await;
        running.await.unwrap().unwrap();
    }
    guide_tables::check("closed", &lines);
}
