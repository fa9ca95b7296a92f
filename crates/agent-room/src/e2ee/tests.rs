//! Two participants with a shared secret: what each can decrypt, and which states it reports.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use agent_proto::livekit as proto;

use super::{E2ee, E2eeError, E2eeKey, E2eeOptions, E2eeState, KeyDerivation};
use crate::data_tracks::SealedData;
use crate::local_tracks::{PlacedForm, PlacedFrame};
use crate::{
    AudioLevel, Connected, DataTrack, DisconnectReason, EncodedFrame, Participant, RoomError, RoomEvent,
    RoomInfo, Track, TrackKind,
};
use proto::data_packet::Value;

const TRAILER: &[u8] = b"made by the server";
const SOUND: &[u8] = b"\x78sound";

fn key(secret: &str) -> E2eeKey {
    E2eeKey::derive(secret, KeyDerivation::Hkdf, "")
}

fn shared(secret: &str) -> E2eeOptions {
    E2eeOptions::shared(key(secret))
}

fn participant(identity: &str) -> Participant {
    Participant { sid: format!("PA_{identity}"), identity: identity.to_owned(), ..Participant::default() }
}

/// The room of `own`, in which `other` publishes the tracks `TR_sealed` and `TR_plain`.
fn room(own: &str, other: &str, options: Option<&E2eeOptions>) -> E2ee {
    let mut room = E2ee::new(options);
    let connected = Connected::new(RoomInfo::default(), participant(own));
    room.follow(&RoomEvent::Connected(Box::new(connected)));
    for (sid, encrypted) in [("TR_sealed", true), ("TR_plain", false)] {
        let track = Track { encrypted, ..Track::new(sid, TrackKind::Audio) };
        room.follow(&RoomEvent::TrackPublished { participant: Arc::new(participant(other)), track });
    }
    room
}

fn seal(room: &mut E2ee, payload: &[u8]) -> Option<Bytes> {
    let form = PlacedForm::Audio { marker: false, level: AudioLevel::SILENCE };
    let frame = PlacedFrame { payload: Bytes::copy_from_slice(payload), timestamp: 0, form };
    room.seal_frame(Some("TR_own"), frame).map(|frame| frame.payload)
}

fn open(room: &mut E2ee, track: &str, payload: &[u8]) -> Option<Bytes> {
    let frame = EncodedFrame::new(Bytes::copy_from_slice(payload), 1, 960);
    room.open_audio(track, frame, TRAILER).map(|frame| frame.payload)
}

fn states(room: &mut E2ee) -> Vec<(String, Option<String>, E2eeState)> {
    let state = |event| match event {
        RoomEvent::E2eeStateChanged { identity, track_sid, state } => (identity, track_sid, state),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| room.poll_event()).map(state).collect()
}

fn of_track(identity: &str, state: E2eeState) -> (String, Option<String>, E2eeState) {
    (identity.to_owned(), Some("TR_sealed".to_owned()), state)
}

#[test]
fn a_frame_can_be_read_with_the_key() {
    let options = shared("secret");
    let (mut ada, mut bob) = (room("ada", "bob", Some(&options)), room("bob", "ada", Some(&options)));
    let sealed = seal(&mut ada, SOUND).unwrap();
    assert_ne!(sealed, SOUND);
    assert_eq!(open(&mut bob, "TR_sealed", &sealed).unwrap(), SOUND);
    assert_eq!(open(&mut bob, "TR_sealed", &sealed).unwrap(), SOUND);
    assert_eq!(states(&mut bob), [of_track("ada", E2eeState::Ok)], "reported once");
    assert_eq!(states(&mut ada), []);
}

#[test]
fn frames_that_cannot_be_read_are_dropped_and_reported() {
    let sealed = seal(&mut room("ada", "bob", Some(&shared("secret"))), SOUND).unwrap();
    let reported = |options: Option<&E2eeOptions>, payload: &[u8]| {
        let mut bob = room("bob", "ada", options);
        assert_eq!(open(&mut bob, "TR_sealed", payload), None);
        states(&mut bob)
    };
    let failed = |error| vec![of_track("ada", E2eeState::Failed(error))];
    assert_eq!(reported(None, &sealed), failed(E2eeError::MissingKey { index: 0 }));
    assert_eq!(
        reported(Some(&E2eeOptions::per_participant()), &sealed),
        failed(E2eeError::MissingKey { index: 0 })
    );
    assert_eq!(reported(Some(&shared("another")), &sealed), failed(E2eeError::WrongKey { index: 0 }));
    assert_eq!(reported(Some(&shared("secret")), SOUND), failed(E2eeError::NotEncrypted));
}

