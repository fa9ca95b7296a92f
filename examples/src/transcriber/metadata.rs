//! The metadata of a job: what is transcribed, and how.

use schemars::JsonSchema;
use serde::Deserialize;

use agent_worker::metadata::{MetadataError, MetadataFormat};
use agent_worker::room::{Participant, ParticipantKind};

/// Maximum length of the language and of the model's name.
const MAX_LANGUAGE: usize = 35;
const MAX_MODEL: usize = 100;

/// Transcribes what participants say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TranscriptionJobMetadata {
    /// The only action of this agent.
    action: Action,
    /// The spoken language, such as `en` or `pt-BR`; the default of the engine if empty.
    #[schemars(length(max = MAX_LANGUAGE))]
    pub(crate) language: String,
    /// The model of the engine; its default if empty.
    #[schemars(length(max = MAX_MODEL))]
    pub(crate) model: String,
    /// The identities to transcribe; all participants but agents if empty.
    participants: Option<Vec<String>>,
    /// Sends texts while people speak. Otherwise they are collected, and sent when the track of their speaker
    /// ends, or the job.
    pub(crate) realtime_output: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    #[default]
    Transcribe,
}

impl TranscriptionJobMetadata {
    /// What is accepted. Language and model reach a command or a URL, so they have few characters.
    pub(crate) fn format() -> MetadataFormat<Self> {
        MetadataFormat::or_default().with_schema().check(|metadata: &Self| {
            let language = &metadata.language;
            let is_tag = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if language.len() > MAX_LANGUAGE || !language.chars().all(is_tag) || language.starts_with('-') {
                let expected = "expected a language tag of at most 35 letters, digits and hyphens, such as `en` or `pt-BR`";
                return Err(MetadataError::at("language", expected));
            }
            let model = &metadata.model;
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
            let is_name = !model.starts_with(['-', '/', '.']) && !model.contains("..");
            if model.len() > MAX_MODEL || !model.chars().all(is_plain) || !is_name {
                let expected = "expected a name of at most 100 letters, digits and -_.:/ that begins with a letter or digit, without `..`";
                return Err(MetadataError::at("model", expected));
            }
            Ok(())
        })
    }

    /// Whether a participant is transcribed. An agent is only if it is named: two that repeat what they hear
    /// would never end.
    pub(crate) fn includes(&self, participant: &Participant) -> bool {
        match self.participants.as_deref() {
            None | Some([]) => participant.kind != ParticipantKind::Agent,
            Some(named) => named.contains(&participant.identity),
        }
    }
}
