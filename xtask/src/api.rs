//! The public API of the crates that users depend on, as a list in the repository, so that reviews show its
//! changes.
//!
//! rustdoc writes the exports of a crate as JSON, which the pinned compiler does only with unstable features
//! enabled. Re-exports from other crates of this workspace are listed after a crate's own items, as they are
//! defined there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, anyhow, bail, ensure};
use public_api::{Builder, PublicApi};
use serde_json::Value;

use crate::workspace::{cargo, metadata, root};

/// The libraries whose API is listed, in `crates/…/api.txt`.
const LISTED: [&str; 2] = ["agent_worker", "agent_testkit"];

/// Set when cargo runs this program instead of rustdoc.
const AS_RUSTDOC: &str = "XTASK_AS_RUSTDOC";

/// Types by the crate that defines them.
type Reexports = BTreeMap<String, BTreeSet<String>>;

/// Compares the lists with the sources; with `UPDATE_API=1` in the environment they are rewritten.
pub(crate) fn check() -> Result<()> {
    let docs = document()?;
    let update = std::env::var("UPDATE_API").is_ok_and(|value| value == "1");
    let mut changes = Vec::new();
    for library in LISTED {
        let path = root().join("crates").join(library.replace('_', "-")).join("api.txt");
        let now = list(&docs, library)?;
        if update {
            std::fs::write(&path, &now).with_context(|| path.display().to_string())?;
        } else {
            let before = std::fs::read_to_string(&path).unwrap_or_default();
            changes.extend(differences(&before, &now));
        }
    }
    ensure!(
        changes.is_empty(),
        "the public API has changed; `UPDATE_API=1 cargo xtask api` rewrites the lists:\n{}",
        changes.join("\n")
    );
    Ok(())
}

