//! Endpoints that are no LiveKit server, or none that a worker can use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::authority::authority;

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// An address at which nothing listens.
pub(crate) async fn no_listener() -> String {
    listen().await.1
}

/// One that takes connections and sends nothing, as long as the listener lives.
pub(crate) async fn silent() -> (TcpListener, String) {
    listen().await
}

/// One that makes WebSockets, and sends nothing on them.
pub(crate) async fn mute() -> String {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let socket = tokio_tungstenite::accept_async(tcp).await;
                std::future::pending::<()>().await;
                drop(socket);
            });
        }
    });
    address
}

/// One that gives every request this answer.
pub(crate) async fn answering(answer: &'static str) -> String {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = tcp.read(&mut [0; 4096]).await;
                let _ = tcp.write_all(answer.as_bytes()).await;
                let _ = tcp.shutdown().await;
                let _ = tcp.read(&mut [0; 4096]).await;
            });
        }
    });
    address
}

/// A way to a server that can be closed: then every request is given an answer.
pub(crate) struct Gate {
    pub(crate) address: String,
    closed: Arc<AtomicBool>,
}

impl Gate {
    pub(crate) fn refuse(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

pub(crate) async fn gate(server: String, answer: &'static str) -> Gate {
    let (listener, address) = listen().await;
    let closed = Arc::new(AtomicBool::new(false));
    let is_closed = Arc::clone(&closed);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let (server, refuses) = (server.clone(), is_closed.load(Ordering::Relaxed));
            tokio::spawn(async move {
                if refuses {
                    let _ = tcp.read(&mut [0; 4096]).await;
                    let _ = tcp.write_all(answer.as_bytes()).await;
                } else if let Ok(mut server) = TcpStream::connect(server).await {
                    let _ = tokio::io::copy_bidirectional(&mut tcp, &mut server).await;
                }
            });
        }
    });
    Gate { address, closed }
}

/// One that uses TLS, with a certificate of an unknown authority.
pub(crate) async fn encrypted() -> String {
    let (listener, address) = listen().await;
    let acceptor = authority("localhost").acceptor;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { drop(acceptor.accept(tcp).await) });
        }
    });
    address
}
