//! Crates with fewer features than everything else is built with: what only a missing feature uses is dead
//! code, and what only another one enables does not compile.

use anyhow::Result;

use super::cargo::Cargo;
use super::outcome::Outcome;
use super::settings::Settings;
use crate::packages::{Package, published};

/// Builds of every run: crates, and their only features. Those in one line share what they are built on. The
/// quickstart builds that without features, too.
const ALWAYS: &[(&[&str], &str)] = &[
    (&["agent-worker", "agent-worker-media", "agent-worker-server"], "agent-worker-server/serde"),
    (&["agent-worker-core"], "agent-worker-core/serde"),
];

/// The crate whose features are also combined.
const COMBINED: &str = "agent-worker";

/// Checks these; in the long run each crate without features and with each alone, and each two of the worker.
pub(super) fn check(settings: Settings) -> Result<Outcome> {
    let mut builds: Vec<(Vec<String>, String)> = ALWAYS
        .iter()
        .map(|(names, features)| {
            (names.iter().map(|name| (*name).to_owned()).collect(), (*features).to_owned())
        })
        .collect();
    if settings.long {
        let each = published()?;
        let each = each.iter().flat_map(of_crate);
        builds = each.map(|(name, features)| (vec![name], features)).collect();
    }
    for (packages, features) in &builds {
        // clippy's warnings, unlike the compiler's, are denied without a new build of all dependencies.
        let mut args = vec!["clippy", "--quiet", "--no-default-features", "--features", features];
        args.extend(packages.iter().flat_map(|package| ["--package", package]));
        args.extend(["--", "--deny", "warnings"]);
        match Cargo::new(&args, settings).check()? {
            Outcome::Ok => {}
            _ => {
                let packages = packages.join(", ");
                return Ok(Outcome::failed(format!("{packages} with the features {features:?}: see above")));
            }
        }
    }
    Ok(Outcome::Ok)
}

/// Name and features of each build of a crate.
fn of_crate(package: &Package) -> Vec<(String, String)> {
    let Package { name, features, .. } = package;
    let mut sets = vec![String::new()];
    for (at, feature) in features.iter().enumerate() {
        sets.push(feature.clone());
        if name == COMBINED {
            sets.extend(features.iter().skip(at + 1).map(|other| format!("{feature},{other}")));
        }
    }
    sets.into_iter().map(|features| (name.clone(), features)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_and_each_two() {
        let published = published().unwrap();
        let of = |name: &str| of_crate(published.iter().find(|package| package.name == name).unwrap());
        let media: Vec<_> = of("agent-worker-media").into_iter().map(|(_, features)| features).collect();
        assert_eq!(media, ["", "container", "ropus"]);
        let worker = of(COMBINED);
        assert!(worker.iter().any(|(_, features)| features == "cli,media"), "{worker:?}");
        let features = worker.iter().filter(|(_, set)| !set.is_empty() && !set.contains(',')).count();
        assert_eq!(worker.len(), 1 + features + features * (features - 1) / 2);
    }

    #[test]
    fn the_builds_of_every_run_are_of_crates() {
        let published = published().unwrap();
        for (names, features) in ALWAYS {
            let packages = names.iter().map(|name| published.iter().find(|p| p.name == *name).unwrap());
            let known: Vec<_> = packages
                .flat_map(|p| p.features.iter().map(move |name| format!("{}/{name}", p.name)))
                .collect();
            assert!(
                features.split(',').all(|feature| known.iter().any(|k| k == feature)),
                "{features}: {known:?}"
            );
        }
    }
}
