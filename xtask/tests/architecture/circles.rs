//! The files of a crate do not use each other in circles: each can be read after those that it uses.
//!
//! A file uses another one if it names an item of it: a path is followed through modules and re-exports to
//! the file that defines the item. Methods are not resolved, so a file that only adds methods to a type is
//! used by no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::{Path, Use, paths, uses};

/// A file, or a directory with a trailing slash, and a file that it uses.
type Step = (&'static str, &'static str);

/// Uses that close a circle, keyed by the directory of their crate. A type and its builder may remain, and so
/// may the files of a divided `impl`, which use the file of their type; the others should become fewer.
const ALLOWED: &[(&str, &[Step])] = &[
    (
        "crates/agent-core",
        &[
            ("metadata/reader/", "metadata/reader.rs"),
            ("metadata/reader/variants.rs", "metadata/reader/keys.rs"),
        ],
    ),
    ("crates/agent-room", &[("signal/", "signal/mod.rs")]),
    ("crates/agent-server", &[("front/tests/", "front/tests.rs")]),
    ("crates/agent-testkit", &[("mock/builder.rs", "mock/server.rs"), ("sim/", "sim/world.rs")]),
    ("crates/agent-worker", &[("worker/builder/mod.rs", "worker/mod.rs")]),
];

/// The modules of a crate with a file of their own, by their path from its root.
#[derive(Default)]
struct Crate(BTreeMap<Path, Module>);

#[derive(Default)]
struct Module {
    file: String,
    paths: Vec<Path>,
    uses: Vec<Use>,
}

impl Crate {
    /// Files by their path from the directory of the sources, with their contents.
    fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let module = |(file, source): (String, String)| {
            let mut path: Path = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if path.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
                path.pop();
            }
            (path, Module { file, paths: paths(&source), uses: uses(&source) })
        };
        Self(files.into_iter().map(module).collect())
    }

    fn read(folder: &str) -> Self {
        let below = format!("{folder}/src");
        let files = super::files(&below, "rs").into_iter().map(|path| {
            let file = path.strip_prefix(&below).unwrap().to_str().unwrap().to_owned();
            (file, super::read(&path))
        });
        Self::of(files)
    }

    /// The module that defines what a path in `from` names; `None` if it is not of this crate.
    fn definition(&self, from: &Path, path: &[String], depth: u8) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(Path::new(), rest, depth),
            "self" => self.walk(from.clone(), rest, depth),
            "super" => {
                let (_, parent) = from.split_last()?;
                match rest.first().is_some_and(|next| next == "super") {
                    true => self.definition(&parent.to_vec(), rest, depth),
                    false => self.walk(parent.to_vec(), rest, depth),
                }
            }
            _ if self.has_child(from, first) || self.import(from, first).is_some() => {
                self.walk(from.clone(), path, depth)
            }
            _ => None,
        }
    }

    /// Continues from a module, into modules and through re-exports.
    fn walk(&self, at: Path, rest: &[String], depth: u8) -> Option<Path> {
        // The name of a module alone uses nothing of it: `use crate::a;`, `pub(in crate::a)`.
        let (next, after) = rest.split_first()?;
        if self.has_child(&at, next) {
            return self.walk([at, vec![next.clone()]].concat(), after, depth);
        }
        match self.import(&at, next) {
            // Names that are imported under their own name, such as `use x::x`, must not be followed without
            // end.
            Some(import) if depth > 0 => {
                let path = [import.path.as_slice(), after].concat();
                self.definition(&at, &path, depth - 1)
            }
            _ => Some(at),
        }
    }

    fn has_child(&self, module: &Path, name: &str) -> bool {
        self.0.contains_key(&[module.as_slice(), &[name.to_owned()]].concat())
    }

    fn import(&self, module: &Path, name: &str) -> Option<&Use> {
        self.0.get(module)?.uses.iter().find(|import| import.name == name)
    }

    /// The files that each file uses.
    fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let used = |at: &Path, module: &Module| {
            // A single word is a keyword of `pub(crate)`, or a name of this file, imported or declared.
            let paths = module.paths.iter().filter(|path| path.len() > 1);
            let definitions = paths.filter_map(|path| self.definition(at, path, 8));
            let files = definitions.filter(|found| found != at).filter_map(|found| self.0.get(&found));
            files.map(|found| found.file.as_str()).collect()
        };
        self.0.iter().map(|(at, module)| (module.file.as_str(), used(at, module))).collect()
    }

    /// Files that use each other, directly or indirectly, as the uses among them. The allowed ones are not
    /// followed.
    fn circles(&self, allowed: &[Step]) -> Vec<Vec<(&str, &str)>> {
        let mut edges = self.edges();
        for (file, used) in &mut edges {
            used.retain(|other| !allowed.iter().any(|step| is_step(*step, file, other)));
        }
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            edges.keys().map(|file| (*file, reachable(&edges, file))).collect();
        let mut circles: BTreeMap<Vec<&str>, Vec<(&str, &str)>> = BTreeMap::new();
        for (file, used) in &edges {
            let files = reached[file].iter().copied().filter(|other| reached[other].contains(file)).collect();
            let inside = used.iter().filter(|other| reached[*other].contains(file));
            circles.entry(files).or_default().extend(inside.map(|other| (*file, *other)));
        }
        circles.into_values().filter(|circle| !circle.is_empty()).collect()
    }
}

