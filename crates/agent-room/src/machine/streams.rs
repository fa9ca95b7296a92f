//! Streams of the machine: between the data channel, the commands and the outputs.

use std::collections::BTreeMap;

use bytes::Bytes;

use agent_proto::Time;

use super::Machine;
use crate::connection::MediaConnection;
use crate::rpc::Rpc;
use crate::streams::{PacketSender, SendOwner, StreamPacket};
use crate::{CommandId, Output, StreamEvent, StreamOptions};

impl<M: MediaConnection> Machine<M> {
    pub(super) fn send_stream(&mut self, id: CommandId, options: StreamOptions, content: Bytes, now: Time) {
        let abilities = self.signal.abilities(&options.destinations);
        let (owner, timestamp) = (SendOwner::Command(id), self.unix_ms(now));
        let queued = self
            .may_publish()
            .and_then(|()| self.outgoing.send(owner, options, content, timestamp, abilities));
        if let Err(error) = queued {
            self.done(id, Err(error));
        }
    }

    pub(super) fn open_stream(&mut self, id: CommandId, options: StreamOptions, now: Time) {
        let timestamp = self.unix_ms(now);
        let queued = self.may_publish().and_then(|()| self.outgoing.open(id, options, timestamp));
        if let Err(error) = queued {
            self.done(id, Err(error));
        }
    }

    pub(super) fn write_stream(&mut self, id: CommandId, stream: CommandId, content: Bytes) {
        match self.may_publish().and_then(|()| self.outgoing.write(id, stream, content)) {
            Ok(true) => self.done(id, Ok(())),
            Ok(false) => {}
            Err(error) => self.done(id, Err(error)),
        }
    }

    pub(super) fn close_stream(
        &mut self,
        id: CommandId,
        stream: CommandId,
        reason: String,
        attributes: BTreeMap<String, String>,
    ) {
        let queued = self.may_publish().and_then(|()| self.outgoing.close(id, stream, reason, attributes));
        if let Err(error) = queued {
            self.done(id, Err(error));
        }
    }

    /// A received packet of a stream.
    pub(super) fn stream_packet(
        &mut self,
        sender: PacketSender,
        packet: StreamPacket,
        missed: u32,
        now: Time,
    ) {
        self.missed(&sender.identity, missed, now);
        if self.held.is_none() {
            self.incoming.receive(sender, packet);
            self.report_streams(now);
        } else if !self.early.push(sender, packet) {
            // Its stream fails, as this packet is missing.
            self.signal.violation();
        }
    }

    /// The user knows of the connection: what has arrived before is reported.
    pub(super) fn take_early_packets(&mut self, now: Time) {
        for (sender, packet) in self.early.take() {
            self.incoming.receive(sender, packet);
        }
        self.report_streams(now);
    }

    /// A new session began.
    pub(super) fn interrupt_streams(&mut self, now: Time) {
        self.early.take();
        self.incoming.interrupted();
        let (failed, done) = self.outgoing.interrupted();
        self.outbox.drop_streams(&failed);
        self.sends_done(done);
        self.report_streams(now);
    }

    /// The room is over.
    pub(super) fn end_streams(&mut self, now: Time) {
        self.early.take();
        self.incoming.room_ended();
        self.rpc.room_ended();
        self.report_streams(now);
    }

    pub(super) fn report_streams(&mut self, now: Time) {
        while let Some(event) = self.incoming.poll_event() {
            match self.of_rpc(&event) {
                true => self.rpc.stream(event),
                false => self.outputs.push_back(Output::Stream(event)),
            }
        }
        self.report_rpc(now);
        self.signal.violations_of(self.incoming.take_violations());
    }

    /// Whether a stream carries a request or a response.
    fn of_rpc(&mut self, event: &StreamEvent) -> bool {
        match event {
            StreamEvent::Opened { stream, info } => {
                let ours = Rpc::is_ours(info);
                if ours {
                    self.rpc_streams.insert(*stream);
                }
                ours
            }
            StreamEvent::Content { stream, .. } => self.rpc_streams.contains(stream),
            StreamEvent::Ended { stream, .. } => self.rpc_streams.remove(stream),
        }
    }

    /// Milliseconds since 1970.
    pub(super) fn unix_ms(&self, now: Time) -> i64 {
        let since = i64::try_from((now - Time::ZERO).as_millis()).unwrap_or(i64::MAX);
        self.config.created_at_ms.saturating_add(since)
    }
}
