//! Which request gets which answer.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::{Method, Request, StatusCode};

use agent_core::{HealthProblem, JobId};
use agent_proto::text::{line, name};

use crate::http::admin::{Action, Admin, Refusal};
use crate::http::ask::{Asked, NoAnswer};
use crate::http::page::Asset;
use crate::http::query::JobQuery;
use crate::http::report::{JobReport, JobsReport, Known, Summary};
use crate::http::response::{Answer, asset, json, metrics, not_allowed, text, unauthorized, unavailable};
use crate::worker::driver::{Page, Snapshot};
use crate::worker::handle::WorkerHandle;

/// What `/` of the official workers says without a connection.
const NOT_CONNECTED: &str = "failed to connect to livekit";

/// Returns the metrics as text.
pub(super) type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// The answers of the HTTP server.
pub(super) struct Routes {
    workers: Vec<Asked>,
    metrics: Option<Render>,
    admin: Admin,
}

impl Routes {
    pub(super) fn new(
        workers: impl IntoIterator<Item = WorkerHandle>,
        metrics: Option<Render>,
        admin: Admin,
    ) -> Self {
        Self { workers: workers.into_iter().map(Asked::new).collect(), metrics, admin }
    }

    pub(super) async fn answer<B>(&self, request: &Request<B>, peer: IpAddr) -> Answer {
        if let Some(action) = Action::of(request.uri().path()) {
            return match (request.method(), self.admin.check(peer, request.headers())) {
                (&Method::POST, Ok(())) => self.act(action).await,
                (&Method::POST, Err(refusal @ Refusal::WrongToken)) => unauthorized(refusal),
                (&Method::POST, Err(refusal)) => text(StatusCode::FORBIDDEN, refusal.to_string()),
                _ => not_allowed("POST"),
            };
        }
        let route = match request.uri().path() {
            "/" => Route::Connected,
            "/healthz" => Route::Live,
            "/readyz" => Route::Ready,
            "/worker" => Route::Worker,
            "/jobs" => Route::Jobs,
            "/metrics" => Route::Metrics,
            "/status" => Route::Page(Asset::Html),
            "/status.css" => Route::Page(Asset::Style),
            "/status.js" => Route::Page(Asset::Script),
            _ => return text(StatusCode::NOT_FOUND, "not found"),
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET, HEAD");
        }
        match route {
            Route::Connected => {
                let connected = |worker: &Snapshot| worker.registered.then_some(()).ok_or(NOT_CONNECTED);
                self.health(connected).await
            }
            Route::Live => self.health(|worker| worker.liveness).await,
            Route::Ready => self.health(|worker| worker.readiness).await,
            Route::Worker => self.worker().await,
            Route::Metrics => match &self.metrics {
                Some(render) => metrics(render()),
                None => {
                    text(StatusCode::NOT_FOUND, "this program exports its metrics elsewhere, or not at all")
                }
            },
            Route::Page(part) => asset(part),
            Route::Jobs => match JobQuery::parse(request.uri().query().unwrap_or_default()) {
                Ok(query) => self.jobs(&query).await,
                Err(wrong) => text(StatusCode::BAD_REQUEST, wrong),
            },
        }
    }

    /// 200 if all workers are well.
    async fn health<E: Display>(&self, check: impl Fn(&Snapshot) -> Result<(), E>) -> Answer {
        for worker in &self.workers {
            let problem = match worker.status().await {
                Ok(status) => check(&status).err().map(|problem| problem.to_string()),
                Err(no_answer) => Some(no_answer.to_string()),
            };
            if let Some(problem) = problem {
                return self.problem(worker, &problem);
            }
        }
        if self.workers.is_empty() {
            return unavailable(HealthProblem::Stopped);
        }
        text(StatusCode::OK, "OK")
    }

