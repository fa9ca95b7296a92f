//! Changes of our own name, metadata and attributes: those that wait for the server's answer, and what all of them came to.

use crate::{CommandId, RoomError};
use agent_proto::{
    Time,
    livekit::{RequestResponse, UpdateParticipantMetadata, request_response::Reason},
};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Requests {
    /// By request id.
    waiting: BTreeMap<u32, Waiting>,
    last: u32,
    /// What the server has taken: another session would begin with what the token says.
    own: UpdateParticipantMetadata,
}

/// Connections on which a change is sent. One that is answered on none of them may be what ended them.
const MAX_SENT: u32 = 3;

/// One that is not answered yet.
struct Waiting {
    /// Who asked.
    id: CommandId,
    /// On how many connections it was sent.
    sent: u32,
    change: UpdateParticipantMetadata,
    until: Time,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps a change until it is answered, one that is sent now or with the next connection; gives it back with its number.
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

    /// Zero is "no answer wanted" to the server, so it is left out.
    fn number(&mut self) -> u32 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.waiting.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    /// What waits, to be sent again on another connection, in the order in which it was asked.
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

    /// Those that have been sent often enough, before they would be sent again.
    pub(super) fn given_up(&mut self) -> Vec<CommandId> {
        self.waiting
            .extract_if(.., |_, waiting| waiting.sent >= MAX_SENT)
            .map(|(_, waiting)| waiting.id)
            .collect()
    }

    /// What we have made of ourselves, for another session; `None` if nothing.
    pub(super) fn own(&mut self) -> Option<UpdateParticipantMetadata> {
        if self.own == UpdateParticipantMetadata::default() {
            return None;
        }
        Some(UpdateParticipantMetadata { request_id: self.number(), ..self.own.clone() })
    }

    /// Who is answered, and how. `None`: nobody asked (any more).
    pub(super) fn answered(
        &mut self,
        response: RequestResponse,
    ) -> Option<(CommandId, Result<(), RoomError>)> {
        let Waiting { id, change, .. } = self.waiting.remove(&response.request_id)?;
        let reason = response.reason();
        let detail = match response.message {
            text if text.is_empty() => reason.as_str_name().to_owned(),
            text => super::shorten(&text),
        };
        let result = match reason {
            // A number that this version does not know reads as OK; only the known zero is.
            Reason::Ok if response.reason != Reason::Ok as i32 => {
                Err(RoomError::Refused { detail: format!("reason {}", response.reason) })
            }
            Reason::Ok | Reason::Queued => Ok(()),
            Reason::NotAllowed => Err(RoomError::NotAllowed { detail }),
            Reason::LimitExceeded => Err(RoomError::OverLimit { detail }),
            Reason::NotFound | Reason::UnsupportedType | Reason::UnclassifiedError => {
                Err(RoomError::Refused { detail })
            }
        };
        if result.is_ok() {
            self.keep(change);
        }
        Some((id, result))
    }

    /// Those whose time is over.
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

    /// All who still wait, in the order in which they asked.
    pub(super) fn take_all(&mut self) -> Vec<CommandId> {
        std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.id).collect()
    }

    /// The server bounds what it takes, so this is bounded too. A deleted attribute stays as such: the token may have it.
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