/// Runs rustdoc if cargo has started this program instead of it. Cargo itself must not have the variable:
/// build scripts depend on it, and everything would be rebuilt.
pub(crate) fn as_rustdoc() -> Option<ExitCode> {
    std::env::var_os(AS_RUSTDOC)?;
    let mut rustdoc = Command::new("rustdoc");
    rustdoc.args(std::env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1");
    let succeeded = rustdoc.status().is_ok_and(|status| status.success());
    Some(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder with a file of JSON for each library.
fn document() -> Result<PathBuf> {
    let target = target_folder()?;
    let output = Command::new(cargo())
        .current_dir(root())
        // With the same features as the suite `docs`, so that crates are checked once.
        .args(["doc", "--workspace", "--all-features", "--no-deps", "--lib", "--examples", "--quiet"])
        .env("RUSTDOC", copy_of_this_program(&target)?)
        .env("RUSTDOCFLAGS", "-Z unstable-options --output-format json --cap-lints allow")
        .env(AS_RUSTDOC, "1")
        .output()?;
    ensure!(output.status.success(), "cargo doc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(target.join("doc"))
}

fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let target = metadata.get("target_directory").and_then(Value::as_str);
    Ok(target.ok_or_else(|| anyhow!("cargo metadata names no target folder"))?.into())
}

/// A copy that stays: building the tests builds this program, too, and replaces its file while it runs.
fn copy_of_this_program(target: &Path) -> Result<PathBuf> {
    // Linux opens the program itself there, also after its file was replaced.
    let itself = Path::new("/proc/self/exe");
    let program = if itself.exists() { itself.to_owned() } else { std::env::current_exe()? };
    let copy = target.join(format!("xtask-as-rustdoc{}", std::env::consts::EXE_SUFFIX));
    std::fs::copy(program, &copy).with_context(|| copy.display().to_string())?;
    Ok(copy)
}

/// The list of one library.
fn list(docs: &Path, library: &str) -> Result<String> {
    let mut text = String::from("# The public API. `UPDATE_API=1 cargo xtask api` writes it.\n");
    for line in lines(docs, library)? {
        text += &line;
        text.push('\n');
    }
    for (definer, names) in
        reexports(&serde_json::from_slice(&std::fs::read(json(docs, library))?)?, library)?
    {
        text += &format!("\n# Of {definer}\n");
        for line in lines(docs, &definer)?
            .iter()
            .filter(|line| subject(line, &definer).is_some_and(|name| names.contains(name)))
        {
            text += line;
            text.push('\n');
        }
    }
    Ok(text)
}

fn json(docs: &Path, library: &str) -> PathBuf {
    docs.join(library).with_extension("json")
}

fn lines(docs: &Path, library: &str) -> Result<Vec<String>> {
    let builder = Builder::from_rustdoc_json(json(docs, library));
    let api: PublicApi = builder
        .sorted(true)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    Ok(api.items().map(ToString::to_string).collect())
}

/// What a library re-exports of the others of this workspace.
fn reexports(doc: &Value, library: &str) -> Result<Reexports> {
    let mut found = Reexports::new();
    let items =
        doc.get("index").and_then(Value::as_object).ok_or_else(|| anyhow!("rustdoc's JSON has no index"))?;
    for import in items.values().filter_map(|item| item["inner"].get("use")) {
        let Some(id) = import.get("id") else { continue };
        let Some(path) =
            doc.get("paths").and_then(|paths| paths.get(id.to_string())?.get("path")?.as_array())
        else {
            continue;
        };
        let names: Vec<&str> = path.iter().filter_map(Value::as_str).collect();
        let (definer, name) = match names.as_slice() {
            [definer, .., name] => (definer, name),
            // A whole crate, which is not of this workspace.
            [_] => continue,
            [] => bail!("a path of {id} is empty"),
        };
        if definer.starts_with("agent_") && *definer != library {
            found.entry((*definer).to_owned()).or_default().insert((*name).to_owned());
        }
    }
    Ok(found)
}

/// The item at the root of `definer` that a line is about.
fn subject<'a>(line: &'a str, definer: &str) -> Option<&'a str> {
    let root = format!("{definer}::");
    let after = match line.split_once(&format!(" for {root}")) {
        Some((before, after)) if before.starts_with("impl") => after,
        _ => line.split_once(&root)?.1,
    };
    after.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// Lines that are gone, and new ones.
fn differences(before: &str, now: &str) -> Vec<String> {
    let set = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, now) = (set(before), set(now));
    let gone = before.difference(&now).map(|line| format!("- {line}"));
    gone.chain(now.difference(&before).map(|line| format!("+ {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_a_subject() {
        for (line, expected) in [
            ("pub fn agent_core::Job::new(id: impl Into<agent_core::JobId>) -> Self", "Job"),
            ("impl core::fmt::Display for agent_core::JobError", "JobError"),
            ("impl<E> core::convert::From<E> for agent_core::JobError where E: agent_core::Any", "JobError"),
            (
                "impl<S: agent_core::CheckpointStore> agent_core::CheckpointStore for alloc::sync::Arc<S>",
                "CheckpointStore",
            ),
            ("pub agent_core::Outcome::Success", "Outcome"),
            ("pub const agent_core::MAX_LEN: usize", "MAX_LEN"),
        ] {
            assert_eq!(subject(line, "agent_core"), Some(expected), "{line}");
        }
        assert_eq!(subject("pub mod agent_core", "agent_core"), None);
    }

    #[test]
    fn re_exports_are_found_where_they_are_defined() {
        let doc = json!({
            "index": { "1": { "inner": { "use": { "id": 7 } } }, "2": { "inner": { "use": { "id": 8 } } }, "3": { "inner": {} } },
            "paths": { "7": { "path": ["agent_room", "types", "Participant"] }, "8": { "path": ["agent_worker", "Worker"] } },
        });
        let found = reexports(&doc, "agent_worker").unwrap();
        assert_eq!(
            found,
            Reexports::from([("agent_room".to_owned(), BTreeSet::from(["Participant".to_owned()]))])
        );
    }

    #[test]
    fn differences_name_removed_and_added_items() {
        assert_eq!(differences("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
        assert!(differences("b\na\n", "a\nb\n").is_empty());
    }
}
