//! A proxy that ends TLS before a server and keeps what goes through, so that a test knows the secrets that
//! only the wire has.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::join_request;

pub(crate) struct RecordingProxy {
    /// Of an HTTP proxy that leads to nothing but the server.
    pub(crate) address: SocketAddr,
    recorded: Arc<Mutex<Recorded>>,
}

#[derive(Default)]
struct Recorded {
    to_server: Vec<u8>,
    from_server: Vec<u8>,
}

impl RecordingProxy {
    pub(crate) async fn start(tls: TlsAcceptor, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let recorded: Arc<Mutex<Recorded>> = Arc::default();
        let all = Arc::clone(&recorded);
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let (tls, recorded) = (tls.clone(), Arc::clone(&all));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(tcp.read_u8().await.unwrap());
                    }
                    tcp.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                    let client = tokio::io::split(tls.accept(tcp).await.unwrap());
                    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
                    tokio::join!(
                        pass(client.0, server.1, |bytes| recorded.lock().unwrap().to_server.extend(bytes)),
                        pass(server.0, client.1, |bytes| recorded.lock().unwrap().from_server.extend(bytes)),
                    );
                });
            }
        });
        Self { address, recorded }
    }

    /// All JSON Web Tokens that went either way.
    pub(crate) fn tokens(&self) -> BTreeSet<String> {
        let recorded = self.recorded.lock().unwrap();
        let mut tokens = BTreeSet::new();
        for text in [&recorded.to_server, &recorded.from_server].map(|bytes| String::from_utf8_lossy(bytes)) {
            for (at, _) in text.match_indices("eyJ") {
                let end = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
                let token = text[at..].split(end).next().unwrap_or_default();
                if token.matches('.').count() == 2 {
                    tokens.insert(token.to_owned());
                }
            }
        }
        tokens
    }

    /// ICE passwords of both sides.
    pub(crate) fn ice_passwords(&self) -> BTreeSet<String> {
        let recorded = self.recorded.lock().unwrap();
        let requests = String::from_utf8_lossy(&recorded.to_server);
        let requests = requests.split_whitespace().filter(|word| word.contains("join_request="));
        let mut texts: Vec<String> = requests.map(join_request::offer).collect();
        texts.push(String::from_utf8_lossy(&recorded.from_server).into_owned());
        let lines = texts.iter().flat_map(|text| text.lines());
        lines.filter_map(|line| line.strip_prefix("a=ice-pwd:")).map(|pw| pw.trim().to_owned()).collect()
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, observe: impl Fn(&[u8])) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        observe(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
