//! Transcriptions that we send.

use agent_room::{RoomError, SpeechSegment, StreamOptions, final_attributes};

use crate::Room;
use crate::streams::TextWriter;

/// The transcription of one segment of the agent's own speech, from [`Room::transcribe_own_speech`].
///
/// Front ends show each part as it is written. [`finish`](Self::finish) completes the segment; dropped
/// before, it ends as incomplete.
#[derive(Debug)]
pub struct OwnTranscript {
    writer: TextWriter,
}

/// The transcription of another participant's speech, from [`Room::transcribe`].
///
/// ```
/// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
/// let mut speech = room.transcribe("ada", "TR_microphone");
/// speech.interim("I woke").await?;
/// speech.interim("I would like").await?;
/// speech.finish("I would like a tea.").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SpeechTranscript {
    room: Room,
    segment: SpeechSegment,
}

impl Room {
    /// Begins the transcription of a segment of the agent's own speech, for front ends. `track_sid` is the
    /// track with the speech; it may be empty.
    ///
    /// # Errors
    /// As [`stream_text`](Self::stream_text).
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// let mut words = room.transcribe_own_speech("").await?;
    /// for part in ["Good ", "morning!"] {
    ///     words.write(part).await?;
    /// }
    /// words.finish().await
    /// # }
    /// ```
    pub async fn transcribe_own_speech(
        &self,
        track_sid: impl Into<String>,
    ) -> Result<OwnTranscript, RoomError> {
        let speaker = self.local_participant().identity.clone();
        let segment = SpeechSegment::new(segment_id(), speaker, track_sid);
        let options = segment.stream(crate::id::unique(), true, false);
        Ok(OwnTranscript { writer: TextWriter(Self::open_stream(self.clone(), options).await?) })
    }

    /// Transcribes another participant's speech, for front ends, which show the texts as those of the
    /// participant. `track_sid` is the track with the speech; it may be empty.
    pub fn transcribe(&self, speaker: impl Into<String>, track_sid: impl Into<String>) -> SpeechTranscript {
        let segment = SpeechSegment::new(segment_id(), speaker, track_sid);
        SpeechTranscript { room: self.clone(), segment }
    }
}

impl OwnTranscript {
    /// Adds the next part of the text.
    ///
    /// # Errors
    /// As [`TextWriter::write`].
    pub async fn write(&mut self, part: impl Into<String>) -> Result<(), RoomError> {
        self.writer.write(part).await
    }

    /// Completes the segment.
    ///
    /// # Errors
    /// As [`TextWriter::write`].
    pub async fn finish(self) -> Result<(), RoomError> {
        self.writer.close_with(final_attributes(true)).await
    }
}

impl SpeechTranscript {
    /// Sends the text of the current segment as it is known now. It replaces earlier ones.
    ///
    /// # Errors
    /// As [`Room::send_text`]. [`RoomError::NotAllowed`] without the permission to publish data.
    pub async fn interim(&mut self, text: impl Into<String>) -> Result<(), RoomError> {
        self.send(self.stream(false), text.into()).await
    }

    /// Sends the final text of the current segment. What follows is the next segment.
    ///
    /// # Errors
    /// As [`interim`](Self::interim).
    pub async fn finish(&mut self, text: impl Into<String>) -> Result<(), RoomError> {
        let options = self.stream(true);
        self.segment.id = segment_id();
        self.send(options, text.into()).await
    }

    async fn send(&self, options: StreamOptions, text: String) -> Result<(), RoomError> {
        self.room.send_stream(options, text.into()).await.map(drop)
    }

    fn stream(&self, is_final: bool) -> StreamOptions {
        self.segment.stream(crate::id::unique(), false, is_final)
    }
}

fn segment_id() -> String {
    format!("SG_{}", crate::id::unique())
}
