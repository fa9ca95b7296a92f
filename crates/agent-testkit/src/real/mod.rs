//! A real livekit-server on loopback: found or installed, started, restarted, followed through its log, and
//! cleaned up.
//!
//! This module decides ports, configuration and credentials of the server. It never judges a job; the
//! server's log has the outcomes, and [`ServerLog`] only reads it.

mod binary;
mod config;
mod error;
mod link;
mod log;
mod process;
mod udp_proxy;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agent_worker::Secret;
use agent_worker::net::{AccessToken, ServerUrl};

pub use self::binary::SERVER_VERSION;
pub use self::config::RealServerBuilder;
pub use self::error::ServerError;
pub use self::link::LinkConditions;
pub use self::log::{Assigned, JobEnd, JobEndStatus, LogTimeout, ServerLog};
pub use self::udp_proxy::{ProxiedPackets, UdpProxy};

pub(crate) use self::binary::on_path;

use agent_net::ServerApi;

use self::config::Ports;
use self::process::Process;

/// How long a server may take to answer its first request.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// A running livekit-server on loopback, on ports that were free, with a readable log.
///
/// Dropping it kills the process, waits for its end, and removes its files. The process also ends when the
/// test process is killed, by means of a small shell that waits for that (on Unix; on other systems the
/// server then stays).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use agent_testkit::{DispatchRequest, JobEndStatus, RealServer};
///
/// let server = RealServer::start().await?;
/// let dispatch = server.api().create_dispatch(DispatchRequest::new("greeter", "lobby")).await?;
/// let job = server.log().assigned_in("lobby", Duration::from_secs(5)).await?;
/// let end = server.log().outcome(&job.job_id, Duration::from_secs(5)).await?;
/// assert_eq!(end.status, JobEndStatus::Success);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RealServer {
    binary: PathBuf,
    ports: Ports,
    url: ServerUrl,
    secret: Secret,
    api: ServerApi,
    log: ServerLog,
    process: Mutex<Option<Process>>,
    udp_proxy: Option<UdpProxy>,
    /// Holds the configuration file; removed with the server.
    dir: tempfile::TempDir,
}

impl RealServer {
    /// The binary that would be started, if there is one; nothing is installed.
    ///
    /// Searched in this order: `LIVEKIT_SERVER_BIN`, `livekit-server` on the `PATH`, the copy that
    /// [`install`](Self::install) built in the user's cache.
    #[must_use]
    pub fn find() -> Option<PathBuf> {
        binary::find()
    }

    /// The binary to start: an existing one ([`find`](Self::find)), or one that is built once with `go
    /// install`, which takes some three minutes. Concurrent processes install it only once.
    ///
    /// # Errors
    /// [`ServerError::NotAvailable`] without `go`, or if `LIVEKIT_SERVER_BIN` does not name a file;
    /// [`ServerError::Install`].
    pub async fn install() -> Result<PathBuf, ServerError> {
        binary::find_or_install().await
    }

    /// Installs the server if necessary, and starts it.
    ///
    /// # Errors
    /// As [`install`](Self::install), and [`ServerError::Start`].
    pub async fn start() -> Result<Self, ServerError> {
        Self::builder().start().await
    }

    /// The settings of a server.
    #[must_use]
    pub fn builder() -> RealServerBuilder {
        RealServerBuilder::default()
    }

