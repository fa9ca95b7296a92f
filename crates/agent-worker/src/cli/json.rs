//! Lines of JSON: an object for each event, with the fields of its spans on the same level.
//!
//! Other JSON formatters nest the fields of spans, or write a name twice if a field has the name of another
//! member. Here each name is there once: an event's field replaces that of its spans, and a field that is
//! named like a member of every line gets an underscore.

use std::error::Error;
use std::fmt;
use std::io::Write;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use agent_proto::error_text;

#[cfg(feature = "otel")]
use crate::otel::trace_id;

/// The module of a line that comes from the crate `log`.
const LOG_TARGET: &str = "log.target";
/// The members of every line.
const MEMBERS: [&str; 4] = ["timestamp", "level", "name", "message"];

/// Writes a line of JSON for each event.
pub(super) struct JsonLines<W> {
    writer: W,
}

impl<W> JsonLines<W> {
    pub(super) const fn to(writer: W) -> Self {
        Self { writer }
    }
}

/// The fields of a span, or of an event with its `message`.
#[derive(Clone, Debug, Default)]
struct Fields(Map<String, Value>);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.0.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        // The message of an event is no field of a span.
        let mut of_event = Fields::default();
        event.record(&mut of_event);
        let message = of_event.0.remove("message_").unwrap_or_default();
        let meta = event.metadata();
        let target = of_event.0.remove(LOG_TARGET).unwrap_or_else(|| meta.target().into());
        fields.0.extend(of_event.0);
        let values = [now(), meta.level().as_str().into(), target, message];
        let mut line = Map::new();
        line.extend(MEMBERS.into_iter().map(str::to_owned).zip(values));
        // Lines of a job only: others are of no trace.
        #[cfg(feature = "otel")]
        if fields.0.contains_key("job_id")
            && let Some(id) = trace_id()
        {
            line.insert("trace_id".to_owned(), id.into());
        }
        line.extend(fields.0);
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // Nothing can be done about a log that cannot be written.
        let _ = self.writer.make_writer_for(meta).write_all(text.as_bytes());
    }
}

/// The time, as `2026-01-31T12:00:00.000000Z`.
fn now() -> Value {
    let mut text = String::new();
    match SystemTime.format_time(&mut Writer::new(&mut text)) {
        Ok(()) => text.into(),
        Err(_) => Value::Null,
    }
}

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        // Fields of the crate `log` describe where a line comes from.
        let name = match field.name() {
            LOG_TARGET => LOG_TARGET.to_owned(),
            name if name.starts_with("log.") => return,
            name if MEMBERS.contains(&name) => format!("{name}_"),
            name => name.trim_start_matches("r#").to_owned(),
        };
        self.0.insert(name, value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinite numbers.
        match serde_json::Number::from_f64(value) {
            Some(number) => self.set(field, Value::Number(number)),
            None => self.set(field, value.to_string()),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, error_text::chain(value));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that were logged.
    fn logged(log: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let layer = JsonLines::to(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    /// Its members; each name is there once.
    fn members(line: &str) -> Map<String, Value> {
        let members: Map<String, Value> = serde_json::from_str(line).unwrap();
        for name in members.keys() {
            assert_eq!(line.matches(&format!("\"{name}\":")).count(), 1, "{name}: {line}");
        }
        members
    }

    #[test]
    fn a_line_of_the_crate_log_names_its_module() {
        let lines = logged(|| tracing::info!(target: "log", { log.target = "hyper", log.line = 7 }, "hello"));
        let line = members(&lines[0]);
        assert_eq!((&line["name"], &line["message"]), (&"hyper".into(), &"hello".into()));
        assert_eq!(line.len(), MEMBERS.len());
    }

    #[test]
    fn a_line_has_the_fields_of_its_job() {
        let lines = logged(|| {
            let job =
                tracing::info_span!("job", job_id = "AJ_1", room = "lobby", attempt = tracing::field::Empty);
            job.record("attempt", 2);
            let _entered = job.entered();
            let inner = tracing::info_span!("model", voice = "alto", room = "inner");
            inner
                .in_scope(|| tracing::warn!(tokens = 7, ratio = 0.5, ready = true, "slow \"model\"\nindeed"));
            tracing::info!(room = "of the event", "again");
        });
        let [first, second] = &lines[..] else { panic!("{lines:?}") };
        let line = members(first);
        for (name, value) in [
            ("message", Value::from("slow \"model\"\nindeed")),
            ("level", "WARN".into()),
            ("name", module_path!().into()),
            ("job_id", "AJ_1".into()),
            ("attempt", 2.into()),
            ("room", "inner".into()),
            ("voice", "alto".into()),
            ("tokens", 7.into()),
            ("ratio", 0.5.into()),
            ("ready", true.into()),
        ] {
            assert_eq!(line.get(name), Some(&value), "{first}");
        }
        let time = line.get("timestamp").and_then(Value::as_str).unwrap();
        assert!(time.ends_with('Z') && time.contains('T'), "{first}");
        let line = members(second);
        assert_eq!((&line["room"], line.get("voice")), (&"of the event".into(), None), "{second}");
    }

    /// A field cannot replace what every line has.
    #[test]
    fn names_of_members_are_kept_apart() {
        let lines = logged(|| {
            let span = tracing::info_span!("model", name = "m", message = "of the span");
            span.in_scope(|| tracing::error!(level = "low", timestamp = 1, "failed"));
        });
        let line = members(&lines[0]);
        for (name, value) in [
            ("message", Value::from("failed")),
            ("level", "ERROR".into()),
            ("level_", "low".into()),
            ("timestamp_", 1.into()),
            ("name_", "m".into()),
            ("message_", "of the span".into()),
        ] {
            assert_eq!(line.get(name), Some(&value), "{}", lines[0]);
        }
    }

    #[test]
    fn values_without_a_form_in_json_are_text() {
        let lines = logged(|| {
            let error = io::Error::other("disk full");
            tracing::info!(load = f64::NAN, big = u128::MAX, error = &error as &dyn Error, r#type = ?Some(1));
        });
        let line = members(&lines[0]);
        for (name, value) in [
            ("load", Value::from("NaN")),
            ("big", u128::MAX.to_string().into()),
            ("error", "disk full".into()),
            ("type", "Some(1)".into()),
            ("message", Value::Null),
        ] {
            assert_eq!(line.get(name), Some(&value), "{}", lines[0]);
        }
    }
}
