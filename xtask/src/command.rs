//! Programs that have to succeed.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs a program.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let status = command.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("{} could not be started", program.display()))?;
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(())
}

/// What a program prints to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{} could not be started", program.display()))?;
    ensure!(output.status.success(), "{}: {}", program.display(), output.status);
    Ok(String::from_utf8(output.stdout)?)
}
