//! A TURN server on loopback: Debian's coturn, started on ports that were free, and cleaned up.

use std::fs::OpenOptions;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Target, end, watchdog};
use crate::real::on_path;

/// How long a server may take to listen.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// Number of its ports for packets of peers.
const RELAYED_PORTS: u16 = 100;
/// Suitable for loopback only.
const USER: &str = "relay-user";
const PASSWORD: &str = "relay-password-for-tests";

/// A running TURN server (coturn) on loopback, that relays UDP for one user, to addresses of loopback as
/// well. It is reached over UDP and TCP, and with a [certificate](TurnServerBuilder::certificate) over TLS.
///
/// Dropping it kills the process and removes its files. The process also ends when the test process is killed
/// (on Unix).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use agent_testkit::{RealServer, TurnServer};
///
/// let relay = TurnServer::builder().start().await?;
/// let rtc = format!("  node_ip: 127.0.0.1\n  turn_servers:\n{}", relay.server_config("udp"));
/// let server = RealServer::builder().rtc_addresses(rtc).start().await?;
/// # drop(server);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TurnServer {
    port: u16,
    tls_port: u16,
    child: Child,
    /// Kills the server if we are killed ourselves.
    watchdog: Option<Child>,
    dir: tempfile::TempDir,
}

/// Settings of a [`TurnServer`].
#[derive(Clone, Debug, Default)]
pub struct TurnServerBuilder {
    certificate: Option<(PathBuf, PathBuf)>,
    extra: Vec<String>,
}

/// Why there is no TURN server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnServerError {
    /// There is no program to start.
    #[error("there is no turnserver: put it on the PATH (Debian: apt-get install coturn)")]
    NotAvailable,
    /// It did not start, or ended before it listened.
    #[error("the TURN server did not start: {0}")]
    Start(String),
    /// A file or a port failed.
    #[error("a file or a port of the TURN server failed")]
    Io(#[from] io::Error),
}

impl TurnServer {
    /// The program that would be started, if there is one: `turnserver` on the `PATH`. It is not installed.
    #[must_use]
    pub fn find() -> Option<PathBuf> {
        on_path("turnserver")
    }

    /// The settings of a server.
    #[must_use]
    pub fn builder() -> TurnServerBuilder {
        TurnServerBuilder::default()
    }

    /// The port for UDP and TCP.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port for TLS, if it has a certificate.
    #[must_use]
    pub const fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The user name of its clients.
    #[must_use]
    pub const fn user(&self) -> &str {
        USER
    }

    /// The user's password.
    #[must_use]
    pub const fn password(&self) -> &str {
        PASSWORD
    }

    /// An entry of livekit-server's list `rtc.turn_servers` that names it, for the protocol `udp`, `tcp` or
    /// `tls`: lines of YAML, indented by four spaces.
    #[must_use]
    pub fn server_config(&self, protocol: &str) -> String {
        let port = if protocol == "tls" { self.tls_port } else { self.port };
        // TLS takes a name for the certificate.
        let host = if protocol == "tls" { "localhost" } else { "127.0.0.1" };
        format!(
            "    - host: {host}\n      port: {port}\n      protocol: {protocol}\n      username: {USER}\n      credential: {PASSWORD}\n"
        )
    }

    /// The lines of its log so far.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read_to_string(log_file(self.dir.path()))
    }

    async fn wait(&mut self) -> Result<(), TurnServerError> {
        let started = Instant::now();
        loop {
            if TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).is_ok() {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            let reason = match ended {
                Some(how) => format!("it ended with {how}"),
                None if started.elapsed() > READY_TIMEOUT => {
                    format!("it did not listen within {READY_TIMEOUT:?}")
                }
                None => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            let log = self.log().unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            return Err(TurnServerError::Start(format!(
                "{reason}; its log ends, backwards, with:\n{}",
                last.join("\n")
            )));
        }
    }
}

impl TurnServerBuilder {
    /// Accepts TLS with this certificate and key, which are PEM files.
    #[must_use]
    pub fn certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Adds a line to its configuration file, such as `"max-allocate-lifetime=4"`.
    #[must_use]
    pub fn config_line(mut self, line: impl Into<String>) -> Self {
        self.extra.push(line.into());
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// [`TurnServerError`].
    pub async fn start(&self) -> Result<TurnServer, TurnServerError> {
        let program = TurnServer::find().ok_or(TurnServerError::NotAvailable)?;
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (plain, tls) = (free()?, free()?);
        let (port, tls_port) = (plain.local_addr()?.port(), tls.local_addr()?.port());
        drop((plain, tls));
        let dir = tempfile::Builder::new().prefix("turn-server-").tempdir()?;
        let config = dir.path().join("turnserver.conf");
        std::fs::write(&config, self.config(port, tls_port, dir.path()))?;
        let log = OpenOptions::new().create(true).append(true).open(dir.path().join("output"))?;
        let child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .spawn()?;
        let watchdog = watchdog(Target::Process(child.id()));
        let mut server = TurnServer { port, tls_port, child, watchdog, dir };
        server.wait().await?;
        Ok(server)
    }

    fn config(&self, port: u16, tls_port: u16, dir: &Path) -> String {
        // Ports that no other one has, and that systems do not choose by themselves.
        let relayed = 10_000 + port % 200 * RELAYED_PORTS;
        let mut lines = vec![
            "listening-ip=127.0.0.1".to_owned(),
            "relay-ip=127.0.0.1".to_owned(),
            format!("listening-port={port}"),
            format!("min-port={relayed}"),
            format!("max-port={}", relayed + RELAYED_PORTS - 1),
            "allow-loopback-peers".to_owned(),
            "lt-cred-mech".to_owned(),
            "realm=relay.test".to_owned(),
            format!("user={USER}:{PASSWORD}"),
            "no-cli".to_owned(),
            "no-dtls".to_owned(),
            "no-rfc5780".to_owned(),
            "verbose".to_owned(),
            "simple-log".to_owned(),
            // Few threads: many servers run beside each other.
            "relay-threads=1".to_owned(),
            format!("log-file={}", log_file(dir).display()),
            format!("userdb={}", dir.join("users").display()),
            format!("pidfile={}", dir.join("pid").display()),
        ];
        match &self.certificate {
            Some((certificate, key)) => lines.extend([
                format!("tls-listening-port={tls_port}"),
                format!("cert={}", certificate.display()),
                format!("pkey={}", key.display()),
            ]),
            None => lines.push("no-tls".to_owned()),
        }
        lines.extend(self.extra.iter().cloned());
        lines.join("\n") + "\n"
    }
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("log")
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        // First the watchdog, which kills by number: from here on the number may be reused.
        if let Some(mut watchdog) = self.watchdog.take() {
            end(&mut watchdog);
        }
        end(&mut self.child);
    }
}
