//! Nothing that a server or a network sends makes the machine panic or violate its contract (I11).

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use agent_proto::{encode, livekit as proto};
use agent_room::{Input, Protocol, Publish, RoomCommand};

use crate::support::Pair;
use proto::data_track_subscriber_handles::PublishedDataTrack;
use proto::signal_response::Message as Response;

/// The phase of the room when the garbage arrives.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Unbound,
    Joining,
    Connected,
    Leaving,
}

fn pair(stage: Stage) -> Pair {
    let mut pair = Pair::new(|_| {});
    match stage {
        Stage::Unbound => {}
        Stage::Joining => pair.join(),
        Stage::Connected => pair.connect(),
        Stage::Leaving => {
            pair.connect();
            pair.lose = |_| true;
            pair.command(1, RoomCommand::Publish(Publish::new("t", "x")));
            pair.command(2, RoomCommand::Leave);
        }
    }
    pair
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![Just(Stage::Unbound), Just(Stage::Joining), Just(Stage::Connected), Just(Stage::Leaving)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        // Almost valid.
        "candidate:[0-9]{1,3} [0-9]{1,3} (udp|tcp|UDP) [0-9]{1,12} [0-9a-f:.]{1,20} [0-9]{1,7} typ (host|srflx|x)",
        "(v=0\r\n|o=- 1 1 IN IP4 0.0.0.0\r\n|s=-\r\n|t=0 0\r\n|m=(audio|application) [0-9]{1,5} [A-Z/]{1,20} [0-9]{1,3}\r\n|a=(mid:[a-z0-9]{0,20}|setup:(active|passive)|ice-ufrag:[a-z]{0,9}|ice-pwd:[a-z]{0,30}|fingerprint:sha-256 [0-9A-F:]{0,99}|group:BUNDLE [a-z0-9]{0,3}|sendonly)\r\n){0,20}",
    ]
}

fn participant() -> impl Strategy<Value = proto::ParticipantInfo> {
    (any::<i32>(), "(PA_me|PA_[a-c])?", "(me|[a-c])?", any::<u32>(), any::<i64>(), any::<i32>()).prop_map(
        |(state, sid, identity, version, joined_at, reason)| proto::ParticipantInfo {
            state: state % 5,
            sid,
            identity,
            version,
            joined_at,
            disconnect_reason: reason % 20,
            ..Default::default()
        },
    )
}

