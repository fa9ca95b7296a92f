//! The process in which the official clients run, and the lines exchanged with it.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use agent_proto::text;

use super::client_kind::ClientKind;
use super::error::ClientError;
use super::event::ClientEvent;
use super::venvs;

/// Timeout of an operation. Joining a room takes longest; a client that cannot join gives up after some 15 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Number of lines of the process's own log that are kept for errors.
const KEPT_LOG: usize = 20;

/// How much of a line is logged; one with a payload has megabytes.
const LOGGED: usize = 1000;

/// A process with participants of one of LiveKit's SDKs: starting it takes a second, starting a client in it
/// milliseconds.
///
/// Clones are the same process; it is killed when the last clone, and the last of its clients, is dropped. It
/// also ends when the test process does. A browser ends with its process.
#[derive(Clone, Debug)]
pub struct OfficialHost {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: ClientKind,
    child: Mutex<Child>,
    /// The lines for the process; a thread writes them, as large ones take time.
    lines: std_mpsc::Sender<String>,
    next: AtomicU64,
    routes: Arc<Mutex<Routes>>,
}

/// The receivers of lines. Closed, with all waiters, when the process ends.
#[derive(Debug, Default)]
struct Routes {
    closed: bool,
    answers: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    clients: HashMap<u64, mpsc::UnboundedSender<ClientEvent>>,
    log: VecDeque<String>,
}

#[derive(Deserialize)]
struct Answer {
    re: u64,
    #[serde(default)]
    ok: Option<Value>,
    #[serde(default)]
    error: Option<String>,
}

impl OfficialHost {
    /// The Python of [`ClientKind::Python`] that would be used, if there is one with the SDK; nothing is
    /// installed.
    ///
    /// It is the one that `AGENT_TEST_PYTHON` names, or the one that [`start`](Self::start) created in the
    /// user's cache.
    #[must_use]
    pub fn find() -> Option<std::path::PathBuf> {
        venvs::SDK.find()
    }

    /// Starts a process for [`ClientKind::Python`].
    ///
    /// # Errors
    /// As [`start_of`](Self::start_of).
    pub async fn start() -> Result<Self, ClientError> {
        Self::start_of(ClientKind::Python).await
    }

