//! Makes a message of each kind; a number chooses its content.

use agent_proto::livekit as proto;

use super::kinds::InputKind;
use crate::signal::tests::{info, join, leave, track};
use proto::leave_request::Action;
use proto::participant_info::State;
use proto::signal_response::Message as Response;

const IDENTITIES: [&str; 4] = ["ada", "bob", "eve", "joe"];

/// A few bits of a number, from the lowest up.
pub(super) struct Bits(pub(super) u32);

impl Bits {
    /// A number below this one.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        let bits = self.0 % limit;
        self.0 /= limit;
        bits
    }

    fn is(&mut self) -> bool {
        self.below(2) == 1
    }

    fn identity(&mut self) -> &'static str {
        IDENTITIES[self.below(4) as usize]
    }
}

/// The sid of a track, of a few of each participant.
pub(super) fn track_sid(bits: &mut Bits) -> String {
    let identity = bits.identity();
    format!("TR_{identity}{}", bits.below(3))
}

fn participant_sid(bits: &mut Bits) -> String {
    match bits.below(8) {
        0 => "PA_me".to_owned(),
        _ => format!("PA_{}{}", bits.identity(), bits.below(2)),
    }
}

/// A snapshot of a participant, sometimes of our own or of nobody.
fn participant(bits: &mut Bits) -> proto::ParticipantInfo {
    let identity = bits.identity();
    let mut it = match bits.below(12) {
        0 => info("PA_me", "me", 0),
        1 => return info("", "", 0),
        _ => info(&format!("PA_{identity}{}", bits.below(2)), identity, 0),
    };
    it.version = bits.below(4);
    it.state =
        [State::Joined, State::Active, State::Active, State::Disconnected][bits.below(4) as usize] as i32;
    for n in 0..3 {
        if bits.is() {
            let kind = if n == 2 { proto::TrackType::Video } else { proto::TrackType::Audio };
            it.tracks.push(track(&format!("TR_{identity}{n}"), kind, bits.is()));
        }
    }
    if bits.is() {
        it.data_tracks = vec![proto::DataTrackInfo { sid: format!("DTR_{identity}"), ..Default::default() }];
    }
    it.metadata = ["", "m"][bits.below(2) as usize].to_owned();
    it.name = ["", "n"][bits.below(2) as usize].to_owned();
    it.attributes.extend(bits.is().then(|| ("k".to_owned(), "v".to_owned())));
    it.joined_at_ms = bits.below(3).into();
    it.permission = bits.is().then(|| proto::ParticipantPermission {
        can_subscribe: bits.is(),
        can_publish_data: true,
        ..Default::default()
    });
    it
}

fn participants(bits: &mut Bits) -> Vec<proto::ParticipantInfo> {
    (0..bits.below(3)).map(|n| participant(&mut Bits(bits.0.rotate_left(n * 11)))).collect()
}

fn room(bits: &mut Bits) -> proto::Room {
    let sid = ["", "RM_1", "RM_2"][bits.below(3) as usize].to_owned();
    let metadata = ["", "m"][bits.below(2) as usize].to_owned();
    proto::Room {
        sid,
        name: "lobby".to_owned(),
        metadata,
        num_participants: bits.below(3),
        ..Default::default()
    }
}

