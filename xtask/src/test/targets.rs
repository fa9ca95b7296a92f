//! The integration tests, as cargo finds them, and which of them need real tools.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace::root;

/// An integration test.
pub(super) struct Target {
    pub(super) name: String,
    /// Whether it uses a real server or its official clients.
    pub(super) real: bool,
    /// `tests/NAME.rs` or `tests/NAME`.
    #[cfg(test)]
    path: std::path::PathBuf,
}

/// Whether there is this test program, or this module of one (`PROGRAM::MODULE`), or this program of the
/// examples (`bin NAME`).
#[cfg(test)]
pub(super) fn is_there(targets: &[Target], name: &str) -> bool {
    if let Some(bin) = name.strip_prefix("bin ") {
        return root().join("examples/src/bin").join(bin).with_extension("rs").is_file();
    }
    let (program, module) = name.split_once("::").map_or((name, None), |(name, module)| (name, Some(module)));
    let has = |path: &Path, module: &str| {
        path.join(module).with_extension("rs").is_file() || path.join(module).join("mod.rs").is_file()
    };
    let target = targets.iter().find(|target| target.name == program);
    target.is_some_and(|target| module.is_none_or(|module| has(&target.path, module)))
}

/// `--test NAME` for each of them.
pub(super) fn select(targets: &[Target], real: bool) -> Vec<&str> {
    let chosen = targets.iter().filter(|target| target.real == real);
    chosen.flat_map(|target| ["--test", target.name.as_str()]).collect()
}

/// All integration tests: `tests/NAME.rs` and `tests/NAME/main.rs` of each package.
pub(super) fn all() -> Result<Vec<Target>> {
    let mut found = Vec::new();
    let mut crates: Vec<_> =
        ["bench", "examples", "quickstart", "xtask"].iter().map(|name| root().join(name)).collect();
    for entry in fs::read_dir(root().join("crates"))? {
        crates.push(entry?.path());
    }
    for folder in crates.iter().map(|krate| krate.join("tests")).filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if let Some(name) = target_name(&path) {
                let real = is_real(&name, &source(&path)?);
                found.push(Target {
                    name,
                    real,
                    #[cfg(test)]
                    path,
                });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    // `--test` cannot distinguish tests with the same name.
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

/// The text of a file, or of all files in a directory.
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

/// A test is real by its name (`real`, `real_jobs`, `room_real`), or because it requests a real tool from
/// agent-testkit.
fn is_real(name: &str, source: &str) -> bool {
    name == "real"
        || name.starts_with("real_")
        || name.ends_with("_real")
        || ["real_server(", "official_host(", "official_host_of(", "redis_server("]
            .iter()
            .any(|call| source.contains(call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_and_sorted() {
        let targets = all().unwrap();
        let plain = select(&targets, false);
        for name in ["architecture", "bench_smoke", "exits", "it", "testkit", "wire"] {
            assert!(plain.windows(2).any(|pair| pair == ["--test", name]), "{name}: {plain:?}");
        }
        for name in ["real", "real_chat_moderator", "real_survival", "testkit_real"] {
            assert!(select(&targets, true).contains(&name) && !plain.contains(&name), "{name}");
        }
    }

    #[test]
    fn real_tests_are_recognized_by_their_names_or_requests() {
        for name in ["real", "real_jobs", "room_real"] {
            assert!(is_real(name, ""), "{name}");
        }
        for name in ["realm", "unreal", "surreal_room"] {
            assert!(!is_real(name, "a real server"), "{name}");
        }
        assert!(is_real("server", "let Some(server) = real_server().await else { return };"));
        assert!(is_real("official", "official_host().await"));
        assert!(is_real("official", "official_host_of(kind).await"));
    }
}
