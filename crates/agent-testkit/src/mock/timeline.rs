//! What happened and when, for people to read when a test fails.

use std::fmt;
use std::time::Duration;

use agent_core::Time;

use super::hub::Hub;
use crate::server::ServerEvent;

/// Entries that are shown of a long one, the last ones.
const SHOWN: usize = 60;

/// What happened on a mock server, with the time since it was made. Shown as one line for each event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    events: Vec<(Duration, ServerEvent)>,
}

impl Timeline {
    pub(super) fn of(hub: &Hub) -> Self {
        Self { events: hub.log().into_iter().map(|(at, event)| (at - Time::ZERO, event)).collect() }
    }

    /// The events, the oldest first.
    #[must_use]
    pub fn events(&self) -> &[(Duration, ServerEvent)] {
        &self.events
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = self.events.len().saturating_sub(SHOWN);
        if skipped > 0 {
            writeln!(f, "  … {skipped} earlier events")?;
        }
        for (at, event) in self.events.iter().skip(skipped) {
            writeln!(f, "  {:>9.3} s  {event:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
