//! The texts of errors, and names.

use std::error::Error;

use agent_proto::error_text::chain;
use agent_proto::text::line;

use crate::cli::job::unique;

/// An error with its sources, as one line.
pub(super) fn text(error: &dyn Error) -> String {
    line(chain(error)).to_string()
}

/// A name that nothing else has at the same time: of an agent, a room, a key.
pub(super) fn unique_name() -> String {
    format!("doctor-{}", unique())
}