/// A message of this kind; `None`: it is not the kind of a message.
pub(super) fn message(kind: InputKind, number: u32) -> Option<Response> {
    use InputKind as K;
    let bits = &mut Bits(number);
    Some(match kind {
        K::Join => Response::Join(proto::JoinResponse {
            room: Some(room(bits)),
            ping_interval: [5, 0][bits.below(2) as usize],
            other_participants: participants(bits),
            ..join()
        }),
        K::JoinOfNobody => Response::Join(proto::JoinResponse { participant: None, ..join() }),
        K::Answer => {
            let tracks = (0..bits.below(4)).map(|mid| (mid.to_string(), track_sid(bits))).collect();
            let id = bits.below(3);
            Response::Answer(proto::SessionDescription { id, mid_to_track_id: tracks, ..Default::default() })
        }
        K::ServerOffer => Response::Offer(proto::SessionDescription::default()),
        K::Trickle => {
            let init = [r#"{"candidate":"candidate:1"}"#, r#"{"candidate":""}"#, "{"][bits.below(3) as usize];
            Response::Trickle(proto::TrickleRequest { candidate_init: init.to_owned(), ..Default::default() })
        }
        K::Update | K::Snapshot => Response::Update(proto::ParticipantUpdate {
            participants: participants(bits),
            full_snapshot: kind == K::Snapshot,
        }),
        K::TrackPublished => Response::TrackPublished(proto::TrackPublishedResponse {
            track: (bits.is()).then(proto::TrackInfo::default),
            ..Default::default()
        }),
        K::ServerLeave => leave(proto::DisconnectReason::RoomDeleted, Action::Disconnect),
        K::LeaveAndResume => leave(proto::DisconnectReason::UnknownReason, Action::Resume),
        K::LeaveAndRejoin => leave(proto::DisconnectReason::StateMismatch, Action::Reconnect),
        K::Mute => Response::Mute(proto::MuteTrackRequest { sid: "TR_me".to_owned(), muted: bits.is() }),
        K::SpeakersChanged => {
            let speaker = |bits: &mut Bits| proto::SpeakerInfo {
                sid: participant_sid(bits),
                level: 0.5,
                active: bits.is(),
            };
            let speakers = (0..bits.below(3)).map(|_| speaker(bits)).collect();
            Response::SpeakersChanged(proto::SpeakersChanged { speakers })
        }
        K::RoomUpdate => Response::RoomUpdate(proto::RoomUpdate { room: Some(room(bits)) }),
        K::RoomUpdateOfNothing => Response::RoomUpdate(proto::RoomUpdate { room: None }),
        K::ConnectionQuality => {
            let participant_sid = participant_sid(bits);
            let quality = bits.below(5) as i32;
            let info = proto::ConnectionQualityInfo { participant_sid, quality, ..Default::default() };
            Response::ConnectionQuality(proto::ConnectionQualityUpdate { updates: vec![info] })
        }
        K::StreamState => {
            let (participant_sid, track_sid) = (participant_sid(bits), track_sid(bits));
            let state = proto::StreamStateInfo { participant_sid, track_sid, state: bits.below(3) as i32 };
            Response::StreamStateUpdate(proto::StreamStateUpdate { stream_states: vec![state] })
        }
        K::SubscriptionPermission => {
            let (participant_sid, track_sid, allowed) = (participant_sid(bits), track_sid(bits), bits.is());
            Response::SubscriptionPermissionUpdate(proto::SubscriptionPermissionUpdate {
                participant_sid,
                track_sid,
                allowed,
            })
        }
        K::RefreshToken => Response::RefreshToken(format!("sesame {}", bits.below(3))),
        K::TrackUnpublished => Response::TrackUnpublished(proto::TrackUnpublishedResponse::default()),
        K::OldPong => Response::Pong(1),
        K::Reconnect => Response::Reconnect(proto::ReconnectResponse::default()),
        K::Pong => Response::PongResp(proto::Pong::default()),
        K::SubscriptionResponse => Response::SubscriptionResponse(proto::SubscriptionResponse {
            track_sid: track_sid(bits),
            err: bits.below(3) as i32,
        }),
        K::RequestResponse => Response::RequestResponse(proto::RequestResponse {
            request_id: bits.below(5),
            reason: bits.below(3) as i32,
            ..Default::default()
        }),
        K::RequestRefused => {
            let request = proto::request_response::Request::AddTrack(proto::AddTrackRequest::default());
            let request = Some(request);
            Response::RequestResponse(proto::RequestResponse { reason: 2, request, ..Default::default() })
        }
        K::TrackSubscribed => Response::TrackSubscribed(proto::TrackSubscribed::default()),
        K::RoomMoved => Response::RoomMoved(proto::RoomMovedResponse {
            room: Some(room(bits)),
            token: "sesame".to_owned(),
            participant: Some(info("PA_me", "me", 0)),
            other_participants: participants(bits),
        }),
        K::RoomMovedNowhere => Response::RoomMoved(proto::RoomMovedResponse::default()),
        K::MediaSections => Response::MediaSectionsRequirement(proto::MediaSectionsRequirement {
            num_audios: bits.below(3),
            num_videos: bits.below(9),
        }),
        K::DataTrackPublished => Response::PublishDataTrackResponse(proto::PublishDataTrackResponse {
            info: bits.is().then(proto::DataTrackInfo::default),
        }),
        K::DataTrackUnpublished => Response::UnpublishDataTrackResponse(proto::UnpublishDataTrackResponse {
            info: bits.is().then(proto::DataTrackInfo::default),
        }),
        K::DataTrackHandles => {
            Response::DataTrackSubscriberHandles(proto::DataTrackSubscriberHandles::default())
        }
        _ => return None,
    })
}
