//! Settings of a mock server, and how it starts: on a socket, or within the process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_worker::net::{ByteStream, Dialer};
use agent_worker::{BoxFuture, Secret};
use tokio::net::{TcpListener, TcpStream};

use agent_server::accept_all;

use super::server::MockServer;
use agent_server::Hub;
use agent_server::{Rules, ServerEvent};

/// Settings of a [`MockServer`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct MockServerBuilder {
    api_key: String,
    api_secret: Secret,
    listen: SocketAddr,
    rules: Rules,
}

impl Default for MockServerBuilder {
    fn default() -> Self {
        Self {
            api_key: "devkey".to_owned(),
            api_secret: Secret::from("secret-of-the-mock-server-0123456789"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            rules: Rules::default(),
        }
    }
}

impl MockServerBuilder {
    /// The key and secret of its API. Those that it has unless set are known to everybody: set others for an address that others reach.
    pub fn credentials(mut self, key: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.api_key = key.into();
        self.api_secret = secret.into();
        self
    }

    /// Where to listen; a free port of the loopback address unless set.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Decides ids and which worker is asked first; 0 unless set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.rules.seed = seed;
        self
    }

    /// How long after an assignment the server does not know the job yet: a final status in this time is lost, as it is on the real
    /// server in its first microseconds. Nothing unless set.
    pub fn lost_status_race(mut self, time: Duration) -> Self {
        self.rules.bookkeeping = time;
        self
    }

    /// How long after the server has looked for workers its rooms do not know of the jobs that they start: it looks when a job starts
    /// and a new kind of worker has registered or the last look is a minute old. Nothing unless set, 5 s on the real server.
    ///
    /// A room that is deleted in this time, or that the agent leaves or is removed from, ends no job: no JobTermination is sent, and
    /// no end is recorded but the worker's own. A deleted dispatch ends its jobs at the end of this time. With [`Duration::MAX`] it
    /// is always so: then only the room's own events tell an agent that it is over.
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

    /// How long a dispatch takes inside the server: nothing unless set, some 200 ms on the real one.
    pub fn dispatch_delay(mut self, time: Duration) -> Self {
        self.rules.dispatch_delay = time;
        self
    }

    /// How long a room stays to which nobody came (300 s), and one that everybody but agents has left (20 s).
    pub fn room_timeouts(mut self, empty: Duration, departure: Duration) -> Self {
        self.rules.empty_timeout = empty;
        self.rules.departure_timeout = departure;
        self
    }

    /// How much it remembers, so that it can run for weeks: the newest `entries` events, and as many data messages and jobs that are
    /// over (each of these three on its own), and 64 MiB of each. 100,000 unless set, and at least 1.
    ///
    /// A job that was dropped is no longer listed, and a worker that still speaks of it is taken for one that never had it.
    pub fn history(mut self, entries: usize) -> Self {
        self.rules.history = entries.max(1);
        self
    }

    /// Starts it on a socket.
    ///
    /// # Errors
    /// The system's refusal to listen.
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

    /// Starts it without a socket: only workers of this process reach it, those that [`MockServer::worker`] begins. Nothing in it waits
    /// for a network, so that it runs on virtual time.
    #[must_use]
    pub fn start_in_process(self) -> MockServer {
        self.without_socket("ws://mock-server".to_owned(), true)
    }

    fn without_socket(self, url: String, in_process: bool) -> MockServer {
        let hub = Hub::new(self.api_key, self.api_secret, self.rules);
        let clock = tokio::spawn(hub.clone().keep_time()).abort_handle();
        MockServer { hub, url, in_process, tasks: vec![clock] }
    }
}

/// Connections that never leave the process.
pub(super) struct InProcess(pub(super) Arc<Hub>);

/// What a connection holds on its way, in bytes.
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
