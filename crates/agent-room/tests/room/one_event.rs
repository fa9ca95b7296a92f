//! Packets that are one event: telephone keys, and what clients send that do not send it as text streams.

use agent_proto::livekit as proto;
use agent_room::{ChatMessage, RoomCommand, RoomError, RoomEvent};

use crate::support::Pair;
use proto::data_packet::Value;

fn connected() -> Pair {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    pair.events.clear();
    pair
}

fn key(digit: char, to: &[&str]) -> RoomCommand {
    RoomCommand::SendDtmf { digit, destinations: to.iter().map(|identity| (*identity).to_owned()).collect() }
}

#[test]
fn telephone_keys_are_sent_reliably_and_in_order_and_no_others() {
    let mut pair = connected();
    for (id, digit) in (1..).zip("1*D".chars()) {
        pair.command(id, key(digit, &["sip"]));
    }
    pair.command(4, key('e', &[]));
    assert_eq!(pair.done[&4], Err(RoomError::InvalidDtmf { digit: 'e' }));
    pair.run_until("three keys", |pair| pair.received.len() == 3);
    let received: Vec<_> = pair
        .received
        .iter()
        .map(|(label, packet)| {
            let Some(Value::SipDtmf(key)) = &packet.value else { panic!("{packet:?}") };
            assert_eq!(
                (label.as_str(), &packet.destination_identities[..]),
                ("_reliable", &["sip".to_owned()][..])
            );
            (packet.sequence, key.code, key.digit.as_str())
        })
        .collect();
    assert_eq!(received, [(1, 1, "1"), (2, 10, "*"), (3, 15, "D")]);
    assert!((1..=3).all(|id| pair.done[&id] == Ok(())));
}

#[test]
fn keys_chat_messages_and_transcriptions_are_events() {
    let mut pair = connected();
    let send = |pair: &mut Pair, sequence, value| {
        let packet = proto::DataPacket {
            participant_identity: "ada".to_owned(),
            participant_sid: "PA_ada".to_owned(),
            sequence,
            value: Some(value),
            ..Default::default()
        };
        pair.send("_reliable", &packet);
    };
    let key = |code| Value::SipDtmf(proto::SipDtmf { code, digit: String::new() });
    let segment = proto::TranscriptionSegment { text: "hello".to_owned(), ..Default::default() };
    let spoken = |segments| {
        let transcribed_participant_identity = "bob".to_owned();
        let segments = vec![segment.clone(); segments];
        Value::Transcription(proto::Transcription {
            transcribed_participant_identity,
            segments,
            ..Default::default()
        })
    };
    send(&mut pair, 1, key(11));
    send(&mut pair, 1, key(11));
    send(
        &mut pair,
        2,
        Value::ChatMessage(proto::ChatMessage { message: "hi".to_owned(), ..Default::default() }),
    );
    send(&mut pair, 3, spoken(2));
    // Neither of these is an event.
    send(&mut pair, 4, key(99));
    send(&mut pair, 5, spoken(257));
    pair.run_until("all of them", |pair| pair.room.violations() == 2);
    let [key, chat, spoken] = &pair.events[..] else { panic!("{:?}", pair.events) };
    assert_eq!(*key, RoomEvent::dtmf("ada", '#').unwrap());
    assert_eq!(*chat, RoomEvent::ChatMessageReceived(ChatMessage::new("ada", "hi")));
    let RoomEvent::TranscriptionReceived(spoken) = spoken else { panic!("{spoken:?}") };
    assert_eq!((spoken.sender.as_str(), spoken.participant.as_str()), ("ada", "bob"));
    assert!(spoken.segments.len() == 2 && spoken.segments.iter().all(|segment| segment.text == "hello"));
}