#[test]
fn tracks_that_are_not_encrypted_can_be_read_and_unknown_ones_cannot() {
    let options = shared("secret");
    assert_eq!(open(&mut room("bob", "ada", Some(&options)), "TR_plain", SOUND).unwrap(), SOUND);
    assert_eq!(open(&mut room("bob", "ada", Some(&options)), "TR_unknown", SOUND), None);
    assert_eq!(open(&mut room("bob", "ada", None), "TR_unknown", SOUND).unwrap(), SOUND);
}

#[test]
fn frames_of_the_server_are_accepted_only_if_they_are_blank() {
    let mut bob = room("bob", "ada", Some(&shared("secret")));
    let silence = [&[0xf8, 0xff, 0xfe][..], &[0; 77]].concat();
    assert_eq!(open(&mut bob, "TR_sealed", &[&silence, TRAILER].concat()).unwrap(), silence);
    assert_eq!(open(&mut bob, "TR_sealed", &[SOUND, TRAILER].concat()), None);
    assert_eq!(states(&mut bob), []);
}

#[test]
fn a_ratchet_and_another_key_are_followed() {
    let options = E2eeOptions::per_participant().own_key(key("ada's"));
    let mut ada = room("ada", "bob", Some(&options));
    let mut bob = room("bob", "ada", Some(&E2eeOptions::per_participant().key_of("ada", key("ada's"))));
    let receives = |ada: &mut E2ee, bob: &mut E2ee| {
        let sealed = seal(ada, SOUND).unwrap();
        let heard = open(bob, "TR_sealed", &sealed).is_some();
        (heard, states(bob).into_iter().map(|(_, _, state)| state).collect::<Vec<_>>())
    };
    assert_eq!(receives(&mut ada, &mut bob), (true, vec![E2eeState::Ok]));
    ada.ratchet(0).unwrap();
    assert_eq!(receives(&mut ada, &mut bob), (true, vec![E2eeState::Ratcheted]));
    assert_eq!(receives(&mut ada, &mut bob), (true, vec![]));
    ada.set_key(None, 3, key("new")).unwrap();
    ada.use_key(3).unwrap();
    let missing = E2eeState::Failed(E2eeError::MissingKey { index: 3 });
    assert_eq!(receives(&mut ada, &mut bob), (false, vec![missing]));
    bob.set_key(Some("ada"), 3, key("new")).unwrap();
    assert_eq!(receives(&mut ada, &mut bob), (true, vec![E2eeState::Ok]));
}

#[test]
fn without_a_key_nothing_is_sent() {
    let mut ada = room("ada", "bob", Some(&E2eeOptions::per_participant()));
    assert_eq!(seal(&mut ada, SOUND), None);
    let missing = E2eeError::MissingKey { index: 0 };
    let reported = ("ada".to_owned(), Some("TR_own".to_owned()), E2eeState::Failed(missing));
    assert_eq!(states(&mut ada), [reported]);
    let user = Value::User(proto::UserPacket::default());
    assert_eq!(ada.seal_value(user), Err(RoomError::E2ee(missing)));
    assert_eq!(ada.use_key(1), Err(RoomError::E2ee(E2eeError::MissingKey { index: 1 })));
    assert_eq!(E2ee::new(None).ratchet(0), Err(RoomError::E2ee(E2eeError::Off)));
}

#[test]
fn data_are_encrypted_except_what_the_server_needs() {
    let options = shared("secret");
    let (mut ada, mut bob) = (room("ada", "bob", Some(&options)), room("bob", "ada", Some(&options)));
    let user = Value::User(proto::UserPacket { payload: Bytes::from_static(b"hi"), ..Default::default() });
    let Value::EncryptedPacket(packet) = ada.seal_value(user.clone()).unwrap() else { panic!("encrypted") };
    assert_eq!(bob.open_packet("ada", &packet), Some(user.clone()));
    assert_eq!(states(&mut bob), [("ada".to_owned(), None, E2eeState::Ok)]);
    assert_eq!(E2ee::new(Some(&shared("another"))).open_packet("ada", &packet), None);
    let key = Value::SipDtmf(proto::SipDtmf::default());
    assert_eq!(ada.seal_value(key.clone()).unwrap(), key);
    let media_only = E2eeOptions { media_only: true, ..options };
    assert_eq!(E2ee::new(Some(&media_only)).seal_value(user.clone()).unwrap(), user);
}

