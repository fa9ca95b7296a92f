//! Worker configuration: options, their checks, and building the worker. Each topic has its own file.

mod agent_name;
mod connection;
mod hooks;
mod jobs;
mod lifecycle;
mod rooms;
mod state;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::sync::Arc;

use agent_net::NetOptions;
use agent_proto::Secret;
use agent_rtc::{RoomConnector, WebRtc};

use crate::agent::checked::{CheckedAgent, Checks};
use crate::agent::{Agent, AnyAgent};
use crate::worker::Worker;
use crate::worker::builder::agent_name::AgentNames;
use crate::worker::config_error::ConfigError;
use crate::worker::driver::{Executor, Setup, Tasks};
use crate::worker::fd_limit::PER_JOB;
use crate::worker::parts::Parts;
use crate::worker::server::ServerSettings;
#[cfg(feature = "cli")]
use crate::worker::settings::RoomSettings;
use crate::worker::settings::Settings;
use crate::worker::stores::Stores;

/// Settings of a [`Worker`]; each has a default, and [`build`](Self::build) checks them.
///
/// These settings override the environment, except `LIVEKIT_AGENT_NAME_OVERRIDE`, which overrides everything.
#[must_use]
pub struct WorkerBuilder {
    agent: Arc<dyn AnyAgent>,
    checks: Checks,
    server: ServerSettings,
    connector: Option<Arc<dyn RoomConnector>>,
    executor: Arc<dyn Executor>,
    names: AgentNames,
    stores: Stores,
    settings: Settings,
}

impl WorkerBuilder {
    pub(crate) fn new<A: Agent>(agent: A) -> Self {
        Self {
            agent: Arc::new(agent),
            checks: Checks::default(),
            server: ServerSettings::default(),
            connector: None,
            executor: Arc::new(Tasks),
            names: AgentNames::default(),
            stores: Stores::default(),
            settings: Settings::default(),
        }
    }

    /// Takes missing settings from the environment: `LIVEKIT_URL`, `LIVEKIT_API_KEY`, `LIVEKIT_API_SECRET`,
    /// `LIVEKIT_AGENT_NAME`, `LIVEKIT_AGENT_DEPLOYMENT`; and the proxy (`HTTPS_PROXY`, `HTTP_PROXY`,
    /// `ALL_PROXY`, `NO_PROXY`) and certificates (`SSL_CERT_FILE`).
    ///
    /// Empty variables are not set; one of `LIVEKIT_…` that is needed and is not UTF-8 is an error of
    /// [`build`](Self::build).
    pub fn from_env(self) -> Self {
        let mut filled = self.fill_from(|name| std::env::var_os(name));
        filled.server.net.get_or_insert_with(NetOptions::from_env);
        filled
    }

    fn fill_from(mut self, var: impl Fn(&str) -> Option<OsString>) -> Self {
        let mut unreadable = None;
        let mut var = |name: &'static str| match var(name)?.into_string() {
            Ok(text) => Some(text).filter(|text| !text.is_empty()),
            Err(_) => {
                unreadable.get_or_insert(name);
                None
            }
        };
        let (server, rules) = (&mut self.server, &mut self.settings.rules);
        server.url = server.url.take().or_else(|| var("LIVEKIT_URL"));
        server.api_key = server.api_key.take().or_else(|| var("LIVEKIT_API_KEY"));
        server.api_secret = server.api_secret.take().or_else(|| var("LIVEKIT_API_SECRET").map(Secret::from));
        self.names.override_name = var("LIVEKIT_AGENT_NAME_OVERRIDE");
        self.names.environment = var("LIVEKIT_AGENT_NAME");
        if rules.deployment.is_empty() {
            rules.deployment = var("LIVEKIT_AGENT_DEPLOYMENT").unwrap_or_default();
        }
        server.unreadable = unreadable;
        self
    }

    /// The seed of the worker's jitter; random unless set. Tests set it to be reproducible.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// The settings of the server, as far as they are known.
    #[cfg(feature = "cli")]
    pub(crate) const fn server_settings(&mut self) -> &mut ServerSettings {
        &mut self.server
    }

    /// Replaces all names of the agent.
    #[cfg(feature = "cli")]
    pub(crate) fn only_name(mut self, name: String) -> Self {
        self.names = AgentNames { override_name: Some(name), ..AgentNames::default() };
        self
    }

    /// A worker that connects in the same way, with another agent, and otherwise with the defaults.
    #[cfg(feature = "cli")]
    pub(crate) fn connecting_alike<A: Agent>(&self, agent: A) -> Self {
        let RoomSettings { force_relay, refuse_other_servers, .. } = self.settings.rooms;
        let mut alike = Self::new(agent);
        alike.server = self.server.clone();
        alike.connector.clone_from(&self.connector);
        alike.settings.rooms = RoomSettings { force_relay, refuse_other_servers, ..RoomSettings::default() };
        alike
    }

    /// The maximum number of jobs, and the file descriptors of each.
    #[cfg(feature = "cli")]
    pub(crate) fn descriptor_use(&self) -> (usize, usize) {
        (self.settings.rules.max_jobs, self.descriptors_per_job())
    }

    /// Wraps the agent in another one.
    #[cfg(feature = "cli")]
    pub(crate) fn wrapped(mut self, wrap: impl FnOnce(Arc<dyn AnyAgent>) -> Arc<dyn AnyAgent>) -> Self {
        self.agent = wrap(self.agent);
        self
    }

    /// The schema of the agent's metadata, or else of the format that the builder has declared.
    #[cfg(all(feature = "cli", feature = "schema"))]
    pub(crate) fn metadata_schema(&self) -> Option<agent_core::MetadataSchema> {
        let declared = || self.checks.format.as_ref().and_then(|format| format.schema());
        self.agent.metadata_schema().or_else(declared)
    }

    /// Where attempts run, instead of in tasks of the runtime.
    #[cfg(test)]
    pub(crate) fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = executor;
        self
    }

    /// Checks the settings, opens the stores that are [still closed](Self::open_checkpoints), and builds the
    /// worker, which connects when it runs.
    ///
    /// # Errors
    /// [`ConfigError`], which names the missing or invalid setting.
    pub fn build(self) -> Result<Worker, ConfigError> {
        let descriptors = self.descriptors_per_job();
        let Self { agent, checks, server, connector, executor, names, stores, mut settings } = self;
        (settings.rules.agent_name, settings.agent_name_is_env) = names.resolve();
        settings.check()?;
        let server = server.check()?;
        stores.open(&mut settings)?;
        let connector = connector.unwrap_or_else(|| Arc::new(WebRtc::new(server.net.clone())));
        let agent = Arc::new(CheckedAgent::new(agent, checks, &settings.rules));
        let parts = Arc::new(Parts::new(settings, connector, server.api()));
        Ok(Worker::new(Setup { agent, server, parts, executor, descriptors }))
    }

    /// Rooms of another connector may not need descriptors.
    fn descriptors_per_job(&self) -> usize {
        if self.connector.is_some() { 0 } else { PER_JOB }
    }
}
