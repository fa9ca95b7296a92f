//! The table of rings: what each is called, what it needs and what it runs.

use super::cargo::Cargo;
use super::report::Outcome;
use super::tools;
use crate::{codegen, root};
use anyhow::{Result, bail};
use std::fs;
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
        missing: |may_install| tools::lacks_component("fmt", "rustfmt", may_install),
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
            let mut args = vec!["test", "--workspace", "--all-features", "--lib", "--bins", "--examples"];
            let targets = test_targets()?;
            args.extend(select(&targets, false));
            Cargo::new(&args, strict).env("AGENT_TEST_REAL", "0").test()
        },
    },
    Ring {
        name: "doctests",
        title: "doc tests",
        missing: |_| None,
        run: |strict| {
            Cargo::new(&["test", "--workspace", "--all-features", "--doc"], strict)
                .env("AGENT_TEST_REAL", "0")
                .test()
        },
    },
    Ring {
        name: "lints",
        title: "lints",
        missing: |may_install| tools::lacks_component("clippy", "clippy", may_install),
        run: |strict| {
            Cargo::new(
                &["clippy", "--workspace", "--all-features", "--all-targets", "--", "--deny", "warnings"],
                strict,
            )
            .check()
        },
    },
    Ring {
        name: "features",
        // Everything else builds with the features that are on by default.
        title: "without default features",
        missing: |_| None,
        run: |strict| {
            Cargo::new(&["check", "--package", "agent-worker", "--no-default-features"], strict).check()
        },
    },
    Ring {
        name: "docs",
        title: "docs",
        missing: |_| None,
        run: |strict| {
            let cargo = Cargo::new(&["doc", "--workspace", "--all-features", "--no-deps"], strict);
            cargo.env("RUSTDOCFLAGS", "--deny warnings").check()
        },
    },
    Ring {
        name: "wasm",
        // Where there is neither clock nor socket, core compiles: it uses none.
        title: "wasm",
        missing: |may_install| tools::lacks_target("wasm32-unknown-unknown", may_install),
        run: |strict| {
            let args = ["check", "--package", "agent-worker-core", "--target", "wasm32-unknown-unknown"];
            Cargo::new(&args, strict).check()
        },
    },
    Ring {
        name: "real",
        title: "real server",
        missing: tools::lacks_real_server,
        run: |strict| {
            let targets = test_targets()?;
            let tests = select(&targets, true);
            // Without `--test`, cargo would run everything.
            if tests.is_empty() {
                return Ok(Outcome::failed("there is no crates/*/tests/real_*.rs"));
            }
            let args = [vec!["test", "--workspace", "--all-features"], tests].concat();
            Cargo::new(&args, strict).env("AGENT_TEST_REAL", "1").test()
        },
    },
    Ring {
        name: "examples",
        // The first thing a user runs. Without LIVEKIT_URL it needs no server.
        title: "quickstart",
        missing: |_| None,
        run: |strict| {
            let cargo = Cargo::new(&["run", "--package", "quickstart"], strict);
            cargo.without_env(&["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]).check()
        },
    },
];

/// An integration test.
struct Target {
    name: String,
    /// It talks to a real server or its official clients.
    real: bool,
}

/// `--test NAME` for each of them.
fn select(targets: &[Target], real: bool) -> Vec<&str> {
    let chosen = targets.iter().filter(|target| target.real == real);
    chosen.flat_map(|target| ["--test", target.name.as_str()]).collect()
}

/// All integration tests, as cargo finds them: `tests/NAME.rs` and `tests/NAME/main.rs` of each crate.
fn test_targets() -> Result<Vec<Target>> {
    let mut found = Vec::new();
    let mut crates = vec![root().join("bench"), root().join("xtask")];
    for entry in fs::read_dir(root().join("crates"))? {
        crates.push(entry?.path());
    }
    for folder in crates.iter().map(|krate| krate.join("tests")).filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if let Some(name) = target_name(&path) {
                let real = is_real(&name, &source(&path)?);
                found.push(Target { name, real });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    // `--test` cannot tell apart what has the same name.
    for pair in found.windows(2) {
        if let [a, b] = pair
            && a.name == b.name
        {
            bail!("two crates have a test of the name {}: rename one", a.name);
        }
    }
    Ok(found)
}

fn target_name(path: &Path) -> Option<String> {
    let is_target = path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").is_file();
    is_target.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
}

/// The text of a file, or of all files in a folder.
fn source(path: &Path) -> Result<String> {
    if !path.is_dir() {
        return Ok(if path.extension().is_some_and(|e| e == "rs") {
            fs::read_to_string(path)?
        } else {
            String::new()
        });
    }
    fs::read_dir(path)?.map(|entry| source(&entry?.path())).collect()
}

/// A test is real by its name (`real_jobs`, `room_real`), or because it asks agent-testkit for something real.
fn is_real(name: &str, source: &str) -> bool {
    name.starts_with("real_")
        || name.ends_with("_real")
        || ["real_server(", "official_host(", "redis_server("].iter().any(|call| source.contains(call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_and_sorted() {
        let targets = test_targets().unwrap();
        let plain = select(&targets, false);
        for name in ["architecture", "bench_smoke", "wire"] {
            assert!(plain.windows(2).any(|pair| pair == ["--test", name]), "{name}: {plain:?}");
        }
        assert!(select(&targets, true).contains(&"real_jobs"));
        assert!(!plain.contains(&"real_jobs"));
    }

    #[test]
    fn real_tests_are_told_by_their_names_or_what_they_ask_for() {
        for name in ["real_jobs", "room_real"] {
            assert!(is_real(name, ""), "{name}");
        }
        for name in ["realm", "unreal", "surreal_room"] {
            assert!(!is_real(name, "a real server"), "{name}");
        }
        assert!(is_real("server", "let Some(server) = real_server().await else { return };"));
        assert!(is_real("official", "official_host().await"));
    }

    #[test]
    fn names_are_unique() {
        for (at, ring) in RINGS.iter().enumerate() {
            assert!(RINGS.iter().skip(at + 1).all(|other| other.name != ring.name), "{}", ring.name);
        }
    }
}
