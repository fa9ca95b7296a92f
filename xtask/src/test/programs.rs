//! The test programs: built by one call of cargo, and sorted by how they are run.
//!
//! cargo runs one program after another, most of which wait for clocks. Here several of them run
//! concurrently.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cargo::Cargo;
use super::settings::Settings;
use super::targets;

/// When a program runs. A part begins when all programs of the previous one have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Needs no tools.
    Plain,
    /// Uses real tools, and mostly waits for them.
    Real,
    /// One at a time, with nothing but the checks beside it, which get only what it leaves of the processor.
    Single,
    /// With nothing else beside it.
    Alone,
}

/// Programs of many subjects. The tests of each top-level module run like a program of their own, with its
/// place in the order and its line in the report.
const OF_MANY_SUBJECTS: &[&str] = &["it", "real", "testkit", "testkit_real"];

/// The programs that other tests would disturb, or that would disturb others, and why.
const SINGLE: &[(&str, &str)] = &[
    ("file_elections", "who leads next is held to a second after the lease"),
    ("real::audio_out", "a late packet is a change of the sound that is measured"),
    ("real::e2ee", "a late packet is a change of the sound that is measured"),
    ("real::e2ee_video", "clients that encode pictures are a load of their own"),
    ("real::relays", "a late packet is a change of the sound that is measured"),
    ("real::status_page", "5,000 jobs and a browser are a load of their own"),
    ("real::video", "clients that encode pictures are a load of their own"),
    ("real_checkpoint_kills", "what a kill repeats is held to 50 ms"),
    ("real_elections", "who leads next is held to a second after the lease"),
    ("real_stream_memory", "thousands of calls and streams are a load of their own"),
    ("real_survival", "twenty rooms at once are a load of their own"),
];

/// The programs that nothing may disturb, and why.
const ALONE: &[(&str, &str)] = &[
    ("bin recorder", "a late packet is a change of the sound that is measured"),
    ("bin router", "a late packet is a change of the sound that is measured"),
    ("real::clients", "the Node.js client may wait for ever if it gets little processor time"),
    ("real::pcm", "a packet that is 30 ms late is a change of the sound that is measured"),
    ("real_recorder", "a late packet is a change of the sound that is measured"),
];

/// The longest programs, which begin first in their part, and why they take long.
const FIRST: &[(&str, &str)] = &[
    ("it::reconnect", "hours of outages"),
    ("real::room", "a minute until a token is refused"),
    ("real::redis", "failovers and lost leases"),
];

/// A test program, or one subject of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// `PROGRAM`, or `PROGRAM::MODULE`.
    pub(super) name: String,
    /// The names of its tests, if they are not all of the program.
    pub(super) tests: Option<Vec<String>>,
    pub(super) executable: PathBuf,
    /// The manifest of its package, in whose directory it runs.
    pub(super) manifest: PathBuf,
    /// Whether it may use real tools.
    pub(super) real: bool,
    pub(super) part: Part,
}

/// Builds the plain programs, the real ones or both; `None`: the build has failed.
pub(super) fn build(plain: bool, real: bool, settings: Settings) -> Result<Option<Vec<Program>>> {
    let targets = targets::all()?;
    let mut args = vec![
        "test",
        "--no-run",
        // Errors are shown as usual.
        "--message-format=json-render-diagnostics",
        "--workspace",
        "--all-features",
    ];
    if plain {
        args.extend(["--lib", "--bins", "--examples"]);
        args.extend(targets::select(&targets, false));
    }
    if real {
        args.extend(targets::select(&targets, true));
    }
    let Some(lines) = Cargo::linting(&args, settings).output()? else { return Ok(None) };
    let is_real = |name: &str| targets.iter().any(|target| target.real && target.name == name);
    let mut programs = Vec::new();
    for line in &lines {
        match program(line, is_real)? {
            Some(program) if OF_MANY_SUBJECTS.contains(&program.name.as_str()) => {
                programs.extend(subjects(&program, &list(&program)?));
            }
            program => programs.extend(program),
        }
    }
    programs.sort_by_key(|program| (program.part, rank(&program.name)));
    Ok(Some(programs))
}

/// The test program in a line of cargo's messages.
fn program(line: &str, is_real: impl Fn(&str) -> bool) -> Result<Option<Program>> {
    let message: Value =
        serde_json::from_str(line).with_context(|| format!("invalid message of cargo: {line}"))?;
    let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
    let is_test = message.pointer("/profile/test").and_then(Value::as_bool) == Some(true);
    let (Some("compiler-artifact"), true) = (text("/reason"), is_test) else { return Ok(None) };
    let (Some(executable), Some(manifest), Some(target), Some(kind)) =
        (text("/executable"), text("/manifest_path"), text("/target/name"), text("/target/kind/0"))
    else {
        return Ok(None);
    };
    let name = if kind == "test" { target.to_owned() } else { format!("{kind} {target}") };
    let real = kind == "test" && is_real(&name);
    let (part, executable, manifest) = (part(&name, real), executable.into(), manifest.into());
    Ok(Some(Program { name, tests: None, executable, manifest, real, part }))
}

