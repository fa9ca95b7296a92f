//! A server, mock or real, as the cases use it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use agent_testkit::{
    DispatchRequest, JobEndStatus, MockServer, OfficialClient, RealServer, RecordedStatus, ServerApi,
    ServerEvent,
};
use agent_worker::job::Lifecycle;
use agent_worker::net::AccessToken;
use agent_worker::room::{JoinError, JoinRequest, RoomConnector, WebRtc};
use agent_worker::stats::DrainReport;
use agent_worker::{Agent, Job, Room, Secret, Worker, WorkerBuilder, WorkerError, WorkerHandle};

pub(crate) const SOON: Duration = Duration::from_secs(30);
/// The agent that cases dispatch.
pub(crate) const AGENT: &str = "tester";

#[allow(
    dead_code,
    clippy::large_enum_variant,
    reason = "each of the two tests has one server, and only one of it"
)]
pub(crate) enum Stage {
    Mock(MockServer),
    Real(RealServer),
}

/// A participant who publishes a microphone.
pub(crate) enum Publisher {
    Mock,
    Real(#[allow(dead_code, reason = "held, so that it stays")] OfficialClient),
}

impl Stage {
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Mock(server) => server.url(),
            Self::Real(server) => server.url(),
        }
    }

    pub(crate) fn secret(&self) -> Secret {
        match self {
            Self::Mock(server) => server.api_secret().clone(),
            Self::Real(server) => server.api_secret().clone(),
        }
    }

    pub(crate) fn key(&self) -> String {
        match self {
            Self::Mock(server) => server.api_key().to_owned(),
            Self::Real(server) => server.api_key().to_owned(),
        }
    }

    pub(crate) fn api(&self) -> ServerApi {
        ServerApi::new(&self.url().parse().unwrap(), self.key(), self.secret()).unwrap()
    }

    pub(crate) fn token(&self) -> AccessToken {
        AccessToken::new(self.key(), self.secret())
    }

    pub(crate) fn worker<A: Agent>(&self, agent: A) -> WorkerBuilder {
        match self {
            Self::Mock(server) => server.worker(agent),
            Self::Real(_) => Worker::builder(agent).url(self.url()).credentials(self.key(), self.secret()),
        }
    }

    /// Runs a worker until it is registered.
    pub(crate) async fn run<A: Agent>(
        &self,
        agent: A,
        configure: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> Running {
        let (count, called) = watch::channel(0);
        let count = move |_: &Job, state: Lifecycle| {
            count.send_modify(|count| *count += usize::from(state == Lifecycle::Running));
        };
        let worker = configure(self.worker(agent).agent_name(AGENT).on_lifecycle(count)).build().unwrap();
        let handle = worker.handle();
        let task = tokio::spawn(worker.run());
        assert!(soon(handle.registered()).await, "the worker registers");
        Running { handle, task, called }
    }

    pub(crate) async fn dispatch(&self, room: &str, metadata: &str) -> String {
        let request = DispatchRequest::new(AGENT, room).metadata(metadata);
        self.api().create_dispatch(request).await.unwrap().id
    }

    pub(crate) async fn join(&self, room: &str, identity: &str) -> Room {
        let token = self.token().identity(identity).join_room(room).can_update_own_metadata(true);
        self.join_with(token.sign().unwrap()).await.unwrap()
    }

    pub(crate) async fn join_with(&self, token: Secret) -> Result<Room, JoinError> {
        let request = JoinRequest::new(self.url(), token);
        match self {
            Self::Mock(server) => server.connector().connect(request).await,
            Self::Real(_) => WebRtc::default().connect(request).await,
        }
    }

    /// Ada, with a microphone; `None` if there is no official client on this machine.
    pub(crate) async fn publisher(&self, room: &str) -> Option<Publisher> {
        match self {
            Self::Mock(server) => {
                server.room(room).join("ada").publish_microphone();
                Some(Publisher::Mock)
            }
            Self::Real(_) => {
                agent_testkit::official_host().await?;
                let token = self.token().identity("ada").join_room(room).sign().unwrap();
                let client = OfficialClient::join(&self.url(), &token).await.unwrap();
                client.publish_audio("microphone", Some(440)).await.unwrap();
                Some(Publisher::Real(client))
            }
        }
    }

    /// The end of the only job of a room: status and error, as the server records them.
    pub(crate) async fn end_in(&self, room: &str) -> String {
        match self {
            Self::Mock(server) => {
                let offered =
                    soon(server.wait_for(
                        |event| matches!(event, ServerEvent::Offered { room: of, .. } if of == room),
                    ))
                    .await;
                let ServerEvent::Offered { job_id: wanted, .. } = offered else { panic!("{offered:?}") };
                let ended = soon(server.wait_for(
                    |event| matches!(event, ServerEvent::Ended { job_id, .. } if *job_id == wanted),
                ))
                .await;
                let ServerEvent::Ended { status, error, .. } = ended else { panic!("{ended:?}") };
                line(status == RecordedStatus::Success, &error)
            }
            Self::Real(server) => {
                let job = server.log().assigned_in(room, SOON).await.unwrap().job_id;
                let end = server.log().outcome(&job, SOON).await.unwrap();
                line(end.status == JobEndStatus::Success, &end.error)
            }
        }
    }

    /// Waits until this many jobs have ended; returns the number of each kind of end.
    pub(crate) async fn ends(&self, count: usize) -> Vec<String> {
        let lines: Vec<String> = match self {
            Self::Mock(server) => {
                let ended = |event: &ServerEvent| matches!(event, ServerEvent::Ended { .. });
                soon(server.wait_for_count(count, ended)).await;
                let ends = server.events().into_iter().filter_map(|event| match event {
                    ServerEvent::Ended { status, error, .. } => {
                        Some(line(status == RecordedStatus::Success, &error))
                    }
                    _ => None,
                });
                ends.collect()
            }
            Self::Real(server) => {
                let ends = server.log().wait_for_outcomes(count, SOON).await.unwrap();
                ends.values().map(|end| line(end.status == JobEndStatus::Success, &end.error)).collect()
            }
        };
        let mut counted = BTreeMap::<String, usize>::new();
        lines.into_iter().for_each(|line| *counted.entry(line).or_default() += 1);
        counted.into_iter().map(|(line, count)| format!("{count} × {line}")).collect()
    }

    /// Waits until the server gives up a job for this agent.
    pub(crate) async fn unserved(&self, agent: &str) {
        match self {
            Self::Mock(server) => {
                soon(server.wait_for(|event| matches!(event, ServerEvent::Unserved { .. }))).await;
            }
            Self::Real(server) => {
                let name = format!("\"agentName\":\"{agent}\"");
                let given_up =
                    |line: &str| line.contains("failed to send job request") && line.contains(&name);
                server.log().wait_for_line(given_up, SOON).await.unwrap();
            }
        }
    }
}

