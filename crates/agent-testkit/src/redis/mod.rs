//! A Redis or Valkey server on loopback: started, stopped, restarted with and without its data, frozen, and
//! cleaned up.
//!
//! It never touches a server that is already running.

mod error;
mod kind;
mod resp;

use std::fs::OpenOptions;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use self::error::RedisServerError;
pub use self::kind::RedisKind;

use crate::process::{Target, end, watchdog};

/// How long a server may take to answer its first request.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// A running Redis or Valkey server on loopback, on a port that was free, with a directory of its own.
///
/// Dropping it kills the process and removes its files. The process also ends when the test process is killed
/// (on Unix).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use agent_testkit::RedisServer;
///
/// let server = RedisServer::builder().durable(true).start().await?;
/// assert_eq!(server.command(&["SET", "key", "value"]).await?, "OK");
/// server.restart().await?; // its data are still there
/// assert_eq!(server.command(&["GET", "key"]).await?, "value");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedisServer {
    binary: PathBuf,
    port: u16,
    settings: RedisServerBuilder,
    process: Mutex<Option<Process>>,
    /// Its data and its log.
    dir: tempfile::TempDir,
}

/// Settings of a [`RedisServer`].
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    kind: RedisKind,
    password: Option<String>,
    durable: bool,
    sentinel: bool,
    extra: Vec<String>,
}

impl RedisServer {
    /// Starts a Redis without a password and without persistence.
    ///
    /// # Errors
    /// [`RedisServerError`].
    pub async fn start() -> Result<Self, RedisServerError> {
        Self::builder().start().await
    }

    /// The settings of a server.
    #[must_use]
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// The URL, with the password if there is one: `redis://[:PASSWORD@]127.0.0.1:PORT/0`.
    #[must_use]
    pub fn url(&self) -> String {
        let login = self.settings.password.as_ref().map(|password| format!(":{password}@"));
        format!("redis://{}127.0.0.1:{}/0", login.unwrap_or_default(), self.port)
    }

