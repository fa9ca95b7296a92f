//! LiveKit's own workers, in processes of their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_worker::Secret;

use super::error::OfficialWorkerError;
use super::group::Group;
use super::kind::OfficialWorkerKind;
use super::output::{OfficialJob, State, WorkerOutput};

/// Timeout of the registration, which takes 2 to 4 s on an idle machine.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(60);

/// Variables that would change a worker's behaviour or its server.
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

/// The server and the agent name of an official worker.
#[derive(Clone, Debug)]
pub struct OfficialWorkerOptions {
    url: String,
    api_key: String,
    api_secret: Secret,
    agent_name: String,
    echo: bool,
}

/// A running worker of LiveKit's own SDKs. Its handler prints each job, joins no room and ends, unless it is
/// an [echo](OfficialWorkerOptions::echo).
///
/// Dropping it kills it with all processes that it started. They also end when the test process is killed (on
/// Unix; on other systems the processes that it started may stay).
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
    output: Arc<WorkerOutput>,
    /// Holds the script; removed with the worker.
    _dir: tempfile::TempDir,
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
            echo: false,
        }
    }

    /// The handler joins the room, and repeats the microphone of the participant whose identity is the job's
    /// metadata, until the room ends. Only the Python workers do.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }
}

impl OfficialWorker {
    /// Starts a worker and waits until it is registered; installs its packages in the user's cache if
    /// necessary.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn) and [`wait_until_registered`](Self::wait_until_registered).
    pub async fn start(
        kind: OfficialWorkerKind,
        options: &OfficialWorkerOptions,
    ) -> Result<Self, OfficialWorkerError> {
        let worker = Self::spawn(kind, options).await?;
        worker.wait_until_registered(REGISTER_TIMEOUT).await?;
        Ok(worker)
    }

    /// Starts a worker without waiting for anything: the server may be started later.
    ///
    /// # Errors
    /// [`OfficialWorkerError::NotAvailable`] if there is no Python 3.10 or newer, or the packages cannot be
    /// installed.
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
            .env("AGENT_TEST_ECHO", if options.echo { "1" } else { "0" })
            // Disables telemetry.
            .env("OTEL_SDK_DISABLED", "true");
        let output = Arc::new(WorkerOutput::default());
        let group = Group::spawn(&mut command, {
            let output = output.clone();
            move |line| output.take(line)
        })?;
        Ok(Self { group: Mutex::new(Some(group)), output, _dir: dir })
    }

    /// Waits until the worker logs its registration.
    ///
    /// # Errors
    /// [`OfficialWorkerError::Timeout`], [`OfficialWorkerError::Ended`].
    pub async fn wait_until_registered(&self, within: Duration) -> Result<(), OfficialWorkerError> {
        let registered = |state: &State| (state.registered > 0).then_some(());
        self.output.wait("the registration", within, registered).await
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
        self.output.wait(&format!("a number of {count} jobs"), within, enough).await
    }

    /// The jobs that have run so far, in order.
    #[must_use]
    pub fn jobs(&self) -> Vec<OfficialJob> {
        self.output.state().jobs.clone()
    }

    /// Number of registrations so far: one, and one more for each reconnect.
    #[must_use]
    pub fn registrations(&self) -> usize {
        self.output.state().registered
    }

    /// The last lines of its own log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.output.log_tail()
    }

    /// The id of its main process, which is also that of its process group; `None` after it was killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Group::pid)
    }

    /// Kills it immediately, with all processes that it started, without notice to the server. A second call
    /// does nothing.
    pub fn kill(&self) {
        let group = self.lock().take();
        drop(group);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Group>> {
        // The value is replaced as a whole, so it is valid even after a panic.
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
