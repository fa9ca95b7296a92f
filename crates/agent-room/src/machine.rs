//! The room machine: connects signalling, data and the media connection.

mod data_tracks;
mod e2ee;
mod local_tracks;
mod rpc;
mod streams;
#[cfg(test)]
#[cfg(feature = "serde")]
mod tests;
mod video;

use std::collections::{BTreeSet, VecDeque};

use agent_proto::livekit::data_packet::Value;
use agent_proto::{Time, recording};

use crate::connection::{MediaConnection, TransportEvent};
use crate::data::{Channel, DataInbox, DataOutbox, PacketOwner, Received};
use crate::data_tracks::DataTracks;
use crate::e2ee::E2ee;
use crate::held::HeldEvents;
use crate::local_tracks::LocalTracks;
use crate::rpc::Rpc;
use crate::signal::{LowerState, OwnChange, Signal, SignalOutput, UnknownLeft};
use crate::streams::{EarlyPackets, Incoming, Outgoing, SendDone, SendOwner};
use crate::turn::RelayEvent;
use crate::unknown_method::Reported;
use crate::video::VideoReceiver;
use crate::{
    CommandId, Config, IncomingStream, Input, NetworkPath, Output, Publish, RoomCommand, RoomError,
    RoomEvent, Timer, dtmf,
};

/// A [`Room`](crate::Room) over any media connection.
pub(crate) struct Machine<M: MediaConnection> {
    clock: M::Clock,
    config: Config,
    signal: Signal,
    transport: Option<M>,
    /// The last path that was reported.
    path: Option<NetworkPath>,
    outbox: DataOutbox,
    inbox: DataInbox,
    incoming: Incoming,
    /// Packets of streams that wait for the event that must precede them.
    early: EarlyPackets,
    outgoing: Outgoing,
    rpc: Rpc,
    data_tracks: DataTracks,
    local_tracks: LocalTracks,
    video: VideoReceiver,
    e2ee: E2ee,
    /// The open streams of requests and responses.
    rpc_streams: BTreeSet<IncomingStream>,
    /// Events that wait for the one that must precede them.
    held: Option<HeldEvents>,
    reported: Reported,
    /// Count of earlier media connections.
    unrouted: u64,
    outputs: VecDeque<Output>,
}

