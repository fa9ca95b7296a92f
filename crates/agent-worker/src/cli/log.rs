//! The log of a program that uses the command line.

use std::env;
use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use agent_net::variable;
use agent_rtc::TRACE_TARGET;

use crate::cli::args::{LogFormat, LogOptions, Mode};
use crate::cli::json::JsonLines;
use crate::telemetry::is_of_library;

/// The environment variables of the level, of which the first one that is set counts.
const VARIABLES: [&str; 3] = ["RUST_LOG", "LIVEKIT_LOG_LEVEL", "LOG_LEVEL"];

/// The level of the log is not one.
#[derive(Debug, thiserror::Error)]
#[error(
    "{given_by}: `{found}` is no level: write trace, debug, info, warn, error or off, and levels of modules after commas, as in `info,my_agent=debug`"
)]
pub(super) struct LevelError {
    given_by: &'static str,
    found: String,
}

/// A part of the subscriber.
pub(super) type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Installs the log, beside another layer. A subscriber that the program has installed before stays in place.
pub(super) fn install(options: &LogOptions, mode: Mode, other: Option<BoxedLayer>) -> Result<(), LevelError> {
    let levels = levels(options, mode, variable)?;
    let usual = if mode == Mode::Start { LogFormat::Json } else { LogFormat::Text };
    let layer: BoxedLayer = match options.log_format.unwrap_or(usual) {
        LogFormat::Json => Box::new(JsonLines::to(io::stderr)),
        LogFormat::Text => Box::new(text()),
    };
    let mut layers: Vec<BoxedLayer> = vec![Box::new(layer.with_filter(levels.filter()))];
    layers.extend(other);
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(())
}

fn text<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    let coloured = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt::layer().with_ansi(coloured).with_writer(io::stderr)
}

/// What is logged.
struct Levels {
    targets: Targets,
    /// Also of libraries.
    details: bool,
}

impl Levels {
    fn filter<S>(self) -> impl Filter<S> {
        let Self { targets, details } = self;
        // Targets match by the beginning of a name, so that they cannot choose a library alone.
        let shown = filter_fn(move |of| details || !is_detail(of.target(), *of.level()));
        targets.and(shown.with_max_level_hint(LevelFilter::TRACE))
    }
}

fn is_detail(target: &str, level: Level) -> bool {
    level > Level::INFO && is_of_library(target)
}

fn levels(
    options: &LogOptions,
    mode: Mode,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Levels, LevelError> {
    let set = |name: &'static str| variable(name).filter(|text| !text.is_empty()).map(|text| (name, text));
    let option = options.log_level.clone().map(|text| ("--log-level", text));
    let chosen = option.or_else(|| VARIABLES.into_iter().find_map(set));
    let details = chosen.is_some() || mode != Mode::Dev;
    let targets = match chosen {
        Some((given_by, text)) => parse(given_by, &text)?,
        None => Targets::new().with_default(match mode {
            Mode::Dev => LevelFilter::DEBUG,
            Mode::Doctor => LevelFilter::WARN,
            Mode::Start | Mode::OneJob => LevelFilter::INFO,
        }),
    };
    // Spans for traces are no part of a log.
    Ok(Levels { targets: targets.with_target(TRACE_TARGET, LevelFilter::OFF), details })
}

/// Levels separated by commas: `LEVEL`, `MODULE=LEVEL`, and in RUST_LOG also `MODULE`.
fn parse(given_by: &'static str, text: &str) -> Result<Targets, LevelError> {
    let wrong = |found: &str| LevelError { given_by, found: found.chars().take(100).collect() };
    let mut targets = Targets::new();
    let mut is_empty = true;
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        is_empty = false;
        targets = match part.split_once('=') {
            Some((module, of_module)) if is_module(module.trim()) => {
                targets.with_target(module.trim(), level(of_module.trim()).ok_or_else(|| wrong(part))?)
            }
            Some(_) => return Err(wrong(part)),
            None => match level(part) {
                Some(level) => targets.with_default(level),
                None if given_by == "RUST_LOG" && is_module(part) => {
                    targets.with_target(part, LevelFilter::TRACE)
                }
                None => return Err(wrong(part)),
            },
        };
    }
    // It would log nothing.
    if is_empty { Err(wrong(text)) } else { Ok(targets) }
}

/// Whether it may be a target: filters by spans and fields, as other subscribers have them, are not.
fn is_module(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_:-./".contains(c))
}

