//! Text and byte streams between participants.

use std::collections::BTreeMap;

use agent_room::{
    CommandId, DisconnectReason, MAX_PACKET_LEN, RoomCommand, RoomError, StreamError, StreamKind,
    StreamOptions,
};

use super::rig::Rig;
use crate::machine::{Change, ChangeParticipant, MAX_HISTORY_LEN, MemberId, Refusal, SentStream};

fn text(topic: &str) -> StreamOptions {
    StreamOptions::new(topic, topic, StreamKind::text())
}

fn whole(options: StreamOptions, content: &str) -> RoomCommand {
    RoomCommand::SendStream { options: Box::new(options), content: content.to_owned().into() }
}

fn open(options: StreamOptions) -> RoomCommand {
    RoomCommand::OpenStream(Box::new(options))
}

fn write(stream: CommandId, content: &str) -> RoomCommand {
    RoomCommand::WriteStream { stream, content: content.to_owned().into() }
}

fn close(stream: CommandId, reason: &str) -> RoomCommand {
    let attributes = match reason {
        "" => BTreeMap::from([("final".to_owned(), "true".to_owned())]),
        _ => BTreeMap::new(),
    };
    RoomCommand::CloseStream { stream, reason: reason.to_owned(), attributes }
}

/// Ada and Bob, who may publish data, and Eve, who may not and is hidden.
fn three(rig: &mut Rig) -> [MemberId; 3] {
    let ada = rig.joins_with("lobby", "ada", |_| {});
    let bob = rig.joins_with("lobby", "bob", |_| {});
    let eve = rig.joins_with("lobby", "eve", |grant| {
        grant.permissions.can_publish_data = false;
        grant.permissions.hidden = true;
    });
    rig.forget();
    [ada, bob, eve]
}