    /// All workers. One that has stopped is listed as such beside those that run.
    async fn worker(&self) -> Answer {
        let (mut all, mut running) = (Vec::new(), false);
        for worker in &self.workers {
            let handle = worker.worker();
            let status = match worker.status().await {
                Ok(status) => {
                    running = true;
                    status
                }
                Err(NoAnswer::Stopped) => Snapshot::clone(&handle.ended),
                Err(no_answer) => return self.problem(worker, &no_answer),
            };
            all.push(Known { status, stats: handle.stats(), launches: handle.launches() });
        }
        match Summary::of(&all) {
            Some(summary) if running => json(&summary),
            _ => self.all_stopped(),
        }
    }

    async fn act(&self, action: Action) -> Answer {
        match action {
            Action::Quiet => self.quiet(WorkerHandle::quiet).await,
            Action::Undrain => self.quiet(WorkerHandle::undrain).await,
            Action::Terminate(job) => self.terminate(&job).await,
        }
    }

    /// Makes all workers quiet, or lets them accept jobs again.
    async fn quiet(&self, command: fn(&WorkerHandle)) -> Answer {
        let mut running = Vec::new();
        for worker in &self.workers {
            match worker.status().await {
                Ok(status) if status.draining => {
                    let problem = "the worker drains, which cannot be taken back";
                    return text(StatusCode::CONFLICT, problem);
                }
                Ok(_) => running.push(worker.worker()),
                Err(NoAnswer::Stopped) => {}
                Err(no_answer) => return self.problem(worker, &no_answer),
            }
        }
        running.into_iter().for_each(command);
        self.worker().await
    }

    async fn terminate(&self, job: &JobId) -> Answer {
        let mut unknown = None;
        for worker in &self.workers {
            match worker.cancel(job, "terminated over HTTP").await {
                Ok(true) => {
                    tracing::info!(job = %name(job), "job terminated over HTTP");
                    let done = format!("job {} is cancelled: its handler has its grace to return", name(job));
                    return text(StatusCode::ACCEPTED, done);
                }
                Ok(false) => {}
                Err(no_answer) => unknown = Some(self.problem(worker, &no_answer)),
            }
        }
        unknown.unwrap_or_else(|| {
            let problem = format!("no job {} holds a slot here: /jobs lists them", line(&**job));
            text(StatusCode::NOT_FOUND, problem)
        })
    }

    async fn jobs(&self, JobQuery { selection, page }: &JobQuery) -> Answer {
        let Page { offset, limit } = *page;
        let mut report = JobsReport { total: 0, matching: 0, offset, limit, jobs: Vec::new() };
        let (mut all, mut running) = (Vec::new(), false);
        for worker in &self.workers {
            let part = if selection.is_everything() {
                Page { offset: offset.saturating_sub(report.total), limit: limit - report.jobs.len() }
            } else {
                Page { offset: 0, limit: usize::MAX }
            };
            match worker.jobs(part).await {
                Ok(part) => {
                    running = true;
                    report.total += part.total;
                    if selection.is_everything() {
                        report.jobs.extend(part.jobs.iter().map(JobReport::of));
                    } else {
                        all.extend(part.jobs);
                    }
                }
                Err(NoAnswer::Stopped) => {}
                Err(no_answer) => return self.problem(worker, &no_answer),
            }
        }
        if !running {
            return self.all_stopped();
        }
        report.matching = report.total;
        if !selection.is_everything() {
            let chosen = selection.apply(all, *page);
            report.matching = chosen.total;
            report.jobs.extend(chosen.jobs.iter().map(JobReport::of));
        }
        json(&report)
    }

    fn all_stopped(&self) -> Answer {
        let stopped = NoAnswer::Stopped;
        self.workers.first().map_or_else(|| unavailable(stopped), |worker| self.problem(worker, &stopped))
    }

    /// 503 with the problem of a worker, and its name if there are several.
    fn problem(&self, worker: &Asked, problem: &impl Display) -> Answer {
        match &*self.workers {
            [_] => unavailable(problem),
            _ => unavailable(format_args!("agent {}: {problem}", name(&worker.worker().ended.agent_name))),
        }
    }
}

enum Route {
    Connected,
    Live,
    Ready,
    Worker,
    Jobs,
    Metrics,
    Page(Asset),
}
