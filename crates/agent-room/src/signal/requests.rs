//! Changes of our own name, metadata and attributes: those without an answer, and the sum of the accepted
//! ones.

use std::collections::BTreeMap;

use agent_proto::Time;
use agent_proto::livekit::{RequestResponse, UpdateParticipantMetadata};

use crate::refusal::refusal;
use crate::{CommandId, RoomError};

#[derive(Default)]
pub(super) struct Requests {
    /// Keyed by request id.
    waiting: BTreeMap<u32, Waiting>,
    last: u32,
    /// The accepted changes: a new session would start with the values of the token.
    own: UpdateParticipantMetadata,
}

/// Maximum number of connections on which a change is sent. If none of them answers, the change may be what
/// ended them.
const MAX_SENT: u32 = 3;

/// A change without an answer.
struct Waiting {
    /// The command.
    id: CommandId,
    /// Number of connections on which it was sent.
    sent: u32,
    change: UpdateParticipantMetadata,
    until: Time,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps a change until it is answered, whether it is sent now or with the next connection; returns it
    /// with its number.
    pub(super) fn add(
        &mut self,
        id: CommandId,
        mut change: UpdateParticipantMetadata,
        until: Time,
        sent: bool,
    ) -> UpdateParticipantMetadata {
        change.request_id = self.number();
        let waiting = Waiting { id, sent: sent.into(), change: change.clone(), until };
        self.waiting.insert(change.request_id, waiting);
        change
    }

    /// The server reads zero as "no answer requested", so it is skipped.
    fn number(&mut self) -> u32 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.waiting.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    /// The unanswered changes in order, to be repeated on another connection.
    pub(super) fn repeat(&mut self, until: Time) -> Vec<UpdateParticipantMetadata> {
        let waiting = self.waiting.values_mut();
        let mut changes: Vec<(CommandId, UpdateParticipantMetadata)> = waiting
            .map(|waiting| {
                waiting.until = until;
                waiting.sent += 1;
                (waiting.id, waiting.change.clone())
            })
            .collect();
        changes.sort_by_key(|(id, _)| *id);
        changes.into_iter().map(|(_, change)| change).collect()
    }

    /// Removes those that have been sent often enough, instead of repeating them.
    pub(super) fn given_up(&mut self) -> Vec<CommandId> {
        self.waiting
            .extract_if(.., |_, waiting| waiting.sent >= MAX_SENT)
            .map(|(_, waiting)| waiting.id)
            .collect()
    }

    /// The accepted changes for a new session; `None` if there are none.
    pub(super) fn own(&mut self) -> Option<UpdateParticipantMetadata> {
        if self.own == UpdateParticipantMetadata::default() {
            return None;
        }
        Some(UpdateParticipantMetadata { request_id: self.number(), ..self.own.clone() })
    }

    /// The command that is answered, and its result. `None`: there is none (any more).
    pub(super) fn answered(
        &mut self,
        response: RequestResponse,
    ) -> Option<(CommandId, Result<(), RoomError>)> {
        let Waiting { id, change, .. } = self.waiting.remove(&response.request_id)?;
        let result = refusal(&response).map_or(Ok(()), Err);
        if result.is_ok() {
            self.keep(change);
        }
        Some((id, result))
    }

    /// Removes the changes that timed out.
    pub(super) fn expired(&mut self, now: Time) -> Vec<CommandId> {
        let over: Vec<u32> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.until <= now)
            .map(|(request, _)| *request)
            .collect();
        over.into_iter()
            .filter_map(|request| self.waiting.remove(&request))
            .map(|waiting| waiting.id)
            .collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    /// Removes all unanswered changes, in order.
    pub(super) fn take_all(&mut self) -> Vec<CommandId> {
        std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.id).collect()
    }

    /// The server limits values, so this is limited too. A deleted attribute is kept as such: the token may
    /// have it.
    fn keep(&mut self, change: UpdateParticipantMetadata) {
        if !change.metadata.is_empty() {
            self.own.metadata = change.metadata;
        }
        if !change.name.is_empty() {
            self.own.name = change.name;
        }
        self.own.attributes.extend(change.attributes);
    }
}
