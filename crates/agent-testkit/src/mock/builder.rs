//! Settings of a mock server, and its start: on a socket, or within the process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use agent_server::Hub;
use agent_server::accept_all;
use agent_server::{Rules, ServerEvent};
use agent_worker::net::{ByteStream, Dialer};
use agent_worker::{BoxFuture, Secret};

use super::order::Order;
use super::server::MockServer;

/// Settings of a [`MockServer`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct MockServerBuilder {
    api_key: String,
    api_secret: Secret,
    listen: SocketAddr,
    rules: Rules,
    order: Order,
}

impl Default for MockServerBuilder {
    fn default() -> Self {
        Self {
            api_key: "devkey".to_owned(),
            api_secret: Secret::from("secret-of-the-mock-server-0123456789"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            rules: Rules::default(),
            order: Order::default(),
        }
    }
}

impl MockServerBuilder {
    /// Sets the key and secret of its API. The defaults are publicly known: set others if others can reach
    /// the address.
    pub fn credentials(mut self, key: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.api_key = key.into();
        self.api_secret = secret.into();
        self
    }

    /// Sets the address to listen on; a free port of the loopback address by default.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Sets the seed for ids, the choice of workers, and the order in which the participants of its rooms are
    /// notified of what happens in one moment; 0 by default, with which it is the order in which it happens.
    pub fn seed(mut self, seed: u64) -> Self {
        self.rules.seed = seed;
        self.order = Order::of(seed);
        self
    }

    /// How long after an assignment the server does not know the job yet: a final status in this time is
    /// lost, as on the real server in its first microseconds. Zero by default.
    pub fn lost_status_race(mut self, time: Duration) -> Self {
        self.rules.bookkeeping = time;
        self
    }

    /// How long after a lookup of workers the server's rooms do not know of the jobs that they start. A
    /// lookup takes place when a job starts and either a new kind of worker has registered or the last lookup
    /// is a minute old. Zero by default, 5 s on the real server.
    ///
    /// A room that is deleted in this time, or that the agent leaves or is removed from, ends no job: no
    /// JobTermination is sent, and only the worker's own status is recorded. A deleted dispatch ends its jobs
    /// at the end of this time. With [`Duration::MAX`] this is always so: then only the room's own events
    /// notify an agent of its end.
    ///
    /// ```
    /// use agent_testkit::{JobSpec, MockServer};
    /// use agent_worker::{CancelReason, JobContext, JobResult, Outcome};
    /// use std::time::Duration;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let server = MockServer::builder().cold_cache(Duration::MAX).start().await?;
    /// let agent = async |ctx: JobContext| -> JobResult {
    ///     assert_eq!(ctx.cancelled().await, CancelReason::RoomClosed);
    ///     Ok(())
    /// };
    /// tokio::spawn(server.worker(agent).agent_name("listener").build()?.run());
    ///
    /// let job = server.dispatch(JobSpec::room("lobby")).await?;
    /// job.room().wait_for_agent().await;
    /// job.room().delete();
    /// assert_eq!(job.outcome().await?, Outcome::Success);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cold_cache(mut self, time: Duration) -> Self {
        self.rules.cold_cache = time;
        self
    }

    /// How long a dispatch takes inside the server: zero by default, some 200 ms on the real server.
    pub fn dispatch_delay(mut self, time: Duration) -> Self {
        self.rules.dispatch_delay = time;
        self
    }

    /// How long a room stays open that nobody joined (300 s), and one that all but agents have left (20 s).
    pub fn room_timeouts(mut self, empty: Duration, departure: Duration) -> Self {
        self.rules.empty_timeout = empty;
        self.rules.departure_timeout = departure;
        self
    }

    /// Limits the history, so that the server can run for weeks: it keeps the newest `entries` events, data
    /// messages and finished jobs (each of them separately), and at most 64 MiB of each. 100,000 by default,
    /// and at least 1.
    ///
    /// A dropped job is no longer listed, and a worker that still reports on it counts as one that never had
    /// it.
    pub fn history(mut self, entries: usize) -> Self {
        self.rules.history = entries.max(1);
        self
    }

    /// Starts the server on a socket.
    ///
    /// # Errors
    /// The system's error if it cannot listen.
    pub async fn start(self) -> io::Result<MockServer> {
        let listener = TcpListener::bind(self.listen).await?;
        let url = format!("ws://{}", listener.local_addr()?);
        let mut server = self.without_socket(url, false);
        let hub = server.hub.clone();
        let log = server.hub.clone();
        let accepting = tokio::spawn(accept_all(
            listener,
            move |stream: TcpStream| {
                let _ = stream.set_nodelay(true);
                if !hub.faults().refusing {
                    tokio::spawn(hub.clone().serve(stream));
                }
            },
            move |error| {
                tracing::warn!(%error, "the mock server cannot accept connections: check the limit of open files (ulimit -n)");
                log.note(ServerEvent::AcceptFailed { reason: error.to_string() });
            },
        ));
        server.tasks.push(accepting.abort_handle());
        Ok(server)
    }

    /// Starts the server without a socket: only workers of this process can reach it, those from
    /// [`MockServer::worker`]. It never waits for a network, so it runs on virtual time.
    #[must_use]
    pub fn start_in_process(self) -> MockServer {
        self.without_socket("ws://mock-server".to_owned(), true)
    }

    fn without_socket(self, url: String, in_process: bool) -> MockServer {
        let hub = Hub::new(self.api_key, self.api_secret, self.rules);
        let clock = tokio::spawn(hub.clone().keep_time()).abort_handle();
        MockServer { hub, order: self.order, url, in_process, tasks: vec![clock] }
    }
}

/// A dialer whose connections stay within the process.
pub(super) struct InProcess(pub(super) Arc<Hub>);

/// Buffer size of a connection, in bytes.
const PIPE: usize = 64 * 1024;

impl Dialer for InProcess {
    fn dial(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async {
            if self.0.faults().refusing {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            let (ours, theirs) = tokio::io::duplex(PIPE);
            tokio::spawn(self.0.clone().serve(theirs));
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }
}
