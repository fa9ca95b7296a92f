//! Text and byte streams of members: who receives them, and how they end.
//!
//! A stream goes to those who are in the room when it begins. Content is not compressed, and there is no
//! network on which something could be under way: a leave ends streams immediately, where a client on a real
//! server waits for two seconds.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use agent_proto::text::shorten;
use agent_room::{
    CommandId, IncomingStream, Limits, Participant, ParticipantKind, RoomError, StreamError, StreamEvent,
    StreamKind, StreamOptions,
};

use super::Server;
use super::entries::OpenStream;
use super::event::ServerEvent;
use super::history::MAX_HISTORY_LEN;
use super::io::Output;
use super::request::MemberId;
use super::sent::SentStream;
use crate::api_call::text_of;

/// Maximum content of one event, as of a chunk on a real server, in bytes.
const PIECE: usize = 15_000;
/// Maximum length of a sender's reason that is kept, in characters.
const MAX_REASON_LEN: usize = 256;

/// The sender of a stream or a command.
pub(super) struct Sender<'a> {
    pub(super) member: MemberId,
    pub(super) room: &'a str,
    pub(super) participant: &'a Participant,
}

impl Server {
    pub(super) fn send_stream(
        &mut self,
        sender: &Sender<'_>,
        mut options: StreamOptions,
        content: Bytes,
    ) -> Result<(), RoomError> {
        check_len(&content)?;
        options.total_length = Some(content.len() as u64);
        let mut stream = self.begin_stream(sender, options)?;
        self.deliver(&stream, &content);
        stream.len = content.len() as u64;
        self.end_stream(stream, content, Ok(BTreeMap::new()));
        Ok(())
    }

    pub(super) fn open_stream(
        &mut self,
        sender: &Sender<'_>,
        id: CommandId,
        options: StreamOptions,
    ) -> Result<(), RoomError> {
        let key = (sender.member, id);
        if self.streams.contains_key(&key) {
            let detail = "a stream that this command opened is still open".to_owned();
            return Err(RoomError::Refused { detail });
        }
        let open = self.streams.range(of_member(sender.member)).count();
        if open >= Limits::default().outgoing_streams {
            return Err(RoomError::QueueFull);
        }
        let stream = self.begin_stream(sender, options)?;
        self.streams.insert(key, stream);
        Ok(())
    }

    pub(super) fn write_stream(
        &mut self,
        sender: &Sender<'_>,
        id: CommandId,
        content: &Bytes,
    ) -> Result<(), RoomError> {
        let key = (sender.member, id);
        check_data_permission(sender.participant)?;
        check_len(content)?;
        // Out of the map while the recipients are notified.
        let mut stream = self.streams.remove(&key).ok_or(RoomError::StreamClosed)?;
        self.deliver(&stream, content);
        stream.len += content.len() as u64;
        let kept = content.len().min(MAX_HISTORY_LEN.saturating_sub(self.kept_of_streams));
        self.kept_of_streams += kept;
        stream.content.extend_from_slice(content.get(..kept).unwrap_or_default());
        self.streams.insert(key, stream);
        Ok(())
    }

    pub(super) fn close_stream(
        &mut self,
        sender: &Sender<'_>,
        id: CommandId,
        reason: &str,
        attributes: BTreeMap<String, String>,
    ) -> Result<(), RoomError> {
        check_data_permission(sender.participant)?;
        let stream = self.streams.remove(&(sender.member, id)).ok_or(RoomError::StreamClosed)?;
        let reason = reason.trim();
        let result = match reason.is_empty() {
            true => Ok(attributes),
            false => Err(StreamError::Aborted { reason: shorten(reason, MAX_REASON_LEN) }),
        };
        self.end_open_stream(stream, result);
        Ok(())
    }

    /// A member is about to be notified that it is out of its room: nothing more is received.
    pub(super) fn end_received_streams(&mut self, member: MemberId) {
        for stream in self.streams.values_mut() {
            for (_, number) in stream.recipients.extract_if(.., |(recipient, _)| *recipient == member) {
                let event = StreamEvent::Ended { stream: number, result: Err(StreamError::RoomEnded) };
                self.out.push_back(Output::Stream { member, event });
            }
        }
    }

    /// A member left without closing its streams.
    pub(super) fn end_sent_streams(&mut self, member: MemberId) {
        let left: Vec<OpenStream> =
            self.streams.extract_if(of_member(member), |_, _| true).map(|(_, stream)| stream).collect();
        for stream in left {
            self.end_open_stream(stream, Err(StreamError::SenderLeft));
        }
    }

