//! The kinds of official clients, and the command that starts the process of each.

use std::process::Command;

use super::{browser, node, venvs};
use crate::install::InstallError;

const PYTHON_HOST: &str = include_str!("host.py");
const NODE_HOST: &str = concat!(include_str!("client.js"), include_str!("host.mjs"));
const BROWSER_HOST: &str = include_str!("browser.mjs");
const BROWSER_PAGE: &str = concat!(include_str!("client.js"), include_str!("page.js"));

/// The client SDKs of LiveKit that an [`OfficialClient`](super::OfficialClient) can be of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientKind {
    /// The Python SDK 1.1.21, the one of LiveKit's own workers here, or that of the Python which
    /// `AGENT_TEST_PYTHON` names. It is the only one that has [`OfficialApi`](super::OfficialApi).
    #[default]
    Python,
    /// The Python SDK 1.2.1.
    Python12,
    /// The Node.js SDK 0.13.35. It does not mute its tracks, and sends no replies.
    Node,
    /// The JavaScript SDK 2.23.0 in a headless Chromium: the one that `CHROMIUM_BIN` names, or
    /// `chromium-headless-shell` on the `PATH` (Debian: `apt-get install chromium-headless-shell`). Chromium
    /// is not installed.
    Browser,
}

impl ClientKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Python, Self::Python12, Self::Node, Self::Browser];

    /// Whether everything that it needs is available; nothing is installed.
    #[must_use]
    pub fn is_installed(self) -> bool {
        match self {
            Self::Python => venvs::SDK.find().is_some(),
            Self::Python12 => venvs::SDK_1_2.find().is_some(),
            Self::Node => node::find().is_some(),
            Self::Browser => browser::find().is_some(),
        }
    }

    /// What it is, for messages.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Python => "Python with LiveKit's SDK",
            Self::Python12 => "Python with LiveKit's SDK 1.2",
            Self::Node => "Node.js with LiveKit's SDK",
            Self::Browser => "headless Chromium with LiveKit's SDK",
        }
    }

    pub(super) async fn command(self) -> Result<Command, InstallError> {
        let venv = match self {
            Self::Python => venvs::SDK,
            Self::Python12 => venvs::SDK_1_2,
            Self::Node => {
                let node = node::find_or_install().await?;
                let mut command = script(&node, NODE_HOST);
                // A script that is no file finds packages from the current directory.
                command.current_dir(node.folder);
                return Ok(command);
            }
            Self::Browser => {
                let browser = browser::find_or_install().await?;
                let mut command = script(&browser.node, BROWSER_HOST);
                command.arg(browser.chromium).arg(browser.bundle).arg(BROWSER_PAGE);
                return Ok(command);
            }
        };
        let mut command = Command::new(venv.find_or_install().await?);
        // Without the user's site and the current directory: the same packages everywhere.
        command.args(["-I", "-u", "-c", PYTHON_HOST]);
        Ok(command)
    }
}

fn script(node: &node::Node, script: &str) -> Command {
    let mut command = Command::new(&node.program);
    command.env_remove("NODE_OPTIONS").args(["--input-type=module", "--eval", script]);
    command
}
