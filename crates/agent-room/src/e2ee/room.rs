//! The encryption of a room: what is encrypted, what can be decrypted, and which states are reported.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use agent_proto::{MAX_FRAME_LEN, decode, encode, livekit as proto};

use super::codec::EncryptedCodec;
use super::error::E2eeError;
use super::frame::{self, Sealed};
use super::key::E2eeKey;
use super::keys::{E2eeOptions, Keys, Opened};
use super::state::E2eeState;
use super::{blank, data};
use crate::data_tracks::{FrameEncryption, SealedData};
use crate::local_tracks::{PlacedForm, PlacedFrame};
use crate::{
    DataTrack, EncodedFrame, EncodedVideoFrame, Participant, RoomError, RoomEvent, Track, TrackKind,
    TrackOptions, VideoCodec, VideoTrackOptions,
};
use proto::data_packet::Value;
use proto::encrypted_packet_payload::Value as Inner;
use proto::signal_request::Message as Request;

/// The encryption of a room.
pub(crate) struct E2ee {
    /// `None`: we neither encrypt nor decrypt.
    keys: Option<Keys>,
    own: String,
    own_state: Option<E2eeState>,
    /// The tracks of others, by sid.
    tracks: BTreeMap<String, RemoteTrack>,
    /// The state of the data of each participant.
    states: BTreeMap<String, Option<E2eeState>>,
    events: VecDeque<RoomEvent>,
}

struct RemoteTrack {
    publisher: String,
    encrypted: bool,
    state: Option<E2eeState>,
}

