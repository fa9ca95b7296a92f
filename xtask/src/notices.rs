//! The notices of what is shipped: every crate that is linked into a program, with its licence.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::command::output;
use crate::workspace::{cargo, root};

const NOTICES: &str = "THIRD-PARTY-NOTICES.md";
const NOTICES_HEAD: &str = "\
# Third-party notices

What a program contains with `agent-worker`, on any platform and with any of its features: the crates that are linked into it, with
their licences. The texts of the licences, and the names of the authors, are in the packages of the crates; they are to be distributed with a
program, too.

`cargo xtask notices` writes this file; the test run compares it.

| crate | version | licence |
|---|---|---|
";

/// Writes the notices.
pub(crate) fn write() -> Result<()> {
    let path = root().join(NOTICES);
    fs::write(&path, notices()?).with_context(|| format!("{} cannot be written", path.display()))
}

/// Fails if the notices are not those of Cargo.lock.
pub(crate) fn check() -> Result<()> {
    let written = fs::read_to_string(root().join(NOTICES)).unwrap_or_default();
    ensure!(written == notices()?, "{NOTICES} is out of date: `cargo xtask notices` rewrites it");
    Ok(())
}

fn notices() -> Result<String> {
    let mut command = Command::new(cargo());
    command
        .current_dir(root())
        .args(["tree", "--package", "agent-worker", "--all-features", "--target", "all", "--prefix", "none"])
        .args(["--edges", "normal,no-proc-macro", "--format", "{p}|{l}"]);
    let rows: BTreeSet<String> =
        output(&mut command)?.lines().filter_map(|line| row(line).transpose()).collect::<Result<_>>()?;
    ensure!(!rows.is_empty(), "cargo tree has found no dependencies");
    Ok(rows.into_iter().fold(NOTICES_HEAD.to_owned(), |text, row| text + &row))
}

/// The row of `name v1.2.3|licence`; `None` for the crates of this workspace, which have a path.
fn row(line: &str) -> Result<Option<String>> {
    let (package, licence) =
        line.trim_end_matches(" (*)").split_once('|').with_context(|| line.to_owned())?;
    let mut words = package.split(' ');
    let (Some(name), Some(version)) = (words.next(), words.next()) else { bail!("not a package: {line}") };
    if words.any(|word| word.starts_with("(/")) {
        return Ok(None);
    }
    ensure!(!licence.is_empty(), "{name} states no licence");
    Ok(Some(format!("| {name} | {} | {licence} |\n", version.trim_start_matches('v'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_notices() {
        assert_eq!(row("bytes v1.12.2|MIT").unwrap().unwrap(), "| bytes | 1.12.2 | MIT |\n");
        assert_eq!(
            row("ring v0.17.1|Apache-2.0 AND ISC (*)").unwrap().unwrap(),
            "| ring | 0.17.1 | Apache-2.0 AND ISC |\n"
        );
        assert_eq!(row("agent-proto v0.1.0 (/here/crates/agent-proto)|MIT").unwrap(), None);
        assert!(row("unfree v1.0.0|").unwrap_err().to_string().contains("unfree"));
        assert!(row("no row").is_err());
    }
}
