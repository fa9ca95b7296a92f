//! Changes of our own metadata that wait for the server's answer.

use crate::{CommandError, CommandId};
use agent_proto::livekit::{RequestResponse, request_response::Reason};
use std::{collections::BTreeMap, time::Instant};

/// By request id: who asked, and until when the answer is awaited.
#[derive(Default)]
pub(super) struct Requests {
    waiting: BTreeMap<u32, (CommandId, Instant)>,
    last: u32,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// A new request id. Zero is "no answer wanted" to the server, so it is left out.
    pub(super) fn add(&mut self, id: CommandId, until: Instant) -> u32 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.waiting.contains_key(&self.last) {
                break;
            }
        }
        self.waiting.insert(self.last, (id, until));
        self.last
    }

    /// Who is answered, and how. `None`: nobody asked (any more).
    pub(super) fn answered(
        &mut self,
        response: RequestResponse,
    ) -> Option<(CommandId, Result<(), CommandError>)> {
        let (id, _) = self.waiting.remove(&response.request_id)?;
        let reason = response.reason();
        let detail = match response.message {
            text if text.is_empty() => reason.as_str_name().to_owned(),
            text => super::shorten(&text),
        };
        let result = match reason {
            // A number that this version does not know reads as OK; only the known zero is.
            Reason::Ok if response.reason != Reason::Ok as i32 => {
                Err(CommandError::Refused { detail: format!("reason {}", response.reason) })
            }
            Reason::Ok | Reason::Queued => Ok(()),
            Reason::NotAllowed => Err(CommandError::NotAllowed { detail }),
            Reason::NotFound
            | Reason::LimitExceeded
            | Reason::UnsupportedType
            | Reason::UnclassifiedError => Err(CommandError::Refused { detail }),
        };
        Some((id, result))
    }

    /// Those whose time is over.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<CommandId> {
        let over: Vec<u32> = self
            .waiting
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(request, _)| *request)
            .collect();
        over.into_iter().filter_map(|request| self.waiting.remove(&request)).map(|(id, _)| id).collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.waiting.values().map(|(_, until)| *until).min()
    }

    /// All who still wait, in the order in which they asked.
    pub(super) fn take_all(&mut self) -> Vec<CommandId> {
        std::mem::take(&mut self.waiting).into_values().map(|(id, _)| id).collect()
    }
}
