//! Requests to methods that we do not have: each method is reported once.

use std::collections::BTreeSet;

use agent_proto::text::shorten;

/// Maximum number of methods that are reported for one room.
const MAX_REPORTED: usize = 32;
/// Maximum length of a method or identity that is reported, in characters.
const MAX_TEXT_LEN: usize = 128;

/// A request to a method that we do not have. It was refused with error 1400.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct UnknownMethod {
    /// The method, shortened.
    pub method: String,
    /// Identity of the caller, shortened.
    pub caller: String,
}

/// The methods that have been reported.
#[derive(Default)]
pub(crate) struct Reported(BTreeSet<String>);

impl Reported {
    /// The report of a request; `None`: that of an earlier one is enough.
    pub(crate) fn report(&mut self, method: &str, caller: &str) -> Option<UnknownMethod> {
        let (method, caller) = (shorten(method, MAX_TEXT_LEN), shorten(caller, MAX_TEXT_LEN));
        let first = self.0.len() < MAX_REPORTED && self.0.insert(method.clone());
        first.then_some(UnknownMethod { method, caller })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_is_reported_once_and_their_number_is_limited() {
        let mut reported = Reported::default();
        assert!(reported.report("greet", "ada").is_some());
        assert!(reported.report("greet", "bob").is_none());
        let more = (0..1000).filter_map(|n| reported.report(&n.to_string(), "ada")).count();
        assert_eq!(more, MAX_REPORTED - 1);
    }

    #[test]
    fn reported_names_are_short_and_on_one_line() {
        let data = Reported::default().report(&"ä\n".repeat(1000), &"x".repeat(1000)).unwrap();
        for text in [&data.method, &data.caller] {
            assert!(text.chars().count() <= 129 && !text.contains(char::is_control), "{text}");
        }
    }
}
