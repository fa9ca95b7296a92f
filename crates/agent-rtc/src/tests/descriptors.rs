//! A process without file descriptors. In a process of its own, since the limit is for the whole process.
#![cfg(unix)]

use std::fs::File;
use std::net::SocketAddr;
use std::process::Command;

use agent_net::NetOptions;
use agent_room::{JoinFailure, RelayTransport};

use crate::JoinError;
use crate::relay::{RelayConnections, RelayEvent};
use crate::socket::Socket;
use crate::tcp::{TcpEvent, TcpPaths};

const CHILD: &str = "AGENT_RTC_TEST_CHILD";

/// What the test below starts.
#[tokio::test]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let (socket, mut tcp, mut relays) = (Socket::bind().unwrap(), TcpPaths::new(), RelayConnections::new());
    let remote: SocketAddr = "127.0.0.1:9".parse().unwrap();
    assert_eq!(socket.route(remote).unwrap(), Some(remote.ip()));
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!files.is_empty());
    let exhausted = socket.route(remote).unwrap_err();
    tcp.connect(remote);
    assert!(matches!(tcp.next().await, TcpEvent::Closed { exhausted: Some(_), .. }));
    for (relay, transport) in [(1, RelayTransport::Udp), (2, RelayTransport::Tcp)] {
        relays.open(relay, "127.0.0.1".to_owned(), 9, transport, &NetOptions::default());
        assert!(matches!(relays.next().await, RelayEvent::Closed { exhausted: Some(_), .. }));
    }
    let detail = "no address family in common".to_owned();
    let error = JoinError::of_failure(JoinFailure::MediaTimeout { detail }, Some(exhausted));
    assert!(error.is_out_of_descriptors(), "{error:?}");
    let error = JoinError::of_failure(JoinFailure::SignalTimeout, Some(socket.route(remote).unwrap_err()));
    assert!(!error.is_out_of_descriptors(), "{error:?}");
    println!("without descriptors");
}

#[test]
fn a_socket_for_media_without_a_descriptor_is_the_cause_of_a_failed_join() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact tests::descriptors::child --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("without descriptors"), "{printed}{}", String::from_utf8_lossy(&output.stderr));
}
