//! Packages of all crates that are published, with everything that belongs in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::{output, succeed};
use crate::workspace::{cargo, metadata, root};

/// Files that every package has, beside its sources.
const IN_EVERY_PACKAGE: &[&str] = &["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/lib.rs"];
/// Packages are source and what it includes: no data of tests.
const MOST_BYTES: u64 = 2 * 1024 * 1024;

/// Packs every crate in `crates/`. `built`: each is built from its package, too, with the packages of the
/// others.
pub(crate) fn check(built: bool) -> Result<()> {
    let target = root().join("target");
    let packages = published()?;
    let mut command = Command::new(cargo());
    // A lock file in the packages would require that they can be published, which only a release changes.
    command.current_dir(root()).args(["package", "--quiet", "--allow-dirty", "--no-verify"]);
    command.args(["--exclude-lockfile", "--target-dir"]).arg(&target);
    for package in &packages {
        command.args(["--package", &package.name]);
    }
    succeed(&mut command)?;
    let folder = target.join("package");
    let mut violations = Vec::new();
    for package in &packages {
        violations.extend(packed(package, &folder.join(package.file()))?);
    }
    ensure!(violations.is_empty(), "{}", violations.join("\n"));
    if built { build(&packages, &folder) } else { Ok(()) }
}

/// Builds all packages in a workspace of their own, with all features.
fn build(packages: &[Package], folder: &Path) -> Result<()> {
    let workspace = folder.join("built");
    if workspace.exists() {
        fs::remove_dir_all(&workspace).with_context(|| workspace.display().to_string())?;
    }
    fs::create_dir_all(&workspace)?;
    let mut manifest = "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n[patch.crates-io]\n".to_owned();
    for package in packages {
        let file = folder.join(package.file());
        succeed(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(&workspace))?;
        let Package { name, version, .. } = package;
        manifest += &format!("{name} = {{ path = \"{name}-{version}\" }}\n");
    }
    fs::write(workspace.join("Cargo.toml"), manifest)?;
    fs::copy(root().join("Cargo.lock"), workspace.join("Cargo.lock"))?;
    let mut command = Command::new(cargo());
    command.current_dir(&workspace).args(["check", "--quiet", "--workspace", "--all-features"]);
    // Beside the workspace, which is removed.
    succeed(command.arg("--target-dir").arg(folder.join("built-target")))
}

/// A crate that is to be published.
pub(crate) struct Package {
    pub(crate) name: String,
    version: String,
    folder: PathBuf,
    /// Without `default`.
    pub(crate) features: Vec<String>,
}

impl Package {
    fn file(&self) -> String {
        format!("{}-{}.crate", self.name, self.version)
    }
}

/// The crates in `crates/`.
pub(crate) fn published() -> Result<Vec<Package>> {
    let metadata = metadata()?;
    let text = |package: &Value, key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    let packages = metadata.get("packages").and_then(Value::as_array).context("no packages")?;
    let published = packages.iter().filter_map(|package| {
        let folder = Path::new(&text(package, "manifest_path")?).parent()?.to_owned();
        let inside = folder.parent()?.ends_with("crates");
        let features = package.get("features").and_then(Value::as_object).into_iter().flatten();
        let features = features.map(|(name, _)| name.clone()).filter(|name| name != "default").collect();
        let (name, version) = (text(package, "name")?, text(package, "version")?);
        let package = Package { name, version, folder, features };
        inside.then_some(package)
    });
    let published: Vec<_> = published.collect();
    ensure!(!published.is_empty(), "there are no crates");
    Ok(published)
}

/// What is wrong with a package.
fn packed(package: &Package, file: &Path) -> Result<Vec<String>> {
    let size = fs::metadata(file).with_context(|| file.display().to_string())?.len();
    let listing = output(Command::new("tar").arg("-tzf").arg(file))?;
    // Each path begins with the folder of name and version.
    let files: BTreeSet<&str> = listing.lines().filter_map(|path| Some(path.split_once('/')?.1)).collect();
    Ok(wrong(&package.name, &sources(&package.folder)?, &files, size))
}

/// All files below `src`, as paths from the crate's folder.
fn sources(krate: &Path) -> Result<BTreeSet<String>> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![krate.join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(krate)?.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

fn wrong(name: &str, sources: &BTreeSet<String>, files: &BTreeSet<&str>, size: u64) -> Vec<String> {
    let expected = IN_EVERY_PACKAGE.iter().copied().chain(sources.iter().map(String::as_str));
    let missing = expected.filter(|file| !files.contains(file));
    let mut violations: Vec<String> =
        missing.map(|file| format!("the package of {name} lacks {file}")).collect();
    let tests = files.iter().filter(|file| file.starts_with("tests/"));
    violations.extend(tests.map(|file| format!("the package of {name} has {file}")));
    if size > MOST_BYTES {
        violations.push(format!("the package of {name} has {size} bytes, {MOST_BYTES} at most"));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_package_is_found() {
        let sources = BTreeSet::from(["src/page.html".to_owned()]);
        let good: BTreeSet<&str> = IN_EVERY_PACKAGE.iter().copied().chain(["src/page.html"]).collect();
        assert_eq!(wrong("a", &sources, &good, 10), [""; 0]);
        let mut bad = good;
        bad.remove("LICENSE-MIT");
        bad.remove("src/page.html");
        bad.insert("tests/data.bin");
        assert_eq!(
            wrong("a", &sources, &bad, MOST_BYTES + 1),
            [
                "the package of a lacks LICENSE-MIT",
                "the package of a lacks src/page.html",
                "the package of a has tests/data.bin",
                "the package of a has 2097153 bytes, 2097152 at most"
            ]
        );
    }
}
