//! Servers that are not what the URL promises, on this machine.

use std::future::Future;

use rcgen::date_time_ymd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use agent_testkit::RealServer;

use crate::authority::{Authority, authority, authority_with};

const WELCOME: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nwelcome\n";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

pub(crate) struct Servers {
    /// `host:port` of each.
    pub(crate) web: String,
    pub(crate) silent: String,
    pub(crate) old: String,
    /// Behind TLS, with certificates that are good, out of date, and of another name.
    pub(crate) secure: String,
    pub(crate) expired: String,
    pub(crate) misnamed: String,
    /// The files of those that have certified them.
    pub(crate) trusted: [Authority; 3],
    /// A port of this machine that is taken.
    pub(crate) taken: u16,
    _taken: TcpListener,
}

impl Servers {
    pub(crate) async fn start(server: &RealServer) -> Self {
        let to = server.url().trim_start_matches("ws://").to_owned();
        let good = authority("127.0.0.1");
        let expired = authority_with("127.0.0.1", |says| {
            (says.not_before, says.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        });
        let misnamed = authority("media.example.com");
        let taken = TcpListener::bind("[::]:0").await.expect("a port");
        Self {
            web: serve(async |stream| answer(stream, WELCOME).await).await,
            silent: serve(async |mut stream| drop(stream.read_to_end(&mut Vec::new()).await)).await,
            old: serve({
                let to = to.clone();
                move |stream| without_rtc(stream, to.clone())
            })
            .await,
            secure: secure(&good, &to).await,
            expired: secure(&expired, &to).await,
            misnamed: secure(&misnamed, &to).await,
            trusted: [good, expired, misnamed],
            taken: taken.local_addr().expect("bound").port(),
            _taken: taken,
        }
    }
}

/// Serves each connection to a new port; returns host and port.
async fn serve<F: Future<Output = ()> + Send + 'static>(
    connection: impl Fn(TcpStream) -> F + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream));
        }
    });
    address
}

/// The same answer to each request.
async fn answer(mut stream: TcpStream, answer: &[u8]) {
    let mut request = [0; 8192];
    while stream.read(&mut request).await.is_ok_and(|len| len > 0) {
        let _ = stream.write_all(answer).await;
    }
}

/// The server as it was before 1.9.10, without `/rtc/v1`.
async fn without_rtc(mut stream: TcpStream, to: String) {
    let mut head = [0; 16];
    let is_rtc = stream.peek(&mut head).await.is_ok_and(|len| head[..len].starts_with(b"GET /rtc/v1"));
    if is_rtc {
        let _ = stream.write_all(NOT_FOUND).await;
    } else if let Ok(mut server) = TcpStream::connect(to).await {
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }
}

async fn secure(by: &Authority, to: &str) -> String {
    let (acceptor, to) = (by.acceptor.clone(), to.to_owned());
    serve(move |stream| behind_tls(stream, acceptor.clone(), to.clone())).await
}

async fn behind_tls(stream: TcpStream, acceptor: TlsAcceptor, to: String) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    if let Ok(mut server) = TcpStream::connect(to).await {
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }
}
