//! Connections over real sockets on loopback: servers, certificates and proxies made for each test.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use url::Url;

use agent_proto::Secret;

use crate::{ConnectError, FrameSocket, NetOptions, SocketEvent, WebSocket, connect_websocket};

mod addresses;
mod authority;
pub(crate) mod failover;
mod refusals;

use authority::{authority, authority_with};

const TOKEN: &str = "t0ken-that-no-text-may-show";

/// Connects, and checks that the texts of every error contain no token.
async fn connect(url: &str, options: &NetOptions) -> Result<WebSocket, ConnectError> {
    let result = connect_websocket(&Url::parse(url).unwrap(), Some(&Secret::from(TOKEN)), options).await;
    if let Err(error) = &result {
        assert!(!format!("{error} {error:?}").contains(TOKEN), "{error:?}");
    }
    result
}

/// Sends a frame and returns the next event.
async fn echoed(socket: &mut FrameSocket, frame: Vec<u8>) -> SocketEvent {
    socket.send(Bytes::from(frame));
    socket.next().await
}

async fn opened(socket: WebSocket) -> FrameSocket {
    let mut socket = FrameSocket::connect(async { Ok(socket) });
    assert!(matches!(socket.next().await, SocketEvent::Opened));
    socket
}

async fn assert_echo(socket: WebSocket) {
    let echo = echoed(&mut opened(socket).await, vec![1, 2, 3]).await;
    assert!(matches!(echo, SocketEvent::Received(frame) if *frame == [1, 2, 3]));
}

/// A WebSocket server that requires our token and echoes; with TLS if there is an acceptor for it.
async fn echo_server(tls: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(tcp).await {
                            echo(stream).await;
                        }
                    }
                    None => echo(tcp).await,
                }
            });
        }
    });
    port
}