impl<M: MediaConnection> Machine<M> {
    pub(crate) fn new(config: Config, clock: M::Clock) -> Self {
        Self {
            clock,
            signal: Signal::new(config.clone()),
            transport: None,
            path: None,
            outbox: DataOutbox::new(),
            inbox: DataInbox::default(),
            incoming: Incoming::new(config.limits.streams.clone()),
            early: EarlyPackets::default(),
            outgoing: Outgoing::new(config.limits.outgoing_streams, config.limits.outgoing_bytes),
            rpc: Rpc::new(config.limits.rpc.clone()),
            data_tracks: DataTracks::new(
                config.limits.data_tracks.clone(),
                config.request_timeout,
                config.e2ee.as_ref().is_some_and(|e2ee| !e2ee.media_only),
            ),
            local_tracks: LocalTracks::new(config.limits.local_tracks, config.track_timeout, config.seed),
            video: VideoReceiver::default(),
            e2ee: E2ee::new(config.e2ee.as_ref()),
            rpc_streams: BTreeSet::new(),
            held: None,
            reported: Reported::default(),
            config,
            unrouted: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Handles an input.
    pub(crate) fn handle_input(&mut self, input: Input, now: Time) {
        if self.signal.is_closed() {
            match input {
                Input::Commanded { id, .. } => self.done(id, Err(RoomError::NotConnected)),
                Input::Called { id, .. } => self.not_called(id, &RoomError::NotConnected),
                Input::SendFrame { track, .. } => self.local_tracks.not_sent(track),
                _ => {}
            }
            return;
        }
        match input {
            Input::UdpBound { port } => self.bound(port, now),
            Input::UdpNotBound { error } => self.signal.not_bound(&error, now),
            Input::RouteFound { remote, local } => {
                if let Some(transport) = &mut self.transport {
                    transport.routed(remote, local, now);
                }
            }
            Input::TcpConnected { local, remote } => {
                if let Some(transport) = &mut self.transport {
                    transport.tcp_connected(local, remote, now);
                }
            }
            Input::TcpClosed { remote } => {
                if let Some(transport) = &mut self.transport {
                    transport.tcp_closed(remote, now);
                }
            }
            Input::RelayOpened { relay, local } => {
                if let Some(transport) = &mut self.transport {
                    transport.relay_opened(relay, local, now);
                }
            }
            Input::RelayReceived { relay, contents } => {
                if let Some(transport) = &mut self.transport
                    && !transport.relay_received(relay, &contents, now)
                {
                    self.signal.violation();
                }
            }
            Input::RelayClosed { relay, error } => {
                if let Some(transport) = &mut self.transport {
                    transport.relay_closed(relay, &error, now);
                }
            }
            Input::SignalOpened => self.signal.opened(now),
            Input::SignalRefused { status, body, retry_after } => {
                self.signal.refused(status, &body, retry_after, now);
            }
            Input::SignalFailed { error } => self.signal.failed(&error, now),
            Input::SignalReceived(frame) => self.signal.received(&frame, now),
            Input::SignalClosed { reason } => self.signal.signal_closed(&reason, now),
            Input::PacketReceived { protocol, source, destination, contents } => {
                if let Some(transport) = &mut self.transport
                    && !transport.handle_packet(protocol, source, destination, &contents, now)
                {
                    self.signal.violation();
                }
            }
            Input::JoinRetried { timeout } => self.signal.retry_join(timeout, now),
            Input::Commanded { id, command } => self.command(id, command, now),
            Input::Called { id, call } => self.call(id, call, now),
            Input::SendFrame { track, frame } => self.send_frame(track, frame, now),
        }
        // Including timers that are due now: after the drain the next timeout is later.
        self.do_due(now);
        self.settle(now);
    }

    fn command(&mut self, id: CommandId, command: RoomCommand, now: Time) {
        match command {
            RoomCommand::Publish(message) => self.publish(id, message),
            RoomCommand::SendStream { options, content } => self.send_stream(id, *options, content, now),
            RoomCommand::OpenStream(options) => self.open_stream(id, *options, now),
            RoomCommand::WriteStream { stream, content } => self.write_stream(id, stream, content),
            RoomCommand::CloseStream { stream, reason, attributes } => {
                self.close_stream(id, stream, reason, attributes);
            }
            RoomCommand::RegisterMethod(method) => {
                self.rpc.register(method);
                self.done(id, Ok(()));
            }
            RoomCommand::UnregisterMethod(method) => {
                self.rpc.unregister(&method);
                self.done(id, Ok(()));
            }
            RoomCommand::Respond { request, result } => self.respond(id, request, result, now),
            RoomCommand::SendDtmf { digit, destinations } => self.send_dtmf(id, digit, destinations),
            RoomCommand::PublishDataTrack { name } => self.publish_data_track(id, name, now),
            RoomCommand::PushDataFrame { track, frame } => self.push_data_frame(id, track, &frame, now),
            RoomCommand::UnpublishDataTrack { track } => {
                let result = self.data_tracks.unpublish(track);
                self.done(id, result);
            }
            RoomCommand::SubscribeDataTrack { sid } => self.subscribe_data_track(id, &sid),
            RoomCommand::UnsubscribeDataTrack { subscription } => {
                self.data_tracks.unsubscribe(subscription);
                self.done(id, Ok(()));
            }
            RoomCommand::PublishTrack { options } => self.publish_track(id, options, now),
            RoomCommand::UnpublishTrack { track } => {
                let result = self.local_tracks.unpublish(track);
                self.done(id, result);
            }
            RoomCommand::MuteTrack { track, muted } => {
                let result = self.local_tracks.mute(track, muted);
                self.done(id, result);
            }
            RoomCommand::ChangeSubscription { track_sid, change } => {
                self.signal.change_subscription(id, &track_sid, change);
                self.video.set_read(&track_sid, self.signal.reads(&track_sid));
            }
            RoomCommand::RequestKeyFrame { track_sid } => self.request_key_frame(id, &track_sid),
            RoomCommand::ResetSubscriptions { before } => self.signal.reset_subscriptions(id, before),
            RoomCommand::SetE2eeKey { participant, index, key } => {
                let result = self.e2ee.set_key(participant.as_deref(), index, key);
                self.done(id, result);
            }
            RoomCommand::UseE2eeKey { index } => {
                let result = self.e2ee.use_key(index);
                self.done(id, result);
            }
            RoomCommand::RatchetE2eeKey { index } => {
                let result = self.e2ee.ratchet(index);
                self.done(id, result);
            }
            RoomCommand::SetMetadata(metadata) => {
                self.signal.change(id, OwnChange { metadata, ..OwnChange::default() }, now);
            }
            RoomCommand::SetName(name) => {
                self.signal.change(id, OwnChange { name, ..OwnChange::default() }, now)
            }
            RoomCommand::SetAttributes(attributes) => {
                self.signal.change(id, OwnChange { attributes, ..OwnChange::default() }, now);
            }
            RoomCommand::Leave => self.signal.leave(id, now),
        }
    }

    fn publish(&mut self, id: CommandId, message: Publish) {
        let queued = self.may_publish().and_then(|()| {
            self.outbox.push(id, message, &self.config.limits, |value| self.e2ee.seal_value(value))
        });
        if let Err(error) = queued {
            self.done(id, Err(error));
        }
    }

    fn send_dtmf(&mut self, id: CommandId, digit: char, destinations: Vec<String>) {
        let queued = dtmf::packet(digit).and_then(|packet| {
            self.may_publish()?;
            self.outbox.push_event(id, destinations, Value::SipDtmf(packet), &self.config.limits)
        });
        if let Err(error) = queued {
            self.done(id, Err(error));
        }
    }

    fn may_publish(&self) -> Result<(), RoomError> {
        if !self.signal.is_connected() {
            Err(RoomError::NotConnected)
        } else if !self.signal.may_publish_data() {
            Err(RoomError::NotAllowed { detail: "no permission to publish data".to_owned() })
        } else {
            Ok(())
        }
    }

    /// Notifies those whose streams were sent, or failed.
    fn sends_done(&mut self, done: Vec<SendDone>) {
        for (owner, result) in done {
            match owner {
                SendOwner::Command(id) => self.done(id, result),
                SendOwner::Rpc(owner) => {
                    if let Err(error) = result {
                        self.rpc.send_failed(owner, &error);
                    }
                }
            }
        }
    }

    fn done(&mut self, id: CommandId, result: Result<(), RoomError>) {
        self.outputs.push_back(Output::CommandDone { id, result });
    }

    /// Handles the timers that are due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if !self.signal.is_closed() {
            self.do_due(now);
            self.settle(now);
        }
    }

