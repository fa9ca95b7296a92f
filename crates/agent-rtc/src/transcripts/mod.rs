//! Transcriptions of speech: of the agent's own, of other participants, and those that are received.

mod received;
mod sent;

pub use received::{Transcript, Transcripts};
pub use sent::{OwnTranscript, SpeechTranscript};
