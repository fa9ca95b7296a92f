//! The dependency graph as cargo resolves it, for all platforms.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand};

/// A package that some crate of the workspace needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) member: bool,
    pub(crate) licence: Option<String>,
    /// Major, minor, patch.
    pub(crate) rust_version: Option<(u64, u64, u64)>,
    /// Keys of the graph, with the kind of each dependency.
    pub(crate) needs: Vec<(String, Need)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Normal,
    Build,
    Dev,
}

/// Packages by a unique key, as there can be several versions of one package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph(pub(crate) BTreeMap<String, Package>);

/// The graph of this workspace.
pub(crate) static WORKSPACE: LazyLock<Graph> = LazyLock::new(|| {
    let mut command = MetadataCommand::new();
    command.manifest_path(super::root().join("Cargo.toml")).features(CargoOpt::AllFeatures);
    let metadata = command.exec().unwrap();
    let resolve = metadata.resolve.as_ref().unwrap();
    let all: Graph = Graph(
        resolve
            .nodes
            .iter()
            .map(|node| {
                let package = &metadata[&node.id];
                let needs = node.deps.iter().flat_map(|dep| {
                    dep.dep_kinds.iter().map(|kind| {
                        let need = match kind.kind {
                            DependencyKind::Normal => Need::Normal,
                            DependencyKind::Build => Need::Build,
                            DependencyKind::Development => Need::Dev,
                            other => panic!("unknown kind of dependency {other:?}"),
                        };
                        (dep.pkg.repr.clone(), need)
                    })
                });
                let package = Package {
                    name: package.name.to_string(),
                    member: metadata.workspace_members.contains(&node.id),
                    licence: package.license.clone(),
                    rust_version: package.rust_version.as_ref().map(|v| (v.major, v.minor, v.patch)),
                    needs: needs.collect(),
                };
                (node.id.repr.clone(), package)
            })
            .collect(),
    );
    // Cargo.lock, and so the list of nodes, also contains packages that no enabled feature needs.
    let members = all.members().map(|(key, _)| key.clone()).collect();
    let reached = all.reachable(members, &[Need::Normal, Need::Build, Need::Dev]);
    Graph(all.0.into_iter().filter(|(key, _)| reached.contains(key)).collect())
});

impl Graph {
    pub(crate) fn members(&self) -> impl Iterator<Item = (&String, &Package)> {
        self.0.iter().filter(|(_, package)| package.member)
    }

    fn reachable(&self, start: Vec<String>, needs: &[Need]) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut next = start;
        while let Some(key) = next.pop() {
            // The dev-dependencies of a dependency do not matter.
            let package = &self.0[&key];
            let wanted = |need: &Need| needs.contains(need) && (package.member || *need != Need::Dev);
            next.extend(package.needs.iter().filter(|(_, need)| wanted(need)).map(|(key, _)| key.clone()));
            reached.insert(key);
            next.retain(|key| !reached.contains(key));
        }
        reached
    }

    /// A graph for the test of a rule: `("a", &[("b", Need::Normal)])`; all packages are members.
    #[cfg(test)]
    pub(crate) fn of(packages: &[(&str, &[(&str, Need)])]) -> Self {
        let package = |(name, needs): &(&str, &[(&str, Need)])| Package {
            name: (*name).to_owned(),
            member: true,
            needs: needs.iter().map(|(key, need)| ((*key).to_owned(), *need)).collect(),
            ..Package::default()
        };
        Self(packages.iter().map(|p| (p.0.to_owned(), package(p))).collect())
    }
}

/// The names of the crates linked into a crate on any platform and with any feature: without tests, build
/// scripts and macros. `cargo tree` is more precise than the graph, which treats a feature's weak
/// `ring?/alloc` as a dependency on ring.
pub(crate) fn linked_into(krate: &str) -> BTreeSet<String> {
    names(&tree(krate, &["--edges", "normal,no-proc-macro", "--target", "all", "--all-features"]))
}

/// Name and version of the crates built for a crate here and with its default features, including macros and
/// build scripts.
pub(crate) fn built_for(krate: &str) -> BTreeSet<String> {
    let tree = tree(krate, &["--edges", "normal,build"]);
    tree.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

/// The features with which the crates of this workspace are built for a crate, as `package feature`.
pub(crate) fn features_for(krate: &str) -> BTreeSet<String> {
    let tree = tree(krate, &["--edges", "normal,features"]);
    let feature = |line: &str| {
        let (package, feature) = line.split_once(" feature \"")?;
        let (name, _) = package.split_once(' ').unwrap_or((package, ""));
        Some(format!("{name} {}", feature.split_once('"')?.0)).filter(|_| name.starts_with("agent-"))
    };
    tree.lines().filter_map(feature).collect()
}

fn tree(krate: &str, args: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--prefix", "none", "--package", krate])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The first word of each line.
fn names(tree: &str) -> BTreeSet<String> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn dev_dependencies_of_dependencies_are_not_reached() {
    let mut graph = Graph::of(&[
        ("ours", &[("lib", Need::Normal), ("tester", Need::Dev)]),
        ("lib", &[("deep", Need::Normal), ("lib-tester", Need::Dev)]),
        ("tester", &[]),
        ("deep", &[]),
        ("lib-tester", &[]),
    ]);
    for (key, package) in &mut graph.0 {
        package.member = key == "ours";
    }
    let all = graph.reachable(vec!["ours".to_owned()], &[Need::Normal, Need::Dev]);
    assert_eq!(all.iter().map(String::as_str).collect::<Vec<_>>(), ["deep", "lib", "ours", "tester"]);
}

#[test]
fn names_are_read() {
    let tree = "agent-worker-core v0.1.0 (/here)\nbytes v1.12.2\nserde v1.0.0 (*)\n";
    assert_eq!(names(tree).into_iter().collect::<Vec<_>>(), ["agent-worker-core", "bytes", "serde"]);
}
