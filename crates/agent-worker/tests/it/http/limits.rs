//! Requests that are wrong, too large or too many.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use agent_worker::http::HttpServer;

use crate::support::http_reply::{request, send};
use crate::support::served_worker::{Served, patient};
use crate::support::within;

#[tokio::test]
async fn methods_and_paths_are_checked() {
    let served = Served::registered(patient, |worker| worker).await;
    for path in ["/healthz/", "/health", "//", "/worker/1", "/../healthz", "/favicon.ico"] {
        assert_eq!(served.text(path).await, (404, "not found".to_owned()), "{path}");
    }
    for path in ["/", "/healthz", "/readyz", "/worker", "/jobs", "/status", "/status.js", "/status.css"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let reply = request(served.address, method, path).await;
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
        let (head, full) = (request(served.address, "HEAD", path).await, served.get(path).await);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("content-type"), full.header("content-type"), "{path}");
        assert!(head.header("content-length").is_some(), "{path}");
        assert_eq!(full.header("content-length"), Some(full.body.len().to_string().as_str()), "{path}");
        assert_eq!(full.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(full.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    let absolute =
        format!("GET http://{}/healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", served.address);
    assert_eq!(send(served.address, &absolute).await.status, 200);
    assert_eq!(send(served.address, "GET /healthz HTTP/1.0\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn metrics_are_served_if_they_are_set() {
    let served = Served::registered(patient, |worker| worker).await;
    assert_eq!(served.text("/metrics").await.0, 404);
    let server = HttpServer::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().metrics(|| "a 1\n".to_owned());
    let address = server.local_addr();
    let serving = tokio::spawn(server.serve(Vec::new()));
    let reply = request(address, "GET", "/metrics").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "a 1\n"));
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    serving.abort();
}

#[tokio::test]
async fn large_and_broken_requests_are_refused() {
    let served = Served::registered(patient, |worker| worker).await;
    let with =
        |header: &str| format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{header}\r\nConnection: close\r\n\r\n");
    for (bytes, status) in [
        (with(&format!("X: {}", "x".repeat(20_000))), 431),
        (with("X: y\r\n".repeat(200).trim_end()), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(70_000)), 431),
        ("NONSENSE\r\n\r\n".to_owned(), 400),
        (with("Content-Length: -1"), 400),
        // A body is not wanted, and does not matter.
        (with("Content-Length: 4") + "body", 200),
    ] {
        let reply = send(served.address, &bytes).await;
        assert!([status, 414].contains(&reply.status), "{status}, not {reply:?}");
    }
    assert_eq!(served.get("/healthz").await.status, 200);
}

/// Clients that never finish their requests do not keep others away.
#[tokio::test]
async fn idle_connections_end() {
    let served = Served::registered(patient, |worker| worker).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        let mut stream = within(TcpStream::connect(served.address)).await.unwrap();
        within(stream.write_all(b"GET /healthz HTTP/1.1\r\nHo")).await.unwrap();
        idle.push(stream);
    }
    // The newest one has more than this for its request.
    let reply = tokio::time::timeout(Duration::from_secs(8), served.get("/healthz")).await;
    assert_eq!(reply.expect("before the others' time is over").status, 200);
    let mut rest = Vec::new();
    // It may be reset.
    let _ = within(idle[0].read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
    let ended = within(idle[39].read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "its time is over: {ended:?}");
}

/// A connection is used for several requests.
#[tokio::test]
async fn connections_are_kept() {
    let served = Served::registered(patient, |worker| worker).await;
    let mut stream = within(TcpStream::connect(served.address)).await.unwrap();
    let mut buffer = [0; 1024];
    for _ in 0..3 {
        within(stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")).await.unwrap();
        let mut seen = String::new();
        while !seen.ends_with("OK") {
            let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut buffer));
            let read = read.await.expect("in time").unwrap();
            assert_ne!(read, 0, "closed after {seen:?}");
            seen += std::str::from_utf8(&buffer[..read]).unwrap();
        }
    }
}