/// No worker of ours violated the protocol; the raw one does so on purpose.
impl Drop for Stage {
    fn drop(&mut self) {
        let Self::Mock(server) = self else { return };
        if std::thread::panicking() {
            return;
        }
        let events = server.events();
        let ours = |id: &String| {
            events.iter().any(|event| matches!(event, ServerEvent::Registered { worker_id, agent_name, .. } if worker_id == id && agent_name != "raw"))
        };
        let violation = events
            .iter()
            .find(|event| matches!(event, ServerEvent::Violation { worker_id, .. } if ours(worker_id)));
        assert_eq!(violation, None, "{}", server.timeline());
    }
}

pub(crate) struct Running {
    pub(crate) handle: WorkerHandle,
    task: JoinHandle<Result<DrainReport, WorkerError>>,
    /// Number of handler calls.
    called: watch::Receiver<usize>,
}

impl Running {
    /// Waits until this many handlers were called.
    pub(crate) async fn called(&mut self, count: usize) {
        soon(self.called.wait_for(|called| *called >= count)).await.expect("the worker runs");
    }

    pub(crate) async fn stop(self) -> DrainReport {
        let report = soon(self.handle.drain(Duration::ZERO)).await;
        self.task.await.expect("no panic").expect("it ends well");
        report
    }
}

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("in time")
}

fn line(success: bool, error: &str) -> String {
    if success { "JS_SUCCESS".to_owned() } else { format!("JS_FAILED {error:?}") }
}
