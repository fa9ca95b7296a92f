//! Enums that only drivers match are exhaustive: a new output is a compile error in each driver, not a line
//! in its log.

use proc_macro2::{TokenStream, TokenTree};

/// The enums between the machines and their drivers, by file. Those that users match are `#[non_exhaustive]`,
/// and not in this list.
const DRIVER_ONLY: &[(&str, &[&str])] = &[
    ("crates/agent-core/src/worker/io.rs", &["Input", "LinkError", "Output", "AbortCause", "Notice"]),
    ("crates/agent-core/src/worker/timers.rs", &["Timer", "JobTimer"]),
    (
        "crates/agent-core/src/job/lifecycle.rs",
        &["JobState", "Phase", "JobInput", "Transition", "Effect", "Exit"],
    ),
    ("crates/agent-core/src/shutdown.rs", &["ShutdownInput", "ShutdownAction"]),
    (
        "crates/agent-core/src/checkpoint/schedule.rs",
        &["SaveInput", "SaveFailure", "SaveOutput", "SaveReport"],
    ),
    ("crates/agent-core/src/election/io.rs", &["ElectionInput", "ElectionOutput", "ElectionTimer"]),
    ("crates/agent-core/src/election/lease_record.rs", &["AcquireResult"]),
    ("crates/agent-media/src/sender/output.rs", &["AudioSenderOutput"]),
    ("crates/agent-media/src/recorder/frame.rs", &["RecorderInput", "RecorderOutput"]),
    ("crates/agent-room/src/io.rs", &["Protocol", "Input", "Output", "Timer"]),
    ("crates/agent-room/src/command.rs", &["RoomCommand"]),
    ("crates/agent-room/src/subscription.rs", &["SubscriptionChange"]),
    ("crates/agent-room/src/view.rs", &["ViewChange"]),
    ("crates/agent-rtc/src/request.rs", &["RoomRequest"]),
    ("crates/agent-server/src/machine/io.rs", &["Input", "Output"]),
    ("crates/agent-server/src/machine/request.rs", &["Request", "Reply", "Refusal"]),
];

/// The enums that a file declares, outside of inner modules, and whether each is `#[non_exhaustive]`.
fn enums(source: &str) -> Vec<(String, bool)> {
    let stream: TokenStream = source.parse().unwrap_or_else(|e| panic!("not Rust: {e}"));
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let (mut found, mut open) = (Vec::new(), false);
    for (at, token) in tokens.iter().enumerate() {
        match (token, tokens.get(at + 1)) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(attribute))) if hash.as_char() == '#' => {
                open |= names(attribute.stream(), "non_exhaustive");
            }
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "enum" => {
                found.push((name.to_string(), open));
                open = false;
            }
            // The attributes of another item.
            (TokenTree::Ident(word), _)
                if ["struct", "fn", "impl", "mod"].iter().any(|kind| word == kind) =>
            {
                open = false;
            }
            _ => {}
        }
    }
    found
}

/// Whether an attribute contains this identifier in code: docs are attributes, too.
pub(crate) fn names(attribute: TokenStream, word: &str) -> bool {
    attribute.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => names(group.stream(), word),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn open(file: &str, source: &str, names: &[&str]) -> Vec<String> {
    let declared = enums(source);
    let violation = |name: &&str| match declared.iter().find(|(declared, _)| declared == name) {
        None => Some(format!("{file}: no enum {name}; correct DRIVER_ONLY")),
        Some((_, true)) => Some(format!("{file}: {name} is #[non_exhaustive], but only drivers match it")),
        Some((_, false)) => None,
    };
    names.iter().filter_map(violation).collect()
}

#[test]
fn enums_that_only_drivers_match_are_exhaustive() {
    let all = DRIVER_ONLY.iter().flat_map(|(file, names)| open(file, &super::read(file), names));
    super::none(&all.collect::<Vec<_>>());
}

/// An enum that users match is recognized as such.
#[test]
fn enums_that_users_match_are_not_exhaustive() {
    for (file, name) in [
        ("crates/agent-room/src/event.rs", "RoomEvent"),
        ("crates/agent-core/src/outcome.rs", "CancelReason"),
    ] {
        assert_eq!(open(file, &super::read(file), &[name]).len(), 1, "{name}");
    }
}

#[test]
fn an_open_enum_is_found() {
    let source = "
        #[derive(Debug)] #[non_exhaustive] pub enum Output { /** #[non_exhaustive] */ A, B { c: u8 } }
        #[non_exhaustive] pub struct Report { pub a: u8 }
        /// Not #[non_exhaustive].
        pub enum Input { #[non_exhaustive] A }
        #[cfg_attr(feature = \"x\", non_exhaustive)] enum Notice {}
    ";
    assert_eq!(
        open("io.rs", source, &["Output", "Input", "Notice", "Gone"]),
        [
            "io.rs: Output is #[non_exhaustive], but only drivers match it",
            "io.rs: Notice is #[non_exhaustive], but only drivers match it",
            "io.rs: no enum Gone; correct DRIVER_ONLY",
        ]
    );
}