    async fn start_with(binary: PathBuf, settings: &RealServerBuilder) -> Result<Self, ServerError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let server = Self::new(binary.clone(), settings)?;
            match server.spawn().await {
                Ok(()) => return Ok(server),
                // Another process took a port between our check and the server's start.
                Err(ServerError::Start { reason, .. })
                    if attempts < 5 && reason.contains("address already in use") => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn new(binary: PathBuf, settings: &RealServerBuilder) -> Result<Self, ServerError> {
        let ports = Ports::free()?;
        let dir = tempfile::Builder::new().prefix("livekit-server-").tempdir()?;
        let secret = Secret::from(config::API_SECRET);
        std::fs::write(dir.path().join("config.yaml"), settings.yaml(ports, &secret))?;
        let url: ServerUrl = format!("ws://127.0.0.1:{}", ports.http).parse()?;
        let api = ServerApi::new(&url, config::API_KEY, secret.clone())?;
        let udp_proxy = settings.has_udp_proxy().then(|| UdpProxy::start(ports.rtc_udp)).transpose()?;
        let (log, process) = (ServerLog::new(), Mutex::new(None));
        Ok(Self { binary, ports, url, secret, api, log, process, udp_proxy, dir })
    }

    async fn spawn(&self) -> Result<(), ServerError> {
        let failed = |reason: String| ServerError::Start { binary: self.binary.clone(), reason };
        let started = Instant::now();
        let process = Process::spawn(&self.binary, &self.config_file(), &self.log)
            .map_err(|error| failed(error.to_string()))?;
        *self.lock() = Some(process);
        loop {
            if self.api.answers().await {
                return Ok(());
            }
            let ended = self.lock().as_mut().and_then(Process::ended);
            let reason = match ended {
                Some(how) => format!("it ended with {how}"),
                None if started.elapsed() > READY_TIMEOUT => {
                    format!("it did not answer within {READY_TIMEOUT:?}")
                }
                None => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            // Dropped first: its readers end, so that the log is complete.
            let process = self.lock().take();
            drop(process);
            return Err(failed(format!("{reason}; its log ends with:\n{}", self.log.tail(5))));
        }
    }

    fn config_file(&self) -> PathBuf {
        self.dir.path().join("config.yaml")
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        // The value is replaced as a whole, so it is valid even after a panic.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's URL for workers and clients: `ws://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.ports.http)
    }

    /// The URL of its HTTP API: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http)
    }

    /// The parsed URL.
    #[must_use]
    pub fn server_url(&self) -> &ServerUrl {
        &self.url
    }

    /// The API key.
    #[must_use]
    pub fn api_key(&self) -> &str {
        config::API_KEY
    }

    /// The API secret. It is the same for each such server, and suitable for loopback only.
    #[must_use]
    pub fn api_secret(&self) -> &Secret {
        &self.secret
    }

    /// A token builder with the credentials of this server.
    pub fn token(&self) -> AccessToken {
        AccessToken::new(config::API_KEY, self.secret.clone())
    }

    /// A client of the server's API.
    #[must_use]
    pub fn api(&self) -> &ServerApi {
        &self.api
    }

    /// The server's log, which continues over restarts.
    #[must_use]
    pub fn log(&self) -> &ServerLog {
        &self.log
    }

    /// The proxy in front of its media and data, if it was started [with one](RealServerBuilder::udp_proxy).
    #[must_use]
    pub const fn udp_proxy(&self) -> Option<&UdpProxy> {
        self.udp_proxy.as_ref()
    }

    /// The running binary.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The id of the server's process; `None` when it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Process::pid)
    }

    /// Kills the server immediately, as a crash would. [`restart`](Self::restart) uses the same ports, unless
    /// another process takes them.
    pub fn stop(&self) {
        let process = self.lock().take();
        drop(process);
    }

    /// Kills the server if it runs, and starts it again on the same ports.
    ///
    /// A restarted server has no rooms, workers or dispatches.
    ///
    /// # Errors
    /// [`ServerError::Start`], also if another process took one of its ports meanwhile.
    pub async fn restart(&self) -> Result<(), ServerError> {
        self.stop();
        self.spawn().await
    }

    /// Terminates the server (SIGTERM), as a rolling update would: it closes its workers, waits until the
    /// participants have left, and ends. A second call makes it end at once.
    ///
    /// # Errors
    /// [`ServerError::Stopped`], or the system's error.
    #[cfg(unix)]
    pub fn terminate(&self) -> Result<(), ServerError> {
        self.signal(nix::sys::signal::Signal::SIGTERM)
    }

    /// Freezes the server (SIGSTOP): its sockets stay open and nothing answers, as in a half-open connection.
    ///
    /// # Errors
    /// [`ServerError::Stopped`], or the system's error.
    #[cfg(unix)]
    pub fn pause(&self) -> Result<(), ServerError> {
        self.signal(nix::sys::signal::Signal::SIGSTOP)
    }

    /// Continues a [frozen](Self::pause) server (SIGCONT).
    ///
    /// # Errors
    /// [`ServerError::Stopped`], or the system's error.
    #[cfg(unix)]
    pub fn resume(&self) -> Result<(), ServerError> {
        self.signal(nix::sys::signal::Signal::SIGCONT)
    }

    #[cfg(unix)]
    fn signal(&self, signal: nix::sys::signal::Signal) -> Result<(), ServerError> {
        self.lock().as_ref().ok_or(ServerError::Stopped)?.signal(signal)?;
        Ok(())
    }
}

impl RealServerBuilder {
    /// Installs the server if necessary, and starts it.
    ///
    /// # Errors
    /// As [`RealServer::start`].
    pub async fn start(&self) -> Result<RealServer, ServerError> {
        let binary = RealServer::install().await?;
        RealServer::start_with(binary, self).await
    }

    /// Starts this binary.
    ///
    /// # Errors
    /// [`ServerError::Start`] if it cannot run.
    pub async fn start_binary(&self, binary: impl Into<PathBuf>) -> Result<RealServer, ServerError> {
        RealServer::start_with(binary.into(), self).await
    }
}
