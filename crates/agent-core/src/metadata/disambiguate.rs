//! Which of several candidates an error means, found out by reading the document otherwise than it is written.

use super::cause::{Cause, Found, Problem};
use super::document::MAX_METADATA_LEN;
use super::reader::{Plan, Trial};
use serde::de::DeserializeOwned;

/// How many bytes are read to find out: a short document as often as it takes, the longest one four times.
const MAX_WORK: usize = 4 * MAX_METADATA_LEN;

/// Finds the one that the cause means.
pub(super) fn disambiguate<T: DeserializeOwned>(
    cause: &Cause,
    plan: Plan<'_>,
    candidates: &[usize],
) -> Option<usize> {
    let mut rounds = Rounds(MAX_WORK / plan.text.len().max(1));
    let parts = cause.parts();
    if let Problem::MissingField(name) = parts.problem {
        return candidates
            .iter()
            .copied()
            .find(|object| is_filled::<T>(cause, plan, *object, name, &mut rounds));
    }
    // A type that takes no number of this value takes none of another one, so its error names the first that it minds.
    let number = matches!(parts.found, Found::Unsigned(_) | Found::Signed(_) | Found::Float(_));
    if number && parts.problem == Problem::Type {
        let minded = minded::<T>(plan, Trial::Numbers(candidates), candidates, &mut rounds);
        if let Some((at, error)) = minded
            && error.parts().problem == Problem::Type
            && error.parts().expected == parts.expected
        {
            return Some(at);
        }
    }
    // A type that takes no text may take a number, and the other way round.
    eliminate::<T>(cause, plan, candidates, false, &mut rounds)
        .or_else(|| eliminate::<T>(cause, plan, candidates, true, &mut rounds))
}

/// How many more times the document may be read.
struct Rounds(usize);

impl Rounds {
    fn read<T: DeserializeOwned>(&mut self, plan: Plan<'_>, trial: Trial<'_>) -> Option<Result<(), Cause>> {
        self.0 = self.0.checked_sub(1)?;
        Some(Plan { trial, ..plan }.read::<T>().map(drop))
    }
}

/// Reads all candidates as something else; the error names the first that is minded. With that one left as it was, serde says the same
/// as at first if it is the one, and names another if only what it was read as was wrong.
fn eliminate<T: DeserializeOwned>(
    cause: &Cause,
    plan: Plan<'_>,
    candidates: &[usize],
    numbers: bool,
    rounds: &mut Rounds,
) -> Option<usize> {
    let mut open = candidates.to_vec();
    let mut left = None;
    loop {
        let trial = if numbers { Trial::Numbers(&open) } else { Trial::Texts(&open) };
        let error = rounds.read::<T>(plan, trial)?.err()?;
        if error.same(cause) {
            return left;
        }
        let at = named(&error, plan, &open)?;
        open.retain(|candidate| *candidate != at);
        left = Some(at);
    }
}

/// The first candidate that is minded.
fn minded<T: DeserializeOwned>(
    plan: Plan<'_>,
    trial: Trial<'_>,
    candidates: &[usize],
    rounds: &mut Rounds,
) -> Option<(usize, Cause)> {
    let error = rounds.read::<T>(plan, trial)?.err()?;
    Some((named(&error, plan, candidates)?, error))
}

/// The candidate that an error is about.
fn named(error: &Cause, plan: Plan<'_>, candidates: &[usize]) -> Option<usize> {
    match &error.parts().found {
        Found::Unsigned(number) => candidates.get(usize::try_from(*number).ok()?).copied(),
        found => found.offset_in(plan.text).filter(|at| candidates.contains(at)),
    }
}

/// Whether the object lacks the field: with it serde says something else, and a field of any other name changes nothing.
fn is_filled<T: DeserializeOwned>(
    cause: &Cause,
    plan: Plan<'_>,
    object: usize,
    name: &str,
    rounds: &mut Rounds,
) -> bool {
    let mut fill = |name| rounds.read::<T>(plan, Trial::Fill { object, name });
    let Some(now) = fill(name) else { return false };
    if let Err(error) = &now
        && (error.same(cause) || error.parts().problem == Problem::UnknownField)
    {
        return false;
    }
    fill("<a field that no type has>").is_some_and(|other| match (&now, &other) {
        (Ok(()), Ok(())) => false,
        (Err(now), Err(other)) => !now.same(other),
        _ => true,
    })
}