    /// The port on loopback. A restart uses the same port, unless another process takes it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of its process; `None` when it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(|process| process.child.id())
    }

    /// Sends one command, and returns its answer as text: a status, a number, or a string; empty for a
    /// missing value.
    ///
    /// # Errors
    /// If it cannot be reached within some seconds, or returns an error, whose text is used.
    pub async fn command(&self, words: &[&str]) -> Result<String, RedisServerError> {
        Ok(resp::command(self.port, self.settings.password.as_deref(), words).await?)
    }

    /// Kills it immediately, as a crash would.
    pub fn kill(&self) {
        let process = self.lock().take();
        drop(process);
    }

    /// Kills it if it runs, and starts it again on the same port. Its data are kept if it is
    /// [durable](RedisServerBuilder::durable).
    ///
    /// # Errors
    /// [`RedisServerError::Start`], also if another process took its port meanwhile.
    pub async fn restart(&self) -> Result<(), RedisServerError> {
        self.kill();
        self.spawn().await
    }

    /// As [`restart`](Self::restart), without its data.
    ///
    /// # Errors
    /// As [`restart`](Self::restart).
    pub async fn restart_empty(&self) -> Result<(), RedisServerError> {
        self.kill();
        let data = self.dir.path().join("data");
        std::fs::remove_dir_all(&data)?;
        std::fs::create_dir(&data)?;
        self.spawn().await
    }

    /// Freezes it (SIGSTOP): connections stay open, and nothing answers.
    ///
    /// # Errors
    /// [`RedisServerError::Stopped`], or the system's error.
    #[cfg(unix)]
    pub fn pause(&self) -> Result<(), RedisServerError> {
        self.signal(nix::sys::signal::Signal::SIGSTOP)
    }

    /// Continues a [frozen](Self::pause) server (SIGCONT).
    ///
    /// # Errors
    /// [`RedisServerError::Stopped`], or the system's error.
    #[cfg(unix)]
    pub fn resume(&self) -> Result<(), RedisServerError> {
        self.signal(nix::sys::signal::Signal::SIGCONT)
    }

    #[cfg(unix)]
    fn signal(&self, signal: nix::sys::signal::Signal) -> Result<(), RedisServerError> {
        let process = self.lock();
        let child = &process.as_ref().ok_or(RedisServerError::Stopped)?.child;
        Ok(crate::process::signal(Target::Process(child.id()), signal)?)
    }

    async fn start_with(binary: PathBuf, settings: &RedisServerBuilder) -> Result<Self, RedisServerError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let dir = tempfile::Builder::new().prefix("redis-server-").tempdir()?;
            std::fs::create_dir(dir.path().join("data"))?;
            let (binary, settings) = (binary.clone(), settings.clone());
            let server = Self { binary, port, settings, process: Mutex::new(None), dir };
            match server.spawn().await {
                Ok(()) => return Ok(server),
                // Another process took the port between our check and the server's start.
                Err(RedisServerError::Start { reason, .. })
                    if attempts < 5 && reason.contains("Address already in use") => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn spawn(&self) -> Result<(), RedisServerError> {
        let log = self.dir.path().join("log");
        let failed = |reason: String| {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(5).collect();
            let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
            RedisServerError::Start {
                binary: self.binary.clone(),
                reason: format!("{reason}; its log ends with:\n{end}"),
            }
        };
        let started = Instant::now();
        let process = Process::spawn(&self.binary, &self.settings, self.port, self.dir.path(), &log)
            .map_err(|error| failed(error.to_string()))?;
        *self.lock() = Some(process);
        loop {
            // It does not answer with PONG while it still loads its data.
            if self.command(&["PING"]).await.is_ok_and(|answer| answer == "PONG") {
                return Ok(());
            }
            let ended = self.lock().as_mut().and_then(|process| process.child.try_wait().ok().flatten());
            let reason = match ended {
                Some(how) => format!("it ended with {how}"),
                None if started.elapsed() > READY_TIMEOUT => {
                    format!("it did not answer within {READY_TIMEOUT:?}")
                }
                None => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            self.kill();
            return Err(failed(reason));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        // The value is replaced as a whole, so it is valid even after a panic.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RedisServerBuilder {
    /// Sets the kind of server: Redis by default, or Valkey.
    #[must_use]
    pub fn kind(mut self, kind: RedisKind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) const fn what(&self) -> RedisKind {
        self.kind
    }

    /// Sets the password of clients.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Whether each write is on the disk before it is answered (`appendfsync always`); by default nothing
    /// survives a restart.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Whether it is a Sentinel, which monitors servers and stores nothing.
    #[must_use]
    pub fn sentinel(mut self, sentinel: bool) -> Self {
        self.sentinel = sentinel;
        self
    }

    /// Adds a line to its configuration file, such as `"maxmemory 2mb"`.
    #[must_use]
    pub fn config_line(mut self, line: impl Into<String>) -> Self {
        self.extra.push(line.into());
        self
    }

    /// Starts the server; a Valkey is installed if there is none.
    ///
    /// # Errors
    /// [`RedisServerError`].
    pub async fn start(&self) -> Result<RedisServer, RedisServerError> {
        let binary = self.kind.find_or_install().await?;
        RedisServer::start_with(binary, self).await
    }

    fn config(&self, port: u16) -> String {
        let mut lines = vec![
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            "daemonize no".to_owned(),
            "dir data".to_owned(),
            r#"save """#.to_owned(),
            format!("appendonly {}", if self.durable { "yes" } else { "no" }),
            "appendfsync always".to_owned(),
        ];
        lines.extend(self.password.as_ref().map(|password| format!("requirepass {password}")));
        lines.extend(self.extra.iter().cloned());
        lines.join("\n") + "\n"
    }
}

/// A running server; dropping it kills it and waits for its end.
#[derive(Debug)]
struct Process {
    child: Child,
    /// Kills the server if we are killed ourselves.
    watchdog: Option<Child>,
}

impl Process {
    fn spawn(
        binary: &Path,
        settings: &RedisServerBuilder,
        port: u16,
        dir: &Path,
        log: &Path,
    ) -> io::Result<Self> {
        std::fs::write(dir.join("redis.conf"), settings.config(port))?;
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let child = Command::new(binary)
            .arg("redis.conf")
            .args(settings.sentinel.then_some("--sentinel"))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .spawn()?;
        let watchdog = watchdog(Target::Process(child.id()));
        Ok(Self { child, watchdog })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First the watchdog, which kills by number: from here on the number may be reused.
        if let Some(mut watchdog) = self.watchdog.take() {
            end(&mut watchdog);
        }
        end(&mut self.child);
    }
}
