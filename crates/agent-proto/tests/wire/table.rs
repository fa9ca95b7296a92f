//! The Rust types, ours and theirs, of each message of `proto/`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::arbitrary::NEWER_MESSAGES;
use crate::compat::Check;

/// One message: its full protobuf name and the checks of its two Rust types.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) check: Check,
}

impl Case {
    pub(crate) fn descriptor(&self) -> MessageDescriptor {
        let found = POOL.get_message_by_name(self.name);
        found.unwrap_or_else(|| panic!("{} is in the table, but not in proto/", self.name))
    }
}

/// `proto/`, compiled.
pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut files: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".proto"))
        .collect();
    files.sort();
    DescriptorPool::from_file_descriptor_set(protox::compile(files, [dir]).unwrap()).unwrap()
});

// The two generators agree on the path of a type, so that one is enough.
macro_rules! table {
    ($($name:literal: $($path:ident)::+;)+) => {
        pub(crate) const TABLE: &[Case] = &[$(Case {
            name: $name,
            check: Check::of::<agent_proto::livekit::$($path)::+, livekit_protocol::$($path)::+>(),
        }),+];
    };
}

table! {
// livekit_agent.proto
"livekit.WorkerMessage": WorkerMessage;
"livekit.ServerMessage": ServerMessage;
"livekit.Job": Job;
"livekit.JobState": JobState;
"livekit.AgentHttp": AgentHttp;
"livekit.AgentHttp.GoAway": agent_http::GoAway;
"livekit.RegisterWorkerRequest": RegisterWorkerRequest;
"livekit.RegisterWorkerResponse": RegisterWorkerResponse;
"livekit.AvailabilityRequest": AvailabilityRequest;
"livekit.AvailabilityResponse": AvailabilityResponse;
"livekit.JobAssignment": JobAssignment;
"livekit.JobTermination": JobTermination;
"livekit.UpdateJobStatus": UpdateJobStatus;
"livekit.UpdateWorkerStatus": UpdateWorkerStatus;
"livekit.SimulateJobRequest": SimulateJobRequest;
"livekit.MigrateJobRequest": MigrateJobRequest;
"livekit.WorkerPing": WorkerPing;
"livekit.WorkerPong": WorkerPong;
// livekit_agent_dispatch.proto
"livekit.CreateAgentDispatchRequest": CreateAgentDispatchRequest;
"livekit.RoomAgentDispatch": RoomAgentDispatch;
"livekit.DeleteAgentDispatchRequest": DeleteAgentDispatchRequest;
"livekit.ListAgentDispatchRequest": ListAgentDispatchRequest;
"livekit.ListAgentDispatchResponse": ListAgentDispatchResponse;
"livekit.AgentDispatch": AgentDispatch;
"livekit.AgentDispatchState": AgentDispatchState;
// livekit_models.proto
"livekit.Room": Room;
"livekit.TimedVersion": TimedVersion;
"livekit.Codec": Codec;
"livekit.ParticipantPermission": ParticipantPermission;
"livekit.ParticipantInfo": ParticipantInfo;
"livekit.Encryption": Encryption;
"livekit.VideoLayer": VideoLayer;
"livekit.TrackInfo": TrackInfo;
"livekit.DataTrackInfo": DataTrackInfo;
"livekit.DataPacket": DataPacket;
"livekit.EncryptedPacket": EncryptedPacket;
"livekit.EncryptedPacketPayload": EncryptedPacketPayload;
"livekit.ActiveSpeakerUpdate": ActiveSpeakerUpdate;
"livekit.SpeakerInfo": SpeakerInfo;
"livekit.UserPacket": UserPacket;
"livekit.SipDTMF": SipDtmf;
"livekit.Transcription": Transcription;
"livekit.TranscriptionSegment": TranscriptionSegment;
"livekit.ChatMessage": ChatMessage;
"livekit.RpcRequest": RpcRequest;
"livekit.RpcAck": RpcAck;
"livekit.RpcResponse": RpcResponse;
"livekit.RpcError": RpcError;
"livekit.DataStream": DataStream;
"livekit.DataStream.TextHeader": data_stream::TextHeader;
"livekit.DataStream.ByteHeader": data_stream::ByteHeader;
"livekit.DataStream.Header": data_stream::Header;
"livekit.DataStream.Chunk": data_stream::Chunk;
"livekit.DataStream.Trailer": data_stream::Trailer;
"livekit.ParticipantTracks": ParticipantTracks;
"livekit.ServerInfo": ServerInfo;
"livekit.ClientInfo": ClientInfo;
"livekit.ClientConfiguration": ClientConfiguration;
// livekit_room.proto
"livekit.CreateRoomRequest": CreateRoomRequest;
"livekit.ListRoomsRequest": ListRoomsRequest;
"livekit.ListRoomsResponse": ListRoomsResponse;
"livekit.DeleteRoomRequest": DeleteRoomRequest;
"livekit.DeleteRoomResponse": DeleteRoomResponse;
"livekit.ListParticipantsRequest": ListParticipantsRequest;
"livekit.ListParticipantsResponse": ListParticipantsResponse;
"livekit.RoomParticipantIdentity": RoomParticipantIdentity;
"livekit.RemoveParticipantResponse": RemoveParticipantResponse;
"livekit.UpdateParticipantRequest": UpdateParticipantRequest;
"livekit.UpdateRoomMetadataRequest": UpdateRoomMetadataRequest;
"livekit.MuteRoomTrackRequest": MuteRoomTrackRequest;
"livekit.MuteRoomTrackResponse": MuteRoomTrackResponse;
"livekit.SendDataRequest": SendDataRequest;
"livekit.SendDataResponse": SendDataResponse;
// livekit_rtc.proto
"livekit.SignalRequest": SignalRequest;
"livekit.SignalResponse": SignalResponse;
"livekit.WrappedJoinRequest": WrappedJoinRequest;
"livekit.JoinRequest": JoinRequest;
"livekit.ConnectionSettings": ConnectionSettings;
"livekit.JoinResponse": JoinResponse;
"livekit.ReconnectResponse": ReconnectResponse;
"livekit.ICEServer": IceServer;
"livekit.SessionDescription": SessionDescription;
"livekit.TrickleRequest": TrickleRequest;
"livekit.SimulcastCodec": SimulcastCodec;
"livekit.AddTrackRequest": AddTrackRequest;
"livekit.MuteTrackRequest": MuteTrackRequest;
"livekit.TrackPublishedResponse": TrackPublishedResponse;
"livekit.TrackUnpublishedResponse": TrackUnpublishedResponse;
"livekit.TrackSubscribed": TrackSubscribed;
"livekit.ParticipantUpdate": ParticipantUpdate;
"livekit.PublishDataTrackRequest": PublishDataTrackRequest;
"livekit.PublishDataTrackResponse": PublishDataTrackResponse;
"livekit.UnpublishDataTrackRequest": UnpublishDataTrackRequest;
"livekit.UnpublishDataTrackResponse": UnpublishDataTrackResponse;
"livekit.UpdateDataSubscription": UpdateDataSubscription;
"livekit.UpdateDataSubscription.Update": update_data_subscription::Update;
"livekit.DataTrackSubscriberHandles": DataTrackSubscriberHandles;
"livekit.DataTrackSubscriberHandles.PublishedDataTrack": data_track_subscriber_handles::PublishedDataTrack;
"livekit.UpdateSubscription": UpdateSubscription;
"livekit.UpdateTrackSettings": UpdateTrackSettings;
"livekit.SubscriptionPermission": SubscriptionPermission;
"livekit.TrackPermission": TrackPermission;
"livekit.SubscriptionPermissionUpdate": SubscriptionPermissionUpdate;
"livekit.SubscriptionResponse": SubscriptionResponse;
"livekit.LeaveRequest": LeaveRequest;
"livekit.UpdateParticipantMetadata": UpdateParticipantMetadata;
"livekit.RequestResponse": RequestResponse;
"livekit.SpeakersChanged": SpeakersChanged;
"livekit.RoomUpdate": RoomUpdate;
"livekit.RoomMovedResponse": RoomMovedResponse;
"livekit.ConnectionQualityUpdate": ConnectionQualityUpdate;
"livekit.ConnectionQualityInfo": ConnectionQualityInfo;
"livekit.StreamStateUpdate": StreamStateUpdate;
"livekit.StreamStateInfo": StreamStateInfo;
"livekit.SyncState": SyncState;
"livekit.DataChannelInfo": DataChannelInfo;
"livekit.DataChannelReceiveState": DataChannelReceiveState;
"livekit.SimulateScenario": SimulateScenario;
"livekit.Ping": Ping;
"livekit.Pong": Pong;
"livekit.MediaSectionsRequirement": MediaSectionsRequirement;
// livekit_sip.proto
"livekit.TransferSIPParticipantRequest": TransferSipParticipantRequest;
"livekit.TransferSIPParticipantResponse": TransferSipParticipantResponse;}

#[test]
fn the_table_holds_every_message() {
    let ours: BTreeSet<String> = POOL
        .all_messages()
        .filter(|m| !m.is_map_entry() && m.package_name() == "livekit")
        .map(|m| m.full_name().to_owned())
        .collect();
    let table: BTreeSet<String> = TABLE.iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(table.len(), TABLE.len(), "a message is in the table twice");
    let without: Vec<_> = ours.difference(&table).map(String::as_str).collect();
    assert_eq!(without, NEWER_MESSAGES);
    assert!(table.is_subset(&ours));
}
