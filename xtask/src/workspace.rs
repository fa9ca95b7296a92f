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