fn part(name: &str, real: bool) -> Part {
    match real {
        _ if listed(ALONE, name).is_some() => Part::Alone,
        _ if listed(SINGLE, name).is_some() => Part::Single,
        true => Part::Real,
        false => Part::Plain,
    }
}

/// The names of a program's tests.
fn list(program: &Program) -> Result<Vec<String>> {
    let output = Command::new(&program.executable).args(["--list", "--format=terse"]).output();
    let output = output.with_context(|| format!("the tests of {} cannot be listed", program.name))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let tests: Vec<_> =
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    if !output.status.success() || tests.is_empty() {
        bail!("{} lists no tests: {}", program.name, output.status);
    }
    Ok(tests)
}

/// A program for each top-level module with tests.
fn subjects(program: &Program, tests: &[String]) -> Vec<Program> {
    let mut modules: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for test in tests {
        let name = match test.split_once("::") {
            Some((module, _)) => format!("{}::{module}", program.name),
            None => program.name.clone(),
        };
        modules.entry(name).or_default().push(test.clone());
    }
    let subject = |(name, tests): (String, _)| {
        let part = part(&name, program.real);
        Program { name, tests: Some(tests), part, ..program.clone() }
    };
    modules.into_iter().map(subject).collect()
}

fn listed(table: &[(&str, &str)], name: &str) -> Option<usize> {
    table.iter().position(|(listed, _)| *listed == name)
}

fn rank(name: &str) -> usize {
    listed(FIRST, name).unwrap_or(FIRST.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(kind: &str, name: &str, test: bool) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","manifest_path":"/w/c/Cargo.toml","target":{{"kind":["{kind}"],
            "name":"{name}"}},"profile":{{"test":{test}}},"executable":"/w/target/{name}-1f"}}"#
        )
    }

    fn parsed(line: &str) -> Option<Program> {
        program(line, |name| name.starts_with("real")).unwrap()
    }

    #[test]
    fn test_programs_are_found_among_the_messages() {
        assert_eq!(
            parsed(&artifact("test", "real_jobs", true)).unwrap(),
            Program {
                name: "real_jobs".to_owned(),
                tests: None,
                executable: "/w/target/real_jobs-1f".into(),
                manifest: "/w/c/Cargo.toml".into(),
                real: true,
                part: Part::Real,
            }
        );
        let lib = parsed(&artifact("lib", "agent_core", true)).unwrap();
        assert_eq!((lib.name.as_str(), lib.part), ("lib agent_core", Part::Plain));
        assert_eq!(parsed(&artifact("bin", "agent-bench", false)), None);
        assert_eq!(parsed(r#"{"reason":"build-finished","success":true}"#), None);
        assert!(program("warning: no message", |_| false).is_err());
    }

    #[test]
    fn programs_that_run_alone_are_last_and_long_ones_first() {
        let names = ["real_recorder", "real_survival", "real_jobs", "lib agent_core", "real::redis"];
        let kind = |name: &str| if name.starts_with("lib ") { "lib" } else { "test" };
        let mut programs: Vec<Program> = names
            .iter()
            .map(|name| parsed(&artifact(kind(name), name.trim_start_matches("lib "), true)).unwrap())
            .collect();
        programs.sort_by_key(|program| (program.part, rank(&program.name)));
        let sorted: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
        assert_eq!(sorted, ["lib agent_core", "real::redis", "real_jobs", "real_survival", "real_recorder"]);
    }

    #[test]
    fn listed_programs_exist() {
        let targets = targets::all().unwrap();
        let named = SINGLE.iter().chain(ALONE).chain(FIRST).map(|(name, _)| name);
        for name in named.chain(OF_MANY_SUBJECTS) {
            assert!(targets::is_there(&targets, name), "there is no test {name}");
        }
    }

    #[test]
    fn each_module_of_many_subjects_is_a_program() {
        let program = parsed(&artifact("test", "real", true)).unwrap();
        let names = |tests: &[&str]| tests.iter().map(|test| (*test).to_owned()).collect::<Vec<_>>();
        let tests = names(&["jobs::ends::one", "redis::two", "jobs::three", "four"]);
        let found: Vec<_> =
            subjects(&program, &tests).into_iter().map(|p| (p.name, p.tests, p.part)).collect();
        let subject = |name: &str, tests: &[&str]| (name.to_owned(), Some(names(tests)), Part::Real);
        assert_eq!(
            found,
            [
                subject("real", &["four"]),
                subject("real::jobs", &["jobs::ends::one", "jobs::three"]),
                subject("real::redis", &["redis::two"]),
            ]
        );
    }

    /// This program, as if it had many subjects.
    #[test]
    fn the_tests_of_a_program_are_listed() {
        let executable = std::env::current_exe().unwrap();
        let program = Program { executable, ..parsed(&artifact("test", "real", true)).unwrap() };
        let tests = list(&program).unwrap();
        let own = "test::programs::tests::the_tests_of_a_program_are_listed";
        assert!(tests.iter().any(|test| test == own), "{tests:?}");
        assert!(list(&Program { executable: "true".into(), ..program }).is_err());
    }
}
