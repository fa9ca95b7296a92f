//! The stores of a worker, before it is built.

use std::sync::Arc;

use agent_core::{CheckpointStore, CoordinationError, Coordinator, StoreError};

use crate::worker::config_error::ConfigError;
use crate::worker::settings::Settings;

/// A store, or how it is opened when the worker is built.
pub(crate) enum StoreSource<S: ?Sized, E> {
    Open(Arc<S>),
    Closed(Box<dyn FnOnce() -> Result<Arc<S>, E> + Send>),
}

pub(crate) type CheckpointSource = StoreSource<dyn CheckpointStore, StoreError>;
pub(crate) type CoordinatorSource = StoreSource<dyn Coordinator, CoordinationError>;

/// The stores of a worker.
#[derive(Default)]
pub(crate) struct Stores {
    pub(crate) checkpoints: Option<CheckpointSource>,
    pub(crate) coordinator: Option<CoordinatorSource>,
}

impl<S: ?Sized, E> StoreSource<S, E> {
    pub(crate) fn open(self) -> Result<Arc<S>, E> {
        match self {
            Self::Open(store) => Ok(store),
            Self::Closed(open) => open(),
        }
    }
}

impl Stores {
    /// Opens them for a worker with these settings.
    pub(crate) fn open(self, settings: &mut Settings) -> Result<(), ConfigError> {
        let Self { checkpoints, coordinator } = self;
        settings.checkpoints.store =
            checkpoints.map(StoreSource::open).transpose().map_err(ConfigError::Checkpoints)?;
        settings.coordination.coordinator =
            coordinator.map(StoreSource::open).transpose().map_err(ConfigError::Coordinator)?;
        Ok(())
    }
}
