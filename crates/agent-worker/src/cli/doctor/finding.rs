//! What the doctor finds.

use std::fmt;

/// What is examined, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// The settings of the worker, as [`WorkerBuilder::build`](crate::WorkerBuilder::build) checks them.
    Settings,
    /// The versions of this program.
    Version,
    /// The limit of open files, for `max_jobs`.
    Descriptors,
    /// The store of checkpoints: a record is saved, read and deleted.
    Checkpoints,
    /// The store of leases: one is acquired and released.
    Leases,
    /// The port for health and status of `start`; skipped unless the command line examines.
    HttpPort,
    /// The addresses of the server's name, and whether each accepts connections.
    Addresses,
    /// A request over HTTP, with TLS if the URL demands it.
    Http,
    /// This machine's clock, compared with the server's.
    Clock,
    /// The API key and secret.
    Credentials,
    /// The registration of a worker.
    Registration,
    /// A job that is dispatched to that worker, and the room that it joins.
    Job,
    /// Audio between two participants of that room, in both directions.
    Media,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It works.
    Ok,
    /// It works, but worse than it should.
    Warning,
    /// It does not work.
    Failed,
    /// It was not examined.
    Skipped,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was examined.
    pub check: Check,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found, in one line, and what to do if it is a warning or a failure.
    pub text: String,
}

impl Finding {
    pub(super) fn ok(check: Check, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, text: text.into() }
    }

    pub(super) fn warning(check: Check, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, text: text.into() }
    }

    pub(super) fn failed(check: Check, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failed, text: text.into() }
    }

    pub(super) fn skipped(check: Check, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, text: text.into() }
    }
}

impl Check {
    pub(super) const ALL: [Self; 13] = [
        Self::Settings,
        Self::Version,
        Self::Descriptors,
        Self::Checkpoints,
        Self::Leases,
        Self::HttpPort,
        Self::Addresses,
        Self::Http,
        Self::Clock,
        Self::Credentials,
        Self::Registration,
        Self::Job,
        Self::Media,
    ];

    /// Its name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Version => "version",
            Self::Descriptors => "descriptors",
            Self::Checkpoints => "checkpoints",
            Self::Leases => "leases",
            Self::HttpPort => "http_port",
            Self::Addresses => "addresses",
            Self::Http => "http",
            Self::Clock => "clock",
            Self::Credentials => "credentials",
            Self::Registration => "registration",
            Self::Job => "job",
            Self::Media => "media",
        }
    }
}

impl Verdict {
    /// Its name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// As a line: verdict, check and text, in columns.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, verdict, text } = self;
        write!(f, "{:<8} {:<12} {text}", verdict.as_str(), check.as_str())
    }
}
