//! Which of several candidates an error refers to, determined by reading the document with the candidates
//! changed.

use serde::de::DeserializeOwned;

use super::cause::{Cause, Found, Problem};
use super::document::MAX_METADATA_LEN;
use super::reader::{Plan, Trial};

/// Limit of the bytes that are read for this: a short document as often as needed, the longest one four
/// times.
const MAX_WORK: usize = 4 * MAX_METADATA_LEN;

/// Finds the candidate that the cause refers to.
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
    // A type that refuses a number of this value refuses any number, so its error names the first candidate
    // that it rejects.
    let number = matches!(parts.found, Found::Unsigned(_) | Found::Signed(_) | Found::Float(_));
    if number && parts.problem == Problem::Type {
        let rejected = first_rejected::<T>(plan, Trial::Numbers(candidates), candidates, &mut rounds);
        if let Some((at, error)) = rejected
            && error.parts().problem == Problem::Type
            && error.parts().expected == parts.expected
        {
            return Some(at);
        }
    }
    // A type that refuses strings may accept numbers, and vice versa.
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

/// Replaces each candidate by a unique marker; the error names the first marker that serde rejects. With that
/// candidate restored, serde repeats the original error if it is the one, and names another candidate if only
/// the marker was wrong.
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
        let at = candidate_of(&error, plan, &open)?;
        open.retain(|candidate| *candidate != at);
        left = Some(at);
    }
}

/// The first candidate that serde rejects.
fn first_rejected<T: DeserializeOwned>(
    plan: Plan<'_>,
    trial: Trial<'_>,
    candidates: &[usize],
    rounds: &mut Rounds,
) -> Option<(usize, Cause)> {
    let error = rounds.read::<T>(plan, trial)?.err()?;
    Some((candidate_of(&error, plan, candidates)?, error))
}

/// The candidate that an error refers to.
fn candidate_of(error: &Cause, plan: Plan<'_>, candidates: &[usize]) -> Option<usize> {
    match &error.parts().found {
        Found::Unsigned(number) => candidates.get(usize::try_from(*number).ok()?).copied(),
        found => found.offset_in(plan.text).filter(|at| candidates.contains(at)),
    }
}

/// Whether the object lacks the field: with it serde's error changes, and with a field of any other name it
/// does not.
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
