//! Our tracks in the machine: between the media connection, signalling, the commands and the outputs.

use agent_proto::Time;

use super::Machine;
use crate::connection::MediaConnection;
use crate::local_tracks::{LocalTrackOutput, TrackOptions};
use crate::{CommandId, OutgoingMedia, Output, RoomError, RoomEvent};

impl<M: MediaConnection> Machine<M> {
    pub(super) fn publish_track(&mut self, id: CommandId, options: TrackOptions, now: Time) {
        let allowed = match self.signal.is_connected() {
            true => self.e2ee.check(&options).and_then(|()| self.signal.check_publish(options.source())),
            false => Err(RoomError::NotConnected),
        };
        match allowed {
            Ok(()) => self.local_tracks.publish(id, options, now),
            Err(error) => self.done(id, Err(error)),
        }
    }

    /// Sends a frame, or drops it: one that waits would be late.
    pub(super) fn send_frame(&mut self, track: CommandId, frame: OutgoingMedia, now: Time) {
        let Some(frame) = self.local_tracks.place(track, frame, now) else { return };
        let frame = self.e2ee.seal_frame(self.local_tracks.sid(track), frame);
        let sent = frame.is_some_and(|frame| {
            self.transport.as_mut().is_some_and(|transport| transport.send_frame(track, &frame, now))
        });
        if !sent {
            self.local_tracks.not_sent(track);
        }
    }

    /// Number of frames of our tracks that were not sent.
    pub(crate) const fn unsent_frames(&self) -> u64 {
        self.local_tracks.unsent()
    }

    /// What happens to the connection.
    pub(super) fn follow_local_tracks(&mut self, event: &RoomEvent, now: Time) {
        match event {
            RoomEvent::Reconnecting { .. } => self.local_tracks.disconnected(),
            RoomEvent::Disconnected { .. } => {
                self.local_tracks.room_ended();
                self.report_local_tracks(now);
            }
            _ => {}
        }
    }

    /// Carries out the outputs of our tracks. `true`: there were some.
    pub(super) fn report_local_tracks(&mut self, now: Time) -> bool {
        let mut any = false;
        while let Some(output) = self.local_tracks.poll_output() {
            any = true;
            match output {
                LocalTrackOutput::Request(mut request) => {
                    self.e2ee.mark(&mut request);
                    self.signal.request(*request);
                }
                LocalTrackOutput::OpenSection(track, cid, kind) => {
                    let offer =
                        self.transport.as_mut().and_then(|it| it.open_section(track, &cid, kind, now));
                    self.offer(offer);
                }
                LocalTrackOutput::CloseSection(track) => {
                    let offer = self.transport.as_mut().and_then(|it| it.close_section(track, now));
                    self.offer(offer);
                }
                LocalTrackOutput::Done(id, result) => self.done(id, result),
                LocalTrackOutput::Changed(id, track) => {
                    self.outputs.push_back(Output::LocalTrack { id, track });
                }
                LocalTrackOutput::Published(track) => {
                    if let Some(participant) = self.signal.own_track(&track) {
                        self.event(RoomEvent::LocalTrackPublished { participant, track }, now);
                    }
                }
                LocalTrackOutput::Republished(track, previous_sid) => {
                    if let Some(participant) = self.signal.own_track(&track) {
                        let event = RoomEvent::LocalTrackRepublished { participant, track, previous_sid };
                        self.event(event, now);
                    }
                }
                LocalTrackOutput::Unpublished(track) => {
                    if let Some(participant) = self.signal.own_track_gone(&track.sid) {
                        self.event(RoomEvent::LocalTrackUnpublished { participant, track }, now);
                    }
                }
                LocalTrackOutput::Subscribed(track) => {
                    self.event(RoomEvent::LocalTrackSubscribed { track }, now);
                }
                LocalTrackOutput::Muted(track) => self.signal.own_track_muted(&track),
            }
        }
        any
    }

    fn offer(&mut self, offer: Option<String>) {
        if let Some(offer) = offer {
            self.signal.offer(offer);
        }
    }
}
