//! A subject as a child process: start, figures, end.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::load::{Listener, Session};
use crate::subject::{Kind, Mark, Task};

/// A running subject.
pub(crate) struct Child {
    process: tokio::process::Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts a subject and waits for its registration.
    pub(crate) async fn start(
        kind: Kind,
        max_jobs: usize,
        hold: bool,
        settling_ms: Option<u64>,
    ) -> Result<(Self, Session)> {
        let listener = Listener::bind().await?;
        let task = Task { url: listener.url()?, max_jobs, hold, settling_ms };
        let mut child = Self::spawn(kind, &task)?;
        let session = tokio::select! {
            session = listener.accept() => session?,
            ended = child.process.wait() => anyhow::bail!("the {kind:?} subject ended at once: {}", ended?),
        };
        Ok((child, session))
    }

    fn spawn(kind: Kind, task: &Task) -> Result<Self> {
        let program = std::env::current_exe().context("this program's own path")?;
        let mut command = Command::new(program);
        command.args(arguments(kind, task)).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().context("the subject could not be started")?;
        let ask = process.stdin.take().context("the subject has no input")?;
        let answers = process.stdout.take().context("the subject has no output")?;
        Ok(Self { process, ask, answers: BufReader::new(answers).lines() })
    }

    /// The figures since the last mark.
    pub(crate) async fn mark(&mut self) -> Result<Mark> {
        self.ask.write_all(b"mark\n").await.context("the subject is gone")?;
        let line = self.answers.next_line().await?.context("the subject is gone")?;
        serde_json::from_str(&line).with_context(|| format!("invalid figures of the subject: {line:?}"))
    }

    /// Ends the subject.
    pub(crate) async fn end(self) -> Result<()> {
        let Self { mut process, ask, .. } = self;
        drop(ask);
        let status = process.wait().await?;
        ensure!(status.success(), "the subject ended with {status}");
        Ok(())
    }
}

fn arguments(kind: Kind, task: &Task) -> Vec<String> {
    let Task { url, max_jobs, hold, settling_ms } = task;
    let kind = match kind {
        Kind::Ours => "ours",
        Kind::Raw => "raw",
    };
    let mut arguments =
        vec!["subject".to_owned(), kind.to_owned(), format!("--url={url}"), format!("--max-jobs={max_jobs}")];
    arguments.extend(hold.then(|| "--hold".to_owned()));
    arguments.extend(settling_ms.map(|settling| format!("--settling-ms={settling}")));
    arguments
}
