//! Connections that report to the list of addresses whether the peer answered.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UdpSocket;

use crate::addresses::Unproven;
use crate::stream::Stream;

/// A stream whose address has proved itself with the first byte that is read.
#[derive(Debug)]
pub(crate) struct WatchedStream {
    /// Before the stream: the address is recorded before the peer sees the end.
    unproven: Option<Unproven>,
    stream: Stream,
}

impl WatchedStream {
    pub(crate) fn new(stream: Stream, unproven: Unproven) -> Self {
        Self { unproven: Some(unproven), stream }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before
            && let Some(unproven) = self.unproven.take()
        {
            unproven.answered();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(unproven) = &mut self.unproven {
            unproven.asked();
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(unproven) = &mut self.unproven {
            unproven.asked();
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A UDP socket that exchanges datagrams with one address of a host. If it is dropped after datagrams were
/// sent and none was received, that address is tried after the host's others next time.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    unproven: Mutex<Option<Unproven>>,
}

impl DatagramSocket {
    pub(crate) fn new(socket: UdpSocket, unproven: Unproven) -> Self {
        Self { socket, unproven: Mutex::new(Some(unproven)) }
    }

    /// The address of this end.
    ///
    /// # Errors
    /// That of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends a datagram. Cancel-safe.
    ///
    /// # Errors
    /// That of the system, which may be about a datagram before.
    pub async fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        if let Some(unproven) = &mut *self.unproven.lock().unwrap_or_else(PoisonError::into_inner) {
            unproven.asked();
        }
        self.socket.send(datagram).await
    }

    /// Receives a datagram, and returns its length in bytes; what does not fit into the buffer is lost.
    /// Cancel-safe.
    ///
    /// # Errors
    /// That of the system, such as that nothing listens there.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.socket.recv(buffer).await?;
        if let Some(unproven) = self.unproven.lock().unwrap_or_else(PoisonError::into_inner).take() {
            unproven.answered();
        }
        Ok(len)
    }
}
