//! Limits of text from others that errors show.

pub(crate) use agent_proto::text::shorten;

/// How much of a value is shown, in characters.
pub(crate) const MAX_VALUE: usize = 100;
