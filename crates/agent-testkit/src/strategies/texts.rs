//! Texts that others get wrong.

use proptest::prelude::*;

/// Texts with a meaning to some reader, or for the eye of nobody.
const ODD: [&str; 16] = [
    " ",
    "\0",
    "\n\r\n",
    "null",
    "NaN",
    "-1",
    "{}",
    "\"quoted\"",
    "back\\slash",
    "../../etc/passwd",
    "%s%n${x}{}",
    "\u{202e}right to left",
    "\u{feff}mark",
    "e\u{301}\u{301}\u{301}",
    "\u{1f980}\u{200d}\u{1f980}",
    "<b>&amp;</b>",
];

/// The most characters.
const LONG: usize = 2000;

/// Texts that others get wrong: plain words, the empty text, quotes, control characters, another direction,
/// any characters, and long ones. At most 2,000 characters; shrinks to the empty text.
pub fn texts() -> BoxedStrategy<String> {
    prop_oneof![
        4 => words(),
        2 => prop::sample::select(&ODD[..]).prop_map(str::to_owned),
        2 => prop::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
        1 => (40..=LONG).prop_map(|len| "x".repeat(len)),
    ]
    .boxed()
}

/// Lower-case words, perhaps empty.
pub(super) fn words() -> impl Strategy<Value = String> + Clone {
    prop::collection::vec(prop::char::range('a', 'z'), 0..12).prop_map(String::from_iter)
}

/// Words that are not empty.
pub(super) fn names() -> impl Strategy<Value = String> + Clone {
    prop::collection::vec(prop::char::range('a', 'z'), 1..12).prop_map(String::from_iter)
}