    fn do_due(&mut self, now: Time) {
        self.incoming.handle_timeout(now);
        self.report_streams(now);
        self.rpc_timeout(now);
        self.data_tracks.handle_timeout(now);
        self.local_tracks.handle_timeout(now);
        self.video.handle_timeout(now);
        if let Some(transport) = &mut self.transport {
            transport.handle_timeout(now);
        }
        let transport = &self.transport;
        self.signal.handle_timeout(now, || {
            transport.as_ref().map_or_else(|| "there is no socket".to_owned(), M::explain)
        });
    }

    /// The next output.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due, and why. `None` once closed.
    pub(crate) fn poll_timeout(&self) -> Option<(Time, Timer)> {
        let signal = self.signal.poll_timeout()?;
        let transport = self.transport.as_ref().and_then(M::poll_timeout);
        let streams = self.incoming.poll_timeout().map(|at| (at, Timer::Streams));
        let rpc = self.rpc.poll_timeout().map(|at| (at, Timer::Rpc));
        let data_tracks = self.data_tracks.poll_timeout().map(|at| (at, Timer::DataTracks));
        let local_tracks = self.local_tracks.poll_timeout().map(|at| (at, Timer::LocalTracks));
        let video = self.video.poll_timeout().map(|at| (at, Timer::Video));
        let transport = transport.map(|at| (at, Timer::Transport));
        let timers = transport.into_iter().chain(streams).chain(rpc).chain(data_tracks).chain(local_tracks);
        timers.chain(video).chain([signal]).min()
    }

