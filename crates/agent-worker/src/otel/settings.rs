//! Where traces are exported to, as the variables of OpenTelemetry have it.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use agent_net::NetOptions;
use agent_proto::text::shorten;

/// The collector of an exporter that was chosen without an address.
const DEFAULT_COLLECTOR: &str = "http://localhost:4318";
/// What is added to the address of a collector.
const PATH: &str = "/v1/traces";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest value that an error repeats.
const MAX_SHOWN: usize = 100;

/// A variable of OpenTelemetry cannot be used. No error repeats a header or an address, which may have a
/// password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The address is none.
    #[error(
        "{variable} is no address of a collector: write one such as http://collector.example.com:4318, with http or https, and \
         passwords in OTEL_EXPORTER_OTLP_HEADERS"
    )]
    Endpoint {
        /// The variable.
        variable: &'static str,
    },
    /// The protocol is one that is not supported.
    #[error(
        "{variable}: {found:?} is not supported: write http/protobuf, or leave it out (collectors take it on port 4318)"
    )]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// Its value.
        found: String,
    },
    /// The exporter is one that is not supported.
    #[error("OTEL_TRACES_EXPORTER: {found:?} is not supported: write otlp or none")]
    Exporter {
        /// The value of the variable.
        found: String,
    },
    /// A header is none.
    #[error(
        "{variable}: number {number} is no header: write NAME=VALUE, separated by commas, with special characters as %20"
    )]
    Header {
        /// The variable.
        variable: &'static str,
        /// Which one, from 1.
        number: usize,
    },
    /// The timeout is none.
    #[error("{variable}: {found:?} is no timeout: write milliseconds, such as 10000")]
    Timeout {
        /// The variable.
        variable: &'static str,
        /// Its value.
        found: String,
    },
    /// There is no tokio runtime to export with.
    #[error("traces need a tokio runtime: call `Traces::from_env` within it")]
    NoRuntime,
    /// The exporter cannot be made.
    #[error("traces cannot be exported: {0}")]
    Exporting(String),
}

/// Where and how to export.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) endpoint: Url,
    pub(super) timeout: Duration,
    pub(super) net: NetOptions,
}

impl Settings {
    /// `None`: the variables do not ask for traces.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, TracesError> {
        let set = |name: &'static str| {
            let value = variable(name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty()).map(|value| (name, value))
        };
        let first = |[of_traces, of_all]: [&'static str; 2]| set(of_traces).or_else(|| set(of_all));
        if set("OTEL_SDK_DISABLED").is_some_and(|(_, value)| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let exporter = set("OTEL_TRACES_EXPORTER").map(|(_, value)| value);
        match exporter.as_deref() {
            Some("none") => return Ok(None),
            Some("otlp") | None => {}
            Some(other) => return Err(TracesError::Exporter { found: shorten(other, MAX_SHOWN) }),
        }
        let endpoint = match (set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), set("OTEL_EXPORTER_OTLP_ENDPOINT")) {
            (Some((variable, url)), _) => endpoint(variable, &url)?,
            (None, Some((variable, url))) => for_traces(endpoint(variable, &url)?),
            (None, None) if exporter.is_none() => return Ok(None),
            (None, None) => for_traces(endpoint("OTEL_EXPORTER_OTLP_ENDPOINT", DEFAULT_COLLECTOR)?),
        };
        let protocol = first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]);
        if let Some((variable, found)) = protocol.filter(|(_, value)| value != "http/protobuf") {
            return Err(TracesError::Protocol { variable, found: shorten(&found, MAX_SHOWN) });
        }
        if let Some((variable, text)) =
            first(["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"])
        {
            check_headers(variable, &text)?;
        }
        let timeout = match first(["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]) {
            Some((variable, text)) => timeout(variable, &text)?,
            None => DEFAULT_TIMEOUT,
        };
        let mut net = NetOptions::from_vars(&variable).connect_timeout(timeout);
        if let Some((_, file)) =
            first(["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"])
        {
            net = net.ca_file(file);
        }
        Ok(Some(Self { endpoint, timeout, net }))
    }

    /// Host and port, for the log.
    pub(super) fn collector(&self) -> String {
        let host = self.endpoint.host_str().unwrap_or_default();
        let port = self.endpoint.port_or_known_default().unwrap_or_default();
        shorten(&format!("{host}:{port}"), MAX_SHOWN)
    }
}

fn for_traces(mut collector: Url) -> Url {
    let path = format!("{}{PATH}", collector.path().trim_end_matches('/'));
    collector.set_path(&path);
    collector
}

