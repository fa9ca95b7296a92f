//! A worker and a job of the doctor's own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use agent_core::{EndedJob, JobResult, Outcome, RetryPolicy};
use agent_net::{AccessToken, DispatchRequest, RoomRequest, ServerApi};
use agent_proto::Secret;
use agent_proto::error_text::chain;
use agent_proto::text::{line, name};
use agent_rtc::{JoinRequest, NetworkPath, Room, RoomConnector};

use super::finding::{Check, Finding};
use super::media;
use super::text::{text, unique_name};
use crate::agent::Agent;
use crate::job::context::JobContext;
use crate::worker::WorkerError;
use crate::worker::builder::WorkerBuilder;
use crate::worker::handle::WorkerHandle;
use crate::worker::server::Server;

/// How long the server may take to register the worker.
const REGISTRATION: Duration = Duration::from_secs(15);
/// How long a dispatch may take to become a job.
const DISPATCH: Duration = Duration::from_secs(15);
/// How long a participant may take to join the room.
const JOIN: Duration = Duration::from_secs(15);

/// A worker that connects as the user's does, with the doctor's agent.
pub(super) struct Trial {
    worker: WorkerBuilder,
    /// Of the agent and of the room.
    name: String,
    events: mpsc::UnboundedReceiver<Event>,
}

/// What the agent reports of its job.
enum Event {
    /// It has joined its room.
    Joined(Room),
    /// It has ended.
    Ended(Outcome),
}

/// Joins the room of its job, and waits until the job is cancelled.
struct Probe {
    events: mpsc::UnboundedSender<Event>,
}

impl Agent for Probe {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        // The receiver is dropped only when the result is known.
        let _ = self.events.send(Event::Joined(ctx.room().clone()));
        ctx.cancelled().await;
        Ok(())
    }

    async fn on_ended(&self, ended: &EndedJob) {
        let _ = self.events.send(Event::Ended(ended.outcome.clone()));
    }
}

impl Trial {
    pub(super) fn of(worker: &WorkerBuilder) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let unique = unique_name();
        let worker = worker
            .connecting_alike(Probe { events: sender })
            .only_name(unique.clone())
            .max_jobs(1)
            .max_connect_attempts(1)
            .retry(RetryPolicy::never())
            .join_timeout(JOIN)
            .drain_timeout(Duration::ZERO);
        Self { worker, name: unique, events }
    }

    /// Registers, dispatches a job, and sends audio in its room; ends with the first failure.
    pub(super) async fn run(self, mut begin: impl FnMut(Check)) -> Vec<Finding> {
        let Self { worker, name, events } = self;
        let worker = match worker.build() {
            Ok(worker) => worker,
            Err(error) => return vec![Finding::failed(Check::Registration, text(&error))],
        };
        begin(Check::Registration);
        let setup = &worker.setup;
        let server = &setup.server;
        let steps = Steps {
            api: setup.parts.api.clone(),
            connector: Arc::clone(&setup.parts.connector),
            peer: peer_request(server.url.ws_url().as_str(), server.token(&name)),
            handle: worker.handle(),
            name,
            events,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let running = worker.run_until(stopped);
        tokio::pin!(running);
        let began = Instant::now();
        let registered = tokio::select! {
            ended = &mut running => return vec![refused(ended.map(drop))],
            registered = timeout(REGISTRATION, steps.handle.registered()) => registered,
        };
        if !registered.is_ok_and(|registered| registered) {
            drop(stop);
            let ended = running.await.map(drop);
            return vec![if ended.is_err() {
                refused(ended)
            } else {
                Finding::failed(Check::Registration, not_registered())
            }];
        }
        let mut findings =
            vec![Finding::ok(Check::Registration, format!("registered within {:.1?}", began.elapsed()))];
        let (api, room) = (steps.api.clone(), steps.name.clone());
        let further = steps.run(begin);
        tokio::pin!(further);
        let found = tokio::select! {
            found = &mut further => {
                drop(stop);
                let _ = running.await;
                found
            }
            ended = &mut running => vec![refused(ended.map(drop))],
        };
        findings.extend(found);
        // Not before the server has confirmed how the job ended.
        delete(&api, &room).await;
        findings
    }
}

