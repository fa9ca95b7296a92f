//! What others do in a room, as a value, for tests that draw it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use agent_worker::room::EncodedFrame;

use super::participant::MockParticipant;
use super::room::MockRoom;

/// One thing that happens in a room. Participants are numbers: 1 is `person-1`. What cannot happen does
/// nothing, such as data of a participant who is not there. Its `Debug` is the code that makes it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomStep {
    /// A participant joins; one that is there already is replaced by another session.
    Join(u8),
    /// A participant leaves.
    Leave(u8),
    /// A participant's connection is lost.
    Lose(u8),
    /// A participant sends data.
    Data {
        /// Who.
        from: u8,
        /// The topic.
        topic: String,
        /// The payload.
        payload: Vec<u8>,
    },
    /// A participant sends a text stream.
    Text {
        /// Who.
        from: u8,
        /// The topic.
        topic: String,
        /// The text.
        text: String,
    },
    /// A participant presses a key of its telephone.
    Key(u8, char),
    /// A participant sets an attribute; an empty value removes it.
    Attribute {
        /// Whose.
        of: u8,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A participant replaces its metadata.
    Metadata(u8, String),
    /// A participant publishes a microphone, unless it does already.
    Publish(u8),
    /// A participant mutes its microphone, or unmutes it.
    Mute(u8, bool),
    /// A participant sends a frame of these bytes.
    Frame(u8, Vec<u8>),
    /// A participant unpublishes its microphone.
    Unpublish(u8),
    /// A participant is the only one who speaks.
    Speak(u8),
    /// The server's API sends data, with an empty topic.
    RoomData(Vec<u8>),
    /// The server's API changes the room's metadata.
    RoomMetadata(String),
    /// This number of milliseconds passes.
    Wait(u32),
    /// The server's API removes the agents.
    RemoveAgent,
    /// The server's API deletes the room.
    Delete,
}

/// What others do in a room, in this order: for [`JobSpec::script`](crate::JobSpec::script). Its `Debug` is
/// the code that makes it.
///
/// ```
/// use agent_testkit::{JobSpec, RoomScript, RoomStep, run_job_blocking};
/// use agent_worker::{JobContext, JobResult};
///
/// /// Sends the first message back.
/// async fn echo(ctx: JobContext) -> JobResult {
///     if let Some(message) = ctx.room().data("").next().await {
///         ctx.room().publish_data("echo", message?.payload).await?;
///     }
///     Ok(())
/// }
///
/// let script = RoomScript::new([
///     RoomStep::Join(1),
///     RoomStep::Data { from: 1, topic: "".into(), payload: vec![1, 2, 3] },
///     RoomStep::Wait(1000),
///     RoomStep::Leave(1),
/// ]);
/// let run = run_job_blocking(echo, JobSpec::room("lobby").script(|room| script.play(room)));
/// run.assert_success();
/// assert_eq!(run.sent_by_agent().count(), 1);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RoomScript {
    steps: Vec<RoomStep>,
}

/// A participant who has joined once.
struct Player {
    participant: MockParticipant,
    /// The sid of the microphone.
    track: Option<String>,
    /// How many frames it has sent.
    frames: u32,
}

impl RoomScript {
    /// A script of these steps.
    #[must_use]
    pub fn new(steps: impl IntoIterator<Item = RoomStep>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[RoomStep] {
        &self.steps
    }

    /// Has all of this happen in a room, once an agent is in it.
    pub async fn play(self, room: MockRoom) {
        room.wait_for_agent().await;
        let mut players = BTreeMap::new();
        for step in self.steps {
            match step {
                RoomStep::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis.into())).await,
                step => play(step, &room, &mut players),
            }
        }
    }
}

