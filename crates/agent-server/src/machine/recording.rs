//! How a recording has what agent-room defines: inputs so that they come back as they were, outputs as `Debug` shows them, which redacts
//! what is secret. Feature `serde`.

use std::fmt::Debug;

use serde::Serializer;

/// For outputs, which are only compared.
pub(super) fn debug<T: Debug, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:?}"))
}

/// Permissions as the message of the protocol.
pub(super) mod permissions {
    use agent_proto::livekit as wire;
    use agent_proto::recording::message;
    use agent_room::Permissions;
    use serde::{Deserializer, Serializer};

    use crate::machine::wire::to_wire_permission;

    pub(in crate::machine) fn serialize<S: Serializer>(
        permissions: &Permissions,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        message::serialize(&to_wire_permission(permissions), serializer)
    }

    pub(in crate::machine) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Permissions, D::Error> {
        let permissions: wire::ParticipantPermission = message::deserialize(deserializer)?;
        Ok(Permissions::from(&permissions))
    }
}

/// The number of the protocol.
pub(super) mod track_kind {
    use agent_proto::livekit as wire;
    use agent_room::TrackKind;
    use serde::ser::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::machine) fn serialize<S: Serializer>(
        kind: &TrackKind,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(match kind {
            TrackKind::Audio => wire::TrackType::Audio.into(),
            TrackKind::Video => wire::TrackType::Video.into(),
            TrackKind::Data => wire::TrackType::Data.into(),
            TrackKind::Unknown(number) => *number,
            kind => return Err(S::Error::custom(format_args!("a kind without a number: {kind:?}"))),
        })
    }

    pub(in crate::machine) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TrackKind, D::Error> {
        i32::deserialize(deserializer).map(TrackKind::from)
    }
}

/// The number of the protocol.
pub(super) mod track_source {
    use agent_proto::livekit as wire;
    use agent_room::TrackSource;
    use serde::ser::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::machine) fn serialize<S: Serializer>(
        source: &TrackSource,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let source = match source {
            TrackSource::Unknown => wire::TrackSource::Unknown,
            TrackSource::Camera => wire::TrackSource::Camera,
            TrackSource::Microphone => wire::TrackSource::Microphone,
            TrackSource::ScreenShare => wire::TrackSource::ScreenShare,
            TrackSource::ScreenShareAudio => wire::TrackSource::ScreenShareAudio,
            source => return Err(S::Error::custom(format_args!("a source without a number: {source:?}"))),
        };
        serializer.serialize_i32(source.into())
    }

    pub(in crate::machine) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TrackSource, D::Error> {
        i32::deserialize(deserializer).map(TrackSource::from)
    }
}

/// Why a participant left, by the name of the reason. Reasons that only a client can have are refused.
pub(super) mod reason {
    use agent_room::DisconnectReason;
    use agent_room::DisconnectReason as Reason;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    const NAMES: [(Reason, &str); 17] = [
        (Reason::ClientInitiated, "ClientInitiated"),
        (Reason::DuplicateIdentity, "DuplicateIdentity"),
        (Reason::ServerShutdown, "ServerShutdown"),
        (Reason::Removed, "Removed"),
        (Reason::RoomDeleted, "RoomDeleted"),
        (Reason::RoomClosed, "RoomClosed"),
        (Reason::StateMismatch, "StateMismatch"),
        (Reason::Migration, "Migration"),
        (Reason::ConnectionTimeout, "ConnectionTimeout"),
        (Reason::MediaFailure, "MediaFailure"),
        (Reason::SignalClosed, "SignalClosed"),
        (Reason::UserUnavailable, "UserUnavailable"),
        (Reason::UserRejected, "UserRejected"),
        (Reason::SipTrunkFailure, "SipTrunkFailure"),
        (Reason::AgentError, "AgentError"),
        (Reason::ReconnectRequested, "ReconnectRequested"),
        (Reason::Unspecified, "Unspecified"),
    ];

    pub(in crate::machine) fn serialize<S: Serializer>(
        reason: &DisconnectReason,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let name = NAMES.iter().find(|(named, _)| named == reason).map(|(_, name)| *name);
        let name = name.ok_or_else(|| S::Error::custom(format_args!("no server knows {reason:?}")))?;
        serializer.serialize_str(name)
    }

    pub(in crate::machine) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DisconnectReason, D::Error> {
        let name = String::deserialize(deserializer)?;
        let reason = NAMES.into_iter().find(|(_, named)| *named == name).map(|(reason, _)| reason);
        reason.ok_or_else(|| D::Error::custom(format_args!("no reason to leave a room: {name:?}")))
    }
}

/// Who speaks, and how loud.
pub(super) mod speakers {
    use agent_room::Speaker;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Written {
        identity: String,
        #[serde(with = "agent_proto::recording::float")]
        level: f32,
    }

    pub(in crate::machine) fn serialize<S: Serializer>(
        speakers: &[Speaker],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let written =
            |speaker: &Speaker| Written { identity: speaker.identity.clone(), level: speaker.level };
        serializer.collect_seq(speakers.iter().map(written))
    }

    pub(in crate::machine) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Speaker>, D::Error> {
        let written = Vec::<Written>::deserialize(deserializer)?;
        Ok(written.into_iter().map(|speaker| Speaker::new(speaker.identity, speaker.level)).collect())
    }
}

/// A data message.
pub(super) mod publish {
    use agent_room::Publish;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    pub(super) struct Written {
        #[serde(with = "agent_proto::recording::bytes")]
        payload: Bytes,
        topic: String,
        destinations: Vec<String>,
        reliable: bool,
    }

    impl From<&Publish> for Written {
        fn from(message: &Publish) -> Self {
            Self {
                payload: message.payload.clone(),
                topic: message.topic.clone(),
                destinations: message.destinations.clone(),
                reliable: message.reliable,
            }
        }
    }

    impl From<Written> for Publish {
        fn from(written: Written) -> Self {
            let mut message = Self::new(written.topic, written.payload);
            message.destinations = written.destinations;
            message.reliable = written.reliable;
            message
        }
    }

    pub(in crate::machine) fn serialize<S: Serializer>(
        message: &Publish,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Written::from(message).serialize(serializer)
    }

    pub(in crate::machine) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Publish, D::Error> {
        Written::deserialize(deserializer).map(Publish::from)
    }
}

/// What a participant asks for.
pub(super) mod command {
    use std::collections::BTreeMap;

    use agent_room::RoomCommand;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::publish;

    #[derive(Serialize, Deserialize)]
    enum Written {
        Publish(publish::Written),
        SetMetadata(String),
        SetName(String),
        SetAttributes(BTreeMap<String, String>),
        Leave,
    }

    pub(in crate::machine) fn serialize<S: Serializer>(
        command: &RoomCommand,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match command {
            RoomCommand::Publish(message) => Written::Publish(message.into()),
            RoomCommand::SetMetadata(metadata) => Written::SetMetadata(metadata.clone()),
            RoomCommand::SetName(name) => Written::SetName(name.clone()),
            RoomCommand::SetAttributes(attributes) => Written::SetAttributes(attributes.clone()),
            RoomCommand::Leave => Written::Leave,
        }
        .serialize(serializer)
    }

    pub(in crate::machine) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RoomCommand, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Publish(message) => RoomCommand::Publish(message.into()),
            Written::SetMetadata(metadata) => RoomCommand::SetMetadata(metadata),
            Written::SetName(name) => RoomCommand::SetName(name),
            Written::SetAttributes(attributes) => RoomCommand::SetAttributes(attributes),
            Written::Leave => RoomCommand::Leave,
        })
    }
}