    /// Number of invalid messages of the server or the network. Each was skipped.
    pub(crate) fn violations(&self) -> u64 {
        self.signal.violations()
    }

    /// Number of audio frames without a track that the server has announced: late frames of a track that is
    /// gone, or early ones. Each was dropped.
    pub(crate) fn unrouted_frames(&self) -> u64 {
        self.unrouted.saturating_add(self.transport.as_ref().map_or(0, M::unrouted))
    }

    fn bound(&mut self, port: u16, now: Time) {
        if self.transport.is_some() {
            return self.signal.violation();
        }
        match M::new(port, self.clock, now) {
            Some((transport, offer)) => {
                self.transport = Some(transport);
                self.signal.bound(offer);
            }
            None => self.signal.failed("no offer could be made", now),
        }
    }

    /// Passes values between the layers until there are none left.
    fn settle(&mut self, now: Time) {
        loop {
            while let Some(output) = self.signal.poll_output() {
                self.on_signal_output(output, now);
            }
            self.pump(now);
            if self.report_rpc(now)
                || self.report_data_tracks()
                || self.report_local_tracks(now)
                || self.report_video(now)
                || self.report_e2ee(now)
            {
                continue;
            }
            let Some(event) = self.transport.as_mut().and_then(M::poll) else {
                // Nothing came from below; check whether that last step produced outputs of the signalling.
                if !self.flushed() {
                    break;
                }
                continue;
            };
            self.on_transport_event(event, now);
        }
    }

    /// Passes queued messages to the data channels.
    fn pump(&mut self, now: Time) {
        let Some(transport) = &mut self.transport else { return };
        if self.outbox.awaits_acknowledgement()
            && let Some(bytes) = transport.unacknowledged()
        {
            self.outbox.acknowledged_but(bytes);
        }
        // A session that is about to be abandoned would lose the messages.
        if self.signal.abandons_session() {
            return;
        }
        let (mut sent, mut completed) = (false, Vec::new());
        loop {
            let done = self.outbox.pump(|channel, bytes| transport.write(channel, bytes));
            sent |= !done.is_empty();
            for (owner, result) in done {
                match (owner, result) {
                    (PacketOwner::Command(id), result) => completed.push((SendOwner::Command(id), result)),
                    (PacketOwner::Stream(stream), Ok(())) => {
                        completed.extend(self.outgoing.accepted(stream));
                    }
                    (PacketOwner::Stream(stream), Err(error)) => {
                        completed.extend(self.outgoing.refused(stream, &error));
                    }
                    (PacketOwner::Room, _) => {}
                }
            }
            // One packet of the streams at a time, so that data messages do not wait behind many.
            if !self.outbox.has_room_for_streams() {
                break;
            }
            let Some(mut packet) = self.outgoing.next_packet() else { break };
            match self.e2ee.seal_value(packet.value) {
                Ok(value) => packet.value = value,
                Err(error) => {
                    completed.extend(self.outgoing.refused(packet.stream, &error));
                    continue;
                }
            }
            self.outbox.push_stream(packet);
        }
        if sent {
            transport.run(now);
        }
        self.sends_done(completed);
    }

