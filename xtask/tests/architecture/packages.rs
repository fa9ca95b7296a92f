//! What the registry shows of the crates that are published, and what users read about their features.

use std::collections::BTreeSet;

use cargo_metadata::MetadataCommand;

/// Categories that the registry has.
const CATEGORIES: &[&str] = &[
    "api-bindings",
    "asynchronous",
    "development-tools::testing",
    "encoding",
    "multimedia::audio",
    "network-programming",
    "web-programming::websocket",
];

/// A crate in `crates/`.
#[derive(Clone, Default)]
struct Crate {
    name: String,
    /// Whether it may be published now.
    publish: bool,
    description: String,
    repository: bool,
    documentation: String,
    readme: bool,
    keywords: Vec<String>,
    categories: Vec<String>,
    /// Whether docs.rs shows all features.
    all_features: bool,
    /// Normal and build dependencies on crates of the workspace: name, and whether their version is given.
    built_on: Vec<(String, bool)>,
    /// The same of tests.
    tests_use: Vec<(String, bool)>,
}

fn crates() -> Vec<Crate> {
    let metadata =
        MetadataCommand::new().manifest_path(super::root().join("Cargo.toml")).no_deps().exec().unwrap();
    let published = metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| package.manifest_path.parent().unwrap().parent().unwrap().ends_with("crates"));
    let with_version = |dependency: &cargo_metadata::Dependency| {
        (dependency.name.clone(), dependency.req != cargo_metadata::semver::VersionReq::STAR)
    };
    published
        .map(|package| {
            let ours = |tests: bool| {
                let ours = package.dependencies.iter().filter(move |dependency| {
                    let is_test = dependency.kind == cargo_metadata::DependencyKind::Development;
                    dependency.path.is_some() && is_test == tests
                });
                ours.map(with_version).collect()
            };
            Crate {
                name: package.name.to_string(),
                publish: package.publish.as_ref().is_none_or(|registries| !registries.is_empty()),
                description: package.description.clone().unwrap_or_default(),
                repository: package.repository.is_some(),
                documentation: package.documentation.clone().unwrap_or_default(),
                readme: package.readme.is_some(),
                keywords: package.keywords.clone(),
                categories: package.categories.clone(),
                all_features: package.metadata["docs"]["rs"]["all-features"] == true,
                built_on: ours(false),
                tests_use: ours(true),
            }
        })
        .collect()
}

fn violations(krate: &Crate, testers: &[&str]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            violations.push(format!("{}: {what}", krate.name));
        }
    };
    must(
        !krate.description.is_empty() && !krate.description.ends_with('.'),
        "a description without a full stop",
    );
    must(krate.documentation.ends_with(&format!("/{}", krate.name)), "`documentation` of this name");
    must(krate.readme, "a readme");
    must((1..=5).contains(&krate.keywords.len()), "one to five keywords");
    must(krate.keywords.iter().all(|keyword| keyword.len() <= 20), "keywords of at most 20 characters");
    must((1..=5).contains(&krate.categories.len()), "one to five categories");
    must(
        krate.categories.iter().all(|category| CATEGORIES.contains(&category.as_str())),
        "categories that the registry has",
    );
    must(krate.all_features, "`all-features = true` in [package.metadata.docs.rs]");
    must(krate.repository || !krate.publish, "a repository, as it may be published");
    for (name, version) in &krate.built_on {
        must(*version, &format!("a version of its dependency {name}"));
    }
    // They are left out of the package. With a version they would have to be published first, and depend on
    // this crate.
    for (name, version) in krate.tests_use.iter().filter(|(name, _)| testers.contains(&name.as_str())) {
        must(!version, &format!("no version of {name}, which its tests use"));
    }
    violations
}

/// Crates that others use in their tests only, though they are built on them.
const TESTERS: &[&str] = &["agent-worker", "agent-testkit"];

#[test]
fn what_is_published_is_described() {
    let crates = crates();
    assert!(crates.len() >= 10, "{}", crates.len());
    super::none(&crates.iter().flat_map(|krate| violations(krate, testers(krate))).collect::<Vec<_>>());
}

/// agent-testkit is built on agent-worker, so its tests may name the version of it, too.
fn testers(krate: &Crate) -> &'static [&'static str] {
    if krate.name == "agent-testkit" { &[] } else { TESTERS }
}

