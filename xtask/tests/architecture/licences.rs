//! Every dependency has permissive terms.

use std::sync::LazyLock;

use crate::graph::{Graph, WORKSPACE};

/// Terms that require no more than attribution, by SPDX id: those of `deny.toml`.
static ACCEPTED: LazyLock<Vec<String>> = LazyLock::new(|| accepted(&super::read("deny.toml")));

fn accepted(toml: &str) -> Vec<String> {
    let list = toml.split_once("\nallow = [\n").unwrap().1.split_once("\n]").unwrap().0;
    let ids = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'));
    ids.map(|(id, _)| id.to_owned()).collect()
}

/// Whether an SPDX expression can be satisfied with accepted terms alone. `/` is the old spelling of OR.
fn acceptable(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest) == Some(true) && rest.is_empty()
}

/// `None` is a syntax error.
fn any_of(rest: &mut &[&str]) -> Option<bool> {
    let mut result = all_of(rest)?;
    while let Some(after) = rest.strip_prefix(&["OR"]) {
        *rest = after;
        result |= all_of(rest)?;
    }
    Some(result)
}

fn all_of(rest: &mut &[&str]) -> Option<bool> {
    let mut result = one(rest)?;
    while let Some(after) = rest.strip_prefix(&["AND"]) {
        *rest = after;
        result &= one(rest)?;
    }
    Some(result)
}

fn one(rest: &mut &[&str]) -> Option<bool> {
    let (word, after) = rest.split_first()?;
    *rest = after;
    if *word == "(" {
        let result = any_of(rest)?;
        *rest = rest.strip_prefix(&[")"])?;
        return Some(result);
    }
    // An exception only gives more rights.
    if let ["WITH", _, after @ ..] = rest {
        *rest = after;
    }
    Some(ACCEPTED.iter().any(|id| id == word))
}

fn licences(graph: &Graph) -> Vec<String> {
    let refused = graph.0.values().filter(|p| !p.licence.as_deref().is_some_and(acceptable));
    refused.map(|p| format!("{} has the licence {:?}", p.name, p.licence)).collect()
}

#[test]
fn every_dependency_is_permissive() {
    super::none(&licences(&WORKSPACE));
}

#[test]
fn both_of_our_licences_are_there() {
    for (file, words) in
        [("LICENSE-MIT", "Permission is hereby granted"), ("LICENSE-APACHE", "Version 2.0, January 2004")]
    {
        assert!(super::read(file).contains(words), "{file}");
    }
    for (_, member) in WORKSPACE.members() {
        assert_eq!(member.licence.as_deref(), Some("MIT OR Apache-2.0"), "{}", member.name);
    }
}

#[test]
fn expressions_are_understood() {
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-2.0",
        "ISC AND (GPL-3.0 OR Apache-2.0)",
        "Apache-2.0 WITH LLVM-exception",
        "GPL-3.0 AND ISC OR MIT",
    ] {
        assert!(acceptable(good), "{good}");
    }
    for bad in
        ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND SSPL-1.0", "MIT OR", "(MIT", "MIT ISC", "", "mit"]
    {
        assert!(!acceptable(bad), "{bad}");
    }
}

#[test]
fn a_missing_licence_is_found() {
    let graph = Graph::of(&[("secretive", &[])]);
    assert_eq!(licences(&graph), ["secretive has the licence None"]);
}
