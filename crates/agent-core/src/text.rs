//! Limits of the texts of others that errors show.

pub(crate) use agent_proto::text::shorten;

/// What of a value is shown, in characters.
pub(crate) const MAX_VALUE: usize = 100;
