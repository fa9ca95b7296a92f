//! Spans for traces. Their names and attributes are those of the official SDKs.
//!
//! They are never entered: what runs within them logs in the spans of the log.

use tracing::Span;
use tracing::field::Empty;

use agent_room::Participant;

/// The target of all spans for traces. Their level is `TRACE`, so that a program that exports no traces
/// neither shows them nor pays for them.
pub const TRACE_TARGET: &str = "agent_worker::trace";

/// The span of a wait for a participant. It ends when it is dropped.
pub(crate) struct WaitSpan(Span);

impl WaitSpan {
    /// `of_one`: whether the wait is for one identity.
    pub(crate) fn begin(of_one: bool) -> Self {
        Self(tracing::trace_span!(
            target: TRACE_TARGET,
            "wait_for_participant",
            "lk.room_io.participant_filter" = of_one,
            "lk.participant_id" = Empty,
            "lk.pii.participant_identity" = Empty,
            "error.type" = Empty,
            "otel.status_description" = Empty,
        ))
    }

    pub(crate) fn found(&self, participant: &Participant) {
        self.0.record("lk.participant_id", participant.sid.as_str());
        self.0.record("lk.pii.participant_identity", participant.identity.as_str());
    }

    /// The text is without the filter, which may name a person.
    pub(crate) fn failed(&self, error: &'static str, text: &'static str) {
        self.0.record("error.type", error);
        self.0.record("otel.status_description", text);
    }
}
