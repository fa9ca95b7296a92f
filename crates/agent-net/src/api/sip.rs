//! Calls for SIP participants.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::livekit;

use super::call::Call;
use super::client::ServerApi;
use super::error::ApiError;

/// How long a server waits for the destination to answer, unless the transfer sets another time.
const RINGING_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest time that a transfer may ring.
const MAX_RINGING_TIMEOUT: Duration = Duration::from_secs(3600);

/// What a transfer takes beside the ringing.
const SLACK: Duration = Duration::from_secs(10);

/// A transfer of a caller to another number or address.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[must_use = "a transfer does nothing until it is sent"]
pub struct SipTransfer {
    to: String,
    play_dialtone: bool,
    headers: BTreeMap<String, String>,
    ringing_timeout: Option<Duration>,
}

impl SipTransfer {
    /// Creates a transfer to this destination, such as `tel:+15105550100` or `sip:desk@example.com`.
    pub fn new(to: impl Into<String>) -> Self {
        Self { to: to.into(), play_dialtone: false, headers: BTreeMap::new(), ringing_timeout: None }
    }

    /// The caller hears a dial tone meanwhile.
    pub fn play_dialtone(mut self) -> Self {
        self.play_dialtone = true;
        self
    }

    /// Adds a header to the SIP request that transfers the call.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// How long the destination may ring: at most an hour, 30 s unless set. The call waits for it.
    pub fn ringing_timeout(mut self, timeout: Duration) -> Self {
        self.ringing_timeout = Some(timeout.min(MAX_RINGING_TIMEOUT));
        self
    }

    /// How long the call takes at most.
    fn timeout(&self) -> Duration {
        self.ringing_timeout.unwrap_or(RINGING_TIMEOUT).saturating_add(SLACK)
    }
}

/// As [`SipTransfer::new`].
impl From<&str> for SipTransfer {
    fn from(to: &str) -> Self {
        Self::new(to)
    }
}

impl From<livekit::TransferSipParticipantRequest> for SipTransfer {
    fn from(request: livekit::TransferSipParticipantRequest) -> Self {
        Self {
            to: request.transfer_to,
            play_dialtone: request.play_dialtone,
            headers: request.headers,
            ringing_timeout: request.ringing_timeout.and_then(|timeout| timeout.try_into().ok()),
        }
    }
}

impl ServerApi {
    /// Transfers a caller, a participant that came over SIP, to another number or address, and waits until
    /// the transfer is done. The caller leaves the room with it.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is no such participant. A transfer whose
    /// call fails as [`Unreachable`](ApiError::Unreachable) may have taken place.
    pub async fn transfer_sip_participant(
        &self,
        room: &str,
        identity: &str,
        transfer: impl Into<SipTransfer>,
    ) -> Result<(), ApiError> {
        let transfer = transfer.into();
        let timeout = transfer.timeout();
        let request = livekit::TransferSipParticipantRequest {
            participant_identity: identity.to_owned(),
            room_name: room.to_owned(),
            transfer_to: transfer.to,
            play_dialtone: transfer.play_dialtone,
            headers: transfer.headers,
            // At most an hour, which fits.
            ringing_timeout: transfer.ringing_timeout.and_then(|timeout| timeout.try_into().ok()),
        };
        let _: livekit::TransferSipParticipantResponse =
            self.call_within(timeout, Call::TransferSipParticipant, room, &request).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_for_the_ringing_within_bounds() {
        assert_eq!(SipTransfer::new("tel:+1").timeout(), Duration::from_secs(40));
        let transfer = |timeout| SipTransfer::new("tel:+1").ringing_timeout(timeout).timeout();
        assert_eq!(transfer(Duration::from_secs(5)), Duration::from_secs(15));
        assert_eq!(transfer(Duration::MAX), Duration::from_secs(3610));
    }
}