fn play(step: RoomStep, room: &MockRoom, players: &mut BTreeMap<u8, Player>) {
    let identity = |n: u8| format!("person-{n}");
    let mut with = |n: u8, act: &dyn Fn(&mut Player)| {
        if let Some(player) = players.get_mut(&n) {
            act(player);
        }
    };
    match step {
        RoomStep::Join(n) => {
            let participant = room.join(identity(n));
            players.insert(n, Player { participant, track: None, frames: 0 });
        }
        RoomStep::Leave(n) => with(n, &|player| player.participant.leave()),
        RoomStep::Lose(n) => room.lose(&identity(n)),
        RoomStep::Data { from, topic, payload } => {
            with(from, &|player| player.participant.send_data(&topic, payload.clone()));
        }
        RoomStep::Text { from, topic, text } => {
            with(from, &|player| player.participant.send_text(&topic, &text));
        }
        RoomStep::Key(from, digit) => with(from, &|player| player.participant.send_dtmf(digit)),
        RoomStep::Attribute { of, key, value } => {
            with(of, &|player| player.participant.set_attributes([(&key, &value)]));
        }
        RoomStep::Metadata(of, metadata) => with(of, &|player| player.participant.set_metadata(&metadata)),
        RoomStep::Publish(n) => with(n, &|player| {
            if player.track.is_none() {
                player.track = Some(player.participant.publish_microphone());
            }
        }),
        RoomStep::Mute(n, muted) => with(n, &|player| {
            if let Some(track) = &player.track {
                player.participant.mute(track, muted);
            }
        }),
        RoomStep::Frame(n, payload) => with(n, &|player| {
            if let Some(track) = &player.track {
                let number = player.frames;
                player.frames += 1;
                let frame = EncodedFrame::new(payload.clone(), number.into(), number.wrapping_mul(960));
                player.participant.send_frame(track, frame);
            }
        }),
        RoomStep::Unpublish(n) => with(n, &|player| {
            if let Some(track) = player.track.take() {
                player.participant.unpublish(&track);
            }
        }),
        RoomStep::Speak(n) => room.speak([(identity(n), 0.5)]),
        RoomStep::RoomData(payload) => room.send_data("", payload),
        RoomStep::RoomMetadata(metadata) => room.set_metadata(metadata),
        RoomStep::RemoveAgent => {
            for agent in room.participants().iter().filter(|participant| !participant.kind.is_human()) {
                room.remove(&agent.identity);
            }
        }
        RoomStep::Delete => room.delete(),
        // It is awaited by the caller.
        RoomStep::Wait(_) => {}
    }
}

impl fmt::Debug for RoomStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join(n) => write!(f, "RoomStep::Join({n})"),
            Self::Leave(n) => write!(f, "RoomStep::Leave({n})"),
            Self::Lose(n) => write!(f, "RoomStep::Lose({n})"),
            Self::Data { from, topic, payload } => write!(
                f,
                "RoomStep::Data {{ from: {from}, topic: {topic:?}.into(), payload: vec!{payload:?} }}"
            ),
            Self::Text { from, topic, text } => {
                write!(f, "RoomStep::Text {{ from: {from}, topic: {topic:?}.into(), text: {text:?}.into() }}")
            }
            Self::Key(n, digit) => write!(f, "RoomStep::Key({n}, {digit:?})"),
            Self::Attribute { of, key, value } => {
                write!(f, "RoomStep::Attribute {{ of: {of}, key: {key:?}.into(), value: {value:?}.into() }}")
            }
            Self::Metadata(n, metadata) => write!(f, "RoomStep::Metadata({n}, {metadata:?}.into())"),
            Self::Publish(n) => write!(f, "RoomStep::Publish({n})"),
            Self::Mute(n, muted) => write!(f, "RoomStep::Mute({n}, {muted})"),
            Self::Frame(n, payload) => write!(f, "RoomStep::Frame({n}, vec!{payload:?})"),
            Self::Unpublish(n) => write!(f, "RoomStep::Unpublish({n})"),
            Self::Speak(n) => write!(f, "RoomStep::Speak({n})"),
            Self::RoomData(payload) => write!(f, "RoomStep::RoomData(vec!{payload:?})"),
            Self::RoomMetadata(metadata) => write!(f, "RoomStep::RoomMetadata({metadata:?}.into())"),
            Self::Wait(millis) => write!(f, "RoomStep::Wait({millis})"),
            Self::RemoveAgent => f.write_str("RoomStep::RemoveAgent"),
            Self::Delete => f.write_str("RoomStep::Delete"),
        }
    }
}

impl fmt::Debug for RoomScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomScript::new([\n")?;
        for step in &self.steps {
            writeln!(f, "    {step:?},")?;
        }
        f.write_str("])")
    }
}
