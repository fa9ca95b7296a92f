//! Crates with fewer features than everything else is built with: what only a missing feature uses is dead
//! code, and what only another one enables does not compile.

use anyhow::Result;

use super::cargo::Cargo;
use super::outcome::Outcome;
use super::settings::Settings;
use crate::packages::{Package, published};

/// Builds of every run: a crate, and its only features.
const ALWAYS: &[(&str, &str)] = &[
    ("agent-worker", ""),
    ("agent-worker-core", "serde"),
    ("agent-worker-server", "serde"),
    ("agent-worker-media", ""),
];

/// The crate whose features are also combined.
const COMBINED: &str = "agent-worker";

/// Checks these; in the long run each crate without features and with each alone, and each two of the worker.
pub(super) fn check(settings: Settings) -> Result<Outcome> {
    let mut builds: Vec<_> =
        ALWAYS.iter().map(|(name, feature)| ((*name).to_owned(), (*feature).to_owned())).collect();
    if settings.long {
        builds = published()?.iter().flat_map(of_crate).collect();
    }
    for (package, features) in &builds {
        // clippy's warnings, unlike the compiler's, are denied without a new build of all dependencies.
        let args =
            ["clippy", "--quiet", "--package", package, "--no-default-features", "--features", features];
        match Cargo::new(&[&args[..], &["--", "--deny", "warnings"]].concat(), settings).check()? {
            Outcome::Ok => {}
            _ => return Ok(Outcome::failed(format!("{package} with the features {features:?}: see above"))),
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
        for (name, feature) in ALWAYS {
            let package = published.iter().find(|package| package.name == *name).unwrap();
            assert!(feature.is_empty() || package.features.iter().any(|known| known == feature), "{name}");
        }
    }
}
