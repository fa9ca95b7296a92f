//! The gallery lists every example, with the command that runs it.

use std::collections::BTreeSet;

/// A row of a table of the gallery.
struct Row {
    name: String,
    file: String,
    agent: Option<String>,
    command: String,
}

fn rows(page: &str) -> Vec<Row> {
    let rows = page.lines().filter(|line| line.starts_with("| [`"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let (name, file) = cells[0].trim_start_matches("[`").split_once("`](").unwrap();
        let agent = (cells.len() == 4).then(|| cells[1].trim_matches('`').to_owned());
        Row {
            name: name.to_owned(),
            file: file.trim_end_matches(')').to_owned(),
            agent: agent.filter(|agent| !agent.is_empty()),
            command: cells[cells.len() - 1].trim_matches('`').to_owned(),
        }
    })
    .collect()
}

/// What is wrong with the gallery, given the programs with their sources.
fn violations(rows: &[Row], programs: &[(String, String)]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut listed = BTreeSet::new();
    for Row { name, file, agent, command } in rows {
        if !listed.insert(name.as_str()) {
            violations.push(format!("{name} is listed twice"));
        }
        let Some((_, source)) = programs.iter().find(|(program, _)| program == name) else {
            violations.push(format!("there is no example {name}"));
            continue;
        };
        if *file != format!("src/bin/{name}.rs") {
            violations.push(format!("{name} is not in {file}"));
        }
        let run = format!("cargo run -p examples --bin {name}");
        if command.strip_prefix(&run).is_none_or(|rest| !rest.is_empty() && !rest.starts_with(" -- ")) {
            violations.push(format!("{name} is not run by {command}"));
        }
        if agent.as_ref().is_some_and(|agent| !source.contains(&format!("agent_name(\"{agent}\")"))) {
            violations.push(format!("{name} is not the agent {agent:?}"));
        }
    }
    let left = programs.iter().filter(|(name, _)| !listed.contains(name.as_str()));
    violations.extend(left.map(|(name, _)| format!("examples/README.md does not list {name}")));
    violations
}

fn programs() -> Vec<(String, String)> {
    let files = super::files("examples/src/bin", "rs");
    files
        .iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), super::read(path)))
        .collect()
}

#[test]
fn every_example_is_listed() {
    let programs = programs();
    assert!(programs.len() > 10, "{}", programs.len());
    super::none(&violations(&rows(&super::read("examples/README.md")), &programs));
}

#[test]
fn a_wrong_row_is_found() {
    let program = |name: &str, source: &str| (name.to_owned(), source.to_owned());
    let programs = [program("a", "agent_name(\"anna\")"), program("b", ""), program("c", "")];
    let good = "| [`a`](src/bin/a.rs) | `anna` | it | `cargo run -p examples --bin a -- FILE` |\n\
        | [`b`](src/bin/b.rs) | it | `cargo run -p examples --bin b` |\n\
        | [`c`](src/bin/c.rs) | | it | `cargo run -p examples --bin c` |\n";
    assert_eq!(violations(&rows(good), &programs), [""; 0]);
    for (from, to, what) in [
        ("`anna`", "`bob`", "a is not the agent Some(\"bob\")"),
        ("--bin b`", "--bin be`", "b is not run by cargo run -p examples --bin be"),
        ("(src/bin/b.rs)", "(b.rs)", "b is not in b.rs"),
        ("[`c`]", "[`d`]", "there is no example d"),
        ("[`c`]", "[`b`]", "b is listed twice"),
    ] {
        let found = violations(&rows(&good.replacen(from, to, 1)), &programs);
        assert!(found.iter().any(|violation| violation == what), "{from} -> {to}: {found:?}");
    }
    assert!(violations(&[], &programs).contains(&"examples/README.md does not list a".to_owned()));
}
