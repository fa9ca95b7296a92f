//! Hosts with several addresses, some of which do not work.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Instant;

use http_body_util::Full;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use agent_proto::BoxFuture;

use super::*;
use crate::{HttpClient, Resolver, connect_datagrams, connect_stream};

/// A host with these addresses, for any port.
#[derive(Clone, Default)]
struct Host(Arc<Mutex<Vec<SocketAddr>>>);

impl Resolver for Host {
    fn resolve(&self, host: &str, _: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>> {
        assert_eq!(host, "media.test");
        Box::pin(async { Ok(self.0.lock().unwrap().clone()) })
    }
}

fn host(addresses: &[SocketAddr]) -> NetOptions {
    let host = Host(Arc::new(Mutex::new(addresses.to_vec())));
    NetOptions::default().resolver(host).connect_timeout(Duration::from_secs(4))
}

async fn echo_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], echo_server(None).await))
}

/// Accepts connections and runs the function on each; reports every connection.
async fn faulty_address<F: Future<Output = ()> + Send + 'static>(
    treat: fn(TcpStream) -> F,
) -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (count, counted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = count.send(());
            tokio::spawn(treat(tcp));
        }
    });
    (address, counted)
}

fn came(counted: &mut mpsc::UnboundedReceiver<()>) -> usize {
    std::iter::from_fn(|| counted.try_recv().ok()).count()
}

async fn silent(tcp: TcpStream) {
    std::future::pending::<()>().await;
    drop(tcp);
}

async fn closes(mut tcp: TcpStream) {
    let _ = tcp.read(&mut [0; 4096]).await;
}

async fn unavailable(mut tcp: TcpStream) {
    let _ = tcp.read(&mut [0; 4096]).await;
    let _ = tcp.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
}

const URL: &str = "ws://media.test:7880/agent";

/// Within one attempt; later attempts do not begin with this address.
#[tokio::test]
async fn an_address_that_takes_connections_and_is_silent_costs_its_share_once() {
    for scheme in ["ws", "wss"] {
        let ca = authority("media.test");
        let encrypted = scheme == "wss";
        let good = echo_server(encrypted.then(|| ca.acceptor.clone())).await;
        let (bad, mut counted) = faulty_address(silent).await;
        let options = host(&[bad, SocketAddr::from(([127, 0, 0, 1], good))]).ca_file(&ca.file);
        let url = format!("{scheme}://media.test:7880/agent");
        let begin = Instant::now();
        assert_echo(connect(&url, &options).await.unwrap()).await;
        assert!(begin.elapsed() >= Duration::from_secs(2), "it has its share: {:?}", begin.elapsed());
        assert_eq!(came(&mut counted), 1);
        // Clones of the options, as rooms use them.
        for options in [options.clone(), options.clone(), options] {
            assert_echo(connect(&url, &options).await.unwrap()).await;
        }
        assert_eq!(came(&mut counted), 0, "it was left alone");
    }
}

#[tokio::test]
async fn an_address_that_closes_connections_is_passed_over_at_once() {
    let (bad, mut counted) = faulty_address(closes).await;
    let options = host(&[bad, echo_address().await]);
    for _ in 0..3 {
        assert_echo(connect(URL, &options).await.unwrap()).await;
    }
    assert_eq!(came(&mut counted), 1);
}

/// The address did answer, so this attempt is over; the next one begins with another address.
#[tokio::test]
async fn an_address_that_refuses_comes_last_in_the_next_try() {
    let (bad, mut counted) = faulty_address(unavailable).await;
    let options = host(&[bad, echo_address().await]);
    let error = connect(URL, &options).await.expect_err("refused");
    assert_eq!(error.status(), Some(503));
    assert_echo(connect(URL, &options).await.unwrap()).await;
    assert_eq!(came(&mut counted), 1);
}

#[tokio::test]
async fn all_addresses_are_silent() {
    let (first, mut at_first) = faulty_address(silent).await;
    let (second, mut at_second) = faulty_address(silent).await;
    let options = host(&[first, second]).connect_timeout(Duration::from_millis(400));
    let begin = Instant::now();
    let error = connect(URL, &options).await.expect_err("no answer");
    let ConnectError::Timeout { limit, step, .. } = error else { panic!("{error:?}") };
    assert_eq!((limit, step), (Duration::from_millis(400), "WebSocket handshake"));
    assert!(begin.elapsed() >= Duration::from_millis(400), "{:?}", begin.elapsed());
    assert_eq!((came(&mut at_first), came(&mut at_second)), (1, 1));
}