fn reachable<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = edges[start].iter().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(&edges[file]);
        }
    }
    reached
}

/// Whether this is a use of `other` in `file`; `folder/` represents each file in it.
fn is_step((from, to): Step, file: &str, other: &str) -> bool {
    other == to && (file == from || (from.ends_with('/') && file.starts_with(from)))
}

fn violations(folder: &str, krate: &Crate, allowed: &[Step]) -> Vec<String> {
    let shown = |circle: Vec<(&str, &str)>| {
        let uses: Vec<String> = circle.iter().map(|(file, other)| format!("{file} -> {other}")).collect();
        format!("{folder}: a circle: {}", uses.join(", "))
    };
    let edges = krate.edges();
    let is_there =
        |step: Step| edges.iter().any(|(file, used)| used.iter().any(|other| is_step(step, file, other)));
    let gone = allowed.iter().filter(|step| !is_there(**step));
    let gone = gone.map(|(from, to)| format!("{folder}: {from} does not use {to}: correct ALLOWED"));
    krate.circles(allowed).into_iter().map(shown).chain(gone).collect()
}

#[test]
fn files_do_not_use_each_other_in_circles() {
    let crates = std::fs::read_dir(super::root().join("crates")).unwrap();
    let crates = crates.map(|entry| format!("crates/{}", entry.unwrap().file_name().to_str().unwrap()));
    let mut found = Vec::new();
    for folder in crates.chain(["bench".to_owned(), "xtask".to_owned()]) {
        let allowed =
            ALLOWED.iter().find(|(name, _)| *name == folder).map_or(&[][..], |(_, allowed)| allowed);
        found.extend(violations(&folder, &Crate::read(&folder), allowed));
    }
    super::none(&found);
}

fn krate(files: &[(&str, &str)]) -> Crate {
    Crate::of(files.iter().map(|(file, source)| ((*file).to_owned(), (*source).to_owned())))
}

#[test]
fn circles_are_found() {
    for other in [
        "use crate::a::A;",
        "use super::a::{A};",
        "use crate::{a, c::C}; fn f() -> a::A { a::A }",
        "fn f(a: &crate::a::A) {}",
        "use crate::Renamed;",
        "use crate::c::C;",
    ] {
        let found = krate(&[
            ("lib.rs", "mod a; mod b; mod c; pub use a::A as Renamed;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", other),
            ("c/mod.rs", "mod inner; pub struct C(crate::a::A);"),
            ("c/inner.rs", ""),
        ]);
        assert_eq!(found.circles(&[]).len(), 1, "{other}");
    }
    // A directory's own file and one in it.
    let found = krate(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; use b::B; pub struct A;"),
        ("a/b.rs", "use super::A;"),
    ]);
    let circle = "crates/x: a circle: a/b.rs -> a/mod.rs, a/mod.rs -> a/b.rs";
    assert_eq!(violations("crates/x", &found, &[]), [circle]);
    assert_eq!(violations("crates/x", &found, &[("a/b.rs", "a/mod.rs")]), [""; 0]);
    assert_eq!(violations("crates/x", &found, &[("a/", "a/mod.rs")]), [""; 0]);
    assert_eq!(
        violations("crates/x", &found, &[("lib.rs", "a/mod.rs")]),
        [circle, "crates/x: lib.rs does not use a/mod.rs: correct ALLOWED"]
    );
}

#[test]
fn no_circle_is_found_without_one() {
    let found = krate(&[
        ("lib.rs", "mod a; mod d; pub use a::{b, B, C};"),
        ("a/mod.rs", "pub mod b; mod c; pub use b::B; pub(crate) use self::c::C;"),
        // A re-export of a directory is used where it is defined.
        ("a/b.rs", "use super::C; pub struct B; #[cfg(test)] mod tests { use crate::d::D; }"),
        ("a/c.rs", "use std::fmt; use serde::c::B; pub(in crate::a) struct C; //! crate::a::b::B"),
        ("d.rs", "use crate::{b::B, C}; pub struct D;"),
    ]);
    assert_eq!(violations("crates/x", &found, &[]), [""; 0]);
}
