//! Checks that need no server: settings, versions, file descriptors and stores.

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use agent_core::{AcquireResult, CheckpointKey, CheckpointStore, Job, JobKind, KeyBy, StoreError};

use super::credentials::look_swapped;
use super::finding::{Check, Finding};
use super::text::{text, unique_name};
use crate::cli::error::in_options;
use crate::cli::http::HttpAddress;
use crate::worker::Worker;
use crate::worker::config_error::ConfigError;
use crate::worker::fd_limit;
use crate::worker::stores::{CheckpointSource, CoordinatorSource, StoreSource};

/// How long a store may take for one check; stores have limits of their own.
const STORE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a record and a lease are kept if they cannot be deleted.
const KEPT: Duration = Duration::from_secs(10);
/// The length of the record, in bytes: a store that has no space left may still take a tiny one.
const RECORD_LEN: usize = 64 * 1024;

pub(super) fn settings(built: Result<&Worker, &ConfigError>) -> Finding {
    match built {
        Ok(worker) => {
            let setup = &worker.setup;
            let rules = &setup.parts.settings.rules;
            let agent = match rules.agent_name.as_str() {
                "" => "no agent name, so that every new room gets this agent".to_owned(),
                name => format!("agent {name:?}"),
            };
            let (url, key) = (&setup.server.url, &setup.server.api_key);
            let key = match look_swapped(key, &setup.server.api_secret) {
                true => "an API key as long as a secret".to_owned(),
                false => format!("API key {key:?}"),
            };
            Finding::ok(Check::Settings, format!("server {url}, {key}, {agent}"))
        }
        Err(error) => Finding::failed(Check::Settings, text(error) + &in_options(error)),
    }
}

pub(super) fn version() -> Finding {
    let (version, os, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    Finding::ok(Check::Version, format!("agent-worker {version} on {os} {arch}"))
}

pub(super) fn descriptors(max_jobs: usize, per_job: usize) -> Finding {
    let Some(budget) = fd_limit::budget(per_job) else {
        return Finding::ok(Check::Descriptors, "no limit of open files");
    };
    if budget.jobs() == 0 {
        let (limit, needed) = (budget.limit, budget.limit_for(max_jobs));
        return Finding::failed(
            Check::Descriptors,
            format!(
                "the limit of open files ({limit}) is enough for not one job, so that the worker takes none: raise the hard limit to \
                 {needed} (`ulimit -n {needed}`, or `LimitNOFILE={needed}` in a systemd unit)"
            ),
        );
    }
    match fd_limit::warning(max_jobs, budget) {
        Some(warning) => Finding::warning(Check::Descriptors, warning),
        None => Finding::ok(
            Check::Descriptors,
            format!("the limit of open files ({}) is enough for {max_jobs} jobs", budget.limit),
        ),
    }
}

pub(super) async fn checkpoints(source: Option<CheckpointSource>) -> Finding {
    const CHECK: Check = Check::Checkpoints;
    let Some(source) = source else { return Finding::skipped(CHECK, "no store is set") };
    let begin = Instant::now();
    let save_and_delete = async { save_and_delete(&*opened(source).await?).await };
    match timeout(STORE_TIMEOUT, save_and_delete).await {
        Ok(Ok(())) => {
            Finding::ok(CHECK, format!("saved, read and deleted a record in {:.1?}", begin.elapsed()))
        }
        Ok(Err(error)) => Finding::failed(CHECK, text(&error)),
        Err(_) => Finding::failed(CHECK, no_answer()),
    }
}

/// Opens a store on a thread that it may block.
async fn opened<S: ?Sized + Send + Sync + 'static, E: Send + 'static>(
    source: StoreSource<S, E>,
) -> Result<Arc<S>, E> {
    match spawn_blocking(|| source.open()).await {
        Ok(opened) => opened,
        // The user's function panicked: it would do so when the worker starts.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and with it this task.
            Err(_) => pending().await,
        },
    }
}

async fn save_and_delete(store: &dyn CheckpointStore) -> Result<(), StoreError> {
    let job = Job::new(&unique_name(), JobKind::Room, "doctor");
    let unusable = |problem: String| StoreError::Unusable { problem, source: None };
    let key = CheckpointKey::of(&job, &KeyBy::Job).map_err(|error| unusable(error.to_string()))?;
    let record = vec![b'x'; RECORD_LEN];
    let writer = store.claim(key.clone(), KEPT).await?.writer.next();
    let writer = store.write(key.clone(), writer, Some(record.clone()), KEPT).await?;
    let claim = store.claim(key.clone(), KEPT).await?;
    if claim.record.as_ref() != Some(&record) {
        return Err(unusable("the store did not return the record that was saved a moment ago".to_owned()));
    }
    // The first writer was superseded by the second claim.
    if store.write(key.clone(), writer.next(), None, KEPT).await.is_ok() {
        return Err(unusable(
            "the store let a writer delete a record that another one has claimed since".to_owned(),
        ));
    }
    store.write(key, claim.writer.next(), None, KEPT).await.map(drop)
}

pub(super) async fn leases(source: Option<CoordinatorSource>) -> Finding {
    const CHECK: Check = Check::Leases;
    let Some(source) = source else { return Finding::skipped(CHECK, "no coordinator is set") };
    let (key, begin) = (unique_name(), Instant::now());
    let acquire_and_release = async {
        let store = opened(source).await?;
        let acquired = store.acquire(&key, "doctor", KEPT).await?;
        store.release(&key, "doctor").await?;
        Ok::<_, agent_core::CoordinationError>(acquired)
    };
    match timeout(STORE_TIMEOUT, acquire_and_release).await {
        Ok(Ok(AcquireResult::Granted { .. })) => {
            Finding::ok(CHECK, format!("acquired and released a lease in {:.1?}", begin.elapsed()))
        }
        Ok(Ok(AcquireResult::Held { .. })) => {
            Finding::failed(CHECK, "the store reports a lease of a new key as held by another")
        }
        Ok(Err(error)) => Finding::failed(CHECK, text(&error)),
        Err(_) => Finding::failed(CHECK, no_answer()),
    }
}

pub(super) async fn http_port(address: Option<HttpAddress>) -> Finding {
    const CHECK: Check = Check::HttpPort;
    let Some(address) = address else { return Finding::skipped(CHECK, "no health and status: it is off") };
    match address.bind().await {
        Ok(server) => Finding::ok(CHECK, format!("{} can be listened on", server.local_addr())),
        Err(error) if error.is_taken() => {
            let taken = text(&error);
            Finding::warning(CHECK, format!("{taken}; nothing is wrong if that is this worker, which runs"))
        }
        Err(error) => Finding::failed(CHECK, text(&error)),
    }
}

fn no_answer() -> String {
    format!("the store did not answer within {STORE_TIMEOUT:?}: check that it runs, and the network to it")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::cli::args::{HttpOptions, Mode};
    use crate::cli::doctor::Verdict;
    use crate::cli::http;

    fn at(port: &str) -> Option<HttpAddress> {
        let (http_port, http_host) = (Some(port.to_owned()), Some("127.0.0.1".to_owned()));
        http::address(&HttpOptions { http_port, http_host }, Mode::Start).unwrap()
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_a_warning() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let taken = http_port(at(&port)).await;
        assert_eq!(taken.verdict, Verdict::Warning, "{taken}");
        assert!(taken.text.contains(&port) && taken.text.contains("--http-port"), "{taken}");
        drop(listener);
        assert_eq!(http_port(at(&port)).await.verdict, Verdict::Ok);
        assert_eq!(http_port(at("off")).await.verdict, Verdict::Skipped);
    }
}
