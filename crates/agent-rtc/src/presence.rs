//! Waiting for a participant.

use std::sync::Arc;
use std::time::Duration;

use agent_room::{DisconnectReason, Participant, ParticipantKind};

use super::handle::Room;
use super::trace::WaitSpan;

/// Which participants to wait for with [`Room::wait_for_participant`]. The default matches every participant
/// but us, without a time limit.
///
/// ```
/// use agent_worker::room::{ParticipantKind, ParticipantFilter};
/// use std::time::Duration;
///
/// let ada = ParticipantFilter::identity("ada").within(Duration::from_secs(30));
/// let caller = ParticipantFilter::kind(ParticipantKind::Sip);
/// let person = ParticipantFilter::human();
/// # let _ = (ada, caller, person);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it selects participants; pass it to `Room::wait_for_participant`"]
pub struct ParticipantFilter {
    identity: Option<String>,
    human: bool,
    kinds: Vec<ParticipantKind>,
    within: Option<Duration>,
}

/// Why waiting for a participant failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// No participant matched in time.
    #[error("no participant such as {filter:?} was there within {within:?}")]
    TimedOut {
        /// The filter.
        filter: ParticipantFilter,
        /// The time limit.
        within: Duration,
    },
    /// The room ended first.
    #[error("the room ended while a participant was waited for: {0}")]
    RoomOver(DisconnectReason),
}

impl ParticipantFilter {
    /// Every participant.
    pub fn anyone() -> Self {
        Self::default()
    }

    /// A [person](ParticipantKind::is_human): an ordinary client, a caller, or a user of another network.
    pub fn human() -> Self {
        Self { human: true, ..Self::default() }
    }

    /// A participant of this kind.
    pub fn kind(kind: ParticipantKind) -> Self {
        Self { kinds: vec![kind], ..Self::default() }
    }

    /// The participant of this identity.
    pub fn identity(identity: impl Into<String>) -> Self {
        Self { identity: Some(identity.into()), ..Self::default() }
    }

    /// Also accepts participants of this kind.
    pub fn or_kind(mut self, kind: ParticipantKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Maximum time to wait.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }

    /// Whether the participant matches, active or not.
    #[must_use]
    pub fn matches(&self, participant: &Participant) -> bool {
        let named = self.identity.as_ref().is_none_or(|identity| *identity == participant.identity);
        let of_any_kind = !self.human && self.kinds.is_empty();
        let fits = (self.human && participant.kind.is_human()) || self.kinds.contains(&participant.kind);
        named && (of_any_kind || fits)
    }
}

impl Room {
    /// Waits until such a participant is present and *active*, which means that data and media reach it;
    /// returns immediately if there is one already. Of several it returns the first by identity. Cancel-safe.
    ///
    /// # Errors
    /// [`WaitError`], if no such participant was active in time or the room ended. With `?` it ends a job as
    /// failed.
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult, room::ParticipantFilter};
    /// # use std::time::Duration;
    /// async fn agent(ctx: JobContext) -> JobResult {
    ///     let person = ctx.room().wait_for_participant(ParticipantFilter::human().within(Duration::from_secs(60))).await?;
    ///     ctx.room().publish_data("chat", "hello").to([&person.identity]).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn wait_for_participant(
        &self,
        filter: ParticipantFilter,
    ) -> Result<Arc<Participant>, WaitError> {
        let found = async {
            let mut changes = self.changes();
            loop {
                changes.mark_unchanged();
                if let Some(there) = self.participants().into_iter().find(|p| p.active && filter.matches(p)) {
                    return Ok(there);
                }
                tokio::select! {
                    biased;
                    // The sender is in the room that we hold.
                    _ = changes.changed() => {}
                    reason = self.closed() => return Err(WaitError::RoomOver(reason)),
                }
            }
        };
        let span = WaitSpan::begin(filter.identity.is_some());
        let result = match filter.within {
            None => found.await,
            Some(within) => match tokio::time::timeout(within, found).await {
                Ok(found) => found,
                Err(_) => Err(WaitError::TimedOut { filter: filter.clone(), within }),
            },
        };
        match &result {
            Ok(participant) => span.found(participant),
            Err(WaitError::TimedOut { .. }) => {
                span.failed("timed_out", "no such participant was there in time")
            }
            Err(WaitError::RoomOver(_)) => span.failed("room_ended", "the room ended first"),
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use agent_room::{Connected, RoomEvent, RoomInfo};

    use super::*;
    use crate::RoomBackend;

    fn participant(identity: &str, kind: ParticipantKind, active: bool) -> Arc<Participant> {
        let mut participant = Participant::new(format!("PA_{identity}"), identity);
        (participant.kind, participant.active) = (kind, active);
        Arc::new(participant)
    }

    fn room(there: Vec<Arc<Participant>>) -> (Room, RoomBackend) {
        let mut connected = Connected::new(RoomInfo::new("RM_1", "lobby"), Participant::new("PA_me", "me"));
        connected.participants = there;
        RoomBackend::new(connected)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_participant_who_is_present_is_found_at_once() {
        let bot = participant("a-bot", ParticipantKind::Agent, true);
        let ada = participant("ada", ParticipantKind::Standard, true);
        let (room, _backend) = room(vec![bot.clone(), ada.clone()]);
        assert_eq!(room.wait_for_participant(ParticipantFilter::anyone()).await, Ok(bot.clone()));
        assert_eq!(room.wait_for_participant(ParticipantFilter::human()).await, Ok(ada.clone()));
        assert_eq!(room.wait_for_participant(ParticipantFilter::identity("ada")).await, Ok(ada.clone()));
        let either = ParticipantFilter::kind(ParticipantKind::Sip).or_kind(ParticipantKind::Agent);
        assert_eq!(room.wait_for_participant(either).await, Ok(bot));
    }

    #[tokio::test(start_paused = true)]
    async fn a_participant_who_joins_counts_once_active() {
        let (room, mut backend) = room(vec![]);
        let waiting = tokio::spawn({
            let room = room.clone();
            async move { room.wait_for_participant(ParticipantFilter::identity("ada").within(MINUTE)).await }
        });
        tokio::time::sleep(MINUTE / 4).await;
        backend.emit(RoomEvent::ParticipantJoined(participant("ada", ParticipantKind::Standard, false)));
        backend.emit(RoomEvent::ParticipantActive(participant("bob", ParticipantKind::Standard, true)));
        tokio::time::sleep(MINUTE / 4).await;
        assert!(!waiting.is_finished());
        let ada = participant("ada", ParticipantKind::Standard, true);
        backend.emit(RoomEvent::ParticipantActive(ada.clone()));
        assert_eq!(waiting.await.unwrap(), Ok(ada));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_and_the_end_of_the_room_are_errors() {
        let (room, mut backend) = room(vec![]);
        let filter = ParticipantFilter::human().within(MINUTE);
        let late = room.wait_for_participant(filter.clone()).await;
        assert_eq!(late, Err(WaitError::TimedOut { filter, within: MINUTE }));
        backend.emit(RoomEvent::Disconnected { reason: DisconnectReason::RoomDeleted });
        let over = room.wait_for_participant(ParticipantFilter::human()).await;
        assert_eq!(over, Err(WaitError::RoomOver(DisconnectReason::RoomDeleted)));
    }
}
