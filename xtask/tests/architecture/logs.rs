//! Texts from outside reach the log only through `agent_proto::text`: written unchanged, they could forge
//! lines.
//!
//! The scan does not know types. So a displayed value in a tracing macro (`%field`, `{}`) must be a call of
//! `line` or `name`, or be listed here as our own.

use std::path::PathBuf;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Values that only our own code creates: numbers, identifiers, and results of `line` or `name`.
const OURS: &[&str] = &[
    "SLACK",
    "address",
    "agent",
    "destination",
    "failed",
    "from",
    "line",
    "more",
    "name",
    "nearest",
    "of",
    "or_none",
    "page",
    "range…",
    "remote",
    "size",
    "stuck",
    "succeeded",
    "unsent",
    "what",
    "why",
];
/// Names of values that were passed through `line` or `name` in the preceding statement.
const SHOWN: &[&str] =
    &["caught", "error", "panic", "panicked", "reason", "sender", "server_version", "topic", "worker_id"];

const MACROS: &[&str] = &[
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
];

/// Each value that a file displays in its log, as the beginning of its expression.
fn displayed(source: &str) -> Vec<(String, String)> {
    let stream: TokenStream = source.parse().unwrap_or_else(|e| panic!("not Rust: {e}"));
    let mut found = Vec::new();
    walk(stream, &mut found);
    found
}

fn walk(stream: TokenStream, found: &mut Vec<(String, String)>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            let before = |n: usize| at.checked_sub(n).map(|at| tokens[at].to_string()).unwrap_or_default();
            let of_tracing = before(5) == "tracing" && before(1) == "!";
            if of_tracing && MACROS.contains(&before(2).as_str()) {
                arguments(group.stream(), before(2).ends_with("_span"), found);
            }
            walk(group.stream(), found);
        }
    }
}

/// The arguments of one macro: fields, then the message and its arguments. A span has a name and fields.
fn arguments(stream: TokenStream, span: bool, found: &mut Vec<(String, String)>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut message = false;
    for argument in tokens.split(|token| token.to_string() == ",") {
        if let [TokenTree::Literal(text)] = argument
            && !span
        {
            message = true;
            found.extend(captured(&text.to_string()).map(|name| (name, "{} of a message".to_owned())));
        } else if message {
            found.push((head(argument), "an argument of a message".to_owned()));
        } else if let Some(at) = argument.iter().position(|token| token.to_string() == "%") {
            found.push((head(&argument[at + 1..]), "a field with %".to_owned()));
        }
    }
}

/// The names in the braces of a format string, without those formatted by `Debug`, which escapes.
fn captured(text: &str) -> impl Iterator<Item = String> {
    text.split('{').skip(1).filter_map(|rest| {
        let (inner, _) = rest.split_once('}')?;
        (!inner.is_empty() && !inner.contains('?')).then(|| inner.to_owned())
    })
}

/// The last name of the path that begins an expression: `line` of `agent_proto::text::line(x)`, `error` of
/// `&error`.
fn head(tokens: &[TokenTree]) -> String {
    let mut name = String::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => name = ident.to_string(),
            TokenTree::Punct(punct) if matches!(punct.as_char(), ':' | '&') => {}
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => break,
            _ => {
                // A field or a method of something: not a call of the helper.
                name += "…";
                break;
            }
        }
    }
    name
}

fn violations(file: &str, source: &str) -> Vec<String> {
    let shown = |name: &str| OURS.contains(&name) || (SHOWN.contains(&name) && is_shown(source, name));
    let found = displayed(source).into_iter().filter(|(name, _)| !shown(name));
    found
        .map(|(name, place)| format!("{file}: {name} is {place}: use agent_proto::text::{{line, name}}"))
        .collect()
}

/// Whether a file passes a value of this name through the helper: `line(error)`, `name(&data.topic)`.
fn is_shown(source: &str, name: &str) -> bool {
    let of_helper = |call: &str| {
        source
            .split(call)
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .any(|(argument, _)| argument.rsplit(['.', '&']).next() == Some(name))
    };
    // Its `Display` is one printable line.
    let panic = matches!(name, "caught" | "panic" | "panicked")
        && (source.contains("&Caught") || source.contains("caught(panic.as_ref())"));
    of_helper("line(") || of_helper("name(") || panic
}

fn sources() -> Vec<PathBuf> {
    super::files("crates/agent-worker/src", "rs")
}

#[test]
fn texts_of_others_are_made_printable() {
    let files = sources();
    let found: Vec<String> =
        files.iter().flat_map(|file| violations(&file.display().to_string(), &super::read(file))).collect();
    super::none(&found);
    let all: usize = files.iter().map(|file| displayed(&super::read(file)).len()).sum();
    assert!(all > 30, "only {all} values are displayed");
}

#[test]
fn raw_texts_are_found() {
    let check = |code: &str, expected: &[&str]| {
        let found = violations("f", &format!("fn f() {{ {code} }}"));
        let found: Vec<&str> = found
            .iter()
            .filter_map(|text| text.strip_prefix("f: ")?.split_once(" is "))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(found, expected, "{code}");
    };
    check(r#"tracing::info!(room = %job.room.name, "assigned")"#, &["job…"]);
    check(
        r#"tracing::warn!(%identity, ?other, n, "gone: {text} {other:?} {}", error.to_string())"#,
        &["identity", "text", "error…"],
    );
    check(r#"tracing::error_span!("job", room = %room, attempt = job.attempt)"#, &["room"]);
    check(r#"tracing::info!(room = %name(&job.room.name), "job ended: {}{more}", line(&outcome))"#, &[]);
    check(r#"let error = line(error); tracing::info!(%error, "{error}")"#, &[]);
    check(r#"format!("{text}"); println!("{text}")"#, &[]);
}