#[test]
fn what_is_missing_is_found() {
    let good = Crate {
        name: "a".to_owned(),
        description: "What it is".to_owned(),
        documentation: "https://docs.rs/a".to_owned(),
        readme: true,
        keywords: vec!["webrtc".to_owned()],
        categories: vec!["asynchronous".to_owned()],
        all_features: true,
        built_on: vec![("b".to_owned(), true)],
        tests_use: vec![("agent-worker".to_owned(), false)],
        ..Crate::default()
    };
    assert_eq!(violations(&good, TESTERS), [""; 0]);
    assert_eq!(
        violations(&Crate { publish: true, ..good.clone() }, TESTERS),
        ["a: a repository, as it may be published"]
    );
    let versions = Crate {
        built_on: vec![("b".to_owned(), false)],
        tests_use: vec![("agent-worker".to_owned(), true)],
        ..good.clone()
    };
    assert_eq!(
        violations(&versions, TESTERS),
        ["a: a version of its dependency b", "a: no version of agent-worker, which its tests use"]
    );
    let empty = Crate { name: "a".to_owned(), ..Crate::default() };
    assert_eq!(violations(&empty, TESTERS).len(), 6, "{:?}", violations(&empty, TESTERS));
    let wrong = Crate { keywords: vec!["k".repeat(21)], categories: vec!["agents".to_owned()], ..good };
    assert_eq!(violations(&wrong, TESTERS).len(), 2, "{:?}", violations(&wrong, TESTERS));
}

/// The features of a manifest, but `default`, and whether the line above each is a comment.
fn features(toml: &str) -> Vec<(String, bool)> {
    let section = toml.split("\n[features]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let lines: Vec<&str> = section.lines().collect();
    let feature = |(at, line): (usize, &&str)| {
        let (name, _) = line.split_once(" = [")?;
        let commented = at.checked_sub(1).is_some_and(|above| lines[above].starts_with('#'));
        (name != "default").then(|| (name.to_owned(), commented))
    };
    lines.iter().enumerate().filter_map(feature).collect()
}

#[test]
fn features_are_explained() {
    let mut violations = Vec::new();
    let mut seen = 0;
    for path in super::files("crates", "toml").iter().filter(|path| path.ends_with("Cargo.toml")) {
        let folder = path.parent().unwrap();
        for (feature, commented) in features(&super::read(path)) {
            seen += 1;
            if !commented {
                violations.push(format!("{}: no comment above the feature {feature}", path.display()));
            }
            // The crates that users depend on. The others are used through them.
            if folder.ends_with("agent-worker") || folder.ends_with("agent-testkit") {
                let docs = super::read(folder.join("src/lib.rs"));
                if !docs.contains(&format!("\n//! - `{feature}`")) {
                    violations
                        .push(format!("{}: the feature {feature} is not in the docs", folder.display()));
                }
            }
        }
    }
    super::none(&violations);
    assert!(seen > 20, "{seen}");
}

/// And in the guide, which says of each whether it is on by default.
#[test]
fn the_guide_has_the_features_of_the_worker() {
    let toml = super::read("crates/agent-worker/Cargo.toml");
    let default = toml.lines().find(|line| line.starts_with("default = ")).unwrap();
    let guide = super::read("crates/agent-worker/src/guide/settings.md");
    let table = guide.split("# Features of `agent-worker`").nth(1).unwrap().split("\n#").next().unwrap();
    let rows: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|row| row.split('|').take(3).collect::<Vec<_>>().join("|").trim().to_owned())
        .collect();
    let expected = features(&toml).into_iter().map(|(name, _)| {
        let on = if default.contains(&format!("\"{name}\"")) { "yes" } else { "no" };
        format!("| `{name}` | {on}")
    });
    assert_eq!(rows, expected.collect());
}

#[test]
fn features_are_read() {
    let toml = "[package]\nname = \"a\"\n\n[features]\ndefault = [\"b\"]\n# It does b.\nb = []\nc = [\"dep:c\"]\n\n[dependencies]\nd = [1]\n";
    assert_eq!(features(toml), [("b".to_owned(), true), ("c".to_owned(), false)]);
    assert_eq!(features("[package]\n"), []);
}
