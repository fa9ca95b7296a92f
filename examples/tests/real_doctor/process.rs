//! A program of the examples as a process, and what its doctor printed.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::set_up::SetUp;

/// The longest that a doctor may take, on a machine that does other things, too.
const LIMIT: Duration = Duration::from_secs(90);

/// One line of the doctor.
#[derive(Clone, Debug)]
pub(crate) struct Printed {
    pub(crate) verdict: String,
    pub(crate) check: String,
    pub(crate) text: String,
}

/// What a doctor left.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<Printed>,
    /// The standard error.
    pub(crate) log: String,
}

impl Report {
    pub(crate) async fn of(mut doctor: Command) -> Self {
        let output = timeout(LIMIT, doctor.output()).await.expect("in time").expect("a process");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let lines = text(&output.stdout).lines().map(Printed::read).collect();
        Self { code: output.status.code(), lines, log: text(&output.stderr) }
    }
}

impl Printed {
    /// The columns: verdict, check and text.
    fn read(line: &str) -> Self {
        let mut rest = line;
        let mut column = || {
            let (column, after) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = after.trim_start();
            column.to_owned()
        };
        let (verdict, check) = (column(), column());
        Self { verdict, check, text: rest.to_owned() }
    }
}

/// A worker that is registered. Dropping it sends SIGKILL.
pub(crate) struct Running {
    _process: Child,
}

impl Running {
    pub(crate) async fn start(set_up: SetUp) -> Self {
        let mut process = set_up.command("start").stderr(Stdio::piped()).spawn().expect("a process");
        let mut log = BufReader::new(process.stderr.take().expect("its log")).lines();
        let registered = async {
            while let Some(line) = log.next_line().await.expect("a line") {
                if line.contains("registered worker") {
                    return;
                }
            }
            panic!("it ended");
        };
        timeout(LIMIT, registered).await.expect("in time");
        // The log must be read to its end.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { _process: process }
    }
}
