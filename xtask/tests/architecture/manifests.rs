//! Every crate inherits the shared settings of the workspace.

/// Lines that each crate's manifest has.
const INHERITED: &[&str] = &[
    "edition.workspace = true",
    "license.workspace = true",
    "rust-version.workspace = true",
    "version.workspace = true",
    "[lints]\nworkspace = true",
];

fn manifest(name: &str, toml: &str) -> Vec<String> {
    let padded = format!("\n{toml}\n");
    let publish = if name.starts_with("crates/") { "publish.workspace = true" } else { "publish = false" };
    let lines = INHERITED.iter().chain([&publish]);
    let missing = lines.filter(|line| !padded.contains(&format!("\n{line}\n")));
    let mut violations: Vec<String> = missing.map(|line| format!("{name} lacks {line:?}")).collect();
    let mut section = "";
    for line in toml.lines() {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        // Without a version, which `packages` requires of some.
        let of_tests = section == "[dev-dependencies]" && line.contains("{ path = \"../");
        let inherited = line.contains("workspace = true") || of_tests;
        if section.contains("dependencies") && line.contains('=') && !inherited {
            violations.push(format!("{name} has a dependency of its own: {line}"));
        }
    }
    violations
}

/// clippy reads only the nearest clippy.toml, so a crate's own one must repeat the root's entries.
fn clippy(name: &str, own: &str, root: &str) -> Vec<String> {
    let keys = root.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
    let missing = keys.filter(|line| !own.lines().any(|l| l == *line));
    missing.map(|line| format!("{name} lacks {line:?} of the root's")).collect()
}

#[test]
fn crates_inherit() {
    let mut violations = Vec::new();
    let mut seen = 0;
    for folder in super::FOLDERS {
        for path in super::files(folder, "toml") {
            let name = path.display().to_string();
            match path.file_name().unwrap().to_str().unwrap() {
                "Cargo.toml" => {
                    seen += 1;
                    violations.extend(manifest(&name, &super::read(&path)));
                }
                "clippy.toml" => {
                    violations.extend(clippy(&name, &super::read(&path), &super::read("clippy.toml")));
                }
                _ => {}
            }
        }
    }
    super::none(&violations);
    assert_eq!(seen, crate::graph::WORKSPACE.members().count(), "a manifest was not looked at");
}

/// The files of programs that are built without tests (`test = false`), from the folder of the package. Those
/// of another package are tested there.
fn untested(toml: &str) -> Vec<&str> {
    let programs = toml.split("\n[").filter(|section| section.starts_with("[bin]]"));
    let untested = programs.filter(|section| section.lines().any(|line| line == "test = false"));
    let paths =
        untested.flat_map(|section| section.lines().filter_map(|line| line.strip_prefix("path = \"")));
    paths.map(|path| path.trim_end_matches('"')).filter(|path| !path.starts_with("../")).collect()
}

/// A test in such a file would never run.
#[test]
fn programs_without_tests_have_none() {
    let mut violations = Vec::new();
    let mut seen = 0;
    for path in super::FOLDERS.iter().flat_map(|folder| super::files(folder, "toml")) {
        if !path.ends_with("Cargo.toml") {
            continue;
        }
        let toml = super::read(&path);
        for program in untested(&toml) {
            seen += 1;
            let file = path.with_file_name(program);
            let files = match file.ends_with("main.rs") {
                true => super::files(file.parent().unwrap().to_str().unwrap(), "rs"),
                false => vec![file],
            };
            let tested = files.iter().filter(|file| super::read(file).contains("test]\n"));
            violations.extend(tested.map(|file| format!("{} has tests that never run", file.display())));
        }
    }
    super::none(&violations);
    assert!(seen >= 5, "{seen} programs");
}

/// The sections of lints of a manifest, without the prefix that they have in that of the workspace.
fn lints(toml: &str) -> Vec<&str> {
    let mut inside = false;
    let lines = toml.lines().map(|line| line.strip_prefix("[workspace.").map_or(line, |rest| rest));
    let lints = lines.filter(|line| {
        if line.starts_with('[') || line.ends_with(']') {
            inside = line.trim_start_matches('[').starts_with("lints.");
        }
        inside && !line.is_empty() && !line.starts_with('#')
    });
    lints.map(|line| line.trim_start_matches('[')).collect()
}

/// The package outside of the workspace inherits nothing: it repeats.
#[test]
fn the_package_apart_has_the_same_settings() {
    let (own, workspace) = (super::read(format!("{}/Cargo.toml", super::APART)), super::read("Cargo.toml"));
    assert_eq!(lints(&own), lints(&workspace));
    assert!(lints(&own).contains(&"unsafe_code = \"forbid\""));
    let value = |toml: &str, key: &str| toml.lines().find(|line| line.starts_with(key)).map(str::to_owned);
    for key in ["edition = ", "license = ", "rust-version = ", "version = "] {
        assert_eq!(value(&own, key), value(&workspace, key), "{key}");
    }
    assert!(own.contains("\npublish = false\n"));
    let own = super::read(format!("{}/clippy.toml", super::APART));
    super::none(&clippy(super::APART, &own, &super::read("clippy.toml")));
}

#[test]
fn values_that_are_not_inherited_are_found() {
    let good = format!(
        "[package]\npublish = false\n{}\n\n[dependencies]\nbytes.workspace = true\n",
        INHERITED.join("\n")
    );
    assert_eq!(manifest("a", &good), [""; 0]);
    assert_eq!(manifest("crates/a", &good), ["crates/a lacks \"publish.workspace = true\""]);
    let test = format!("{good}\n[dev-dependencies]\nb = {{ path = \"../b\" }}\n");
    assert_eq!(manifest("a", &test), [""; 0]);
    let bad = good
        .replace("edition.workspace = true", "edition = \"2021\"")
        .replace("bytes.workspace = true", "bytes = \"1\"");
    assert_eq!(
        manifest("a", &bad),
        ["a lacks \"edition.workspace = true\"", "a has a dependency of its own: bytes = \"1\""]
    );
    let lax = good.replace("[lints]\nworkspace = true", "[lints.rust]\nunsafe_code = \"allow\"");
    assert_eq!(manifest("a", &lax), ["a lacks \"[lints]\\nworkspace = true\""]);
}

#[test]
fn a_forgotten_clippy_key_is_found() {
    let root = "# why\nallow-unwrap-in-tests = true\nallow-panic-in-tests = true\n";
    assert_eq!(clippy("a", root, root), [""; 0]);
    assert_eq!(
        clippy("a", "allow-panic-in-tests = true\n", root),
        ["a lacks \"allow-unwrap-in-tests = true\" of the root's"]
    );
}

#[test]
fn programs_without_tests_are_found() {
    let toml = "[package]\n\n[[bin]]\npath = \"src/a.rs\"\n\n[[bin]]\npath = \"src/b.rs\"\ntest = false\n\n[[bin]]\n\
        path = \"../c.rs\"\ntest = false\n\n[dependencies]\n";
    assert_eq!(untested(toml), ["src/b.rs"]);
}
