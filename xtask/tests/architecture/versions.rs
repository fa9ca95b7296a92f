//! One compiler for the workspace, and no dependency that requires a newer one.

use crate::graph::{Graph, WORKSPACE};

type Version = (u64, u64, u64);

fn newer(graph: &Graph, ours: Version) -> Vec<String> {
    let newer = graph.0.values().filter(|package| package.rust_version.is_some_and(|version| version > ours));
    newer.map(|p| format!("{} needs rustc {:?}, we have {ours:?}", p.name, p.rust_version)).collect()
}

/// The value of `key = "value"` in a TOML file that has the key once.
fn value<'t>(toml: &'t str, key: &str) -> Option<&'t str> {
    toml.lines()
        .find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('=')?.trim().trim_matches('"').into())
}

fn version(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?))
}

/// The pinned toolchain is the compiler of the manifests: 1.95.x for 1.95.
fn pinned(cargo: &str, toolchain: &str) -> Result<Version, String> {
    let ours = value(cargo, "rust-version").and_then(version).ok_or("no rust-version in Cargo.toml")?;
    let channel = value(toolchain, "channel").and_then(version).ok_or("no numbered channel is pinned")?;
    if (channel.0, channel.1) == (ours.0, ours.1) {
        Ok(channel)
    } else {
        Err(format!("rust-toolchain.toml pins {channel:?}, Cargo.toml requires {ours:?}"))
    }
}

#[test]
fn one_compiler_for_all() {
    let pinned = pinned(&super::read("Cargo.toml"), &super::read("rust-toolchain.toml")).unwrap();
    let promised = (pinned.0, pinned.1, 0);
    super::none(&newer(&WORKSPACE, promised));
    for (_, member) in WORKSPACE.members() {
        assert_eq!(member.rust_version, Some(promised), "{}", member.name);
    }
}

#[test]
fn a_newer_dependency_is_found() {
    let mut graph = Graph::of(&[("old", &[]), ("same", &[]), ("new", &[])]);
    for (name, minor, patch) in [("old", 60, 0), ("same", 95, 0), ("new", 95, 1)] {
        graph.0.get_mut(name).unwrap().rust_version = Some((1, minor, patch));
    }
    assert_eq!(newer(&graph, (1, 95, 0)), ["new needs rustc Some((1, 95, 1)), we have (1, 95, 0)"]);
}

#[test]
fn another_channel_is_found() {
    let cargo = "[workspace.package]\nrust-version = \"1.95\"\n";
    assert_eq!(pinned(cargo, "channel = \"1.95.2\""), Ok((1, 95, 2)));
    assert!(pinned(cargo, "channel = \"1.96.0\"").is_err());
    assert!(pinned(cargo, "channel = \"stable\"").is_err());
    assert!(pinned("", "channel = \"1.95.0\"").is_err());
}