    /// Completes a leave when the server has received everything. `true`: it has.
    fn flushed(&mut self) -> bool {
        let done = self.signal.is_leaving()
            && self.outbox.is_empty()
            && self.outgoing.is_idle()
            && self
                .transport
                .as_mut()
                .is_none_or(|transport| transport.unacknowledged().is_none_or(|b| b == 0));
        if done {
            self.signal.flushed();
        }
        done
    }

    fn on_transport_event(&mut self, event: TransportEvent, now: Time) {
        match event {
            TransportEvent::Packet { protocol, source, destination, contents } => {
                self.outputs.push_back(Output::SendPacket { protocol, source, destination, contents });
            }
            TransportEvent::Ready => {
                self.report_path(now);
                self.signal.media_ready(now);
            }
            TransportEvent::Restarted => self.signal.media_restarted(now),
            // Before the connection is there it is of no interest.
            TransportEvent::PathChanged if self.path.is_none() => {}
            TransportEvent::PathChanged => self.report_path(now),
            // A frame of an abandoned session.
            TransportEvent::Frame { .. } | TransportEvent::VideoPacket { .. }
                if !self.signal.is_in_room() => {}
            TransportEvent::Frame { track, frame } => self.audio_received(track, frame),
            TransportEvent::VideoPacket { track, packet } => self.video.handle_packet(&track, packet, now),
            TransportEvent::Data { .. } if !self.signal.is_in_room() => {}
            TransportEvent::Data { channel: Channel::DataTrack, bytes } => self.data_track_packet(&bytes),
            TransportEvent::Data { channel, bytes } => {
                match self
                    .inbox
                    .receive(channel, &bytes, |sender, packet| self.e2ee.open_packet(sender, &packet))
                {
                    Received::Message { message, missed } => {
                        if let Some(sender) = &message.sender {
                            self.missed(sender, missed, now);
                        }
                        self.event(RoomEvent::DataReceived(message), now);
                    }
                    Received::Stream { sender, packet, missed } => {
                        self.stream_packet(sender, packet, missed, now);
                    }
                    Received::Rpc { sender, value, missed } => {
                        self.missed(&sender, missed, now);
                        self.rpc.packet(&sender, *value, now);
                        self.report_rpc(now);
                    }
                    Received::Event { sender, event, missed } => {
                        self.missed(&sender, missed, now);
                        self.event(event, now);
                    }
                    Received::Nothing => {}
                    Received::Garbage => self.signal.violation(),
                }
            }
            TransportEvent::NeedsRoute { remote } => self.outputs.push_back(Output::FindRoute { remote }),
            TransportEvent::Candidate { text } => self.signal.own_candidate(&text),
            TransportEvent::NeedsTcp { remote } => self.outputs.push_back(Output::ConnectTcp { remote }),
            TransportEvent::Relay(event) => self.outputs.push_back(match event {
                RelayEvent::Open { relay, host, port, transport } => {
                    Output::OpenRelay { relay, host, port, transport }
                }
                RelayEvent::Send { relay, contents } => Output::SendRelay { relay, contents },
                RelayEvent::Close { relay } => Output::CloseRelay { relay },
                RelayEvent::Failed { server, reason } => Output::RelayFailed { server, reason },
            }),
            TransportEvent::KeyFrameRequested { track } => {
                self.outputs.push_back(Output::KeyFrameRequested { track });
            }
            TransportEvent::Silent { detail } => self.signal.media_silent(&detail, now),
            TransportEvent::NoPath { detail } => self.signal.no_path(detail, now),
            TransportEvent::Gone { detail } => self.signal.media_gone(&detail, now),
        }
    }

