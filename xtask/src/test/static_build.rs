//! The example `greeter` as one static file, as the guide's page on deployment has it, built and run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::cargo::Cargo;
use super::outcome::Outcome;
use super::settings::Settings;
use crate::workspace::{MUSL, root};

/// The type of the part of an ELF file that names a dynamic linker.
const INTERPRETER: u32 = 3;

/// Builds it, and runs it without a server.
pub(super) fn check(settings: Settings) -> Result<Outcome> {
    let folder = ["--target-dir", "target", "--target", MUSL];
    let build = [&["build", "--package", "examples", "--bin", "greeter"], &folder[..]].concat();
    match Cargo::new(&build, settings).check()? {
        Outcome::Ok => {}
        failed => return Ok(failed),
    }
    let program = root().join("target").join(MUSL).join("debug/greeter");
    let file = fs::read(&program).with_context(|| format!("{} cannot be read", program.display()))?;
    ensure!(is_static(&file) == Some(true), "{} is not a static program", program.display());
    run(&program)?;
    Ok(Outcome::Ok)
}

/// It resolves a name and reports that no server is there: nothing listens on that port.
fn run(program: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.args(["connect", "--room", "lobby", "--url", "ws://localhost:9"]).env_clear();
    command.env("LIVEKIT_API_KEY", "devkey").env("LIVEKIT_API_SECRET", "secret");
    let output = command.stdin(Stdio::null()).output().context("the static program did not start")?;
    let log = String::from_utf8_lossy(&output.stderr);
    let expected = output.status.code() == Some(1) && log.contains("nothing answers at localhost:9");
    ensure!(expected, "the static program: {}\n{log}", output.status);
    Ok(())
}

/// Whether a 64-bit ELF file, in little endian, needs no dynamic linker; `None` if it is none.
fn is_static(file: &[u8]) -> Option<bool> {
    let number = |at: usize, bytes: usize| {
        let field = file.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let parts = usize::try_from(number(32, 8)?).ok()?;
    let (size, count) = (usize::try_from(number(54, 2)?).ok()?, usize::try_from(number(56, 2)?).ok()?);
    for at in (0..count).map(|part| parts.checked_add(part.checked_mul(size)?)) {
        if number(at?, 4)? == u64::from(INTERPRETER) {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with parts of these types.
    fn file(parts: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = u8::try_from(parts.len()).unwrap();
        for part in parts {
            file.extend(part.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    #[test]
    fn a_program_with_an_interpreter_is_not_static() {
        assert_eq!(is_static(&file(&[1, 6, 1])), Some(true));
        assert_eq!(is_static(&file(&[1, INTERPRETER])), Some(false));
        assert_eq!(is_static(&file(&[1, 1])[..70]), None, "it is cut off");
        assert_eq!(is_static(b"#!/bin/sh"), None);
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
    #[test]
    fn this_program_is_not_static() {
        let file = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(is_static(&file), Some(false));
    }
}
