//! Transcriptions, the chat and the state of an agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use agent_room::{
    AgentState, IncomingStream, RoomCommand, SpeechSegment, StreamError, StreamEvent, StreamInfo,
    final_attributes,
};

use super::streams::accept;
use super::{RoomBackend, room};

/// Passes a sent stream to the other side.
fn opened(backend: &mut RoomBackend, number: u64, segment: &SpeechSegment, is_final: bool) {
    let options = segment.stream(number.to_string(), false, is_final);
    let mut info = StreamInfo::new(options.id, options.topic, options.kind);
    (info.sender, info.attributes) = (segment.speaker.clone(), options.attributes);
    backend.stream(StreamEvent::Opened { stream: IncomingStream(number), info: Arc::new(info) });
}

fn content(backend: &mut RoomBackend, number: u64, text: &'static str) {
    let content = Bytes::from_static(text.as_bytes());
    backend.stream(StreamEvent::Content { stream: IncomingStream(number), content });
}

fn ended(backend: &mut RoomBackend, number: u64, result: Result<BTreeMap<String, String>, StreamError>) {
    backend.stream(StreamEvent::Ended { stream: IncomingStream(number), result });
}

#[tokio::test]
async fn transcripts_are_whole_texts_of_segments_until_they_are_final() {
    let (room, mut backend) = room();
    let mut transcripts = room.transcripts();
    let ada = SpeechSegment::new("SG_1", "ada", "TR_1");
    let bot = SpeechSegment::new("SG_2", "bot", "");
    // A person's speech: a stream for each version. An agent's: one stream that grows.
    opened(&mut backend, 1, &ada, false);
    opened(&mut backend, 2, &bot, false);
    content(&mut backend, 1, "I woke");
    content(&mut backend, 2, "Good ");
    ended(&mut backend, 1, Ok(BTreeMap::new()));
    content(&mut backend, 2, "morning");
    ended(&mut backend, 2, Ok(final_attributes(true)));
    opened(&mut backend, 3, &ada, true);
    content(&mut backend, 3, "I would");
    ended(&mut backend, 3, Ok(BTreeMap::new()));
    opened(&mut backend, 4, &ada, true);
    content(&mut backend, 4, "half");
    ended(&mut backend, 4, Err(StreamError::SenderLeft));
    drop(backend);
    let mut by_speaker: BTreeMap<String, Vec<(String, bool, bool)>> = BTreeMap::new();
    while let Some(transcript) = transcripts.next().await {
        let transcript = transcript.unwrap();
        let state = (transcript.text, transcript.is_final, transcript.error.is_some());
        by_speaker.entry(transcript.segment.id.clone()).or_default().push(state);
    }
    let of = |texts: &[(&str, bool, bool)]| -> Vec<_> {
        texts.iter().map(|(text, last, failed)| ((*text).to_owned(), *last, *failed)).collect()
    };
    let bot = of(&[("Good ", false, false), ("Good morning", false, false), ("Good morning", true, false)]);
    assert_eq!(by_speaker["SG_2"], bot);
    let mut ada = of(&[
        ("I woke", false, false),
        ("I woke", false, false),
        ("I would", false, false),
        ("I would", true, false),
        ("half", false, false),
        ("half", false, true),
    ]);
    ada.sort();
    by_speaker.get_mut("SG_1").unwrap().sort();
    assert_eq!(by_speaker["SG_1"], ada);
}

#[tokio::test]
async fn own_speech_is_one_stream_and_that_of_others_one_for_each_version() {
    let (room, mut backend) = room();
    let speaker = room.clone();
    let speaking = tokio::spawn(async move {
        let mut own = speaker.transcribe_own_speech("TR_me").await.unwrap();
        own.write("Hello").await.unwrap();
        own.finish().await.unwrap();
        let mut ada = speaker.transcribe("ada", "TR_1");
        ada.interim("I woke").await.unwrap();
        ada.finish("I would").await.unwrap();
        ada.finish("A tea").await.unwrap();
    });
    let RoomCommand::OpenStream(own) = accept(&mut backend).await else { panic!() };
    assert_eq!((own.topic.as_str(), own.sender), ("lk.transcription", None));
    assert_eq!(own.attributes["lk.transcription_final"], "false");
    assert_eq!(own.attributes["lk.transcribed_track_id"], "TR_me");
    assert!(matches!(accept(&mut backend).await, RoomCommand::WriteStream { .. }));
    let RoomCommand::CloseStream { attributes, .. } = accept(&mut backend).await else { panic!() };
    assert_eq!(attributes["lk.transcription_final"], "true");
    let mut versions = Vec::new();
    for _ in 0..3 {
        let RoomCommand::SendStream { options, content } = accept(&mut backend).await else { panic!() };
        assert_eq!(options.sender.as_deref(), Some("ada"));
        versions.push((content, options.attributes));
    }
    speaking.await.unwrap();
    let part = |at: usize, key: &str| versions[at].1[key].as_str();
    let finals = [0, 1, 2].map(|at| part(at, "lk.transcription_final"));
    assert_eq!(finals, ["false", "true", "true"]);
    let segments = [0, 1, 2].map(|at| part(at, "lk.segment_id"));
    assert!(segments[0] == segments[1] && segments[1] != segments[2], "{segments:?}");
}

#[tokio::test]
async fn the_state_of_an_agent_is_an_attribute() {
    let (room, mut backend) = room();
    let setting = tokio::spawn(async move { room.set_agent_state(AgentState::Thinking).await });
    let RoomCommand::SetAttributes(attributes) = accept(&mut backend).await else { panic!() };
    setting.await.unwrap().unwrap();
    assert_eq!(attributes["lk.agent.state"], "thinking");
}
