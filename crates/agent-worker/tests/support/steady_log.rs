//! What the SDK logs on one thread, without what differs from run to run.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::captured_log::subscribe;

/// Lines of this thread, from its making on.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Keeps what is logged on this thread while the guard lives.
    pub(crate) fn keep() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let guard = subscribe(tracing_subscriber::registry().with(Keeper(log.clone())));
        (log, guard)
    }

    /// The first line with this in it, now or later.
    pub(crate) async fn line(&self, part: &str) -> String {
        let found = async {
            loop {
                if let Some(line) = self.with(part).into_iter().next() {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.expect("in time")
    }

    /// All lines with this in them, until now.
    pub(crate) fn with(&self, part: &str) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|line| line.contains(part)).cloned().collect()
    }
}

struct Keeper(Log);

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        let ours = ["agent_worker", "agent_backends", "agent_net", "agent_rtc"];
        if *level <= Level::INFO && ours.iter().any(|of| target.starts_with(of)) {
            let mut text = Text::default();
            event.record(&mut text);
            // The place of a panic is another one with each change of its file.
            let message = text.message.split(", at crates/").next().unwrap_or_default();
            self.0.0.lock().unwrap().push(format!("{level} {message}{}", text.fields));
        }
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            // What is another one each time.
            "wait" | "job_id" | "agent" | "duration" => {}
            name => self.fields += &format!(" {name}={value:?}"),
        }
    }
}