    /// Starts a process for clients of this kind; installs the SDK in the user's cache if it is not there
    /// yet.
    ///
    /// # Errors
    /// [`ClientError::NotAvailable`] if there is no Python 3.10 or newer, the packages cannot be installed,
    /// or there is no Chromium, [`ClientError::HostGone`] if the process ends at once.
    pub async fn start_of(kind: ClientKind) -> Result<Self, ClientError> {
        let mut command = kind.command().await?;
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let broken = || ClientError::HostGone { log: "it has no pipes".into() };
        let stdin = child.stdin.take().ok_or_else(broken)?;
        let stdout = child.stdout.take().ok_or_else(broken)?;
        let stderr = child.stderr.take().ok_or_else(broken)?;
        let routes = Arc::new(Mutex::new(Routes::default()));
        let (ready, is_ready) = oneshot::channel();
        // Threads, not tasks: the process is shared by tests with a runtime each.
        let logging = std::thread::spawn({
            let routes = routes.clone();
            move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let log = &mut lock(&routes).log;
                    if log.len() == KEPT_LOG {
                        log.pop_front();
                    }
                    log.push_back(line);
                }
            }
        });
        std::thread::spawn({
            let routes = routes.clone();
            move || {
                read(stdout, &routes, ready);
                // The log is complete before the end is reported.
                let _ = logging.join();
                let mut routes = lock(&routes);
                routes.closed = true;
                routes.answers.clear();
                routes.clients.clear();
            }
        });
        let (lines, to_write) = std_mpsc::channel();
        std::thread::spawn(move || write(stdin, &to_write));
        let child = Mutex::new(child);
        let inner = Inner { kind, child, lines, next: AtomicU64::new(1), routes };
        let host = Self { inner: Arc::new(inner) };
        match tokio::time::timeout(ANSWER_TIMEOUT, is_ready).await {
            Ok(Ok(())) => Ok(host),
            Ok(Err(_)) | Err(_) => Err(host.gone().await),
        }
    }

    /// The process for [`ClientKind::Python`] that the tests of this program share; started with the first
    /// call.
    ///
    /// # Errors
    /// As [`start_of`](Self::start_of).
    pub async fn shared() -> Result<Self, ClientError> {
        Self::shared_of(ClientKind::Python).await
    }

    /// The process for clients of this kind that the tests of this program share; started with the first
    /// call.
    ///
    /// # Errors
    /// As [`start_of`](Self::start_of).
    pub async fn shared_of(kind: ClientKind) -> Result<Self, ClientError> {
        static SHARED: [tokio::sync::Mutex<Option<OfficialHost>>; ClientKind::ALL.len()] =
            [const { tokio::sync::Mutex::const_new(None) }; ClientKind::ALL.len()];
        let [python, python12, node, browser] = &SHARED;
        let shared = match kind {
            ClientKind::Python => python,
            ClientKind::Python12 => python12,
            ClientKind::Node => node,
            ClientKind::Browser => browser,
        };
        let mut shared = shared.lock().await;
        if let Some(host) = shared.as_ref().filter(|host| !lock(&host.inner.routes).closed) {
            return Ok(host.clone());
        }
        let host = Self::start_of(kind).await?;
        *shared = Some(host.clone());
        Ok(host)
    }

    /// The kind of its clients.
    #[must_use]
    pub fn kind(&self) -> ClientKind {
        self.inner.kind
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        lock(&self.inner.child).id()
    }

    /// Kills the process immediately: its clients disappear without leaving, and the server has to notice.
    ///
    /// # Errors
    /// The system's error.
    pub fn kill(&self) -> Result<(), ClientError> {
        let mut child = lock(&self.inner.child);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Assigns a number to a new client, and returns its events.
    pub(super) fn add_client(&self) -> (u64, mpsc::UnboundedReceiver<ClientEvent>) {
        let (sender, events) = mpsc::unbounded_channel();
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let mut routes = lock(&self.inner.routes);
        if !routes.closed {
            routes.clients.insert(number, sender);
        }
        (number, events)
    }

    pub(super) fn remove_client(&self, number: u64) {
        lock(&self.inner.routes).clients.remove(&number);
    }

    /// Requests an operation of a client and waits for its answer.
    pub(super) async fn ask(&self, client: u64, op: &str, fields: Value) -> Result<Value, ClientError> {
        self.ask_within(client, op, fields, ANSWER_TIMEOUT).await
    }

    /// Requests an operation that may take longer than others.
    pub(super) async fn ask_within(
        &self,
        client: u64,
        op: &str,
        fields: Value,
        within: Duration,
    ) -> Result<Value, ClientError> {
        let answer = self.send(client, op, fields);
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(reason))) => Err(ClientError::Failed { operation: op.to_owned(), reason }),
            Ok(Err(_)) => Err(self.gone().await),
            Err(_) => {
                Err(ClientError::Timeout { what: format!("the answer to {op}"), within, seen: Vec::new() })
            }
        }
    }

    /// Requests an operation without waiting for an answer.
    pub(super) fn send(
        &self,
        client: u64,
        op: &str,
        mut fields: Value,
    ) -> oneshot::Receiver<Result<Value, String>> {
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("id".into(), json!(id));
            fields.insert("op".into(), json!(op));
            fields.insert("client".into(), json!(client));
        }
        let (sender, answer) = oneshot::channel();
        {
            let mut routes = lock(&self.inner.routes);
            // Dropping the sender reports to the waiter that the process is gone.
            if !routes.closed {
                routes.answers.insert(id, sender);
            }
        }
        // An ended writer needs no error of its own: the missing answer is reported.
        let _ = self.inner.lines.send(format!("{fields}\n"));
        answer
    }

    pub(super) async fn gone(&self) -> ClientError {
        let log = lock(&self.inner.routes).log.iter().cloned().collect::<Vec<_>>().join("\n");
        ClientError::HostGone { log }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = child.kill().and_then(|()| child.wait()) {
            tracing::error!(%error, pid = child.id(), "the official clients' process could not be killed");
        }
    }
}

/// Writes lines until the process has ended or nobody sends any.
fn write(mut stdin: ChildStdin, lines: &std_mpsc::Receiver<String>) {
    for line in lines {
        if stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

/// Reads lines until the process closes its stdout.
fn read(stdout: ChildStdout, routes: &Mutex<Routes>, ready: oneshot::Sender<()>) {
    let mut ready = Some(ready);
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            let line = text::shorten(&line, LOGGED);
            tracing::error!(line, "unexpected output of the official clients' process");
            continue;
        };
        if let Some(client) = message.get("client").and_then(Value::as_u64) {
            match serde_json::from_value::<ClientEvent>(message) {
                Ok(event) => {
                    // A client that was dropped gets no more events.
                    if let Some(client) = lock(routes).clients.get(&client) {
                        let _ = client.send(event);
                    }
                }
                Err(error) => {
                    let line = text::shorten(&line, LOGGED);
                    tracing::error!(%error, line, "an event of an official client could not be decoded")
                }
            }
        } else if let Ok(Answer { re, ok, error }) = serde_json::from_value(message) {
            if let Some(waiter) = lock(routes).answers.remove(&re) {
                // The receiver may have been dropped, which is fine.
                let _ = waiter.send(error.map_or(Ok(ok.unwrap_or(Value::Null)), Err));
            }
        } else if let Some(ready) = ready.take() {
            let _ = ready.send(());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