/// The worker ended before it was stopped.
fn refused(ended: Result<(), WorkerError>) -> Finding {
    let text = ended.map_or_else(|error| text(&error), |()| not_registered());
    Finding::failed(Check::Registration, text)
}

fn not_registered() -> String {
    format!(
        "the server did not answer the registration within {REGISTRATION:?}: check its log, and that WebSockets pass all proxies to it"
    )
}

/// What follows the registration.
struct Steps {
    api: ServerApi,
    connector: Arc<dyn RoomConnector>,
    /// How the second participant joins.
    peer: Result<JoinRequest, String>,
    handle: WorkerHandle,
    name: String,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Steps {
    async fn run(mut self, mut begin: impl FnMut(Check)) -> Vec<Finding> {
        begin(Check::Job);
        let (room, job) = match self.job().await {
            Ok(found) => found,
            Err(problem) => return vec![Finding::failed(Check::Job, problem)],
        };
        begin(Check::Media);
        let media = match self.media(&room).await {
            Ok(found) => by_path(found, room.network_path().as_ref()),
            Err(problem) => Finding::failed(Check::Media, problem),
        };
        vec![job, media]
    }

    /// Dispatches a job, and waits until it has joined its room.
    async fn job(&mut self) -> Result<(Room, Finding), String> {
        let created = self.api.create_room(RoomRequest::new(&self.name)).await;
        created.map_err(|error| text(&error))?;
        let began = Instant::now();
        let request = DispatchRequest::new(&self.name, &self.name);
        let dispatched = self.api.create_dispatch(request).await;
        dispatched.map_err(|error| text(&error))?;
        let event = timeout(DISPATCH + JOIN, self.events.recv()).await;
        match event {
            Ok(Some(Event::Joined(room))) => {
                let found = format!("dispatched, accepted and in its room within {:.1?}", began.elapsed());
                Ok((room, Finding::ok(Check::Job, found)))
            }
            Ok(Some(Event::Ended(outcome))) => {
                Err(format!("the job ended before it was in its room: {outcome}"))
            }
            Ok(None) | Err(_) => Err(format!(
                "no job came within {:?} of its dispatch: check the server's log, and that all its nodes share one Redis",
                DISPATCH + JOIN
            )),
        }
    }

    /// Sends audio between the agent and another participant.
    async fn media(&self, agent: &Room) -> Result<String, String> {
        let request = self.peer.clone()?;
        let peer = timeout(JOIN, self.connector.connect(request)).await;
        let peer = peer.map_err(|_| format!("a second participant could not join within {JOIN:?}"))?;
        let peer = peer.map_err(|error| text(&error))?;
        let found = media::both_ways(agent, &peer).await;
        peer.leave().await;
        found
    }
}

async fn delete(api: &ServerApi, room: &str) {
    if let Err(error) = api.delete_room(room).await
        && !error.is_not_found()
    {
        tracing::warn!(room = %name(room), "the room is left behind: {}", line(chain(&error)));
    }
}

/// Media that flows by another path than direct UDP flows worse.
fn by_path(found: String, path: Option<&NetworkPath>) -> Finding {
    match path {
        Some(path) if !path.reason.is_empty() => {
            Finding::warning(Check::Media, format!("{found}, over {path}: {}", line(&path.reason)))
        }
        Some(path) => Finding::ok(Check::Media, format!("{found}, over {path} to {}", path.remote)),
        None => Finding::ok(Check::Media, found),
    }
}

fn peer_request(url: &str, token: Result<Secret, String>) -> Result<JoinRequest, String> {
    let mut request = JoinRequest::new(url, token?);
    request.timeout = JOIN;
    Ok(request)
}

impl Server {
    /// A token of a participant for this room.
    fn token(&self, room: &str) -> Result<Secret, String> {
        let token = AccessToken::new(&self.api_key, self.api_secret.clone());
        token.identity("doctor").join_room(room).sign().map_err(|error| text(&error))
    }
}