#[test]
fn frames_of_data_tracks_are_read_with_the_key() {
    let options = shared("secret");
    let mut ada = room("ada", "bob", Some(&options));
    let sealed = || SealedData { payload: Bytes::from_static(b"position"), encryption: None };
    let read = |options: Option<&E2eeOptions>, track: &str, sealed| {
        let mut bob = room("bob", "ada", options);
        let publisher = Arc::new(participant("ada"));
        for (sid, encrypted) in [("DTR_sealed", true), ("DTR_plain", false)] {
            let track = DataTrack { encrypted, ..DataTrack::new(sid, "position") };
            bob.follow(&RoomEvent::DataTrackPublished { participant: publisher.clone(), track });
        }
        let opened = bob.open_data(track, sealed);
        (opened, states(&mut bob).pop().map(|(_, track, state)| (track.unwrap(), state)))
    };
    let mut seal = || ada.seal_data(sealed().payload).unwrap();
    assert_ne!(seal().payload, sealed().payload);
    let reported = |state| Some(("DTR_sealed".to_owned(), state));
    let failed = |error| (None, reported(E2eeState::Failed(error)));
    let plain = || Some(sealed().payload);
    assert_eq!(read(Some(&options), "DTR_sealed", seal()), (plain(), reported(E2eeState::Ok)));
    assert_eq!(
        read(Some(&shared("another")), "DTR_sealed", seal()),
        failed(E2eeError::WrongKey { index: 0 })
    );
    assert_eq!(read(None, "DTR_sealed", seal()), failed(E2eeError::MissingKey { index: 0 }));
    assert_eq!(read(Some(&options), "DTR_sealed", sealed()), failed(E2eeError::NotEncrypted));
    assert_eq!(read(Some(&options), "DTR_plain", sealed()), (plain(), None));
    assert_eq!(read(Some(&options), "DTR_plain", seal()), (None, None));
    let media_only = E2eeOptions { media_only: true, ..options };
    assert_eq!(E2ee::new(Some(&media_only)).seal_data(sealed().payload), Ok(sealed()));
    let missing = RoomError::E2ee(E2eeError::MissingKey { index: 0 });
    let none = E2eeOptions::per_participant();
    assert_eq!(E2ee::new(Some(&none)).seal_data(sealed().payload), Err(missing));
}

#[test]
fn a_participant_who_rejoins_starts_with_the_shared_key() {
    let options = shared("secret");
    let mut ada = room("ada", "bob", Some(&options));
    let mut bob = room("bob", "ada", Some(&options));
    ada.ratchet(0).unwrap();
    assert!(open(&mut bob, "TR_sealed", &seal(&mut ada, SOUND).unwrap()).is_some());
    let participant = Arc::new(participant("ada"));
    bob.follow(&RoomEvent::ParticipantLeft {
        participant: participant.clone(),
        reason: DisconnectReason::ClientInitiated,
    });
    let track = Track { encrypted: true, ..Track::new("TR_sealed", TrackKind::Audio) };
    bob.follow(&RoomEvent::TrackPublished { participant, track });
    let mut again = room("ada", "bob", Some(&options));
    assert!(open(&mut bob, "TR_sealed", &seal(&mut again, SOUND).unwrap()).is_some());
}

proptest! {
    #[test]
    fn any_packet_can_be_opened(
        iv in prop::collection::vec(any::<u8>(), 0..20),
        key_index in any::<u32>(),
        encrypted_value in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let packet = proto::EncryptedPacket {
            encryption_type: 1,
            iv: iv.into(),
            key_index,
            encrypted_value: encrypted_value.into(),
        };
        let mut bob = room("bob", "ada", Some(&shared("secret")));
        prop_assert_eq!(bob.open_packet("ada", &packet), None);
        prop_assert_eq!(states(&mut bob).len(), 1);
    }
}
