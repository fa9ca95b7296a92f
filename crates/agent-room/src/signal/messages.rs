//! Messages of the server on an open WebSocket.

use std::collections::BTreeMap;
use std::mem;

use agent_proto::{Time, livekit as proto};

use super::{Phase, Signal, SignalOutput, candidate, millis, track_events};
use crate::data_tracks::DataTrackMessage;
use crate::local_tracks::LocalTrackMessage;
use crate::{Connected, DisconnectReason, JoinFailure, RoomEvent, RoomInfo};
use proto::signal_response::Message as Response;

/// Maximum length of an answer that is read, in bytes, apart from the sections that the server requested.
const MAX_ANSWER_LEN: usize = 256 * 1024;
/// What each of those sections adds to it, in bytes: one for video, with all codecs, takes about 3,000.
const MAX_SECTION_LEN: usize = 4 * 1024;
/// Maximum length of a token that is kept, in bytes: a longer one exceeds a request header.
const MAX_TOKEN_LEN: usize = 64 * 1024;

impl Signal {
    /// The first message of a server contains our own participant, or a refusal.
    pub(super) fn before_join(&mut self, message: Response, now: Time) {
        match message {
            Response::Join(join) => self.join(join, now),
            Response::Leave(leave) => self.left(&leave, now),
            _ => self.violation(),
        }
    }

    fn join(&mut self, mut join: proto::JoinResponse, now: Time) {
        let Some(local) = join.participant.take() else {
            // Without our own participant nothing that follows makes sense.
            self.violation();
            let detail = "the server's answer names no participant".to_owned();
            let failure = JoinFailure::Refused { status: None, detail };
            return self.lose(DisconnectReason::JoinFailed(failure), true, now);
        };
        self.server_trailer = mem::take(&mut join.sif_trailer);
        let servers = mem::take(&mut join.ice_servers);
        self.ice_servers(servers, join.client_configuration.as_ref());
        if let Phase::Recovering(_) = self.phase {
            return self.rejoined(join, local, now);
        }
        self.start_pings(join.ping_interval, join.ping_timeout, now);
        self.room = join.room.map(RoomInfo::from).unwrap_or_default();
        self.roster.set_local(local);
        // The others are in the snapshot, so there are no events for them.
        self.update_roster(join.other_participants, &mut Vec::new());
        self.server_version = match join.server_info {
            Some(info) if !info.version.is_empty() => info.version,
            _ => join.server_version,
        };
        let connected = Box::new(Connected {
            room: self.room.clone(),
            local: self.roster.local().cloned().unwrap_or_default(),
            participants: self.roster.remote().cloned().collect(),
            server_version: self.server_version.clone(),
            network_path: None,
        });
        self.phase = Phase::Joined { connected };
        self.outputs.push_back(SignalOutput::Hold(Vec::new()));
        self.request_subscriptions();
    }

