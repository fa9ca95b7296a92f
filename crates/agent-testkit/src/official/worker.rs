//! LiveKit's own workers: what a server has to get along with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_worker::Secret;

use super::group::Group;
use super::kind::OfficialWorkerKind;
use super::told::{OfficialJob, State, Told};
use crate::install::InstallError;

/// They take 2 to 4 s on an idle machine.
const REGISTERED_WITHIN: Duration = Duration::from_secs(60);

/// Variables that would change what a worker does, or where it connects to.
const UNWANTED: &[&str] = &[
    "LIVEKIT_AGENT_NAME_OVERRIDE",
    "LIVEKIT_AGENT_DEPLOYMENT",
    "LIVEKIT_AGENT_ID",
    "LIVEKIT_DEV_MODE",
    "LIVEKIT_INFERENCE_URL",
    "LIVEKIT_OBSERVABILITY_URL",
    "LIVEKIT_REMOTE_EOT_URL",
    "LIVEKIT_WORKER_TOKEN",
    "PROMETHEUS_MULTIPROC_DIR",
    "NODE_OPTIONS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
];

/// Where an official worker registers, and as which agent.
#[derive(Clone, Debug)]
pub struct OfficialWorkerOptions {
    url: String,
    api_key: String,
    api_secret: Secret,
    agent_name: String,
}

/// A running worker of LiveKit's own. Its handler tells each job, joins no room and ends.
///
/// Dropping it kills it with all processes that it started. They also end when the test process is killed (on Unix; on other
/// systems those that it started may stay).
///
/// ```no_run
/// # async fn example(server: &agent_testkit::RealServer) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use agent_testkit::{DispatchRequest, OfficialWorker, OfficialWorkerKind, OfficialWorkerOptions};
///
/// let options = OfficialWorkerOptions::new(server.url(), server.api_key(), server.api_secret().clone(), "greeter");
/// let worker = OfficialWorker::start(OfficialWorkerKind::PythonThread, &options).await?;
/// server.api().create_dispatch(DispatchRequest::new("greeter", "lobby")).await?;
/// let jobs = worker.wait_for_jobs(1, Duration::from_secs(10)).await?;
/// assert_eq!(jobs[0].room, "lobby");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct OfficialWorker {
    group: Mutex<Option<Group>>,
    told: Arc<Told>,
    /// Holds the script; removed with the worker.
    _dir: tempfile::TempDir,
}

/// What went wrong with an official worker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfficialWorkerError {
    /// A tool that is needed is not there.
    #[error("LiveKit's own worker is not available: {missing}")]
    NotAvailable {
        /// What is missing, and how to get it, in one line.
        missing: String,
    },
    /// The worker ended.
    #[error("the official worker ended; it said:\n{log}")]
    Ended {
        /// The end of its own log.
        log: String,
    },
    /// What was waited for did not come.
    #[error("{what} did not come within {within:?}; the official worker said:\n{log}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        within: Duration,
        /// The end of the worker's own log.
        log: String,
    },
    /// A pipe or a file failed.
    #[error("no process for an official worker")]
    Io(#[from] std::io::Error),
}

impl From<InstallError> for OfficialWorkerError {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Missing(missing) => Self::NotAvailable { missing },
            InstallError::Io(error) => Self::Io(error),
        }
    }
}

impl OfficialWorkerOptions {
    /// A worker for this agent on the server at this address.
    pub fn new(
        url: impl Into<String>,
        api_key: impl Into<String>,
        api_secret: impl Into<Secret>,
        agent_name: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            api_key: api_key.into(),
            api_secret: api_secret.into(),
            agent_name: agent_name.into(),
        }
    }
}

impl OfficialWorker {
    /// Starts a worker and waits until it is registered; installs its packages in the user's cache, if they are not there.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn) and [`wait_until_registered`](Self::wait_until_registered).
    pub async fn start(
        kind: OfficialWorkerKind,
        options: &OfficialWorkerOptions,
    ) -> Result<Self, OfficialWorkerError> {
        let worker = Self::spawn(kind, options).await?;
        worker.wait_until_registered(REGISTERED_WITHIN).await?;
        Ok(worker)
    }

    /// Starts a worker and does not wait for anything: the server may come later.
    ///
    /// # Errors
    /// [`OfficialWorkerError::NotAvailable`] if there is no Python 3.10 or newer, or the packages cannot be had.
    pub async fn spawn(
        kind: OfficialWorkerKind,
        options: &OfficialWorkerOptions,
    ) -> Result<Self, OfficialWorkerError> {
        let (mut command, dir) = kind.command().await?;
        for name in UNWANTED {
            command.env_remove(name);
        }
        command
            .current_dir(dir.path())
            .env("LIVEKIT_URL", &options.url)
            .env("LIVEKIT_API_KEY", &options.api_key)
            .env("LIVEKIT_API_SECRET", options.api_secret.expose())
            .env("LIVEKIT_AGENT_NAME", &options.agent_name)
            // No telemetry.
            .env("OTEL_SDK_DISABLED", "true");
        let told = Arc::new(Told::default());
        let group = Group::spawn(&mut command, {
            let told = told.clone();
            move |line| told.take(line)
        })?;
        Ok(Self { group: Mutex::new(Some(group)), told, _dir: dir })
    }

    /// Waits until the worker has registered, in its own words.
    ///
    /// # Errors
    /// [`OfficialWorkerError::Timeout`], [`OfficialWorkerError::Ended`].
    pub async fn wait_until_registered(&self, within: Duration) -> Result<(), OfficialWorkerError> {
        let registered = |state: &State| (state.registered > 0).then_some(());
        self.told.wait("the registration", within, registered).await
    }

    /// Waits until this many jobs have run, and returns all that have, in order.
    ///
    /// # Errors
    /// [`OfficialWorkerError::Timeout`], [`OfficialWorkerError::Ended`].
    pub async fn wait_for_jobs(
        &self,
        count: usize,
        within: Duration,
    ) -> Result<Vec<OfficialJob>, OfficialWorkerError> {
        let enough = |state: &State| (state.jobs.len() >= count).then(|| state.jobs.clone());
        self.told.wait(&format!("a number of {count} jobs"), within, enough).await
    }

    /// The jobs that have run so far, in order.
    #[must_use]
    pub fn jobs(&self) -> Vec<OfficialJob> {
        self.told.state().jobs.clone()
    }

    /// How often it has registered so far: once, and once more for each reconnect.
    #[must_use]
    pub fn registrations(&self) -> usize {
        self.told.state().registered
    }

    /// The last lines of its own log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.told.log_tail()
    }

    /// The id of its main process, which is also that of its process group; `None` when it was killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Group::pid)
    }

    /// Kills it at once, with all processes that it started: no farewell to the server. A second call does nothing.
    pub fn kill(&self) {
        let group = self.lock().take();
        drop(group);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Group>> {
        // Only whole values are put in, so that what a panic left is still right.
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
