//! The table of rings: what each is called, what it needs and what it runs.

use super::cargo::{Cargo, each_test};
use super::report::Outcome;
use super::tools;
use crate::{codegen, root};
use anyhow::Result;
use std::path::Path;

/// One kind of check.
pub(super) struct Ring {
    /// For `--ring`.
    pub(super) name: &'static str,
    /// For people.
    pub(super) title: &'static str,
    /// What this machine lacks to run it, if anything. Takes `strict`: CI may install what is missing.
    pub(super) missing: fn(bool) -> Option<String>,
    /// Runs it; takes `strict`.
    pub(super) run: fn(bool) -> Result<Outcome>,
}

/// In the order in which they run: the quick ones first, and those that share what they build side by side.
pub(super) const RINGS: &[Ring] = &[
    Ring {
        name: "fmt",
        title: "fmt",
        missing: |_| tools::lacks_component("fmt", "rustfmt"),
        run: |strict| Cargo::new(&["fmt", "--all", "--check"], strict).check(),
    },
    Ring {
        name: "codegen",
        title: "codegen",
        missing: |_| None,
        run: |_| codegen::check().map(|()| Outcome::Ok),
    },
    Ring {
        name: "tests",
        // Nothing here needs a server, a client or the network.
        title: "unit and transcripts",
        missing: |_| None,
        run: |strict| {
            let mut args = vec!["test", "--workspace", "--lib", "--bins", "--examples"];
            let tests = test_targets()?;
            args.extend(tests.iter().filter(|test| !is_real(test)).flat_map(|test| ["--test", test]));
            Cargo::new(&args, strict).env("AGENT_TEST_REAL", "0").test()
        },
    },
    Ring {
        name: "doctests",
        title: "doc tests",
        missing: |_| None,
        run: |strict| {
            Cargo::new(&["test", "--workspace", "--doc"], strict).env("AGENT_TEST_REAL", "0").test()
        },
    },
    Ring {
        name: "lints",
        title: "lints",
        missing: |_| tools::lacks_component("clippy", "clippy"),
        run: |strict| {
            Cargo::new(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], strict)
                .check()
        },
    },
    Ring {
        name: "docs",
        title: "docs",
        missing: |_| None,
        run: |strict| {
            let cargo = Cargo::new(&["doc", "--workspace", "--no-deps"], strict);
            cargo.env("RUSTDOCFLAGS", "--deny warnings").check()
        },
    },
    Ring {
        name: "wasm",
        // Where there is neither clock nor socket, core compiles: it uses none.
        title: "wasm",
        missing: |_| tools::lacks_target("wasm32-unknown-unknown"),
        run: |strict| {
            let args = ["check", "--package", "agent-core", "--target", "wasm32-unknown-unknown"];
            Cargo::new(&args, strict).check()
        },
    },
    Ring {
        name: "real",
        title: "real server",
        missing: tools::lacks_real_server,
        run: |strict| {
            let tests = test_targets()?;
            let tests: Vec<&str> = tests.iter().map(String::as_str).filter(|test| is_real(test)).collect();
            if tests.is_empty() {
                return Ok(Outcome::failed("there is no crates/*/tests/real_*.rs"));
            }
            let mut args = vec!["test", "--workspace"];
            args.extend(each_test(&tests));
            Cargo::new(&args, strict).env("AGENT_TEST_REAL", "1").test()
        },
    },
    Ring {
        name: "examples",
        // The first thing a user runs. Without LIVEKIT_URL it brings its own server.
        title: "quickstart example",
        missing: tools::lacks_real_server,
        run: |strict| {
            let cargo = Cargo::new(&["run", "--example", "quickstart"], strict);
            cargo.without_env(&["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]).check()
        },
    },
];

/// Whether a test target talks to a real server or its official clients: `real_jobs`, `room_real`.
fn is_real(target: &str) -> bool {
    target.starts_with("real_") || target.ends_with("_real")
}

/// The names of all integration tests, as cargo finds them: `tests/NAME.rs` and `tests/NAME/main.rs` of each crate.
fn test_targets() -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut crates = vec![root().join("xtask")];
    for entry in std::fs::read_dir(root().join("crates"))? {
        crates.push(entry?.path());
    }
    for folder in crates.iter().map(|krate| krate.join("tests")).filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder)? {
            found.extend(test_target(&entry?.path()));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn test_target(path: &Path) -> Option<String> {
    let is_target = path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").is_file();
    is_target.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_crates_own_test_is_a_target() {
        let targets = test_targets().unwrap();
        assert!(targets.contains(&"architecture".to_owned()), "{targets:?}");
        assert!(targets.contains(&"wire".to_owned()), "{targets:?}");
    }

    #[test]
    fn real_tests_are_told_by_their_names() {
        let real: Vec<&str> = ["real_jobs", "room_real", "realm", "unreal", "surreal_room"]
            .into_iter()
            .filter(|t| is_real(t))
            .collect();
        assert_eq!(real, ["real_jobs", "room_real"]);
    }

    #[test]
    fn names_are_unique() {
        for (at, ring) in RINGS.iter().enumerate() {
            assert!(RINGS.iter().skip(at + 1).all(|other| other.name != ring.name), "{}", ring.name);
        }
    }
}
