//! Generates the prost types and the descriptors of agent-proto from `proto/`, with protox instead of
//! `protoc`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use protox::Compiler;

use crate::workspace::root;

const FILES: [&str; 6] = [
    "livekit_agent.proto",
    "livekit_agent_dispatch.proto",
    "livekit_models.proto",
    "livekit_room.proto",
    "livekit_rtc.proto",
    "livekit_sip.proto",
];

/// The generated files, in this directory.
const FOLDER: &str = "crates/agent-proto/src/gen";
const TYPES: &str = "livekit.rs";
const DESCRIPTORS: &str = "livekit.fds";

/// These messages carry a secret, so agent-proto writes their `Debug` by hand (`redact.rs`).
const NO_DEBUG: [&str; 3] = ["livekit.JobAssignment", "livekit.ICEServer", "livekit.RoomMovedResponse"];

/// Writes the generated files.
pub(crate) fn write() -> Result<()> {
    let target = root().join(FOLDER);
    fs::create_dir_all(&target)?;
    generate(&target)
}

/// Fails if a committed file differs from the output of `write`.
pub(crate) fn check() -> Result<()> {
    let fresh = tempfile::tempdir()?;
    generate(fresh.path())?;
    for name in [TYPES, DESCRIPTORS] {
        let committed = fs::read(root().join(FOLDER).join(name)).unwrap_or_default();
        if fs::read(fresh.path().join(name))? != committed {
            bail!("{FOLDER}/{name} is out of date: run `cargo xtask codegen` and commit the result");
        }
    }
    Ok(())
}

fn generate(out: &Path) -> Result<()> {
    let dir = root().join("proto");
    let descriptors = protox::compile(FILES, [&dir]).context("proto/ does not compile")?;
    prost_build::Config::new()
        .bytes(["."])
        // Ordered maps: the machines must give the same bytes for the same input.
        .btree_map(["."])
        .skip_debug(NO_DEBUG)
        // The variant `RefreshToken`; prost-build's `skip_debug` does not apply to a oneof.
        .type_attribute("livekit.SignalResponse.message", "#[prost(skip_debug)]")
        .out_dir(out)
        .compile_fds(descriptors)
        .context("code generation failed")?;
    put_derive_first(&out.join(TYPES))?;
    Ok(fs::write(out.join(DESCRIPTORS), descriptors_alone(&dir)?)?)
}

/// Without comments and positions, which are half of a descriptor set and useless to a program.
fn descriptors_alone(dir: &Path) -> Result<Vec<u8>> {
    let mut compiler = Compiler::new([dir])?;
    compiler.include_source_info(false).include_imports(true).open_files(FILES)?;
    Ok(compiler.encode_file_descriptor_set())
}

/// prost-build writes a type attribute above the derive that it belongs to, which rustc is phasing out.
fn put_derive_first(file: &Path) -> Result<()> {
    let attribute = "    #[prost(skip_debug)]\n";
    let derive = "    #[derive(Clone, PartialEq, ::prost::Oneof)]\n";
    let text = fs::read_to_string(file)?;
    let mended = text.replace(&format!("{attribute}{derive}"), &format!("{derive}{attribute}"));
    if mended == text {
        bail!("found no attribute to move: prost-build's output has changed");
    }
    Ok(fs::write(file, mended)?)
}
