//! Permissions of a participant, as the API shows and sets them.

use agent_proto::livekit;

/// What a participant may do in its room.
///
/// The server replaces all permissions at once. To change one of them, start with those that the participant
/// [has](super::ParticipantSummary::permissions).
///
/// ```no_run
/// # async fn example(room: agent_worker::api::RoomApi) -> Result<(), agent_worker::api::ApiError> {
/// use agent_worker::api::ParticipantChange;
///
/// let mut permissions = room.participant("eve").await?.permissions;
/// permissions.can_publish_data = false;
/// room.update_participant("eve", ParticipantChange::new().permissions(permissions)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ParticipantPermissions {
    /// Whether it may receive tracks.
    pub can_subscribe: bool,
    /// Whether it may publish tracks.
    pub can_publish: bool,
    /// Whether it may send data.
    pub can_publish_data: bool,
    /// Whether it may change its own metadata, name and attributes.
    pub can_update_metadata: bool,
    /// Whether it is not shown to the other participants.
    pub hidden: bool,
    /// The sources of tracks that it may publish; empty: all.
    pub sources: Vec<PublishSource>,
    /// What this client does not show, as it was.
    #[serde(skip)]
    others: Others,
}

/// A source of a track that a participant may publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PublishSource {
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// The picture of a screen.
    ScreenShare,
    /// The sound of a screen.
    ScreenShareAudio,
    /// A source that this version does not know, by its number in the protocol.
    Other(i32),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Others {
    recorder: bool,
    agent: bool,
    can_subscribe_metrics: bool,
    can_manage_agent_session: bool,
}

impl ParticipantPermissions {
    /// The permissions of a participant whose token names none: to subscribe, to publish all sources, and to
    /// send data.
    #[must_use]
    pub fn new() -> Self {
        Self { can_subscribe: true, can_publish: true, can_publish_data: true, ..Self::default() }
    }
}

impl From<livekit::ParticipantPermission> for ParticipantPermissions {
    fn from(wire: livekit::ParticipantPermission) -> Self {
        Self {
            can_subscribe: wire.can_subscribe,
            can_publish: wire.can_publish,
            can_publish_data: wire.can_publish_data,
            can_update_metadata: wire.can_update_metadata,
            hidden: wire.hidden,
            sources: wire.can_publish_sources.iter().map(|source| PublishSource::of(*source)).collect(),
            others: Others {
                recorder: wire.recorder,
                agent: wire.agent,
                can_subscribe_metrics: wire.can_subscribe_metrics,
                can_manage_agent_session: wire.can_manage_agent_session,
            },
        }
    }
}

impl From<ParticipantPermissions> for livekit::ParticipantPermission {
    fn from(permissions: ParticipantPermissions) -> Self {
        Self {
            can_subscribe: permissions.can_subscribe,
            can_publish: permissions.can_publish,
            can_publish_data: permissions.can_publish_data,
            can_update_metadata: permissions.can_update_metadata,
            hidden: permissions.hidden,
            can_publish_sources: permissions.sources.into_iter().map(PublishSource::number).collect(),
            recorder: permissions.others.recorder,
            agent: permissions.others.agent,
            can_subscribe_metrics: permissions.others.can_subscribe_metrics,
            can_manage_agent_session: permissions.others.can_manage_agent_session,
        }
    }
}

impl PublishSource {
    fn of(number: i32) -> Self {
        match livekit::TrackSource::try_from(number) {
            Ok(livekit::TrackSource::Camera) => Self::Camera,
            Ok(livekit::TrackSource::Microphone) => Self::Microphone,
            Ok(livekit::TrackSource::ScreenShare) => Self::ScreenShare,
            Ok(livekit::TrackSource::ScreenShareAudio) => Self::ScreenShareAudio,
            Ok(livekit::TrackSource::Unknown) | Err(_) => Self::Other(number),
        }
    }

    fn number(self) -> i32 {
        match self {
            Self::Camera => livekit::TrackSource::Camera.into(),
            Self::Microphone => livekit::TrackSource::Microphone.into(),
            Self::ScreenShare => livekit::TrackSource::ScreenShare.into(),
            Self::ScreenShareAudio => livekit::TrackSource::ScreenShareAudio.into(),
            Self::Other(number) => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_written_as_they_were_read() {
        let wire = livekit::ParticipantPermission {
            can_subscribe: true,
            can_publish: false,
            can_publish_data: true,
            hidden: true,
            recorder: true,
            can_publish_sources: vec![1, 2, 3, 4, 0, 99],
            can_update_metadata: true,
            agent: true,
            can_subscribe_metrics: true,
            can_manage_agent_session: true,
        };
        let permissions = ParticipantPermissions::from(wire.clone());
        assert_eq!(permissions.sources.first(), Some(&PublishSource::Camera));
        assert_eq!(livekit::ParticipantPermission::from(permissions), wire);
    }
}
