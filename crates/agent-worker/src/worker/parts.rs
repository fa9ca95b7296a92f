//! What all tasks of a worker share: its settings, and what exists once for all its jobs.

use std::sync::{Arc, Mutex, PoisonError};

use agent_net::ServerApi;
use agent_rtc::RoomConnector;

use crate::job::coordination::Releases;
use crate::job::user_tasks::UserTasks;
use crate::telemetry::Meter;
use crate::worker::settings::Settings;

pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) connector: Arc<dyn RoomConnector>,
    /// Signs the calls of jobs: they have no way to the API secret.
    pub(crate) api: ServerApi,
    pub(crate) meter: Arc<Meter>,
    /// Counts the tasks that run the user's code.
    pub(crate) tasks: UserTasks,
    /// Lease releases in flight.
    pub(crate) releases: Releases,
    /// The id that the server assigned at the last registration.
    worker_id: Mutex<Arc<str>>,
}

impl Parts {
    pub(crate) fn new(settings: Settings, connector: Arc<dyn RoomConnector>, api: ServerApi) -> Self {
        Self {
            settings,
            connector,
            api,
            meter: Arc::default(),
            tasks: UserTasks::default(),
            releases: Releases::default(),
            worker_id: Mutex::new("".into()),
        }
    }

    pub(crate) fn worker_id(&self) -> Arc<str> {
        self.worker_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_worker_id(&self, id: &str) {
        *self.worker_id.lock().unwrap_or_else(PoisonError::into_inner) = id.into();
    }
}
