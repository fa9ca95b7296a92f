//! Which live jobs are listed, and in which order.

use std::cmp::Ordering;

use agent_core::LiveJob;
use agent_proto::text::shorten;

use crate::http::report::MAX_NAME;
use crate::worker::driver::{JobPage, Page};

/// A filter and an order. The default leaves the list as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Jobs with this text, in any case, in one of the texts that are shown; empty: all.
    pub(super) filter: String,
    /// `None`: the order of their ids.
    pub(super) sort: Option<SortKey>,
    pub(super) descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SortKey {
    Id,
    Room,
    State,
    Age,
    Attempts,
    LastError,
}

impl SortKey {
    /// The fields of a job by which a list can be sorted.
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("id", Self::Id),
        ("room", Self::Room),
        ("state", Self::State),
        ("age_seconds", Self::Age),
        ("attempts", Self::Attempts),
        ("last_error", Self::LastError),
    ];

    fn compare(self, a: &LiveJob, b: &LiveJob) -> Ordering {
        match self {
            Self::Id => a.job.id.cmp(&b.job.id),
            Self::Room => a.job.room.name.cmp(&b.job.room.name),
            Self::State => a.state.cmp(&b.state),
            Self::Age => a.age.cmp(&b.age),
            Self::Attempts => a.attempts.cmp(&b.attempts),
            Self::LastError => a.last_error.cmp(&b.last_error),
        }
    }
}

impl Selection {
    /// Whether it leaves every list as it is, so that a part of it can be taken first.
    pub(super) fn is_everything(&self) -> bool {
        self.filter.is_empty() && self.sort.is_none()
    }

    /// A part of the chosen jobs, and how many were chosen. Those with the same key stay in their order.
    pub(super) fn apply(&self, mut jobs: Vec<LiveJob>, Page { offset, limit }: Page) -> JobPage {
        let filter = self.filter.to_lowercase();
        if !filter.is_empty() {
            jobs.retain(|job| matches(job, &filter));
        }
        let (total, end) = (jobs.len(), offset.saturating_add(limit));
        if let Some(key) = self.sort {
            let mut sorted: Vec<_> = jobs.into_iter().enumerate().collect();
            let compare = |(at_a, a): &(usize, LiveJob), (at_b, b): &(usize, LiveJob)| {
                let order = key.compare(a, b);
                if self.descending { order.reverse() } else { order }.then(at_a.cmp(at_b))
            };
            // Only the part up to its end is sorted.
            if end < total {
                sorted.select_nth_unstable_by(end, compare);
                sorted.truncate(end);
            }
            sorted.sort_unstable_by(compare);
            jobs = sorted.into_iter().map(|(_, job)| job).collect();
        }
        JobPage { total, jobs: jobs.into_iter().skip(offset).take(limit).collect() }
    }
}

/// Compares with what is shown, in which invisible characters are escaped.
fn matches(live: &LiveJob, filter: &str) -> bool {
    let has = |text: &str| shorten(text, MAX_NAME).to_lowercase().contains(filter);
    let job = &live.job;
    has(&job.room.name)
        || has(&job.id)
        || live.state.as_str().contains(filter)
        || job.target.as_ref().is_some_and(|target| has(&target.identity))
        // It is printable already.
        || live.last_error.as_ref().is_some_and(|error| error.to_lowercase().contains(filter))
}