/// A failed address is used again if all others fail.
#[tokio::test]
async fn an_address_that_failed_is_still_tried_at_last() {
    let (bad, _) = faulty_address(closes).await;
    let good = echo_address().await;
    let host = Host(Arc::new(Mutex::new(vec![bad, good])));
    let options = NetOptions::default().resolver(host.clone());
    assert_echo(connect(URL, &options).await.unwrap()).await;
    // Now it is the only one.
    *host.0.lock().unwrap() = vec![bad];
    let error = connect(URL, &options).await.expect_err("it still closes");
    assert!(matches!(error, ConnectError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn the_addresses_of_a_proxy_are_tried_in_the_same_way() {
    let port = echo_server(None).await;
    let (proxy, _requests) = connect_proxy(port, ESTABLISHED).await;
    let (bad, mut counted) = faulty_address(closes).await;
    let options =
        host(&[bad, SocketAddr::from(([127, 0, 0, 1], proxy))]).proxy("http://media.test:3128").unwrap();
    for _ in 0..2 {
        assert_echo(connect("ws://server.test:7880/", &options).await.unwrap()).await;
    }
    assert_eq!(came(&mut counted), 1);
}

#[tokio::test]
async fn an_address_needs_no_lookup_and_a_host_without_one_is_reported() {
    let address = echo_address().await;
    // The resolver would panic for another name.
    let options = host(&[]);
    assert_echo(connect(&format!("ws://{address}/"), &options).await.unwrap()).await;
    let error = connect(URL, &options).await.expect_err("no address");
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error:?}");
}

async fn upgrades_and_is_silent(tcp: TcpStream) {
    let _open = tokio_tungstenite::accept_async(tcp).await;
    std::future::pending::<()>().await;
}

async fn upgrades_and_closes(tcp: TcpStream) {
    if let Ok(mut socket) = tokio_tungstenite::accept_async(tcp).await {
        let _ = socket.close(None).await;
    }
}

/// A server that hangs, behind a proxy or a runtime that still does the handshake.
#[tokio::test]
async fn an_address_that_sends_no_message_after_the_upgrade_comes_last_next_time() {
    let (silent, mut at_silent) = faulty_address(upgrades_and_is_silent).await;
    let (closing, mut at_closing) = faulty_address(upgrades_and_closes).await;
    let options = host(&[silent, closing, echo_address().await]);
    drop(opened(connect(URL, &options).await.unwrap()).await);
    assert_eq!((came(&mut at_silent), came(&mut at_closing)), (1, 0));
    let mut socket = opened(connect(URL, &options).await.unwrap()).await;
    let event = timeout(Duration::from_secs(10), socket.next()).await.expect("it is at the next address");
    assert!(matches!(event, SocketEvent::Closed(_)));
    assert_eq!((came(&mut at_silent), came(&mut at_closing)), (0, 1));
    for _ in 0..2 {
        assert_echo(connect(URL, &options).await.unwrap()).await;
    }
    assert_eq!((came(&mut at_silent), came(&mut at_closing)), (0, 0), "they are left alone");
}

#[tokio::test]
async fn an_address_that_responds_to_no_request_comes_last_next_time() {
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (answers, mut at_answers) = faulty_address(unavailable).await;
    let options = host(&[hangs.local_addr().unwrap(), answers]);
    let client = HttpClient::new(options);
    let request = || hyper::Request::get("http://media.test:7880/").body(Full::<Bytes>::default()).unwrap();
    let asked = async {
        let mut connection = hangs.accept().await.unwrap().0;
        assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);
        connection
    };
    let mut connection = tokio::select! {
        _ = client.send(request(), 1000) => panic!("nothing was answered"),
        connection = asked => connection,
    };
    // The request is over, and with it the connection, which a task of its own ends.
    connection.read_to_end(&mut Vec::new()).await.unwrap();
    for _ in 0..2 {
        let sent = timeout(Duration::from_secs(10), client.send(request(), 1000)).await;
        assert_eq!(sent.expect("the other address").unwrap().status(), 503);
    }
    assert_eq!(came(&mut at_answers), 2);
}

/// A connection that carried no request says nothing of its address.
#[tokio::test]
async fn an_unused_connection_changes_nothing() {
    let (first, mut at_first) = faulty_address(silent).await;
    let (second, _) = faulty_address(silent).await;
    let options = host(&[first, second]);
    for _ in 0..2 {
        drop(connect_stream("media.test", 1, false, &options).await.unwrap());
        timeout(Duration::from_secs(10), at_first.recv()).await.expect("it is first").unwrap();
    }
}

/// The host of a relay over UDP, which accepts whatever is sent there, or nothing.
#[tokio::test]
async fn an_address_that_answers_no_datagram_comes_last_next_time() {
    let bound = || async { UdpSocket::bind("127.0.0.1:0").await.unwrap() };
    let (silent, closed, answers) = (bound().await, bound().await, bound().await);
    let options = host(&[&silent, &closed, &answers].map(|socket| socket.local_addr().unwrap()));
    // It takes datagrams from there alone, and the system refuses others.
    closed.connect("127.0.0.1:9").await.unwrap();
    let mut buffer = [0; 100];

    let socket = connect_datagrams("media.test", 1, &options).await.unwrap();
    socket.send(b"hello?").await.unwrap();
    silent.recv_from(&mut buffer).await.unwrap();
    // Nothing more is there to read.
    assert_eq!(silent.try_recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(socket);
    let socket = connect_datagrams("media.test", 1, &options).await.unwrap();
    socket.send(b"hello?").await.unwrap();
    let refused = tokio::select! {
        received = socket.recv(&mut buffer) => received.unwrap_err(),
        _ = silent.readable() => panic!("it was sent to the silent address"),
    };
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    drop(socket);
    for _ in 0..2 {
        let socket = connect_datagrams("media.test", 1, &options).await.unwrap();
        socket.send(b"hello?").await.unwrap();
        let (_, from) = tokio::select! {
            received = answers.recv_from(&mut buffer) => received.unwrap(),
            _ = silent.readable() => panic!("it was sent to the silent address"),
        };
        assert_eq!(from, socket.local_addr().unwrap());
        answers.send_to(b"yes", from).await.unwrap();
        assert_eq!(socket.recv(&mut buffer).await.unwrap(), 3);
    }
    // An unused one changes nothing.
    drop(connect_datagrams("media.test", 1, &options).await.unwrap());
    let socket = connect_datagrams("media.test", 1, &options).await.unwrap();
    socket.send(b"hello?").await.unwrap();
    answers.recv_from(&mut buffer).await.unwrap();
}
