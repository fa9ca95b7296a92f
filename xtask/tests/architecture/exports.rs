//! A crate's exports are listed name by name, under the name by which they are defined; the root of
//! agent-worker stays small.

use std::path::Path;

use crate::tokens::{Use, uses};

/// Maximum number of names at the root of agent-worker. Everything else is in a module.
const MAX_ROOT_NAMES: usize = 30;

/// The public modules of agent-worker that its root re-exports; the others are declared there.
const ROOT_MODULES: &[&str] = &["layers"];

/// The files that make up what agent-worker exports.
pub(crate) const EXPORTS: &[&str] = &[
    "lib.rs",
    "agent/layers/mod.rs",
    "checkpoint.rs",
    "coordination.rs",
    "job/mod.rs",
    "metadata.rs",
    "net.rs",
    "patterns/mod.rs",
    "room.rs",
    "stats.rs",
];

/// The names that a file re-exports, without modules.
fn names(source: &str, modules: &[&str]) -> Vec<String> {
    let public = uses(source).into_iter().filter(|import| import.public);
    public.map(|import| import.name).filter(|name| !modules.contains(&name.as_str())).collect()
}

fn too_many(file: &str, names: &[String]) -> Option<String> {
    (names.len() > MAX_ROOT_NAMES).then(|| {
        let list = names.join(", ");
        format!("{file}: {} names, {MAX_ROOT_NAMES} at most; put one into a module: {list}", names.len())
    })
}

/// Re-exports of everything, and those under another name.
fn unlisted(file: &Path, source: &str) -> Vec<String> {
    let violation = |import: Use| {
        let path = import.path.join("::");
        let last = import.path.last()?;
        if last == "*" {
            Some(format!("{}: pub use {path}; list the names", file.display()))
        } else if *last != import.name {
            Some(format!(
                "{}: pub use {path} as {}; rename it where it is defined",
                file.display(),
                import.name
            ))
        } else {
            None
        }
    };
    uses(source).into_iter().filter(|import| import.public).filter_map(violation).collect()
}

#[test]
fn the_root_of_agent_worker_is_small() {
    let file = "crates/agent-worker/src/lib.rs";
    super::none(&too_many(file, &names(&super::read(file), ROOT_MODULES)).into_iter().collect::<Vec<_>>());
}

#[test]
fn exports_have_the_names_of_their_definitions() {
    let all = super::sources(&["crates"]).flat_map(|file| unlisted(&file, &super::read(&file)));
    super::none(&all.collect::<Vec<_>>());
}

#[test]
fn a_large_root_is_found() {
    let source = "pub mod net; use a::B; pub use agent::layers; pub use c::{D, e::F}; pub(crate) use g::H;";
    assert_eq!(names(source, ROOT_MODULES), ["D", "F"]);
    let many = vec!["A".to_owned(); MAX_ROOT_NAMES + 1];
    assert_eq!(too_many("lib.rs", many.get(1..).unwrap_or_default()), None);
    assert!(too_many("lib.rs", &many).is_some_and(|text| text.starts_with("lib.rs: 31 names, 30 at most")));
}

#[test]
fn globs_and_new_names_are_found() {
    assert_eq!(
        unlisted(
            Path::new("lib.rs"),
            "pub use a::*; pub use b::C as D; pub use e::{F, g}; use h::*; use i::J as K;"
        ),
        ["lib.rs: pub use a::*; list the names", "lib.rs: pub use b::C as D; rename it where it is defined",]
    );
}
