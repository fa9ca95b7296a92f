//! What an attempt holds in the worker's own process, beside its description: its context and the driver
//! share it.

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
    /// The handle is the attempt's own; the connection behind it is one for all attempts.
    pub(crate) room: Arc<AttemptRoom>,
    /// One for all attempts, too: the signal to stop.
    pub(crate) cancel: CancelSignal,
    pub(crate) scope: Arc<Scope>,
    /// An attempt takes over what the one before it has opened.
    /// `None`: the worker has no store.
    pub(crate) checkpoints: Option<Arc<Checkpoints>>,
    /// To the machine.
    pub(crate) tell: UnboundedSender<Input>,
}
