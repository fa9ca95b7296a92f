//! The front against a backend that only records its calls.

mod fake;
mod limits;
mod routes;
mod socket;
mod twirp;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{WebSocketStream, client_async};

use agent_net::AccessToken;

use super::{JoinRefusal, serve};
use fake::Fake;

const KEY: &str = "key";
const SECRET: &str = "secret";

/// Serves a connection over an in-memory pipe.
fn in_memory(fake: &Arc<Fake>) -> DuplexStream {
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(serve(far, fake.clone()));
    near
}

/// Serves connections on loopback; returns the address.
async fn on_loopback(fake: &Arc<Fake>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let fake = fake.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(socket, fake.clone()));
        }
    });
    address
}

fn token() -> AccessToken {
    AccessToken::new(KEY, SECRET)
}

fn worker_token() -> String {
    token().agent().sign().unwrap().expose().to_owned()
}

/// A worker's handshake, with this `Authorization` header if there is one.
async fn handshake<IO>(io: IO, path: &str, authorization: Option<&str>) -> Result<WebSocketStream<IO>, Error>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("ws://mock{path}").into_client_request().unwrap();
    if let Some(authorization) = authorization {
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
    }
    client_async(request, io).await.map(|(socket, _)| socket)
}

async fn worker<IO: AsyncRead + AsyncWrite + Unpin>(io: IO) -> WebSocketStream<IO> {
    handshake(io, "/agent?protocol=1", Some(&format!("Bearer {}", worker_token()))).await.unwrap()
}

/// Status and text of a refused handshake.
fn refusal<T>(result: Result<T, Error>) -> (u16, String) {
    let Err(Error::Http(response)) = result else { panic!("the handshake is not refused") };
    let body = response.body().clone().unwrap_or_default();
    (response.status().as_u16(), String::from_utf8(body).unwrap())
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request, written by hand: the client library is not under test.
async fn request<IO>(mut io: IO, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = format!("{line} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    io.write_all(head.as_bytes()).await.unwrap();
    io.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), io.read_to_end(&mut answer)).await.unwrap().unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    Reply { status: head[9..12].parse().unwrap(), head, body: answer[end + 4..].to_vec() }
}

async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

fn text(message: &str) -> tungstenite::Message {
    tungstenite::Message::text(message)
}