    fn on_signal_output(&mut self, output: SignalOutput, now: Time) {
        match output {
            SignalOutput::Connect { url, token, may_be_new_server } => {
                self.outputs.push_back(Output::ConnectSignal { url, token, may_be_new_server });
            }
            SignalOutput::Send(frame) => self.outputs.push_back(Output::SendSignal(frame)),
            SignalOutput::CloseSignal => self.outputs.push_back(Output::CloseSignal),
            SignalOutput::Answer { sdp, tracks } => {
                let Some(transport) = &mut self.transport else { return };
                match transport.answer(&sdp, &tracks, now) {
                    Ok(answered) => {
                        self.signal.violations_of(answered.refused);
                        for (track, sends) in answered.sections {
                            self.local_tracks.section_answered(track, sends);
                        }
                        if let Some(offer) = answered.offer {
                            self.signal.offer(offer);
                        }
                    }
                    Err(detail) => self.signal.answer_unusable(&detail, now),
                }
            }
            SignalOutput::IceServers { servers, force_relay } => {
                // Each session draws other numbers.
                let seed = self.config.seed ^ now.as_nanos();
                if let Some(transport) = &mut self.transport {
                    transport.ice_servers(servers, force_relay, seed, now);
                }
            }
            SignalOutput::Candidate(text) => {
                if let Some(transport) = &mut self.transport
                    && !transport.candidate(&text, now)
                {
                    self.signal.violation();
                }
            }
            SignalOutput::Sections { audio, video } => {
                if let Some(offer) = self.transport.as_mut().and_then(|t| t.sections(audio, video, now)) {
                    self.signal.offer(offer);
                }
            }
            SignalOutput::Resume { last_sequence } => self.resume(last_sequence, now),
            SignalOutput::Rebind => {
                self.drop_transport(now);
                self.signal.unconfirmed(self.outbox.forget_sent());
                self.inbox.another_session();
                self.interrupt_streams(now);
                self.interrupt_data_tracks();
                self.local_tracks.interrupted();
                self.outputs.push_back(Output::BindUdp);
            }
            SignalOutput::RestartMedia => {
                if let Some(offer) = self.transport.as_mut().and_then(|transport| transport.restart(now)) {
                    self.signal.offer(offer);
                }
            }
            SignalOutput::JoinFailed { failure } => self.outputs.push_back(Output::JoinFailed { failure }),
            SignalOutput::CloseMedia => self.close_media(now),
            SignalOutput::Event(event) => self.event(event, now),
            SignalOutput::UnknownLeft(UnknownLeft { sid, identity }) => {
                self.participant_left(&sid, identity.as_deref(), now);
            }
            SignalOutput::Hold(changes) => {
                let limit = self.config.limits.held_events;
                self.held.get_or_insert_with(|| HeldEvents::new(limit));
                changes.into_iter().for_each(|event| self.event(event, now));
            }
            SignalOutput::Entered(mut event) => {
                if let RoomEvent::Connected(connected) = &mut event {
                    connected.network_path.clone_from(&self.path);
                }
                let resumed = match &event {
                    RoomEvent::Reconnected(again) => Some(again.resumed),
                    _ => None,
                };
                self.notify(event, now);
                let held = self.held.take();
                held.into_iter().flat_map(HeldEvents::into_events).for_each(|event| self.notify(event, now));
                self.take_early_packets(now);
                // Now it is known whose tracks are still published.
                if let Some(resumed) = resumed {
                    self.data_tracks.reconnected(resumed, now);
                    self.local_tracks.reconnected(resumed, now);
                }
            }
            SignalOutput::Disconnected { reason } => {
                self.held = None;
                self.end_streams(now);
                self.notify(RoomEvent::Disconnected { reason }, now);
            }
            SignalOutput::LocalTrack(message) => self.local_tracks.message(message),
            SignalOutput::DataTrack(message) => {
                if !self.data_tracks.message(message) {
                    self.signal.violation();
                }
            }
            SignalOutput::Done { id, result } => self.outputs.push_back(Output::CommandDone { id, result }),
            SignalOutput::Closed { reason } => self.outputs.push_back(Output::Closed { reason }),
        }
    }

