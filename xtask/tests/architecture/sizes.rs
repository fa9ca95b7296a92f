//! No file is too long to be read, and no comment wider than the code.

use std::path::Path;

const MOST_LINES: usize = 800;
/// The code's width (`max_width` in `rustfmt.toml`).
const WIDTH: usize = 110;

fn too_long(path: &Path, text: &str) -> Option<String> {
    let generated = path.parent().is_some_and(|p| p.ends_with("gen"));
    let lines = text.lines().count();
    (lines > MOST_LINES && !generated)
        .then(|| format!("{} has {lines} lines, {MOST_LINES} at most", path.display()))
}

/// Comments that are wider than the code, except what cannot be wrapped: tables, code, links and long words.
fn too_wide(path: &Path, text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix("//") else {
            in_code = false;
            continue;
        };
        let comment = comment.trim_start_matches(['/', '!']).trim();
        in_code ^= comment.starts_with("```");
        let wrappable = !in_code && !comment.starts_with(['|', '#', '<']) && comment.contains(' ');
        if wrappable && line.chars().count() > WIDTH && !is_unbreakable(comment) {
            found.push(format!("{}:{}: a comment wider than {WIDTH} characters", path.display(), number + 1));
        }
    }
    found
}

/// The target of a reference, or a link or code that fills the line.
fn is_unbreakable(comment: &str) -> bool {
    let ends_late = |end: &str| comment[1..].find(end).is_some_and(|at| at > 80);
    match comment.chars().next() {
        Some('[') => comment.contains("]: ") || ends_late(")"),
        Some('`') => ends_late("`"),
        _ => false,
    }
}

#[test]
fn comments_are_no_wider_than_the_code() {
    let files = super::sources(&super::FOLDERS).chain(super::sources(&[super::APART]));
    super::none(&files.flat_map(|path| too_wide(&path, &super::read(&path))).collect::<Vec<_>>());
}

#[test]
fn a_wide_comment_is_found() {
    let wide = format!("    /// {}\n", "word ".repeat(22));
    assert_eq!(too_wide(Path::new("a.rs"), &wide), ["a.rs:1: a comment wider than 110 characters"]);
    let code =
        format!("//! ```\n//! {0}\n//! ```\n//! | {0} |\n//! {1}\n", "word ".repeat(30), "x".repeat(120));
    assert_eq!(too_wide(Path::new("a.rs"), &code), [""; 0]);
}

#[test]
fn files_can_be_read() {
    let files: Vec<_> = super::FOLDERS
        .map(|folder| (folder, "rs"))
        .into_iter()
        .chain([(super::APART, "rs"), ("proto", "proto")])
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
