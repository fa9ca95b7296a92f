//! The files in `deploy/`, checked by the tools of those who read them, without running anything:
//! `systemd-analyze verify`, `kubernetes-validate`, `dockerfilelint` and `promtool`.
//!
//! What needs no tool, the names of metrics in the dashboard and in the rules, is in the architecture test.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::command::succeed;
use crate::pypi;
use crate::workspace::root;

const KUBERNETES_VALIDATE: &str = "kubernetes-validate==1.37.0";
const DOCKERFILELINT: &str = "dockerfilelint@1.8.0";

/// Checks all of them. Tools that are not there are installed into the user's cache.
pub(crate) fn check() -> Result<()> {
    let files = root().join("deploy");
    systemd(&files.join("systemd/greeter.service"))?;
    kubernetes(&files.join("kubernetes/greeter.yaml"))?;
    container(&files.join("container/Dockerfile"))?;
    alerts(&files.join("prometheus"))
}

/// The unit, with a program and a file that exist here.
fn systemd(unit: &Path) -> Result<()> {
    let text = fs::read_to_string(unit).with_context(|| format!("{} cannot be read", unit.display()))?;
    let here = text.replace("ExecStart=/usr/local/bin/greeter", "ExecStart=/bin/true");
    if here == text {
        bail!("{} does not start /usr/local/bin/greeter", unit.display());
    }
    let folder = root().join("target/deploy");
    fs::create_dir_all(&folder)?;
    let copy = folder.join("greeter.service");
    fs::write(&copy, here.replace("EnvironmentFile=", "EnvironmentFile=-"))?;
    let output = Command::new("systemd-analyze").arg("verify").arg(&copy).stdin(Stdio::null()).output()?;
    let problems = String::from_utf8_lossy(&output.stderr);
    // It succeeds with warnings, too.
    if !output.status.success() || !problems.trim().is_empty() {
        bail!("systemd-analyze verify: {}\n{problems}", output.status);
    }
    Ok(())
}

fn kubernetes(manifest: &Path) -> Result<()> {
    let program = pypi::install(KUBERNETES_VALIDATE)?.join("kubernetes-validate");
    succeed(Command::new(program).arg("--strict").arg(manifest))
}

fn container(file: &Path) -> Result<()> {
    let folder = pypi::tools()?.join(DOCKERFILELINT);
    let program = folder.join("node_modules/.bin/dockerfilelint");
    if !program.is_file() {
        fs::create_dir_all(&folder)?;
        let prefix = ["install", "--silent", "--no-save", "--prefix"];
        succeed(Command::new("npm").args(prefix).arg(&folder).arg(DOCKERFILELINT))?;
    }
    succeed(Command::new(program).arg(file))
}

/// The alert rules, and their unit tests.
fn alerts(folder: &Path) -> Result<()> {
    for (task, file) in [("check", "alerts.yml"), ("test", "alerts_test.yml")] {
        succeed(Command::new("promtool").args([task, "rules"]).arg(folder.join(file)))?;
    }
    Ok(())
}
