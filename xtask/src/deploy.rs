//! The files in `deploy/`, checked by the tools of those who read them, without running anything:
//! `systemd-analyze verify`, `kubernetes-validate`, `dockerfilelint` and `promtool`.
//!
//! What needs no tool, the names of metrics in the dashboard and in the rules, is in the architecture test.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{cache, root};

const KUBERNETES_VALIDATE: &str = "kubernetes-validate==1.37.0";
const DOCKERFILELINT: &str = "dockerfilelint@1.8.0";

/// Checks all of them. Tools that are not there are installed into the user's cache.
pub(crate) fn check() -> Result<()> {
    let files = root().join("deploy");
    let cache = cache().context("neither XDG_CACHE_HOME nor HOME is set")?.join("deploy-tools");
    fs::create_dir_all(&cache).with_context(|| format!("{} cannot be created", cache.display()))?;
    systemd(&files.join("systemd/greeter.service"))?;
    kubernetes(&files.join("kubernetes/greeter.yaml"), &cache)?;
    container(&files.join("container/Dockerfile"), &cache)?;
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

fn kubernetes(manifest: &Path, cache: &Path) -> Result<()> {
    let folder = cache.join(KUBERNETES_VALIDATE);
    if !folder.join("ready").is_file() {
        run("python3", &[OsStr::new("-m"), OsStr::new("venv"), OsStr::new("--clear"), folder.as_os_str()])?;
        run(folder.join("bin/pip"), &["install", "--quiet", KUBERNETES_VALIDATE])?;
        fs::write(folder.join("ready"), "")?;
    }
    run(folder.join("bin/kubernetes-validate"), &[OsStr::new("--strict"), manifest.as_os_str()])
}

fn container(file: &Path, cache: &Path) -> Result<()> {
    let folder = cache.join(DOCKERFILELINT);
    let program = folder.join("node_modules/.bin/dockerfilelint");
    if !program.is_file() {
        fs::create_dir_all(&folder)?;
        let prefix = ["install", "--silent", "--no-save", "--prefix"].map(OsStr::new);
        run("npm", &[&prefix[..], &[folder.as_os_str(), OsStr::new(DOCKERFILELINT)]].concat())?;
    }
    run(program, &[file])
}

/// The alert rules, and their unit tests.
fn alerts(folder: &Path) -> Result<()> {
    run("promtool", &[OsStr::new("check"), OsStr::new("rules"), folder.join("alerts.yml").as_os_str()])?;
    run("promtool", &[OsStr::new("test"), OsStr::new("rules"), folder.join("alerts_test.yml").as_os_str()])
}

fn run(program: impl AsRef<OsStr>, args: &[impl AsRef<OsStr>]) -> Result<()> {
    let program = program.as_ref();
    let status = Command::new(program).args(args).stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("{} could not be started", program.display()))?;
    if !status.success() {
        bail!("{}: {status}", program.display());
    }
    Ok(())
}
