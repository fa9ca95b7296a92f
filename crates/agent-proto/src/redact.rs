//! `Debug` for the messages that carry a secret: code generation omits the derived one, so that no log line
//! can show a secret.

use std::fmt;

use crate::livekit::{IceServer, JobAssignment, RoomMovedResponse, signal_response};

const REDACTED: &str = "[redacted]";

impl fmt::Debug for JobAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobAssignment")
            .field("job", &self.job)
            .field("url", &self.url)
            .field("token", &REDACTED)
            .finish()
    }
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &REDACTED)
            .field("credential", &REDACTED)
            .finish()
    }
}

impl fmt::Debug for RoomMovedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomMovedResponse")
            .field("room", &self.room)
            .field("token", &REDACTED)
            .field("participant", &self.participant)
            .field("other_participants", &self.other_participants)
            .finish()
    }
}

impl fmt::Debug for signal_response::Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field: &dyn fmt::Debug = match self {
            Self::RefreshToken(_) => &REDACTED,
            Self::Join(m) => m,
            Self::Answer(m) | Self::Offer(m) => m,
            Self::Trickle(m) => m,
            Self::Update(m) => m,
            Self::TrackPublished(m) => m,
            Self::Leave(m) => m,
            Self::Mute(m) => m,
            Self::SpeakersChanged(m) => m,
            Self::RoomUpdate(m) => m,
            Self::ConnectionQuality(m) => m,
            Self::StreamStateUpdate(m) => m,
            Self::SubscriptionPermissionUpdate(m) => m,
            Self::TrackUnpublished(m) => m,
            Self::Pong(m) => m,
            Self::Reconnect(m) => m,
            Self::PongResp(m) => m,
            Self::SubscriptionResponse(m) => m,
            Self::RequestResponse(m) => m,
            Self::TrackSubscribed(m) => m,
            Self::RoomMoved(m) => m,
            Self::MediaSectionsRequirement(m) => m,
            Self::PublishDataTrackResponse(m) => m,
            Self::UnpublishDataTrackResponse(m) => m,
            Self::DataTrackSubscriberHandles(m) => m,
        };
        f.debug_tuple("Message").field(field).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::livekit::SignalResponse;

    #[test]
    fn no_secret_in_debug() {
        const SECRET: &str = "eyJhbGciOi";
        let refresh =
            SignalResponse { message: Some(signal_response::Message::RefreshToken(SECRET.to_owned())) };
        let assignment = JobAssignment { token: SECRET.to_owned(), ..Default::default() };
        let ice =
            IceServer { username: SECRET.to_owned(), credential: SECRET.to_owned(), ..Default::default() };
        let moved = RoomMovedResponse { token: SECRET.to_owned(), ..Default::default() };
        let shown = format!("{refresh:?} {assignment:?} {ice:?} {moved:?}");
        assert!(!shown.contains(SECRET), "{shown}");
        assert_eq!(shown.matches(REDACTED).count(), 5, "{shown}");
    }
}