fn endpoint(variable: &'static str, text: &str) -> Result<Url, TracesError> {
    let usable = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.username().is_empty()
            && url.password().is_none()
    };
    Url::parse(text).ok().filter(usable).ok_or(TracesError::Endpoint { variable })
}

fn timeout(variable: &'static str, text: &str) -> Result<Duration, TracesError> {
    match text.parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err(TracesError::Timeout { variable, found: shorten(text, MAX_SHOWN) }),
    }
}

/// The exporter reads the headers, and leaves out those that are none.
fn check_headers(variable: &'static str, text: &str) -> Result<(), TracesError> {
    let entries = text.split_terminator(',').map(str::trim);
    for (number, entry) in (1..).zip(entries) {
        if !entry.is_empty() && !is_header(entry) {
            return Err(TracesError::Header { variable, number });
        }
    }
    Ok(())
}

fn is_header(entry: &str) -> bool {
    let Some((name, value)) = entry.split_once('=') else { return false };
    let escaped =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    HeaderName::from_bytes(name.trim().as_bytes()).is_ok()
        && !value.trim().is_empty()
        // What was no text: the exporter, which reads the variable itself, takes it for one that is not set.
        && !value.contains(char::REPLACEMENT_CHARACTER)
        && value.split('%').skip(1).all(escaped)
        && percent_decode_str(value.trim())
            .decode_utf8()
            .is_ok_and(|text| HeaderValue::from_str(&text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

    fn of(variables: &[(&str, &str)]) -> Result<Option<Settings>, TracesError> {
        Settings::of(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn address(variables: &[(&str, &str)]) -> Option<String> {
        of(variables).unwrap().map(|settings| settings.endpoint.to_string())
    }

    #[test]
    fn traces_are_exported_if_there_is_a_collector() {
        let collector = (ENDPOINT, "http://collector:4318");
        for (variables, expected) in [
            (&[][..], None),
            (&[(ENDPOINT, " ")], None),
            (&[collector], Some("http://collector:4318/v1/traces")),
            (&[(ENDPOINT, "https://host/base/")], Some("https://host/base/v1/traces")),
            (
                &[collector, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://host/own")],
                Some("https://host/own"),
            ),
            (&[collector, ("OTEL_SDK_DISABLED", "TRUE")], None),
            (&[collector, ("OTEL_SDK_DISABLED", "false")], Some("http://collector:4318/v1/traces")),
            (&[collector, ("OTEL_TRACES_EXPORTER", "none")], None),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], Some("http://localhost:4318/v1/traces")),
        ] {
            assert_eq!(address(variables).as_deref(), expected, "{variables:?}");
        }
    }

    #[test]
    fn the_variable_for_traces_counts_before_the_one_for_all() {
        let settings = of(&[
            (ENDPOINT, "http://collector"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "500"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.timeout, Duration::from_millis(500));
        assert_eq!(settings.collector(), "collector:80");
    }

    /// Nothing of a header or an address is repeated.
    #[test]
    fn errors_name_the_variable_and_what_to_write_without_secrets() {
        let all = "OTEL_EXPORTER_OTLP_HEADERS";
        for (name, value, to_write) in [
            (ENDPOINT, "collector:4318", "http://"),
            (ENDPOINT, "grpc://s3cret", "http://"),
            (ENDPOINT, "http://ada:s3cret@collector", all),
            (ENDPOINT, "http://", "http://"),
            (ENDPOINT, "http://s3cret\u{fffd}", "http://"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "s3cret", "http://"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"),
            ("OTEL_TRACES_EXPORTER", "console", "otlp"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "10000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0", "10000"),
            (all, "authorization: s3cret", "NAME=VALUE"),
            (all, "a=1,b=s3cret%2", "number 2"),
            (all, "a=s3cret%0A", "number 1"),
            (all, "s3 cret=1", "number 1"),
            (all, "a=s3cret\u{fffd}", "number 1"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=", "number 1"),
        ] {
            // The first one of a name counts.
            let error = of(&[(name, value), (ENDPOINT, "http://collector")]);
            let text = error.expect_err(value).to_string();
            assert!(text.contains(name) && text.contains(to_write), "{text}");
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn headers_are_names_and_escaped_values() {
        for text in ["api-key=k", "authorization=Bearer%20abc, x-team = a=b ,", "a=%C3%A4"] {
            assert_eq!(check_headers("V", text), Ok(()), "{text}");
        }
    }
}
