//! The first command of a new user builds few crates, and none of the expensive ones.

use std::collections::BTreeSet;

use crate::graph::{built_for, features_for};

/// Slightly more than the current number: a new crate should be worth its build time.
const MOST: usize = 173;
/// Expensive, and not needed for the first job. The lock file excludes zerocopy and the tables of ICU by
/// older versions of the crates that would add them: ppv-lite86 0.2.17 and idna_adapter 1.1.
const COSTLY: [&str; 8] =
    ["clap", "icu_provider", "prost-reflect", "proptest", "reqwest", "rustix", "schemars", "zerocopy"];

fn violations(built: &BTreeSet<String>) -> Vec<String> {
    let mut violations = Vec::new();
    if built.len() > MOST {
        violations.push(format!("the quickstart builds {} crates, more than {MOST}", built.len()));
    }
    let costly =
        built.iter().filter(|package| COSTLY.iter().any(|name| package.starts_with(&format!("{name} "))));
    violations.extend(costly.map(|package| format!("the quickstart builds {package}")));
    violations
}

#[test]
fn the_quickstart_builds_little() {
    let built = built_for("quickstart");
    assert!(built.iter().any(|package| package.starts_with("tokio ")), "{built:?}");
    super::none(&violations(&built));
}

/// What is written with serde is derived for many types, and the first job writes none of them.
#[test]
fn the_quickstart_derives_no_serde() {
    let features = features_for("quickstart");
    assert!(features.contains("agent-worker-backends files"), "{features:?}");
    super::none(&features.into_iter().filter(|feature| feature.ends_with(" serde")).collect::<Vec<_>>());
}

#[test]
fn unwanted_and_too_many_packages_are_found() {
    let built = |names: &[String]| names.iter().cloned().collect();
    assert!(violations(&built(&["tokio v1.54.1".to_owned(), "zerocopy-not v1".to_owned()])).is_empty());
    assert_eq!(
        violations(&built(&["zerocopy v0.8.63".to_owned()])),
        ["the quickstart builds zerocopy v0.8.63"]
    );
    let many: Vec<String> = (0..=MOST).map(|n| format!("p{n} v1")).collect();
    assert_eq!(violations(&built(&many)).len(), 1);
}