impl E2ee {
    pub(crate) fn new(options: Option<&E2eeOptions>) -> Self {
        Self {
            keys: options.map(Keys::new),
            own: String::new(),
            own_state: None,
            tracks: BTreeMap::new(),
            states: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// Updates tracks and participants after an event of the room.
    pub(crate) fn follow(&mut self, event: &RoomEvent) {
        match event {
            RoomEvent::Connected(connected) => {
                self.own.clone_from(&connected.local.identity);
                connected.participants.iter().for_each(|participant| self.joined(participant));
            }
            RoomEvent::ParticipantJoined(participant) => self.joined(participant),
            RoomEvent::TrackPublished { participant, track } => self.published(&participant.identity, track),
            RoomEvent::TrackUnpublished { track, .. } => {
                self.tracks.remove(&track.sid);
            }
            RoomEvent::DataTrackPublished { participant, track } => {
                self.data_track_published(&participant.identity, track);
            }
            RoomEvent::DataTrackUnpublished { track, .. } => {
                self.tracks.remove(&track.sid);
            }
            RoomEvent::ParticipantLeft { participant, .. } => {
                self.tracks.retain(|_, track| track.publisher != participant.identity);
                self.states.remove(&participant.identity);
                if let Some(keys) = &mut self.keys {
                    keys.left(&participant.identity);
                }
            }
            _ => {}
        }
    }

    fn joined(&mut self, participant: &Participant) {
        for track in participant.tracks.values() {
            self.published(&participant.identity, track);
        }
        for track in participant.data_tracks.values() {
            self.data_track_published(&participant.identity, track);
        }
    }

    fn data_track_published(&mut self, publisher: &str, track: &DataTrack) {
        let (publisher, encrypted) = (publisher.to_owned(), track.encrypted);
        self.tracks.insert(track.sid.clone(), RemoteTrack { publisher, encrypted, state: None });
    }

    fn published(&mut self, publisher: &str, track: &Track) {
        if track.kind == TrackKind::Audio || track.kind == TrackKind::Video {
            let (publisher, encrypted) = (publisher.to_owned(), track.encrypted);
            self.tracks.insert(track.sid.clone(), RemoteTrack { publisher, encrypted, state: None });
        }
    }

    /// The next event for the user.
    pub(crate) fn poll_event(&mut self) -> Option<RoomEvent> {
        self.events.pop_front()
    }

    /// Sets a key; `None`: ours.
    pub(crate) fn set_key(&mut self, of: Option<&str>, index: u8, key: E2eeKey) -> Result<(), RoomError> {
        self.keys()?.set(of, index, key);
        Ok(())
    }

    /// Encrypts with another key from now on.
    pub(crate) fn use_key(&mut self, index: u8) -> Result<(), RoomError> {
        let keys = self.keys()?;
        keys.own.cipher(index).map_err(RoomError::E2ee)?;
        keys.index = index;
        Ok(())
    }

    /// Encrypts with the next key from now on.
    pub(crate) fn ratchet(&mut self, index: u8) -> Result<(), RoomError> {
        match self.keys()?.own.ratchet(index) {
            true => Ok(()),
            false => Err(RoomError::E2ee(E2eeError::MissingKey { index })),
        }
    }

    fn keys(&mut self) -> Result<&mut Keys, RoomError> {
        self.keys.as_mut().ok_or(RoomError::E2ee(E2eeError::Off))
    }

    /// Whether a track with these options can be published.
    pub(crate) fn check(&self, options: &TrackOptions) -> Result<(), RoomError> {
        match options {
            TrackOptions::Video(VideoTrackOptions { codec: VideoCodec::Vp9 | VideoCodec::Av1, .. })
                if self.keys.is_some() =>
            {
                Err(RoomError::E2ee(E2eeError::Codec))
            }
            _ => Ok(()),
        }
    }

    /// Declares in a request that our track is encrypted.
    pub(crate) fn mark(&self, request: &mut Request) {
        if let (Some(_), Request::AddTrack(request)) = (&self.keys, request) {
            request.encryption = proto::encryption::Type::Gcm as i32;
            request.disable_red = true;
        }
    }

    /// Encrypts a frame of ours. `None`: it cannot be encrypted, and must not be sent.
    pub(crate) fn seal_frame(&mut self, track: Option<&str>, mut placed: PlacedFrame) -> Option<PlacedFrame> {
        let Some(keys) = self.keys.as_mut() else { return Some(placed) };
        let codec = match placed.form {
            PlacedForm::Audio { .. } => EncryptedCodec::Opus,
            PlacedForm::Video { codec, .. } => codec.into(),
        };
        let sealed = keys.seal(|cipher, index, nonce| {
            frame::seal(codec, &placed.payload, cipher, index, nonce).ok_or(E2eeError::NoFrame)
        });
        let state = sealed.as_ref().map_or_else(|error| E2eeState::Failed(*error), |_| E2eeState::Ok);
        self.own_state(track, state);
        placed.payload = sealed.ok()?.into();
        Some(placed)
    }

    fn own_state(&mut self, track: Option<&str>, state: E2eeState) {
        let before = self.own_state.replace(state);
        if before != Some(state) && (before.is_some() || state != E2eeState::Ok) {
            self.events.push_back(changed(&self.own, track, state));
        }
    }

    /// Decrypts a frame of sound, if its track is encrypted. `trailer`: the bytes that mark frames which the
    /// server makes itself. `None`: it cannot be decrypted, and must not be played.
    pub(crate) fn open_audio(
        &mut self,
        track: &str,
        frame: EncodedFrame,
        trailer: &[u8],
    ) -> Option<EncodedFrame> {
        let payload = self.open_payload(track, EncryptedCodec::Opus, &frame.payload, trailer)?;
        Some(EncodedFrame { payload, ..frame })
    }

    /// Decrypts a picture, as [`open_audio`](Self::open_audio).
    pub(crate) fn open_video(
        &mut self,
        track: &str,
        frame: EncodedVideoFrame,
        trailer: &[u8],
    ) -> Option<EncodedVideoFrame> {
        let payload = self.open_payload(track, frame.codec.into(), &frame.payload, trailer)?;
        // In VP9 and AV1 the encrypted part hides whether it is a key frame.
        let key_frame = frame.key_frame || crate::video::is_key_frame(frame.codec, &payload);
        Some(EncodedVideoFrame { payload, key_frame, ..frame })
    }

    fn open_payload(
        &mut self,
        track: &str,
        codec: EncryptedCodec,
        payload: &Bytes,
        trailer: &[u8],
    ) -> Option<Bytes> {
        let Some(known) = self.tracks.get_mut(track) else {
            // Not announced yet: whether it is encrypted is unknown.
            return self.keys.is_none().then(|| payload.clone());
        };
        if !known.encrypted || payload.is_empty() {
            return Some(payload.clone());
        }
        if let Some(plain) = payload.strip_suffix(trailer).filter(|_| !trailer.is_empty()) {
            return blank::is_blank(codec, plain).then(|| payload.slice_ref(plain));
        }
        let opened = match Sealed::read(codec, payload) {
            None => Err(E2eeError::NotEncrypted),
            Some(sealed) => match &mut self.keys {
                None => Err(E2eeError::MissingKey { index: sealed.key_index }),
                Some(keys) => keys.of(&known.publisher).open(sealed.key_index, |cipher| sealed.open(cipher)),
            },
        };
        let (state, opened) = outcome(opened);
        if changes(&mut known.state, state) {
            self.events.push_back(changed(&known.publisher, Some(track), state));
        }
        opened.map(Bytes::from)
    }

    /// Encrypts the payload of a frame of a data track of ours.
    pub(crate) fn seal_data(&mut self, payload: Bytes) -> Result<SealedData, RoomError> {
        let Some(keys) = self.keys.as_mut().filter(|keys| keys.data) else {
            return Ok(SealedData { payload, encryption: None });
        };
        let sealed = keys.seal(|cipher, key_index, iv| {
            let sealed = data::seal(payload.into(), cipher, iv).ok_or(E2eeError::NoFrame)?;
            let encryption = Some(FrameEncryption { key_index, iv });
            Ok(SealedData { payload: sealed.into(), encryption })
        });
        sealed.map_err(RoomError::E2ee)
    }

    /// Decrypts the payload of a frame of this data track. `None`: it cannot be decrypted.
    pub(crate) fn open_data(&mut self, track: &str, sealed: SealedData) -> Option<Bytes> {
        let known = self.tracks.get_mut(track)?;
        let SealedData { payload, encryption } = sealed;
        if !known.encrypted {
            return encryption.is_none().then_some(payload);
        }
        let opened = match (encryption, &mut self.keys) {
            (None, _) => Err(E2eeError::NotEncrypted),
            (Some(FrameEncryption { key_index: index, .. }), None) => Err(E2eeError::MissingKey { index }),
            (Some(FrameEncryption { key_index, iv }), Some(keys)) => {
                keys.of(&known.publisher).open(key_index, |cipher| data::open(&payload, cipher, &iv))
            }
        };
        let (state, opened) = outcome(opened);
        if changes(&mut known.state, state) {
            self.events.push_back(changed(&known.publisher, Some(track), state));
        }
        opened.map(Bytes::from)
    }

    /// Encrypts the content of a packet, if its kind can be encrypted.
    pub(crate) fn seal_value(&mut self, value: Value) -> Result<Value, RoomError> {
        let Some(keys) = self.keys.as_mut().filter(|keys| keys.data) else { return Ok(value) };
        let inner = match value {
            Value::User(it) => Inner::User(it),
            Value::ChatMessage(it) => Inner::ChatMessage(it),
            Value::RpcRequest(it) => Inner::RpcRequest(it),
            Value::RpcAck(it) => Inner::RpcAck(it),
            Value::RpcResponse(it) => Inner::RpcResponse(it),
            Value::StreamHeader(it) => Inner::StreamHeader(it),
            Value::StreamChunk(it) => Inner::StreamChunk(it),
            Value::StreamTrailer(it) => Inner::StreamTrailer(it),
            // The server reads the other kinds, too.
            other => return Ok(other),
        };
        let payload = encode(&proto::EncryptedPacketPayload { value: Some(inner) });
        let sealed = keys.seal(|cipher, index, nonce| {
            let encrypted_value = data::seal(payload.into(), cipher, nonce).ok_or(E2eeError::NoFrame)?;
            Ok(proto::EncryptedPacket {
                encryption_type: proto::encryption::Type::Gcm as i32,
                iv: nonce.to_vec().into(),
                key_index: index.into(),
                encrypted_value: encrypted_value.into(),
            })
        });
        sealed.map(Value::EncryptedPacket).map_err(RoomError::E2ee)
    }

    /// Decrypts the content of a packet of this participant. `None`: it cannot be decrypted.
    pub(crate) fn open_packet(&mut self, sender: &str, packet: &proto::EncryptedPacket) -> Option<Value> {
        let index = u8::try_from(packet.key_index).unwrap_or(u8::MAX);
        let opened = match &mut self.keys {
            None => Err(E2eeError::MissingKey { index }),
            Some(keys) => {
                keys.of(sender).open(index, |cipher| data::open(&packet.encrypted_value, cipher, &packet.iv))
            }
        };
        let (state, opened) = outcome(opened);
        // One of them for each participant, and a few who have left.
        if self.states.len() < MAX_STATES && !self.states.contains_key(sender) {
            self.states.insert(sender.to_owned(), None);
        }
        if let Some(known) = self.states.get_mut(sender)
            && changes(known, state)
        {
            self.events.push_back(changed(sender, None, state));
        }
        let payload: proto::EncryptedPacketPayload = decode(&Bytes::from(opened?), MAX_FRAME_LEN).ok()?;
        Some(match payload.value? {
            Inner::User(it) => Value::User(it),
            Inner::ChatMessage(it) => Value::ChatMessage(it),
            Inner::RpcRequest(it) => Value::RpcRequest(it),
            Inner::RpcAck(it) => Value::RpcAck(it),
            Inner::RpcResponse(it) => Value::RpcResponse(it),
            Inner::StreamHeader(it) => Value::StreamHeader(it),
            Inner::StreamChunk(it) => Value::StreamChunk(it),
            Inner::StreamTrailer(it) => Value::StreamTrailer(it),
        })
    }
}

/// Maximum number of participants whose state is kept: more than a room has.
const MAX_STATES: usize = 10_000;

fn outcome<T>(opened: Result<Opened<T>, E2eeError>) -> (E2eeState, Option<T>) {
    match opened {
        Ok(Opened { value, ratcheted: false }) => (E2eeState::Ok, Some(value)),
        Ok(Opened { value, ratcheted: true }) => (E2eeState::Ratcheted, Some(value)),
        Err(error) => (E2eeState::Failed(error), None),
    }
}

fn changed(identity: &str, track: Option<&str>, state: E2eeState) -> RoomEvent {
    let (identity, track_sid) = (identity.to_owned(), track.map(str::to_owned));
    RoomEvent::E2eeStateChanged { identity, track_sid, state }
}

/// Stores a state; returns whether it is to be reported. `Ratcheted` is reported once and stored as `Ok`.
fn changes(before: &mut Option<E2eeState>, state: E2eeState) -> bool {
    let kept = if state == E2eeState::Ratcheted { E2eeState::Ok } else { state };
    before.replace(kept) != Some(state)
}
