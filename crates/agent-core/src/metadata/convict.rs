//! Which of several suspects an error of serde means, found out by changing them and reading the document again.

use super::locate::Suspect;
use super::path::Path;
use super::read::MAX_METADATA_LEN;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How many bytes are read to find out: a short document as often as it takes, the longest one four times. Once is enough unless what is
/// wrong in one place is right in many others.
const MAX_WORK: usize = 4 * MAX_METADATA_LEN;

/// Finds the one of which `said` is true; the document has `len` bytes.
pub(super) fn convict<T: DeserializeOwned>(
    document: &Value,
    len: usize,
    said: &str,
    suspects: &[Suspect],
) -> Option<Suspect> {
    let rounds = MAX_WORK / len.max(1);
    if matches!(suspects, [Suspect::Gap(..), ..]) {
        return suspects.iter().take(rounds).find(|gap| is_minded::<T>(gap, document, said)).cloned();
    }
    // A type that takes no text may take a number, and the other way round.
    identify::<T>(document, rounds, said, suspects, &|number| Value::String(format!("{MARK}{number}>")))
        .or_else(|| {
            identify::<T>(document, rounds, said, suspects, &|number| Value::from(number as f64 + 0.5))
        })
}

const MARK: &str = "<suspect ";

/// Puts a mark of its own in the place of each; the error names the first mark that is minded. With that suspect left as it was, serde
/// says the same as at first if it is the one, and names another mark if only its mark was wrong.
fn identify<T: DeserializeOwned>(
    document: &Value,
    rounds: usize,
    said: &str,
    suspects: &[Suspect],
    mark: &dyn Fn(u32) -> Value,
) -> Option<Suspect> {
    let mut left: Option<&Suspect> = None;
    let mut open: Vec<(u32, &Suspect)> = (0..).zip(suspects).collect();
    for _ in 0..rounds {
        let mut trial = document.clone();
        // Inner ones first, so that they are still there to be marked.
        for (number, suspect) in open.iter().rev() {
            put(suspect, mark(*number), &mut trial);
        }
        let now = complain::<T>(&trial)?;
        if now == said {
            return left.cloned();
        }
        let number = marked(&now)?;
        let at = open.iter().position(|(other, _)| *other == number)?;
        left = Some(open.remove(at).1);
    }
    None
}

fn put(suspect: &Suspect, mark: Value, document: &mut Value) {
    match suspect {
        Suspect::Value(path) => {
            if let Some(value) = path.get_mut(document) {
                *value = mark;
            }
        }
        Suspect::Name(path, name) => {
            if let (Some(Value::Object(fields)), Value::String(mark)) = (path.get_mut(document), mark)
                && let Some(value) = fields.remove(name)
            {
                fields.insert(mark, value);
            }
        }
        Suspect::Gap(..) => {}
    }
}

/// The number of the mark that an error names.
fn marked(said: &str) -> Option<u32> {
    if let Some((_, rest)) = said.split_once(MARK) {
        return rest.split('>').next()?.parse().ok();
    }
    let (_, rest) = said.split_once("floating point `")?;
    rest.split('.').next()?.parse().ok()
}

/// Whether this is a gap that the type minds: filling it changes what serde says, and a field of any other name does not.
fn is_minded<T: DeserializeOwned>(suspect: &Suspect, document: &Value, said: &str) -> bool {
    let Suspect::Gap(path, name) = suspect else { return false };
    let now = fill::<T>(document, path, name);
    let says = |what: &str| now.as_ref().is_some_and(|now| now.starts_with(what));
    !says(said) && !says("unknown field") && now != fill::<T>(document, path, MARK)
}

/// What serde says when the object there has another field, with a value like its neighbours.
fn fill<T: DeserializeOwned>(document: &Value, path: &Path, name: &str) -> Option<String> {
    let mut trial = document.clone();
    if let Some(Value::Object(fields)) = path.get_mut(&mut trial) {
        let neighbour = fields.values().next().cloned().unwrap_or_default();
        fields.insert(name.to_owned(), neighbour);
    }
    complain::<T>(&trial)
}

fn complain<T: DeserializeOwned>(document: &Value) -> Option<String> {
    T::deserialize(document).err().map(|error| error.to_string())
}