/// Messages that decode, with unusual contents.
fn message() -> impl Strategy<Value = Response> {
    let description = || {
        (text(), any::<String>()).prop_map(|(sdp, r#type)| proto::SessionDescription {
            r#type,
            sdp,
            ..Default::default()
        })
    };
    prop_oneof![
        description().prop_map(Response::Answer),
        description().prop_map(Response::Offer),
        text().prop_map(|text| {
            let candidate_init = format!("{{\"candidate\":{text:?}}}");
            Response::Trickle(proto::TrickleRequest { candidate_init, ..Default::default() })
        }),
        (vec(participant(), 0..5), any::<bool>()).prop_map(|(participants, full_snapshot)| {
            Response::Update(proto::ParticipantUpdate { participants, full_snapshot })
        }),
        (0..3_u32, "(DTR_[a-c])?").prop_map(|(pub_handle, sid)| {
            let info = Some(proto::DataTrackInfo { pub_handle, sid, ..Default::default() });
            Response::PublishDataTrackResponse(proto::PublishDataTrackResponse { info })
        }),
        any::<u32>().prop_map(|pub_handle| {
            let info = Some(proto::DataTrackInfo { pub_handle, ..Default::default() });
            Response::UnpublishDataTrackResponse(proto::UnpublishDataTrackResponse { info })
        }),
        btree_map(any::<u32>(), "(DTR_[a-c])?", 0..4).prop_map(|handles| {
            let track = |track_sid| PublishedDataTrack { track_sid, ..Default::default() };
            let sub_handles = handles.into_iter().map(|(handle, sid)| (handle, track(sid))).collect();
            Response::DataTrackSubscriberHandles(proto::DataTrackSubscriberHandles { sub_handles })
        }),
        (any::<i32>(), any::<i32>()).prop_map(|(ping_interval, ping_timeout)| {
            let participant = Some(proto::ParticipantInfo::default());
            Response::Join(proto::JoinResponse {
                ping_interval,
                ping_timeout,
                participant,
                ..Default::default()
            })
        }),
        (any::<i32>(), any::<i32>()).prop_map(|(reason, action)| {
            Response::Leave(proto::LeaveRequest { reason, action, ..Default::default() })
        }),
        (0..300_u32, 0..300_u32).prop_map(|(num_audios, num_videos)| {
            Response::MediaSectionsRequirement(proto::MediaSectionsRequirement { num_audios, num_videos })
        }),
        any::<i64>().prop_map(|last_ping_timestamp| {
            Response::PongResp(proto::Pong { last_ping_timestamp, timestamp: i64::MIN })
        }),
        (any::<u32>(), any::<i32>(), any::<String>(), any::<Option<u32>>()).prop_map(
            |(request_id, reason, message, handle)| {
                let request = handle.map(|pub_handle| {
                    let request = proto::PublishDataTrackRequest { pub_handle, ..Default::default() };
                    proto::request_response::Request::PublishDataTrack(request)
                });
                Response::RequestResponse(proto::RequestResponse { request_id, reason, message, request })
            },
        ),
        any::<f32>().prop_map(|level| {
            let speakers = vec![proto::SpeakerInfo { sid: "PA_me".to_owned(), level, active: true }];
            Response::SpeakersChanged(proto::SpeakersChanged { speakers })
        }),
    ]
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    // The first byte selects the protocol: STUN, DTLS, RTP, or an unknown one.
    let first = prop_oneof![0..4_u8, 20..64_u8, 128..192_u8, any::<u8>()];
    let stun = vec(any::<u8>(), 0..200).prop_map(|rest| {
        let mut packet = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        packet.extend(rest);
        let len = u16::try_from(packet.len().saturating_sub(20)).unwrap();
        packet.splice(2..4, len.to_be_bytes());
        packet
    });
    prop_oneof![
        (first, vec(any::<u8>(), 0..300)).prop_map(|(first, mut rest)| {
            rest.insert(0, first);
            rest
        }),
        stun,
        Just(Vec::new()),
        Just(vec![0; 5000]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_as_signalling(stage in stage(), frames in vec(vec(any::<u8>(), 0..200), 1..8)) {
        let mut pair = pair(stage);
        for frame in frames {
            if pair.closed.is_none() {
                pair.input(Input::SignalReceived(frame.into()));
            }
        }
        pair.run_for(Duration::from_millis(50));
    }

    #[test]
    fn unusual_messages_as_signalling(stage in stage(), messages in vec(message(), 1..8)) {
        let mut pair = pair(stage);
        pair.answers = false;
        for message in messages {
            if pair.closed.is_none() {
                let frame = encode(&proto::SignalResponse { message: Some(message) });
                pair.input(Input::SignalReceived(frame));
            }
        }
        pair.run_for(Duration::from_secs(60));
    }

    #[test]
    fn bytes_as_packets(stage in stage(), packets in vec((packet(), any::<bool>()), 1..8)) {
        let mut pair = pair(stage);
        for (packet, from_server) in packets {
            let source = if from_server { "127.0.0.1:2000" } else { "192.0.2.9:7" };
            if pair.closed.is_none() {
                pair.input(Input::PacketReceived {
                    protocol: Protocol::Udp,
                    source: source.parse().unwrap(),
                    destination: "127.0.0.1:1000".parse().unwrap(),
                    contents: packet.into(),
                });
            }
        }
        pair.run_for(Duration::from_millis(50));
        // A network without the keys cannot end a connection.
        if matches!(stage, Stage::Connected) {
            prop_assert!(pair.closed.is_none(), "{:?}", pair.closed);
            pair.command(9, RoomCommand::Publish(Publish::new("t", "still here")));
            pair.run_until("the packet", |pair| !pair.received.is_empty());
        }
    }
}
