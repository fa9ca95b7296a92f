//! A TCP proxy that can stall: connections stay open, and nothing moves.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Mode {
    stalled: bool,
    /// Counts the cuts.
    cuts: u32,
}

/// In front of a port on loopback. Its tasks end with it.
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode { stalled: false, cuts: 0 });
        let watched = mode.subscribe();
        tokio::spawn(async move {
            let mut end = watched.clone();
            loop {
                tokio::select! {
                    Ok((here, _)) = listener.accept() => {
                        tokio::spawn(connection(here, to, watched.clone()));
                    }
                    gone = end.changed() => if gone.is_err() { return },
                }
            }
        });
        Self { address, mode }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Holds back everything, or lets it go on.
    pub(crate) fn stall(&self, stalled: bool) {
        self.mode.send_modify(|mode| mode.stalled = stalled);
    }

    /// Closes every connection. New ones can be made.
    #[allow(dead_code, reason = "not every test that has a proxy cuts")]
    pub(crate) fn cut(&self) {
        self.mode.send_modify(|mode| mode.cuts += 1);
    }
}

async fn connection(here: TcpStream, to: u16, mode: watch::Receiver<Mode>) {
    let Ok(there) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    let ((mut from_here, mut to_here), (mut from_there, mut to_there)) =
        (here.into_split(), there.into_split());
    let (mut out, mut back) = (mode.clone(), mode.clone());
    let mut cut = mode;
    let cuts = cut.borrow_and_update().cuts;
    tokio::select! {
        () = copy(&mut from_here, &mut to_there, &mut out) => {}
        () = copy(&mut from_there, &mut to_here, &mut back) => {}
        _ = cut.wait_for(|mode| mode.cuts != cuts) => {}
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mode: &mut watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if mode.wait_for(|mode| !mode.stalled).await.is_err() || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
