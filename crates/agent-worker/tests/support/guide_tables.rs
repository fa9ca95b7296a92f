//! The guide's file: its tables are compared, or written.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What happened, and the text about it.
pub(crate) type Line = (&'static str, String);

/// Tables may be written at the same time.
static FILE: Mutex<()> = Mutex::new(());

/// Found from the manifest of any package of the workspace.
fn path() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = folders.find(|folder| folder.join("Cargo.lock").is_file()).expect("a workspace");
    root.join("crates/agent-worker/src/guide/troubleshooting.md")
}

/// Compares the lines with the table of this name, or writes them.
///
/// # Panics
/// If they differ, or there is no such table.
pub(crate) fn check(table: &str, lines: &[Line]) {
    let _one_at_a_time = FILE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = std::fs::read_to_string(path()).expect("the guide");
    let begin = format!("<!-- {table} -->\n");
    let (before, rest) = file.split_once(&begin).unwrap_or_else(|| panic!("the guide has no line {begin:?}"));
    let (written, after) = rest.split_once("<!-- end -->").expect("the end of the table");
    let made = render(lines);
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        std::fs::write(path(), format!("{before}{begin}{made}<!-- end -->{after}")).expect("written");
    } else {
        assert_eq!(
            made.lines().collect::<Vec<_>>(),
            written.lines().collect::<Vec<_>>(),
            "the table {table:?} is out of date: UPDATE_GUIDE=1 updates it"
        );
    }
}

fn render(lines: &[Line]) -> String {
    let mut table = "| problem | message |\n|---|---|\n".to_owned();
    for (what, text) in lines {
        assert!(!text.contains(['|', '\n']), "{text}");
        // Texts have single backticks in them.
        let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
        table += &format!("| {what} | ``{pad}{text}{pad}`` |\n");
    }
    table
}

/// Replaces what differs each time by names: ports, and what systems and servers report in their
/// own words.
pub(crate) fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for host in ["127.0.0.1:", "localhost:"] {
        let mut steady = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once(host) {
            let port = after.chars().take_while(char::is_ascii_digit).count();
            steady += before;
            // A port that is part of an example stays.
            steady += if port == 0 || after.starts_with("7880") { host } else { "HOST:PORT" };
            rest = if port == 0 || after.starts_with("7880") { after } else { &after[port..] };
        }
        text = steady + rest;
    }
    text = masked(&text, "HTTP 401 (", ")", "the server's words");
    masked(&text, "HTTP 401: ", ")", "the server's words")
}

/// The text with something else between `begin` and the next `end`.
fn masked(text: &str, begin: &str, end: &str, with: &str) -> String {
    match text.split_once(begin) {
        Some((before, rest)) => {
            let after = rest.find(end).map_or("", |at| &rest[at..]);
            format!("{before}{begin}{with}{after}")
        }
        None => text.to_owned(),
    }
}

/// The text up to `mark`, and a sign that there is more: the system's own words.
pub(crate) fn up_to(text: &str, mark: &str) -> String {
    let (before, _) = text.split_once(mark).unwrap_or_else(|| panic!("no {mark:?} in {text}"));
    format!("{before}{mark}: …")
}