#[allow(clippy::result_large_err, reason = "the library's callback type")]
async fn echo(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let check = |request: &Request, response: Response| {
        let authorized =
            request.headers().get("authorization").is_some_and(|v| *v == *format!("Bearer {TOKEN}"));
        if authorized {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(Some("invalid token\n".to_owned()));
        *refusal.status_mut() = tokio_tungstenite::tungstenite::http::StatusCode::UNAUTHORIZED;
        Err(refusal)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if message.is_binary() && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// An HTTP proxy that sends every CONNECT to one local port, and reports the first lines of each request.
async fn connect_proxy(port: u16, answer: &'static str) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_port = listener.local_addr().unwrap().port();
    let (asked, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            let _ = asked.send(String::from_utf8(head).unwrap());
            client.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains(" 200 ") {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
            }
        }
    });
    (proxy_port, requests)
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

#[tokio::test]
async fn a_plain_connection_carries_the_token_and_messages() {
    let port = echo_server(None).await;
    let options = NetOptions::default();
    assert_echo(connect(&format!("ws://127.0.0.1:{port}/agent?protocol=1"), &options).await.unwrap()).await;
    // Works also if nothing listens at the name's first address (localhost is ::1 first on most machines).
    assert_echo(connect(&format!("ws://localhost:{port}/"), &options).await.unwrap()).await;
}

#[tokio::test]
async fn a_refused_token_is_refused_with_status_and_text() {
    let port = echo_server(None).await;
    let url = Url::parse(&format!("ws://127.0.0.1:{port}/")).unwrap();
    let error =
        connect_websocket(&url, Some(&Secret::from("wrong")), &NetOptions::default()).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    let text = error.to_string();
    assert!(
        text.contains("HTTP 401 (invalid token)") && text.contains(&format!("127.0.0.1:{port}")),
        "{text}"
    );
}

/// livekit-server repeats a rejected token as a whole.
#[tokio::test]
async fn a_token_that_the_server_repeats_is_not_shown() {
    for body in [format!("invalid token: {TOKEN}, error: expired"), TOKEN.repeat(100)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let refusing = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let _ = tcp.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n", body.len());
            tcp.write_all((head + &body).as_bytes()).await.unwrap();
        };
        // `connect` looks for the token in every text of the error.
        let (error, ()) =
            tokio::join!(async { connect(&url, &NetOptions::default()).await.unwrap_err() }, refusing);
        let text = error.to_string();
        assert!(
            text.contains("(invalid token: [the token], error: expired)")
                || text.contains("([the token][the"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_an_error() {
    let url = Url::parse("ws://127.0.0.1:1/").unwrap();
    let error =
        connect_websocket(&url, Some(&Secret::from("a\nb")), &NetOptions::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Token { source: None }), "{error:?}");
}

#[tokio::test]
async fn an_encrypted_connection_with_a_trusted_authority() {
    let ca = authority("localhost");
    let port = echo_server(Some(ca.acceptor.clone())).await;
    let url = format!("wss://localhost:{port}/");
    assert_echo(connect(&url, &NetOptions::default().ca_file(&ca.file)).await.unwrap()).await;
    // The file comes from the environment, and the URL has an address that the certificate names.
    let file = ca.file.to_str().unwrap().to_owned();
    let from_env = NetOptions::from_vars(|name| (name == "SSL_CERT_FILE").then(|| file.clone()));
    assert_echo(connect(&url, &from_env).await.unwrap()).await;
    // The second connection uses the configuration of the first one.
    assert_echo(connect(&url, &from_env).await.unwrap()).await;
}

#[tokio::test]
async fn invalid_certificates_are_refused() {
    let ca = authority("localhost");
    let port = echo_server(Some(ca.acceptor.clone())).await;
    let other = authority("localhost");
    let by_name = format!("wss://localhost:{port}/");
    let by_address = format!("wss://127.0.0.1:{port}/");
    let valid = |from, to| {
        authority_with("localhost", |says| {
            (says.not_before, says.not_after) =
                (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
        })
    };
    let (expired, early) = (valid(2020, 2021), valid(4000, 4001));
    let by_expired = format!("wss://localhost:{}/", echo_server(Some(expired.acceptor.clone())).await);
    let by_early = format!("wss://localhost:{}/", echo_server(Some(early.acceptor.clone())).await);
    let cases = [
        ("the platform does not know it", NetOptions::default(), &by_name, "the authority's PEM file"),
        (
            "another authority",
            NetOptions::default().ca_file(&other.file),
            &by_name,
            "the authority's PEM file",
        ),
        ("another host name", NetOptions::default().ca_file(&ca.file), &by_address, "another name"),
        ("expired", NetOptions::default().ca_file(&expired.file), &by_expired, "has expired"),
        ("of tomorrow", NetOptions::default().ca_file(&early.file), &by_early, "not valid yet"),
    ];
    for (case, options, url, wanted) in cases {
        let error = connect(url, &options).await.expect_err(case);
        let ConnectError::Tls { hint, .. } = &error else { panic!("{case}: {error:?}") };
        assert!(hint.contains(wanted), "{case}: {error}");
    }
}

#[tokio::test]
async fn an_invalid_certificate_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for path in [dir.path().join("missing.pem"), empty] {
        let port = echo_server(None).await;
        let error = connect(&format!("wss://localhost:{port}/"), &NetOptions::default().ca_file(&path))
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::CaFile { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn plain_against_encrypted_is_explained() {
    let plain = echo_server(None).await;
    let error = connect(&format!("wss://localhost:{plain}/"), &NetOptions::default()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Tls { .. })
            && error.to_string().contains("wss:// (or https://) against ws:// (or http://)"),
        "{error}"
    );

    let encrypted = echo_server(Some(authority("localhost").acceptor)).await;
    let error = connect(&format!("ws://localhost:{encrypted}/"), &NetOptions::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Protocol { .. }), "{error:?}");
    assert!(error.to_string().contains("ws:// against wss://"), "{error}");
}

#[tokio::test]
async fn nothing_listens() {
    // A port that was just released.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = connect(&format!("ws://127.0.0.1:{port}/"), &NetOptions::default()).await.unwrap_err();
    let ConnectError::Unreachable { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    // `.invalid` never exists; an unreachable resolver gives the same error.
    let error = connect("ws://host.invalid:7880/", &NetOptions::default()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Resolve { .. } | ConnectError::Timeout { step: "TCP connection", .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("host.invalid:7880"), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_takes_no_longer_than_allowed() {
    // Accepted by the system's backlog, never by a server.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = NetOptions::default().connect_timeout(Duration::from_millis(100));
    for (scheme, waited_for) in [("ws", "WebSocket handshake"), ("wss", "TLS")] {
        let error = connect(&format!("{scheme}://127.0.0.1:{port}/"), &options).await.unwrap_err();
        let ConnectError::Timeout { step, .. } = error else { panic!("{error:?}") };
        assert_eq!(step, waited_for);
    }
}

#[tokio::test]
async fn a_limit_beyond_the_clock_is_no_panic() {
    let port = echo_server(None).await;
    let options = NetOptions::default().connect_timeout(Duration::MAX);
    assert_echo(connect(&format!("ws://127.0.0.1:{port}/"), &options).await.unwrap()).await;
}

#[tokio::test]
async fn another_protocol_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
        let _ = tcp.read(&mut [0; 1024]).await;
    });
    let error = connect(&format!("ws://127.0.0.1:{port}/"), &NetOptions::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Protocol { .. }), "{error:?}");
    let error = connect("http://127.0.0.1/", &NetOptions::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Address), "{error:?}");
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection() {
    let port = echo_server(None).await;
    let options = NetOptions::default().max_message_size(1000);
    let socket = connect(&format!("ws://127.0.0.1:{port}/"), &options).await.unwrap();
    let mut socket = opened(socket).await;
    let echo = echoed(&mut socket, vec![0; 1000]).await;
    assert!(matches!(echo, SocketEvent::Received(frame) if frame.len() == 1000));
    let SocketEvent::Closed(reason) = echoed(&mut socket, vec![0; 1001]).await else {
        panic!("the connection is still open")
    };
    assert!(reason.contains("more than 1000 bytes (`max_message_size(…)`)"), "{reason}");
}

#[tokio::test]
async fn large_messages_come_whole() {
    let port = echo_server(None).await;
    let socket = connect(&format!("ws://127.0.0.1:{port}/"), &NetOptions::default()).await.unwrap();
    let mut socket = opened(socket).await;
    for len in [0, 1, 125, 126, 65_535, 65_536, 2 * 1024 * 1024] {
        let frame: Vec<u8> = (0..len).map(|n: usize| n.to_le_bytes()[0]).collect();
        let echo = echoed(&mut socket, frame.clone()).await;
        assert!(matches!(echo, SocketEvent::Received(same) if *same == *frame), "{len} bytes");
    }
}

#[tokio::test]
async fn through_a_proxy_with_a_password() {
    let ca = authority("media.test");
    let port = echo_server(Some(ca.acceptor.clone())).await;
    let (proxy, mut requests) = connect_proxy(port, ESTABLISHED).await;
    let file = ca.file.to_str().unwrap().to_owned();
    let vars = |no_proxy: &'static str| {
        let file = file.clone();
        NetOptions::from_vars(move |name| match name {
            "https_proxy" => Some(format!("http://ada:pass%20word@127.0.0.1:{proxy}")),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            "SSL_CERT_FILE" => Some(file.clone()),
            _ => None,
        })
    };
    // Only the proxy can resolve this name.
    assert_echo(connect("wss://media.test/agent", &vars("other.test")).await.unwrap()).await;
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("CONNECT media.test:443 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Proxy-Authorization: Basic YWRhOnBhc3Mgd29yZA==\r\n"), "{request}");
    assert!(!request.contains(TOKEN), "{request}");

    // NO_PROXY: now the name has to be resolved here.
    let options = vars("media.test").connect_timeout(Duration::from_secs(5));
    let error = connect("wss://media.test/agent", &options).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Resolve { .. } | ConnectError::Timeout { step: "TCP connection", .. }),
        "{error:?}"
    );
    assert!(requests.try_recv().is_err(), "the proxy was not asked");
}

#[tokio::test]
async fn through_an_encrypted_proxy() {
    let ca = authority("localhost");
    let port = echo_server(None).await;
    let (inner, mut requests) = connect_proxy(port, ESTABLISHED).await;
    // TLS in front of the proxy: each connection is decrypted and passed on.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outer = listener.local_addr().unwrap().port();
    let acceptor = ca.acceptor.clone();
    tokio::spawn(async move {
        let mut client = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut proxy = TcpStream::connect(("127.0.0.1", inner)).await.unwrap();
        copy_bidirectional(&mut client, &mut proxy).await
    });
    let options =
        NetOptions::default().ca_file(&ca.file).proxy(&format!("https://localhost:{outer}")).unwrap();
    assert_echo(connect("ws://127.0.0.1:7880/", &options).await.unwrap()).await;
    assert!(requests.recv().await.unwrap().starts_with("CONNECT 127.0.0.1:7880 "));
}

#[tokio::test]
async fn through_a_socks_proxy() {
    let port = echo_server(None).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let methods = {
            let mut head = [0; 2];
            client.read_exact(&mut head).await.unwrap();
            let mut methods = vec![0; usize::from(head[1])];
            client.read_exact(&mut methods).await.unwrap();
            methods
        };
        assert!(methods.contains(&0), "no password was given");
        client.write_all(&[5, 0]).await.unwrap();
        let mut head = [0; 5];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(head[..4], [5, 1, 0, 3], "a connection to a name");
        let mut name = vec![0; usize::from(head[4]) + 2];
        client.read_exact(&mut name).await.unwrap();
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1]).await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        name
    });
    let options = NetOptions::default().proxy(&format!("socks5h://127.0.0.1:{proxy}")).unwrap();
    assert_echo(connect("ws://media.test:7880/", &options).await.unwrap()).await;
    assert_eq!(asked.await.unwrap(), b"media.test\x1e\xc8");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there() {
    let (proxy, _requests) = connect_proxy(1, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let options = NetOptions::default().proxy(&format!("http://u:s3cret@127.0.0.1:{proxy}")).unwrap();
    let error = connect("ws://media.test/", &options).await.unwrap_err();
    let ConnectError::Proxy { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("authorization required"), "{source}");
    let text = error.to_string();
    assert!(text.contains("media.test:80") && text.contains(&format!("127.0.0.1:{proxy}")), "{text}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");

    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let options = NetOptions::default().proxy(&format!("http://127.0.0.1:{port}")).unwrap();
    let error = connect("ws://media.test/", &options).await.unwrap_err();
    let gone = format!("127.0.0.1:{port}");
    assert!(matches!(&error, ConnectError::ProxyUnreachable { proxy, .. } if *proxy == gone), "{error:?}");
    let text = error.to_string();
    for part in [&*gone, "media.test:80", "HTTP_PROXY"] {
        assert!(text.contains(part) && !text.contains("LIVEKIT_URL"), "{part}: {text}");
    }
}
