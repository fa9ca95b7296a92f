//! No file is too long to be read.

use std::path::Path;

const MOST_LINES: usize = 800;

fn too_long(path: &Path, text: &str) -> Option<String> {
    let generated = path.parent().is_some_and(|p| p.ends_with("gen"));
    let lines = text.lines().count();
    (lines > MOST_LINES && !generated)
        .then(|| format!("{} has {lines} lines, {MOST_LINES} at most", path.display()))
}

#[test]
fn files_can_be_read() {
    let files: Vec<_> =
        [("bench", "rs"), ("crates", "rs"), ("quickstart", "rs"), ("xtask", "rs"), ("proto", "proto")]
            .into_iter()
            .flat_map(|(folder, extension)| super::files(folder, extension))
            .collect();
    assert!(files.iter().any(|f| f.ends_with("tests/architecture/sizes.rs")), "the walk misses this file");
    super::none(&files.iter().filter_map(|path| too_long(path, &super::read(path))).collect::<Vec<_>>());
}

#[test]
fn a_long_file_is_found() {
    let text = "\n".repeat(801);
    assert_eq!(
        too_long(Path::new("crates/a/src/lib.rs"), &text).as_deref(),
        Some("crates/a/src/lib.rs has 801 lines, 800 at most")
    );
    assert_eq!(too_long(Path::new("crates/a/src/lib.rs"), &"\n".repeat(800)), None);
    assert_eq!(too_long(Path::new("crates/a/src/gen/lib.rs"), &text), None);
}