fn refused(result: Result<CommandId, Refusal>) -> RoomError {
    match result {
        Err(Refusal::Command(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whole_texts_and_bytes_go_to_everybody_or_to_those_that_are_named() {
    let mut rig = Rig::new();
    let [ada, bob, _] = three(&mut rig);
    let mut greeting = text("chat");
    greeting.attributes.insert("mood".to_owned(), "curious".to_owned());
    rig.commands("ada sends a text to all", ada, whole(greeting, "hello")).unwrap();
    let mut secret = text("chat");
    secret.destinations = vec!["bob".to_owned(), "bob".to_owned(), "nobody".to_owned(), "ada".to_owned()];
    rig.commands("ada sends a text to bob, herself and nobody", ada, whole(secret, "psst")).unwrap();
    let file = StreamOptions::new("file", "files", StreamKind::Bytes { name: "a.bin".to_owned() });
    let long = whole(file, &"x".repeat(40_000));
    rig.commands("bob sends 40,000 bytes", bob, long).unwrap();
    rig.commands("bob sends an empty text", bob, whole(text("empty"), "")).unwrap();
    let sent = rig.server.streams_in("lobby");
    let shown: Vec<_> = sent.iter().map(|sent| (sent.sender.as_str(), sent.len, sent.to.len())).collect();
    assert_eq!(shown, [("ada", 5, 0), ("ada", 4, 4), ("bob", 40_000, 0), ("bob", 0, 0)]);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_stream_in_parts_goes_to_the_members_present_at_its_beginning() {
    let mut rig = Rig::new();
    let [ada, bob, _] = three(&mut rig);
    let stream = rig.commands("ada opens a stream", ada, open(text("story"))).unwrap();
    rig.commands("ada writes", ada, write(stream, "once ")).unwrap();
    rig.joins_with("lobby", "late", |_| {});
    rig.leaves(bob);
    rig.commands("ada writes nothing", ada, write(stream, "")).unwrap();
    rig.commands("ada writes", ada, write(stream, "upon a time")).unwrap();
    assert_eq!(rig.server.streams_in("lobby"), []);
    rig.commands("ada closes it", ada, close(stream, "")).unwrap();
    for command in [write(stream, "more"), close(stream, "")] {
        let after = rig.commands("ada goes on", ada, command);
        assert_eq!(refused(after), RoomError::StreamClosed);
    }
    insta::assert_snapshot!(rig.log());
}

#[test]
fn streams_that_are_not_completed() {
    let mut rig = Rig::new();
    let [ada, bob, _] = three(&mut rig);
    let aborted = rig.commands("ada opens a stream", ada, open(text("aborted"))).unwrap();
    rig.commands("ada writes", ada, write(aborted, "once")).unwrap();
    rig.commands("ada gives it up", ada, close(aborted, " out of ideas ")).unwrap();
    let left = rig.commands("ada opens a stream", ada, open(text("left"))).unwrap();
    rig.commands("ada writes", ada, write(left, "twice")).unwrap();
    rig.leaves(ada);
    rig.commands("bob opens a stream", bob, open(text("closed"))).unwrap();
    rig.delete_room("lobby");
    let after = rig.commands("bob opens another one", bob, open(text("late")));
    assert_eq!(refused(after), RoomError::NotConnected);
    let results: Vec<_> = rig.server.streams_in("lobby").into_iter().map(|sent| sent.result).collect();
    assert_eq!(
        results,
        [
            Err(StreamError::Aborted { reason: "out of ideas".to_owned() }),
            Err(StreamError::SenderLeft),
            Err(StreamError::RoomEnded)
        ]
    );
    insta::assert_snapshot!(rig.log());
}

/// On the server's side: a client's identity is replaced silently.
#[test]
fn only_an_agent_sends_a_text_for_somebody_else() {
    let mut rig = Rig::new();
    let [ada, ..] = three(&mut rig);
    let agent = rig.joins_with("lobby", "agent", |grant| grant.agent = true);
    let for_bob = |kind: StreamKind| {
        let mut options = StreamOptions::new("id", "lk.transcription", kind);
        options.sender = Some("bob".to_owned());
        whole(options, "hello")
    };
    rig.forget();
    rig.commands("the agent sends a text of bob", agent, for_bob(StreamKind::text())).unwrap();
    rig.commands("the agent sends bytes of bob", agent, for_bob(StreamKind::bytes())).unwrap();
    rig.commands("ada sends a text of bob", ada, for_bob(StreamKind::text())).unwrap();
    let sent = rig.server.streams_in("lobby");
    let who: Vec<_> = sent.iter().map(|sent| (sent.sender.as_str(), sent.info.sender.as_str())).collect();
    assert_eq!(who, [("agent", "bob"), ("agent", "agent"), ("ada", "ada")]);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn streams_need_a_permission() {
    let mut rig = Rig::new();
    let [ada, _, eve] = three(&mut rig);
    let not_allowed = RoomError::NotAllowed { detail: "no permission to publish data".to_owned() };
    for command in [whole(text("chat"), "hello"), open(text("chat"))] {
        assert_eq!(refused(rig.commands("eve sends", eve, command)), not_allowed);
    }
    let stream = rig.commands("ada opens a stream", ada, open(text("story"))).unwrap();
    let (room, identity) = ("lobby".to_owned(), "ada".to_owned());
    let change = Change { permissions: Some(agent_room::Permissions::default()), ..Change::default() };
    rig.call("ada may do nothing any more", ChangeParticipant { room, identity, change }).unwrap();
    for command in [write(stream, "hello"), close(stream, "")] {
        assert_eq!(refused(rig.commands("ada goes on", ada, command)), not_allowed);
    }
}

#[test]
fn the_limits_of_a_room_apply() {
    let mut rig = Rig::new();
    let [ada, ..] = three(&mut rig);
    let mut long = text("chat");
    long.attributes.insert("a".to_owned(), "v".repeat(MAX_PACKET_LEN));
    for command in [whole(long.clone(), ""), open(long)] {
        let error = refused(rig.commands("a long header", ada, command));
        assert!(matches!(error, RoomError::HeaderTooLarge { limit: 15_000, .. }), "{error:?}");
    }
    let many: Vec<_> = (0..1024).map(|_| rig.commands("", ada, open(text("many"))).unwrap()).collect();
    assert_eq!(refused(rig.commands("", ada, open(text("many")))), RoomError::QueueFull);
    let huge = "x".repeat(64 * 1024 * 1024 + 1);
    assert_eq!(refused(rig.commands("", ada, write(many[0], &huge))), RoomError::QueueFull);
    assert_eq!(refused(rig.commands("", ada, whole(text("huge"), &huge))), RoomError::QueueFull);
}

/// What is written without end is passed on, but not kept.
#[test]
fn the_start_of_a_long_stream_is_kept() {
    let mut rig = Rig::new();
    let [ada, ..] = three(&mut rig);
    let stream = rig.commands("ada opens a stream", ada, open(text("long"))).unwrap();
    let part = "x".repeat(10 * 1024 * 1024);
    for _ in 0..10 {
        rig.commands("", ada, write(stream, &part)).unwrap();
        rig.forget();
    }
    assert_eq!(rig.server.kept_of_streams, MAX_HISTORY_LEN);
    rig.commands("ada closes it", ada, close(stream, "")).unwrap();
    let [SentStream { content, len, result: Ok(_), .. }] = &rig.server.streams_in("lobby")[..] else {
        panic!("one stream")
    };
    assert_eq!((content.len(), *len), (MAX_HISTORY_LEN, 10 * part.len() as u64));
    assert_eq!(rig.server.kept_of_streams, 0);
    rig.member_left("ada is removed", ada, DisconnectReason::Removed);
}
