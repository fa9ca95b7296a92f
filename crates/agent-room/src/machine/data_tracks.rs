//! Data tracks of the machine: between the data channel, signalling, the commands and the outputs.

use bytes::Bytes;

use agent_proto::Time;

use super::Machine;
use crate::connection::MediaConnection;
use crate::data_tracks::{DataTrackOutput, DataTrackPacket};
use crate::{CommandId, DataTrackFrame, Output, RoomError, RoomEvent};

impl<M: MediaConnection> Machine<M> {
    pub(super) fn publish_data_track(&mut self, id: CommandId, name: String, now: Time) {
        match self.may_publish() {
            Ok(()) => self.data_tracks.publish(id, name, now),
            Err(error) => self.done(id, Err(error)),
        }
    }

    pub(super) fn push_data_frame(
        &mut self,
        id: CommandId,
        track: CommandId,
        frame: &DataTrackFrame,
        now: Time,
    ) {
        let packets = self
            .may_publish()
            .and_then(|()| self.data_tracks.push(track, frame, |payload| self.e2ee.seal_data(payload), now));
        match packets {
            Ok(packets) if packets.is_empty() => self.done(id, Ok(())),
            Ok(packets) => {
                if let Err(error) = self.outbox.push_frame(id, packets, &self.config.limits) {
                    self.done(id, Err(error));
                }
            }
            Err(error) => self.done(id, Err(error)),
        }
    }

    pub(super) fn subscribe_data_track(&mut self, id: CommandId, sid: &str) {
        let result = match self.signal.is_connected() {
            true => self.data_tracks.subscribe(id, sid),
            false => Err(RoomError::NotConnected),
        };
        self.done(id, result);
    }

    /// A received packet of a data track.
    pub(super) fn data_track_packet(&mut self, bytes: &Bytes) {
        match self.data_tracks.receive(bytes, |track, sealed| self.e2ee.open_data(track, sealed)) {
            DataTrackPacket::Frame(track, frame) => {
                self.outputs.push_back(Output::DataFrame { track, frame })
            }
            DataTrackPacket::Nothing => {}
            DataTrackPacket::Garbage => self.signal.violation(),
        }
    }

    /// Number of received frames that could not be completed or read.
    pub(crate) const fn dropped_data_frames(&self) -> u64 {
        self.data_tracks.dropped()
    }

    /// A new session began.
    pub(super) fn interrupt_data_tracks(&mut self) {
        self.data_tracks.interrupted();
        for id in self.outbox.drop_frames() {
            self.done(id, Ok(()));
        }
    }

    /// What happens to the connection, and to the tracks of others.
    pub(super) fn follow_data_tracks(&mut self, event: &RoomEvent) {
        match event {
            RoomEvent::Reconnecting { .. } => self.data_tracks.disconnected(),
            RoomEvent::DataTrackUnpublished { track, .. } => self.data_tracks.gone(&track.sid),
            RoomEvent::ParticipantLeft { participant, .. } => {
                participant.data_tracks.keys().for_each(|sid| self.data_tracks.gone(sid));
            }
            RoomEvent::Disconnected { .. } => {
                self.data_tracks.room_ended();
                self.report_data_tracks();
            }
            _ => {}
        }
    }

    /// Carries out the outputs of data tracks. `true`: there were some.
    pub(super) fn report_data_tracks(&mut self) -> bool {
        let mut any = false;
        while let Some(output) = self.data_tracks.poll_output() {
            any = true;
            match output {
                DataTrackOutput::Request(request) => self.signal.request(*request),
                DataTrackOutput::Done(id, result) => self.done(id, result),
            }
        }
        any
    }
}
