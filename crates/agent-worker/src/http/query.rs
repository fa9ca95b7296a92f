//! What a request for jobs asks for.

use url::form_urlencoded;

use agent_proto::text::{line, name};

use crate::http::selection::{Selection, SortKey};
use crate::worker::driver::Page;

/// Jobs in an answer, unless the request says otherwise.
const USUAL_JOBS: usize = 1_000;
/// The most jobs in an answer.
const MAX_JOBS: usize = 10_000;
/// The longest filter, in characters.
const MAX_FILTER: usize = 256;

/// Which jobs, and which part of their list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JobQuery {
    pub(super) selection: Selection,
    pub(super) page: Page,
}

impl JobQuery {
    /// What is wrong with the query, if it cannot be read.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut read = Self { selection: Selection::default(), page: Page { offset: 0, limit: USUAL_JOBS } };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let number = |most: usize| {
                let number = value.parse().ok().filter(|number| *number <= most);
                number.ok_or_else(|| format!("{key}={}: write a number of at most {most}", line(&value)))
            };
            match &*key {
                "limit" => read.page.limit = number(MAX_JOBS)?,
                "offset" => read.page.offset = number(usize::MAX)?,
                "filter" if value.chars().count() > MAX_FILTER => {
                    return Err(format!("filter: write at most {MAX_FILTER} characters"));
                }
                "filter" => read.selection.filter = value.into_owned(),
                "sort" => read.selection.sort = Some(sort_key(&value)?),
                "order" => read.selection.descending = descending(&value)?,
                _ => {
                    let known = "there are limit, offset, filter, sort and order";
                    return Err(format!("unknown parameter {}: {known}", name(&key)));
                }
            }
        }
        Ok(read)
    }
}

fn sort_key(value: &str) -> Result<SortKey, String> {
    let found = SortKey::ALL.iter().find(|(field, _)| *field == value);
    found.map(|(_, key)| *key).ok_or_else(|| {
        let fields = SortKey::ALL.map(|(field, _)| field).join(", ");
        format!("sort={}: write one of {fields}", line(value))
    })
}

fn descending(value: &str) -> Result<bool, String> {
    match value {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(format!("order={}: write asc or desc", line(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_chooses_a_part_of_the_list() {
        for (query, offset, limit) in
            [("", 0, 1_000), ("limit=5", 0, 5), ("offset=7&limit=0", 7, 0), ("limit=10000", 0, 10_000)]
        {
            let expected = JobQuery { selection: Selection::default(), page: Page { offset, limit } };
            assert_eq!(JobQuery::parse(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn a_query_chooses_jobs_and_their_order() {
        let query = JobQuery::parse("filter=no+model%3A+%C3%A4&sort=age_seconds&order=desc").unwrap();
        let expected =
            Selection { filter: "no model: ä".to_owned(), sort: Some(SortKey::Age), descending: true };
        assert_eq!(query.selection, expected);
        assert!(JobQuery::parse("filter=&order=asc").unwrap().selection.is_everything());
    }

    #[test]
    fn a_wrong_query_is_named() {
        for (query, named) in [
            ("limit=10001", "limit=10001: write a number of at most 10000"),
            ("limit=", "limit=: write"),
            ("offset=-1", "offset=-1: write"),
            ("limit=1%0a2", "limit=1"),
            ("page=2", "unknown parameter page"),
            ("sort=age", "sort=age: write one of id, room, state, age_seconds, attempts, last_error"),
            ("order=down%0a", "order=down\\n: write asc or desc"),
            (&format!("filter={}", "x".repeat(257)), "filter: write at most 256 characters"),
        ] {
            let wrong = JobQuery::parse(query).unwrap_err();
            assert!(wrong.contains(named) && !wrong.contains('\n'), "{query}: {wrong}");
        }
    }
}
