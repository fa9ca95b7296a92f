//! Where the workspace is, the cargo that builds it, and what that knows of it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use crate::command::output;

/// The target of programs that need no library of the system.
pub(crate) const MUSL: &str = "x86_64-unknown-linux-musl";

/// The cargo that runs this tool.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The workspace's root. `cargo run` sets the path of this crate at run time; the path at compile time may be
/// another checkout's, if two of them share a target directory.
pub(crate) fn root() -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(folder).join("..")
}

/// The answer of `cargo metadata`, without dependencies.
pub(crate) fn metadata() -> Result<Value> {
    let mut command = Command::new(cargo());
    command.current_dir(root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    Ok(serde_json::from_str(&output(&mut command)?)?)
}

/// The folder of this project in the user's cache: the same as agent-testkit's.
pub(crate) fn cache() -> Option<PathBuf> {
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".cache"));
    set("XDG_CACHE_HOME").or_else(home).map(|cache| cache.join("livekit-agents-rust"))
}
