//! Which request gets which answer.

use std::fmt::Display;
use std::sync::Arc;

use hyper::{Method, Request, StatusCode};
use url::form_urlencoded;

use agent_core::HealthProblem;
use agent_proto::text::{line, name};

use crate::http::ask::{Asked, NoAnswer};
use crate::http::report::{JobReport, JobsReport, Summary};
use crate::http::response::{Answer, json, metrics, not_allowed, text, unavailable};
use crate::worker::driver::{Page, Snapshot};
use crate::worker::handle::WorkerHandle;

/// Jobs in an answer, unless the request says otherwise.
const USUAL_JOBS: usize = 1_000;
/// The most jobs in an answer.
const MAX_JOBS: usize = 10_000;

/// What `/` of the official workers says without a connection.
const NOT_CONNECTED: &str = "failed to connect to livekit";

/// Returns the metrics as text.
pub(super) type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// The answers of the HTTP server.
pub(super) struct Routes {
    workers: Vec<Asked>,
    metrics: Option<Render>,
}

impl Routes {
    pub(super) fn new(workers: impl IntoIterator<Item = WorkerHandle>, metrics: Option<Render>) -> Self {
        Self { workers: workers.into_iter().map(Asked::new).collect(), metrics }
    }

    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Answer {
        let route = match request.uri().path() {
            "/" => Route::Connected,
            "/healthz" => Route::Live,
            "/readyz" => Route::Ready,
            "/worker" => Route::Worker,
            "/jobs" => Route::Jobs,
            "/metrics" => Route::Metrics,
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
            Route::Jobs => match page(request.uri().query().unwrap_or_default()) {
                Ok(page) => self.jobs(page).await,
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

    async fn worker(&self) -> Answer {
        let mut all = Vec::new();
        for worker in &self.workers {
            match worker.status().await {
                Ok(status) => all.push((status, worker.worker().stats())),
                Err(no_answer) => return self.problem(worker, &no_answer),
            }
        }
        Summary::of(&all).map_or_else(|| unavailable(NoAnswer::Stopped), |summary| json(&summary))
    }

    async fn jobs(&self, page: Page) -> Answer {
        let mut report = JobsReport { total: 0, offset: page.offset, limit: page.limit, jobs: Vec::new() };
        for worker in &self.workers {
            let rest = Page {
                offset: page.offset.saturating_sub(report.total),
                limit: page.limit - report.jobs.len(),
            };
            match worker.jobs(rest).await {
                Ok(part) => {
                    report.total += part.total;
                    report.jobs.extend(part.jobs.iter().map(JobReport::of));
                }
                Err(no_answer) => return self.problem(worker, &no_answer),
            }
        }
        json(&report)
    }

    /// 503 with the problem of a worker, and its name if there are several.
    fn problem(&self, worker: &Asked, problem: &impl Display) -> Answer {
        match &*self.workers {
            [_] => unavailable(problem),
            _ => unavailable(format_args!("agent {}: {problem}", name(&worker.worker().agent_name))),
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
}

/// The part of the list that a query asks for; else what is wrong with it.
fn page(query: &str) -> Result<Page, String> {
    let mut page = Page { offset: 0, limit: USUAL_JOBS };
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let number = |most: usize| {
            let number = value.parse().ok().filter(|number| *number <= most);
            number.ok_or_else(|| format!("{key}={}: write a number of at most {most}", line(&value)))
        };
        match &*key {
            "limit" => page.limit = number(MAX_JOBS)?,
            "offset" => page.offset = number(usize::MAX)?,
            _ => return Err(format!("unknown parameter {}: there are limit and offset", name(&key))),
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_chooses_a_part_of_the_list() {
        for (query, offset, limit) in
            [("", 0, 1_000), ("limit=5", 0, 5), ("offset=7&limit=0", 7, 0), ("limit=10000", 0, 10_000)]
        {
            assert_eq!(page(query), Ok(Page { offset, limit }), "{query}");
        }
    }

    #[test]
    fn a_wrong_query_is_named() {
        for (query, named) in [
            ("limit=10001", "limit=10001: write a number of at most 10000"),
            ("limit=", "limit=: write"),
            ("offset=-1", "offset=-1: write"),
            ("limit=1%0a2", "limit=1"),
            ("page=2", "unknown parameter page"),
        ] {
            let wrong = page(query).unwrap_err();
            assert!(wrong.contains(named) && !wrong.contains('\n'), "{query}: {wrong}");
        }
    }
}