    /// A room is being closed: its streams end for everybody in the same way.
    pub(super) fn end_streams_in(&mut self, room: &str) {
        let over: Vec<OpenStream> =
            self.streams.extract_if(.., |_, stream| stream.room == room).map(|(_, stream)| stream).collect();
        for stream in over {
            self.end_open_stream(stream, Err(StreamError::RoomEnded));
        }
    }

    /// The kept streams of a room that are over, also of a closed room.
    pub fn streams_in(&self, room: &str) -> Vec<SentStream> {
        self.sent_streams.in_room(room)
    }

    fn begin_stream(&mut self, sender: &Sender<'_>, options: StreamOptions) -> Result<OpenStream, RoomError> {
        let me = sender.participant;
        check_data_permission(me)?;
        let mut info = options.describe(self.wall_ns() / 1_000_000)?;
        info.sender.clone_from(&me.identity);
        // Only agents may send a text for somebody else; from others the server replaces the identity.
        if let (Some(other), StreamKind::Text(text)) = (&options.sender, &mut info.kind)
            && me.kind == ParticipantKind::Agent
            && !other.is_empty()
            && *other != me.identity
        {
            info.sender.clone_from(other);
            text.generated = true;
        }
        let (info, to) = (Arc::new(info), options.destinations);
        let recipients: Vec<(MemberId, IncomingStream)> = self
            .addressed(sender.room, Some(&me.identity), &to)
            .into_iter()
            .map(|member| (member, IncomingStream(self.new_number())))
            .collect();
        for (member, stream) in &recipients {
            let event = StreamEvent::Opened { stream: *stream, info: Arc::clone(&info) };
            self.out.push_back(Output::Stream { member: *member, event });
        }
        Ok(OpenStream {
            at: self.now,
            room: sender.room.to_owned(),
            sender: me.identity.clone(),
            info,
            to,
            recipients,
            content: Vec::new(),
            len: 0,
        })
    }

    fn deliver(&mut self, stream: &OpenStream, content: &Bytes) {
        for start in (0..content.len()).step_by(PIECE) {
            let piece = content.slice(start..content.len().min(start + PIECE));
            for (member, stream) in &stream.recipients {
                let event = StreamEvent::Content { stream: *stream, content: piece.clone() };
                self.out.push_back(Output::Stream { member: *member, event });
            }
        }
    }

    fn end_open_stream(
        &mut self,
        mut stream: OpenStream,
        result: Result<BTreeMap<String, String>, StreamError>,
    ) {
        let content = std::mem::take(&mut stream.content);
        self.kept_of_streams = self.kept_of_streams.saturating_sub(content.len());
        self.end_stream(stream, content.into(), result);
    }

    /// Notifies the recipients, and keeps the stream for tests.
    fn end_stream(
        &mut self,
        stream: OpenStream,
        content: Bytes,
        result: Result<BTreeMap<String, String>, StreamError>,
    ) {
        let OpenStream { at, room, sender, info, to, recipients, content: _, len } = stream;
        for (member, stream) in recipients {
            let event = StreamEvent::Ended { stream, result: result.clone() };
            self.out.push_back(Output::Stream { member, event });
        }
        let (from, topic) = (sender.clone(), info.topic.clone());
        let error = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let event = match info.name() {
            None => {
                ServerEvent::Text { room: room.clone(), from, topic, len, text: text_of(&content), error }
            }
            Some(name) => {
                ServerEvent::Bytes { room: room.clone(), from, topic, name: name.to_owned(), len, error }
            }
        };
        self.sent_streams.push(&room, SentStream { at, sender, info, to, content, len, result });
        self.log(event);
    }
}

/// The keys of a member's open streams.
const fn of_member(member: MemberId) -> RangeInclusive<(MemberId, CommandId)> {
    (member, CommandId::MIN)..=(member, CommandId::MAX)
}

pub(super) fn check_data_permission(participant: &Participant) -> Result<(), RoomError> {
    match participant.permissions.can_publish_data {
        true => Ok(()),
        false => Err(RoomError::NotAllowed { detail: "no permission to publish data".to_owned() }),
    }
}

/// More than this a room does not queue for its network.
fn check_len(content: &Bytes) -> Result<(), RoomError> {
    match content.len() > Limits::default().outgoing_bytes {
        true => Err(RoomError::QueueFull),
        false => Ok(()),
    }
}
