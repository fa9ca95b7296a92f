//! A TCP proxy that can stall: connections stay open, and nothing moves.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Mode {
    stalled: bool,
    /// Counts the cuts.
    cuts: u32,
    /// Connections below this number are half open for good.
    half_open: u32,
    /// Where new connections lead.
    to: u16,
}

/// In front of a port on loopback. Its tasks end with it.
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode { stalled: false, cuts: 0, half_open: 0, to });
        let watched = mode.subscribe();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            let mut end = watched.clone();
            let mut number = 0;
            loop {
                tokio::select! {
                    Ok((here, _)) = listener.accept() => {
                        count.fetch_add(1, Ordering::Relaxed);
                        number = number.max(watched.borrow().half_open);
                        let to = watched.borrow().to;
                        tokio::spawn(connection(here, to, number, watched.clone()));
                    }
                    gone = end.changed() => if gone.is_err() { return },
                }
            }
        });
        Self { address, mode, connections }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Has new connections lead to another port, as a name does after a failover. Those that there are stay.
    pub(crate) fn point_to(&self, port: u16) {
        self.mode.send_modify(|mode| mode.to = port);
    }

    /// Holds back everything, or passes it on again.
    pub(crate) fn stall(&self, stalled: bool) {
        self.mode.send_modify(|mode| mode.stalled = stalled);
    }

    /// Lets nothing more through on the connections that there are, and closes none: as when a firewall
    /// forgets them. New ones work.
    pub(crate) fn forget(&self) {
        self.mode.send_modify(|mode| mode.half_open += 1);
    }

    /// Closes every connection, and drops what it holds back. New ones can be made.
    pub(crate) fn cut(&self) {
        self.mode.send_modify(|mode| mode.cuts += 1);
    }
}

async fn connection(here: TcpStream, to: u16, number: u32, mode: watch::Receiver<Mode>) {
    let Ok(there) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    let ((mut from_here, mut to_here), (mut from_there, mut to_there)) =
        (here.into_split(), there.into_split());
    let (mut out, mut back) = (mode.clone(), mode.clone());
    let mut cut = mode;
    let cuts = cut.borrow_and_update().cuts;
    tokio::select! {
        // First: what is held back when it is cut is lost, also when the stall is over at the same moment.
        biased;
        _ = cut.wait_for(|mode| mode.cuts != cuts) => {}
        () = copy(&mut from_here, &mut to_there, number, &mut out) => {}
        () = copy(&mut from_there, &mut to_here, number, &mut back) => {}
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    number: u32,
    mode: &mut watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if mode.wait_for(|mode| !mode.stalled && number >= mode.half_open).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