    pub(super) fn message(&mut self, message: Response, now: Time) {
        let mut events = Vec::new();
        match message {
            Response::Join(_) | Response::Reconnect(_) | Response::Offer(_) => self.violation(),
            Response::Answer(answer) => {
                // An offer that was under way when the connection was lost may be answered twice. Some
                // servers do not number answers.
                if answer.id != 0 && answer.id != self.descriptions.offer_id {
                    return;
                }
                let len = answer.sdp.len();
                let max_len = MAX_ANSWER_LEN + (self.sections as usize).saturating_mul(MAX_SECTION_LEN);
                if len > max_len {
                    let detail = format!(
                        "the server's answer of {len} bytes is over the limit of {max_len} bytes; subscribe to fewer tracks \
                         (`.auto_subscribe(…)`), or check what is between here and the server"
                    );
                    return self.answer_unusable(&detail, now);
                }
                self.descriptions.answer.clone_from(&answer.sdp);
                // At most one for each section that we offered.
                let limit = self.config.limits.media_sections;
                self.violations_of(answer.mid_to_track_id.len().saturating_sub(limit) as u64);
                let tracks: BTreeMap<_, _> = answer.mid_to_track_id.into_iter().take(limit).collect();
                self.roster.subscriptions(tracks.values().cloned(), &mut events);
                self.outputs.push_back(SignalOutput::Answer { sdp: answer.sdp, tracks });
            }
            Response::Trickle(trickle) => match candidate(&trickle) {
                Ok(Some(candidate)) => self.outputs.push_back(SignalOutput::Candidate(candidate)),
                Ok(None) => {}
                Err(()) => self.violation(),
            },
            Response::Update(update) => {
                if update.full_snapshot {
                    self.roster.retain(&update.participants, &mut events);
                }
                self.update_roster(update.participants, &mut events);
            }
            Response::Leave(leave) => return self.left(&leave, now),
            Response::Mute(mute) => {
                self.roster.mute_local(&mute.sid, mute.muted, &mut events);
                self.outputs
                    .push_back(SignalOutput::LocalTrack(LocalTrackMessage::Muted(mute.sid, mute.muted)));
            }
            Response::SpeakersChanged(changes) => self.roster.speakers(changes.speakers, &mut events),
            Response::RoomUpdate(update) => self.update_room(update.room, &mut events),
            Response::ConnectionQuality(update) => {
                for info in &update.updates {
                    self.roster.quality(info, &mut events);
                }
            }
            Response::RefreshToken(token) if token.len() > MAX_TOKEN_LEN => self.violation(),
            Response::RefreshToken(token) => {
                self.token = token.into();
                events.push(RoomEvent::TokenRefreshed { token: self.token.clone() });
            }
            Response::RequestResponse(response) if response.request.is_some() => {
                self.outputs.extend(LocalTrackMessage::refusal(&response).map(SignalOutput::LocalTrack));
                self.outputs.extend(DataTrackMessage::refusal(response).map(SignalOutput::DataTrack));
            }
            Response::RequestResponse(response) => {
                // A late answer was already reported as a timeout.
                if let Some((id, result)) = self.requests.answered(response) {
                    self.done(id, result);
                }
            }
            Response::PongResp(pong) => {
                let sent_and_back = millis(now).saturating_sub(pong.last_ping_timestamp);
                if let Some(schedule) = &mut self.ping_schedule {
                    schedule.round_trip_ms = sent_and_back.clamp(0, 60_000);
                }
            }
            Response::StreamStateUpdate(update) => {
                events.extend(track_events::stream_states(&self.roster, &update));
            }
            Response::SubscriptionPermissionUpdate(update) => {
                events.extend(track_events::permission(&self.roster, &update));
            }
            Response::SubscriptionResponse(response) => events.push(track_events::failure(response)),
            Response::RoomMoved(moved) => self.moved(moved, &mut events),
            Response::MediaSectionsRequirement(wanted) => {
                let more = wanted.num_audios.saturating_add(wanted.num_videos);
                if self.sections.saturating_add(more) as usize > self.config.limits.media_sections {
                    self.violation();
                } else {
                    self.sections += more;
                    self.outputs.push_back(SignalOutput::Sections {
                        audio: wanted.num_audios,
                        video: wanted.num_videos,
                    });
                }
            }
            Response::PublishDataTrackResponse(proto::PublishDataTrackResponse { info: Some(info) }) => {
                self.outputs.push_back(SignalOutput::DataTrack(DataTrackMessage::Published(info)));
            }
            Response::UnpublishDataTrackResponse(proto::UnpublishDataTrackResponse { info: Some(info) }) => {
                let message = DataTrackMessage::Unpublished(info.pub_handle);
                self.outputs.push_back(SignalOutput::DataTrack(message));
            }
            Response::PublishDataTrackResponse(_) | Response::UnpublishDataTrackResponse(_) => {
                self.violation()
            }
            Response::DataTrackSubscriberHandles(handles) => {
                self.outputs.push_back(SignalOutput::DataTrack(DataTrackMessage::Handles(handles)));
            }
            Response::TrackPublished(proto::TrackPublishedResponse { track: None, .. }) => self.violation(),
            Response::TrackPublished(published) => {
                let message = LocalTrackMessage::Published(Box::new(published));
                self.outputs.push_back(SignalOutput::LocalTrack(message));
            }
            Response::TrackUnpublished(unpublished) => {
                let message = LocalTrackMessage::Unpublished(unpublished.track_sid);
                self.outputs.push_back(SignalOutput::LocalTrack(message));
            }
            Response::TrackSubscribed(subscribed) => {
                let message = LocalTrackMessage::Subscribed(subscribed.track_sid);
                self.outputs.push_back(SignalOutput::LocalTrack(message));
            }
            // The old form.
            Response::Pong(_) => {}
        }
        self.follow_tracks(&events);
        self.outputs.extend(events.into_iter().map(SignalOutput::Event));
    }

    pub(super) fn update_roster(
        &mut self,
        participants: Vec<proto::ParticipantInfo>,
        events: &mut Vec<RoomEvent>,
    ) {
        for info in participants {
            self.outputs.extend(self.roster.unknown_left(&info).map(SignalOutput::UnknownLeft));
            if !self.roster.update(info, events) {
                self.violation();
            }
        }
    }

    fn update_room(&mut self, room: Option<proto::Room>, events: &mut Vec<RoomEvent>) {
        let Some(room) = room else { return self.violation() };
        let mut room = RoomInfo::from(room);
        // Some kinds of updates omit these.
        if room.sid.is_empty() {
            room.sid.clone_from(&self.room.sid);
        }
        if room.name.is_empty() {
            room.name.clone_from(&self.room.name);
        }
        if room.empty_timeout.is_none() {
            (room.empty_timeout, room.departure_timeout) =
                (self.room.empty_timeout, self.room.departure_timeout);
        }
        if !room.sid.is_empty()
            && let Some(was_in) = self.was_in.take()
            && was_in != room.sid
        {
            events.push(RoomEvent::RoomReplaced(room.clone()));
        }
        let old = mem::replace(&mut self.room, room);
        if old.metadata != self.room.metadata {
            events.push(RoomEvent::RoomMetadataChanged(self.room.clone()));
        } else if old != self.room {
            events.push(RoomEvent::RoomUpdated(self.room.clone()));
        }
    }

    fn moved(&mut self, moved: proto::RoomMovedResponse, events: &mut Vec<RoomEvent>) {
        let (Some(room), Some(local)) = (moved.room, moved.participant) else { return self.violation() };
        if moved.token.len() > MAX_TOKEN_LEN {
            self.violation();
        } else if !moved.token.is_empty() {
            self.token = moved.token.into();
        }
        self.roster.clear(&DisconnectReason::Migration, events);
        self.room = room.into();
        self.roster.set_local(local);
        self.roster.activate_local();
        let local = self.roster.local().cloned().unwrap_or_default();
        events.push(RoomEvent::RoomMoved { room: self.room.clone(), local });
        self.update_roster(moved.other_participants, events);
    }

    /// The first answer to a resume.
    pub(super) fn before_resume(&mut self, message: Response, now: Time) {
        match message {
            Response::Reconnect(response) => self.resumed(response, now),
            // Other messages may overtake the answer.
            other => self.message(other, now),
        }
    }
}
