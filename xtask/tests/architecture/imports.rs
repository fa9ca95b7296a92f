//! One order of imports in all files: std, external crates, crates of this workspace, then this crate. A
//! blank line separates the groups, and each `use` names one path: braces hold items of one module only.

use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Std,
    External,
    Workspace,
    Own,
}

impl Group {
    fn of(import: &str, is_external: &dyn Fn(&str) -> bool) -> Self {
        let root = import.trim_start_matches("::").split([':', ' ', ';', '{']).next().unwrap_or_default();
        match root {
            "std" | "core" | "alloc" => Self::Std,
            _ if root.starts_with("agent_") => Self::Workspace,
            _ if is_external(root) => Self::External,
            _ => Self::Own,
        }
    }
}

struct Import {
    line: usize,
    /// Whether a blank line is before it.
    apart: bool,
    /// Without `use`, on one line.
    text: String,
}

/// Imports of a file, in runs with nothing but attributes, comments and blank lines between them.
fn runs(source: &str) -> Vec<Vec<Import>> {
    let (mut runs, mut run, mut apart, mut depth) = (Vec::new(), Vec::<Import>::new(), false, None);
    let mut lines = source.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(first) = text.strip_prefix("use ") {
            if depth != Some(indent) {
                runs.push(std::mem::take(&mut run));
                depth = Some(indent);
            }
            let mut import = first.to_owned();
            while !import.trim_end().ends_with(';')
                && let Some((_, more)) = lines.next()
            {
                import.push_str(more.trim());
            }
            run.push(Import { line: number + 1, apart: std::mem::take(&mut apart), text: import });
        } else if text.is_empty() {
            apart = true;
        } else if !text.starts_with("#[") && !text.starts_with("// ") {
            runs.push(std::mem::take(&mut run));
            (apart, depth) = (false, None);
        }
    }
    runs.push(run);
    runs
}

fn violations(path: &Path, source: &str, is_external: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut violations = Vec::new();
    for run in runs(source) {
        let mut last: Option<Group> = None;
        for Import { line, apart, text } in run {
            let mut report = |what: &str| violations.push(format!("{}:{line}: {what}", path.display()));
            if text.split_once('{').is_some_and(|(_, items)| items.contains("::") || items.contains('{')) {
                report("names several paths: one path for each `use`");
            }
            let group = Group::of(&text, is_external);
            if last.is_some_and(|last| group < last) {
                report("is out of order: std, external crates, crates of the workspace, this crate");
            } else if last.is_some_and(|last| apart != (group != last)) {
                report("a blank line separates groups of imports, and nothing else");
            }
            last = Some(group);
        }
    }
    violations
}

/// The names of dependencies in a section of a manifest, as code has them.
fn names_in(manifest: &str, section: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| *line != section).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once([' ', '.', '=']));
    names.map(|(name, _)| name.replace('-', "_")).collect()
}

#[test]
fn imports_are_in_one_order() {
    let mut dependencies = names_in(&super::read("Cargo.toml"), "[workspace.dependencies]");
    dependencies.extend(names_in(&super::read(format!("{}/Cargo.toml", super::APART)), "[dependencies]"));
    let is_external = |name: &str| dependencies.iter().any(|dependency| dependency == name);
    assert!(is_external("tokio") && !is_external("session"));
    let files = super::sources(&super::FOLDERS).chain(super::sources(&[super::APART]));
    let found = files.flat_map(|path| violations(&path, &super::read(&path), &is_external));
    super::none(&found.collect::<Vec<_>>());
}

#[test]
fn imports_that_are_out_of_order_are_found() {
    let check = |source: &str| violations(Path::new("a.rs"), source, &|name| name == "bytes");
    let ordered = "use std::fmt;\n\nuse bytes::{\n    Buf,\n    Bytes,\n};\n\nuse agent_core::Job;\n\nuse crate::a::b;\n";
    assert!(check(ordered).is_empty(), "{:?}", check(ordered));
    assert!(check("use std::fmt;\n\nuse agent_core::A;\n\nfn f() {\n    use std::io;\n}\n").is_empty());
    let order = "is out of order: std, external crates, crates of the workspace, this crate";
    assert_eq!(check("use crate::a;\n\n#[cfg(test)]\nuse std::fmt;\n"), [format!("a.rs:4: {order}")]);
    let blank = "a blank line separates groups of imports, and nothing else";
    assert_eq!(check("use std::fmt;\nuse bytes::Buf;\n"), [format!("a.rs:2: {blank}")]);
    assert_eq!(check("use std::fmt;\n\nuse std::io;\n"), [format!("a.rs:3: {blank}")]);
    let several = "names several paths: one path for each `use`";
    assert_eq!(check("use super::{a::B, c};\n"), [format!("a.rs:1: {several}")]);
}
