//! A network that can be made bad: connections that are cut, datagrams that are lost.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::sync::watch;

use agent_worker::net::{ByteStream, Dialer, MediaPath, NetOptions};

#[derive(Clone, Default)]
pub(crate) struct Network(Arc<State>);

#[derive(Default)]
struct State {
    cuts: watch::Sender<u64>,
    dials: AtomicUsize,
    udp_blocked: AtomicBool,
    tcp_blocked: AtomicBool,
}

impl Network {
    /// Options for connections over this network.
    pub(crate) fn options(&self) -> NetOptions {
        let state = Arc::clone(&self.0);
        NetOptions::default().dialer(Wire(Arc::clone(&self.0))).media_filter(move |path| match path {
            MediaPath::Udp => !state.udp_blocked.load(Ordering::Relaxed),
            _ => !state.tcp_blocked.load(Ordering::Relaxed),
        })
    }

    /// Ends every connection that is open now, without a message to either side.
    pub(crate) fn cut(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(crate) fn block_udp(&self, blocked: bool) {
        self.0.udp_blocked.store(blocked, Ordering::Relaxed);
    }

    /// Packets of media and data, whichever way they go.
    pub(crate) fn block_media(&self, blocked: bool) {
        self.block_udp(blocked);
        self.0.tcp_blocked.store(blocked, Ordering::Relaxed);
    }

    /// Connections that were requested.
    pub(crate) fn dials(&self) -> usize {
        self.0.dials.load(Ordering::Relaxed)
    }
}

struct Wire(Arc<State>);

impl Dialer for Wire {
    fn dial(&self, host: &str, port: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        let address = format!("{host}:{port}");
        self.0.dials.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let mut cuts = self.0.cuts.subscribe();
            let mut server = TcpStream::connect(address).await?;
            server.set_nodelay(true)?;
            let (near, mut far) = tokio::io::duplex(256 * 1024);
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut far, &mut server) => {}
                    _ = cuts.changed() => {}
                }
            });
            Ok(Box::new(near) as Box<dyn ByteStream>)
        })
    }
}
