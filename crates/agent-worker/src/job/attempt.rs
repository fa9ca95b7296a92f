//! The in-process half of an attempt, beside its description. Shared by its context and the driver.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use agent_core::Input;

use crate::job::attempt_room::AttemptRoom;
use crate::job::cancel::CancelSignal;
use crate::job::checkpoint::Checkpoints;
use crate::job::scope::Scope;
use crate::worker::parts::Parts;

pub(crate) struct AttemptLinks {
    pub(crate) parts: Arc<Parts>,
    /// The handle belongs to the attempt; the connection behind it is shared by all attempts.
    pub(crate) room: Arc<AttemptRoom>,
    /// The cancellation signal, also shared by all attempts.
    pub(crate) cancel: CancelSignal,
    pub(crate) scope: Arc<Scope>,
    /// Checkpoints that the attempt opens. `None`: the worker has no store.
    pub(crate) checkpoints: Option<Arc<Checkpoints>>,
    /// Sends inputs to the worker machine.
    pub(crate) inputs: UnboundedSender<Input>,
}
