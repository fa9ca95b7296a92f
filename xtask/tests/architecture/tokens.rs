//! The paths that a source file names, without its comments, strings and tests.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One path as it is written, with `use` groups split: `std::{fmt, net::IpAddr}` gives two.
pub(crate) type Path = Vec<String>;

/// One name that a `use` imports into a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// The name in the module.
    pub(crate) name: String,
    /// The path that it names.
    pub(crate) path: Path,
    /// Whether it is re-exported with `pub use`.
    pub(crate) public: bool,
}

/// The imports and re-exports at the top level of a file, without `#[cfg(test)]`.
pub(crate) fn uses(source: &str) -> Vec<Use> {
    let stream: TokenStream = source.parse().unwrap_or_else(|e| panic!("not Rust: {e}"));
    let mut tokens = stream.into_iter().peekable();
    let (mut found, mut public) = (Vec::new(), false);
    while let Some(token) = tokens.next() {
        if is_cfg_test(&token) {
            let _ = tokens.by_ref().find(|t| is_punct(t, ';') || brace(t).is_some());
        } else if matches!(&token, TokenTree::Ident(word) if word == "use") {
            let tree = tokens.by_ref().take_while(|t| !is_punct(t, ';')).collect();
            let before = found.len();
            use_tree(&Path::new(), tree, &mut found);
            found.iter_mut().skip(before).for_each(|import| import.public = public);
        }
        public = matches!(&token, TokenTree::Ident(word) if word == "pub");
    }
    found
}

/// `prefix::{a::b as c, d::{self}}`; a glob is the name `*`.
fn use_tree(prefix: &Path, tree: TokenStream, found: &mut Vec<Use>) {
    let (mut path, mut rename, mut done) = (prefix.clone(), None, false);
    let mut tokens = tree.into_iter();
    let mut finish = |path: &mut Path, rename: &mut Option<String>, done: &mut bool| {
        let mut full = std::mem::replace(path, prefix.clone());
        if full.last().is_some_and(|last| last == "self") && full.len() > 1 {
            full.pop();
        }
        if !std::mem::take(done)
            && let Some(name) = rename.take().or_else(|| full.last().cloned())
        {
            found.push(Use { name, path: full, public: false });
        }
    };
    let mut groups = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "as" => rename = tokens.next().map(|name| name.to_string()),
            TokenTree::Ident(word) => path.push(word.to_string()),
            TokenTree::Group(group) => {
                groups.push((path.clone(), group.stream()));
                done = true;
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' => finish(&mut path, &mut rename, &mut done),
            TokenTree::Punct(punct) if punct.as_char() == '*' => path.push("*".to_owned()),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    if path != *prefix {
        finish(&mut path, &mut rename, &mut done);
    }
    for (prefix, tree) in groups {
        use_tree(&prefix, tree, found);
    }
}

/// All paths of a file, also those inside of macro calls. Items under `#[cfg(test)]` are omitted.
pub(crate) fn paths(source: &str) -> Vec<Path> {
    let stream: TokenStream = source.parse().unwrap_or_else(|e| panic!("not Rust: {e}"));
    let mut found = Vec::new();
    walk(stream, &mut found);
    found
}

/// The modules that a file declares for tests only: `#[cfg(test)] mod tests;`.
pub(crate) fn test_modules(source: &str) -> Vec<String> {
    let stream: TokenStream = source.parse().unwrap_or_else(|e| panic!("not Rust: {e}"));
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if is_cfg_test(token) {
            let item = tokens.iter().skip(at + 1).take_while(|t| !is_punct(t, ';') && brace(t).is_none());
            let words: Vec<String> = item.map(ToString::to_string).collect();
            if let Some(at) = words.iter().position(|word| word == "mod") {
                found.extend(words.get(at + 1).cloned());
            }
        }
    }
    found
}

fn walk(stream: TokenStream, found: &mut Vec<Path>) {
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if is_cfg_test(&token) {
            // The item ends with its body or with a semicolon.
            let _ = tokens.by_ref().find(|t| is_punct(t, ';') || brace(t).is_some());
            continue;
        }
        match token {
            TokenTree::Group(group) => walk(group.stream(), found),
            TokenTree::Ident(first) => {
                let mut path = vec![first.to_string()];
                let group = loop {
                    // `::` is two tokens.
                    let mut ahead = tokens.clone();
                    if !(ahead.next().is_some_and(|t| is_punct(&t, ':'))
                        && ahead.next().is_some_and(|t| is_punct(&t, ':')))
                    {
                        break None;
                    }
                    match ahead.next() {
                        Some(TokenTree::Ident(next)) => path.push(next.to_string()),
                        Some(TokenTree::Punct(star)) if star.as_char() == '*' => path.push("*".to_owned()),
                        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                            tokens = ahead;
                            break Some(group);
                        }
                        // `path::<T>`: the type is read separately.
                        _ => break None,
                    }
                    tokens = ahead;
                };
                match group {
                    Some(group) => inside_use(&path, &group, found),
                    None => found.push(path),
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// `prefix::{a, b::c, self}`.
fn inside_use(prefix: &Path, group: &Group, found: &mut Vec<Path>) {
    let mut inner = Vec::new();
    walk(group.stream(), &mut inner);
    for path in inner {
        let path =
            if path == ["self"] { prefix.clone() } else { prefix.iter().cloned().chain(path).collect() };
        found.push(path);
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn brace(token: &TokenTree) -> Option<&Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    }
}

/// The brackets of `#[cfg(test)]`.
fn is_cfg_test(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket
        && group.stream().to_string().replace(' ', "") == "cfg(test)")
}

#[test]
fn paths_are_found_where_they_are() {
    let found = paths(
        r#"
        //! std::comment
        use std::fmt::{self, Debug};
        use std::net::IpAddr;
        use std::collections::*;
        #[doc = "std::string"]
        fn f(at: std::time::Instant) -> Vec<u8> {
            let s = "std::literal";
            matches!(x, Some(y) if y == tokio::time::now::<u8>())
        }
        #[cfg(test)]
        #[allow(unused)]
        mod tests { use std::env; }
        #[cfg(test)]
        use std::thread;
        #[cfg(not(test))]
        fn g() { a::b!() }
        "#,
    );
    let found: Vec<String> =
        found.iter().map(|path| path.join("::")).filter(|path| path.contains("::")).collect();
    assert_eq!(
        found,
        [
            "std::fmt",
            "std::fmt::Debug",
            "std::net::IpAddr",
            "std::collections::*",
            "std::time::Instant",
            "tokio::time::now",
            "a::b"
        ]
    );
}

#[test]
fn modules_of_tests_are_found() {
    assert_eq!(
        test_modules("mod a; #[cfg(test)] pub(crate) mod b; #[cfg(test)] mod c {} #[cfg(test)] use d;"),
        ["b", "c"]
    );
}

#[test]
fn uses_are_taken_apart() {
    let found = uses(
        "use a::b; pub use crate::{c::{self, D as E}, f}; use self::g::*; #[cfg(test)] use h::i; fn f() { use j::k; } use l;",
    );
    let found: Vec<String> = found
        .iter()
        .map(|import| format!("{} = {} {}", import.name, import.path.join("::"), import.public))
        .collect();
    assert_eq!(
        found,
        [
            "b = a::b false",
            "f = crate::f true",
            "c = crate::c true",
            "E = crate::c::D true",
            "* = self::g::* false",
            "l = l false"
        ]
    );
}
