//! The events of a server as readable text, for failed tests.

use std::fmt;
use std::time::Duration;

use agent_proto::Time;
use agent_server::{ApiCall, Hub, ServerEvent};

/// Maximum number of lines shown; the last ones.
const SHOWN: usize = 60;

/// The events on a mock server, with their times since it was created. Displayed as one line for each event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    events: Vec<(Duration, ServerEvent)>,
}

impl Timeline {
    pub(super) fn of(hub: &Hub) -> Self {
        Self { events: hub.log().into_iter().map(|(at, event)| (at - Time::ZERO, event)).collect() }
    }

    /// The calls of the server's API, oldest first, also those that were refused for another reason than a
    /// missing grant.
    pub fn api_calls(&self) -> impl Iterator<Item = &ApiCall> {
        self.events.iter().filter_map(|(_, event)| match event {
            ServerEvent::ApiCalled { call } => Some(call),
            _ => None,
        })
    }

    /// The events, oldest first.
    #[must_use]
    pub fn events(&self) -> &[(Duration, ServerEvent)] {
        &self.events
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.events.chunk_by(|(_, one), (_, next)| one == next).collect();
        let skipped = lines.len().saturating_sub(SHOWN);
        let events: usize = lines.iter().take(skipped).map(|same| same.len()).sum();
        if events > 0 {
            writeln!(f, "  … {events} earlier events")?;
        }
        for same in lines.iter().skip(skipped) {
            let [(at, event), others @ ..] = same else { continue };
            write!(f, "  {:>9.3} s  {event:?}", at.as_secs_f64())?;
            match others.last() {
                Some((last, _)) => writeln!(f, " × {}, until {:.3} s", same.len(), last.as_secs_f64())?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> ServerEvent {
        let text = text.to_owned();
        ServerEvent::Data {
            room: "r".into(),
            from: "ada".into(),
            topic: "chat".into(),
            len: text.len(),
            text,
        }
    }

    #[test]
    fn repeats_are_one_line_and_small_payloads_are_shown() {
        let at = Duration::from_millis;
        let mut events = vec![(at(0), data("hello"))];
        events.extend((1..=59).map(|n| (at(n * 20), data("tick"))));
        events.push((at(1500), data("goodbye")));
        let shown = Timeline { events }.to_string();
        let line = |at: &str, text: &str, more: &str| {
            let event = data(text);
            format!("      {at} s  {event:?}{more}")
        };
        assert_eq!(
            shown.lines().collect::<Vec<_>>(),
            [
                line("0.000", "hello", ""),
                line("0.020", "tick", " × 59, until 1.180 s"),
                line("1.500", "goodbye", "")
            ]
        );
        assert!(shown.contains(r#"text: "goodbye""#), "{shown}");
    }

    #[test]
    fn the_last_lines_of_a_long_one_are_shown() {
        let events = (0..100).map(|n| (Duration::ZERO, data(&n.to_string()))).collect();
        let shown = Timeline { events }.to_string();
        assert!(shown.starts_with("  … 40 earlier events\n"), "{shown}");
        assert_eq!(shown.lines().count(), 61);
    }
}
