//! The rules of the workspace that the compiler does not enforce: dependencies between crates, the purity of
//! some, the permitted external dependencies, the form of manifests and files, and names in files for others.
//!
//! Each rule is a function from facts to violations, so that its own tests can pass it bad facts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test, outside of a #[test] function"
)]

mod cancellation;
mod circles;
mod exhaustive;
mod exports;
mod first_build;
mod gallery;
mod graph;
mod imports;
mod layers;
mod licences;
mod logs;
mod manifests;
mod monitoring;
mod non_exhaustive;
mod packages;
mod purity;
mod reported;
mod sizes;
mod tokens;
mod versions;

use std::path::{Path, PathBuf};

/// The folders with crates.
const FOLDERS: [&str; 5] = ["bench", "crates", "examples", "quickstart", "xtask"];

/// The package that is no part of the workspace, as its build needs cmake.
const APART: &str = "libopus";

fn root() -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(folder).join("..")
}

#[track_caller]
fn none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// All files below a directory, except built or hidden ones, as paths from the workspace's root.
fn files(below: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(below)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = folder.join(&name);
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Our own sources below these folders, without generated ones.
fn sources(folders: &[&str]) -> impl Iterator<Item = PathBuf> {
    let files: Vec<_> = folders.iter().flat_map(|folder| files(folder, "rs")).collect();
    files.into_iter().filter(|path| path.parent().is_none_or(|folder| !folder.ends_with("gen")))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
