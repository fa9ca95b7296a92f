//! Where the workspace is, and the cargo that builds it.

use std::ffi::OsString;
use std::path::PathBuf;

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

/// The folder of this project in the user's cache: the same as agent-testkit's.
pub(crate) fn cache() -> Option<PathBuf> {
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".cache"));
    set("XDG_CACHE_HOME").or_else(home).map(|cache| cache.join("livekit-agents-rust"))
}
