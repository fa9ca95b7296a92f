//! What users of agent-worker match or read can grow: its enums and its structs with public fields are
//! `#[non_exhaustive]`.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::exhaustive::names;
use crate::exports::EXPORTS;
use crate::tokens::{Use, uses};

/// Exported types that stay exhaustive: only drivers match the first ones, code that handles video codecs has
/// to decide for each of them, and the last three are numbers.
const CLOSED: &[&str] = &[
    "RoomCommand",
    "MediaFrame",
    "OutgoingMedia",
    "TrackOptions",
    "VideoCodec",
    "SubscriptionChange",
    "RoomRequest",
    "StreamEvent",
    "AcquireResult",
    "Epoch",
    "IncomingStream",
    "RpcRequestId",
];

/// The crates in which a type is defined that this one exports.
const DEFINED_IN: &[(&str, &[&str])] = &[
    ("agent_backends", &["agent-backends"]),
    ("agent_core", &["agent-core", "agent-proto"]),
    ("agent_net", &["agent-net", "agent-proto"]),
    ("agent_proto", &["agent-proto"]),
    ("agent_rtc", &["agent-rtc", "agent-room", "agent-proto"]),
];

/// An enum, or a struct with a public field, and whether it is `#[non_exhaustive]`.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    name: String,
    open: bool,
}

/// The public types of a file, outside of inner modules, whose variants or fields users can name.
fn shapes(source: &str) -> Vec<Shape> {
    let stream: TokenStream = source.parse().unwrap_or_else(|e| panic!("not Rust: {e}"));
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let (mut found, mut open, mut public) = (Vec::new(), false, false);
    for (at, token) in tokens.iter().enumerate() {
        match (token, tokens.get(at + 1)) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(attribute))) if hash.as_char() == '#' => {
                open |= names(attribute.stream(), "non_exhaustive");
            }
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "enum" || word == "struct" => {
                if public && (word == "enum" || has_public_field(tokens.get(at + 2..).unwrap_or_default())) {
                    found.push(Shape { name: name.to_string(), open });
                }
                open = false;
            }
            (TokenTree::Ident(word), _) if ["fn", "impl", "mod", "trait"].iter().any(|kind| word == kind) => {
                open = false;
            }
            _ => {}
        }
        public = matches!(token, TokenTree::Ident(word) if word == "pub");
    }
    found
}

/// Whether the fields after the name of a struct have a `pub` that is for everybody.
fn has_public_field(after: &[TokenTree]) -> bool {
    let ends = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    let fields = after.iter().take_while(|token| !ends(token)).find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() != Delimiter::Bracket => Some(group.stream()),
        _ => None,
    });
    let tokens: Vec<TokenTree> = fields.into_iter().flatten().collect();
    tokens.iter().enumerate().any(|(at, token)| {
        let restricted = matches!(tokens.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
        matches!(token, TokenTree::Ident(word) if word == "pub") && !restricted
    })
}

/// The shapes of all files of a crate.
fn of_crate(folder: &str) -> Vec<Shape> {
    super::sources(&[&format!("crates/{folder}/src")]).flat_map(|file| shapes(&super::read(&file))).collect()
}

fn closed(exports: &[Use], folders: &BTreeMap<&str, Vec<Shape>>) -> Vec<String> {
    let violations =
        exports.iter().filter(|export| !CLOSED.contains(&export.name.as_str())).flat_map(|export| {
            let first = export.path.first().map_or("", String::as_str);
            let folders_of = DEFINED_IN
                .iter()
                .find(|(name, _)| *name == first)
                .map_or(["agent-worker"].as_slice(), |(_, in_)| in_);
            let shapes = folders_of.iter().filter_map(|folder| folders.get(folder)).flatten();
            let ours = shapes.filter(|shape| shape.name == export.name && !shape.open);
            ours.map(|shape| format!("{} is exported by agent-worker and not #[non_exhaustive]", shape.name))
                .collect::<Vec<_>>()
        });
    violations.collect()
}

#[test]
fn types_that_users_match_are_non_exhaustive() {
    let folders = [
        "agent-backends",
        "agent-core",
        "agent-net",
        "agent-proto",
        "agent-room",
        "agent-rtc",
        "agent-worker",
    ];
    let folders = folders.into_iter().map(|folder| (folder, of_crate(folder))).collect();
    let read = |file: &&str| uses(&super::read(format!("crates/agent-worker/src/{file}")));
    let exports: Vec<Use> = EXPORTS.iter().flat_map(read).filter(|export| export.public).collect();
    assert!(exports.len() > 100, "the walk misses exports");
    super::none(&closed(&exports, &folders));
}

#[test]
fn a_closed_type_is_found() {
    let source = "
        #[non_exhaustive] pub enum Open { A } pub enum Closed { A } enum Private { A }
        pub struct Fields<T> { a: u8, pub b: T } pub struct Hidden { a: u8, pub(crate) b: u8 } pub struct Unit;
        pub struct Number(pub u64);
    ";
    let found = shapes(source);
    let names = found.iter().map(|shape| format!("{} {}", shape.name, shape.open));
    assert_eq!(names.collect::<Vec<_>>(), ["Open true", "Closed false", "Fields false", "Number false"]);
    let exports = uses("pub use agent_core::{Open, Closed, Hidden}; pub use agent_net::Fields;");
    let folders = BTreeMap::from([("agent-core", found)]);
    assert_eq!(closed(&exports, &folders), ["Closed is exported by agent-worker and not #[non_exhaustive]"]);
}