    /// Reports the gap before a packet.
    fn missed(&mut self, sender: &str, up_to: u32, now: Time) {
        if up_to > 0 && !sender.is_empty() {
            self.event(RoomEvent::DataMissed { sender: sender.to_owned(), up_to }, now);
        }
    }

    /// Notifies the user, now or once there is a connection.
    fn event(&mut self, event: RoomEvent, now: Time) {
        let Some(held) = &mut self.held else { return self.notify(event, now) };
        held.push(event);
        for gone in held.take_unreported() {
            self.participant_left(&gone.sid, Some(&gone.identity), now);
        }
    }

    fn notify(&mut self, event: RoomEvent, now: Time) {
        self.e2ee.follow(&event);
        self.follow_data_tracks(&event);
        self.follow_local_tracks(&event, now);
        if let RoomEvent::ParticipantLeft { participant, .. } = &event {
            self.participant_left(&participant.sid, Some(&participant.identity), now);
        }
        self.outputs.push_back(Output::Event(event));
    }

    /// Forgets a participant. `identity`: unless it is in the room with another session.
    fn participant_left(&mut self, sid: &str, identity: Option<&str>, now: Time) {
        self.inbox.forget(sid);
        self.incoming.sender_left(sid, identity, now);
        if let Some(identity) = identity {
            self.rpc.participant_left(identity, now);
        }
    }

    /// Reports the path that is used, if it is another one than the last one.
    fn report_path(&mut self, now: Time) {
        let Some(path) = self.transport.as_ref().and_then(M::path) else { return };
        let is_first = self.path.is_none();
        if self.path.as_ref().is_some_and(|last| path.is_like(last)) {
            return;
        }
        self.outputs.push_back(Output::MediaPath(path.clone()));
        self.path = Some(path.clone());
        if !is_first {
            self.event(RoomEvent::NetworkPathChanged(Box::new(path)), now);
        }
    }

    /// Sends the last packets, drops the connection's state, and completes the queued commands.
    fn close_media(&mut self, now: Time) {
        for id in self.outbox.take_all() {
            self.done(id, Err(RoomError::NotConnected));
        }
        let done = self.outgoing.take_all(&RoomError::NotConnected);
        self.sends_done(done);
        self.drop_transport(now);
    }

    /// The session continues: the server gets the packets that it has not received, and a new offer to find
    /// another path.
    fn resume(&mut self, last_sequence: u32, now: Time) {
        let Some(transport) = &mut self.transport else { return };
        self.outbox.repeat_after(last_sequence);
        let below = LowerState {
            channels: transport.channels(),
            received: self.inbox.received(),
            data_tracks: self.data_tracks.state(),
            tracks: self.local_tracks.state(),
        };
        let offer = transport.restart(now);
        self.signal.sync(below, offer, now);
    }

    /// Sends the last packets of a media connection.
    fn drop_transport(&mut self, now: Time) {
        let Some(mut transport) = self.transport.take() else { return };
        self.unrouted = self.unrouted.saturating_add(transport.unrouted());
        self.video.interrupted();
        transport.close(now);
        while let Some(event) = transport.poll() {
            if let TransportEvent::Packet { .. } | TransportEvent::Relay(_) = event {
                self.on_transport_event(event, now);
            }
        }
    }
}

impl<M: MediaConnection> recording::Machine for Machine<M> {
    type Input = Input;
    type Output = Output;

    fn handle_input(&mut self, input: Input, now: Time) {
        self.handle_input(input, now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.poll_output()
    }
}

impl<M: MediaConnection> std::fmt::Debug for Machine<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("connected", &self.signal.is_connected())
            .field("closed", &self.signal.is_closed())
            .field("violations", &self.violations())
            .finish_non_exhaustive()
    }
}
