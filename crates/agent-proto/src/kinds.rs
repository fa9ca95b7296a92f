//! Enums of the protocol that the APIs of several crates show.

/// The kind of a participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ParticipantKind {
    /// A person's client, or anything that joined with a plain token.
    #[default]
    Standard,
    /// A stream that is fed into the room (RTMP, WHIP, …).
    Ingress,
    /// A recorder.
    Egress,
    /// A telephone call.
    Sip,
    /// An agent, as we are.
    Agent,
    /// A connector to another network.
    Connector,
    /// A bridge to another conference.
    Bridge,
    /// A kind that this version does not know: the number on the wire.
    Unknown(i32),
}

impl ParticipantKind {
    /// Whether it represents a person: an ordinary client, a caller, or a user of another network; not an
    /// agent, recorder, stream or bridge.
    #[must_use]
    pub const fn is_human(self) -> bool {
        matches!(self, Self::Standard | Self::Sip | Self::Connector)
    }
}

impl From<i32> for ParticipantKind {
    fn from(kind: i32) -> Self {
        match kind {
            0 => Self::Standard,
            1 => Self::Ingress,
            2 => Self::Egress,
            3 => Self::Sip,
            4 => Self::Agent,
            7 => Self::Connector,
            8 => Self::Bridge,
            _ => Self::Unknown(kind),
        }
    }
}

/// A detail of a participant's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum KindDetail {
    /// An agent that LiveKit Cloud runs.
    CloudAgent,
    /// A participant of another room, whose tracks are forwarded to this one.
    Forwarded,
    /// A user of WhatsApp.
    ConnectorWhatsapp,
    /// A caller of Twilio.
    ConnectorTwilio,
    /// A camera, over RTSP.
    BridgeRtsp,
    /// A simulated user in a test of an agent.
    Simulation,
    /// A detail that this version does not know: the number on the wire.
    Unknown(i32),
}

impl From<i32> for KindDetail {
    fn from(detail: i32) -> Self {
        match detail {
            0 => Self::CloudAgent,
            1 => Self::Forwarded,
            2 => Self::ConnectorWhatsapp,
            3 => Self::ConnectorTwilio,
            4 => Self::BridgeRtsp,
            5 => Self::Simulation,
            _ => Self::Unknown(detail),
        }
    }
}

/// The source of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TrackSource {
    /// Not specified, or unknown to this version.
    #[default]
    Unknown,
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen's picture.
    ScreenShare,
    /// A shared screen's sound.
    ScreenShareAudio,
}

impl From<i32> for TrackSource {
    fn from(source: i32) -> Self {
        match source {
            1 => Self::Camera,
            2 => Self::Microphone,
            3 => Self::ScreenShare,
            4 => Self::ScreenShareAudio,
            _ => Self::Unknown,
        }
    }
}

impl From<TrackSource> for i32 {
    fn from(source: TrackSource) -> Self {
        match source {
            TrackSource::Unknown => 0,
            TrackSource::Camera => 1,
            TrackSource::Microphone => 2,
            TrackSource::ScreenShare => 3,
            TrackSource::ScreenShareAudio => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::livekit;
    use crate::livekit::participant_info::Kind;

    #[test]
    fn sources_are_those_of_the_protocol() {
        for number in 0..10 {
            let name = livekit::TrackSource::try_from(number)
                .map_or_else(|_| "Unknown".into(), |it| format!("{it:?}"));
            assert_eq!(format!("{:?}", TrackSource::from(number)), name);
            let back = if name == "Unknown" { 0 } else { number };
            assert_eq!(i32::from(TrackSource::from(number)), back);
        }
    }

    #[test]
    fn kinds_are_those_of_the_protocol() {
        for number in -1..20 {
            let name =
                Kind::try_from(number).map_or_else(|_| format!("Unknown({number})"), |it| format!("{it:?}"));
            assert_eq!(format!("{:?}", ParticipantKind::from(number)), name);
        }
    }

    #[test]
    fn details_are_those_of_the_protocol() {
        for number in -1..20 {
            let name = livekit::participant_info::KindDetail::try_from(number)
                .map_or_else(|_| format!("Unknown({number})"), |it| format!("{it:?}"));
            assert_eq!(format!("{:?}", KindDetail::from(number)), name);
        }
    }

    #[test]
    fn people_are_clients_callers_and_users_of_other_networks() {
        let human = (0..10).filter(|kind| ParticipantKind::from(*kind).is_human());
        assert!(human.eq([0, 3, 7]));
    }
}