/// A level, also as the official SDKs write it.
fn level(text: &str) -> Option<LevelFilter> {
    Some(match text.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" | "warning" => LevelFilter::WARN,
        "error" | "critical" | "fatal" => LevelFilter::ERROR,
        "off" | "silent" => LevelFilter::OFF,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn chosen(option: Option<&str>, variables: &[(&str, &str)], mode: Mode) -> Result<Levels, LevelError> {
        let options = LogOptions { log_level: option.map(str::to_owned), log_format: None };
        levels(&options, mode, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn shows(Levels { targets, details }: &Levels, module: &str, level: Level) -> bool {
        targets.would_enable(module, &level) && (*details || !is_detail(module, level))
    }

    #[test]
    fn the_option_counts_before_the_environment() {
        let all = [("RUST_LOG", "warn"), ("LIVEKIT_LOG_LEVEL", "ERROR"), ("LOG_LEVEL", "off")];
        for (option, variables, highest) in [
            (Some("debug"), &all[..], Level::DEBUG),
            (None, &all[..], Level::WARN),
            (None, &all[1..], Level::ERROR),
            (None, &[("RUST_LOG", ""), ("LOG_LEVEL", "WARNING")], Level::WARN),
            (None, &[], Level::INFO),
        ] {
            let targets = chosen(option, variables, Mode::Start).unwrap();
            for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
                assert_eq!(shows(&targets, "my_agent", level), level <= highest, "{option:?} {variables:?}");
            }
        }
    }

    #[test]
    fn dev_shows_details_but_not_of_libraries() {
        let targets = chosen(None, &[], Mode::Dev).unwrap();
        assert!(shows(&targets, "my_agent", Level::DEBUG));
        assert!(!shows(&targets, "rustls::client", Level::DEBUG) && shows(&targets, "rustls", Level::INFO));
        assert!(!shows(&targets, "is", Level::DEBUG) && !shows(&targets, "is::agent", Level::DEBUG));
        // Names that begin as those of libraries do.
        for own in ["isochronous", "island::model", "miocene", "h2o::sensor"] {
            assert!(shows(&targets, own, Level::DEBUG), "{own}");
        }
        let targets = chosen(Some("debug"), &[], Mode::Dev).unwrap();
        assert!(shows(&targets, "rustls", Level::DEBUG), "if they are asked for");
    }

    #[test]
    fn the_log_of_the_doctor_does_not_hide_its_findings() {
        let targets = chosen(None, &[], Mode::Doctor).unwrap();
        assert!(shows(&targets, "my_agent", Level::WARN) && !shows(&targets, "my_agent", Level::INFO));
        let targets = chosen(None, &[("RUST_LOG", "info")], Mode::Doctor).unwrap();
        assert!(shows(&targets, "my_agent", Level::INFO));
    }

    #[test]
    fn modules_have_levels() {
        let targets = chosen(Some("warn, my_agent=debug"), &[], Mode::Start).unwrap();
        assert!(shows(&targets, "my_agent::model", Level::DEBUG) && !shows(&targets, "other", Level::INFO));
        let targets = chosen(None, &[("RUST_LOG", "info,my_agent")], Mode::Start).unwrap();
        assert!(shows(&targets, "my_agent", Level::TRACE) && !shows(&targets, "other", Level::DEBUG));
    }

    /// Whatever the level.
    #[test]
    fn spans_for_traces_are_not_logged() {
        for level in ["trace", "agent_worker=trace", "agent_worker::trace=trace", "agent_worker::trace"] {
            let targets = chosen(None, &[("RUST_LOG", level)], Mode::Start).unwrap();
            for level in [Level::ERROR, Level::TRACE] {
                assert!(!shows(&targets, TRACE_TARGET, level), "{level}");
            }
        }
    }

    #[test]
    fn an_invalid_level_is_named_with_its_source() {
        for (option, variables, place, found) in [
            (Some("verbose"), &[][..], "--log-level", "verbose"),
            (Some("info,my_agent=loud"), &[], "--log-level", "my_agent=loud"),
            (None, &[("LIVEKIT_LOG_LEVEL", "loud")], "LIVEKIT_LOG_LEVEL", "loud"),
            (None, &[("RUST_LOG", "a=b=c")], "RUST_LOG", "a=b=c"),
            // It would log nothing, or everything.
            (Some(""), &[], "--log-level", "``"),
            (Some(" , "), &[], "--log-level", "` , `"),
            (None, &[("LOG_LEVEL", " ")], "LOG_LEVEL", "` `"),
            (Some("info,=debug"), &[], "--log-level", "=debug"),
        ] {
            let error = chosen(option, variables, Mode::Start).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.contains(place) && error.contains(found) && error.contains("`info,"), "{error}");
        }
    }
}
