//! An engine that is a command of the shell: it reads a WAV file from its standard input and prints the text.

use std::process::{ExitStatus, Stdio};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::engine::{BoxError, MAX_TEXT, Speech, SpeechToText, excerpt, too_long};

/// The environment variables of the command.
const LANGUAGE: &str = "SPEECH_LANGUAGE";
const MODEL: &str = "SPEECH_MODEL";

/// How much of the end of its error output is kept.
const MAX_REPORT: usize = 4 * 1024;

/// A command of the shell, run for each segment.
pub(crate) struct ShellCommand(String);

impl ShellCommand {
    pub(crate) fn new(command: impl Into<String>) -> Self {
        Self(command.into())
    }

    async fn run(&self, speech: &Speech) -> Result<String, BoxError> {
        let wav = speech.wav()?;
        let mut process = Process::start(&self.0, speech)?;
        let (mut stdin, stdout, stderr) = process.pipes()?;
        let write = async move {
            // A command need not read all of it; what is wrong with it then shows in how it ends.
            let _ = stdin.write_all(&wav).await;
        };
        let read = async {
            let mut text = Vec::new();
            stdout.take(MAX_TEXT as u64 + 1).read_to_end(&mut text).await?;
            if text.len() > MAX_TEXT { Err(too_long()) } else { Ok(text) }
        };
        let report = async { Ok(last(stderr).await?) };
        let ((), text, report) = tokio::try_join!(write.map(Ok::<_, BoxError>), read, report)?;
        let status = process.wait().await?;
        if !status.success() {
            return Err(format!("the command ended with {status}: {}", excerpt(&report)).into());
        }
        String::from_utf8(text).map_err(|_| "the command printed something that is not UTF-8".into())
    }
}

impl SpeechToText for ShellCommand {
    fn transcribe<'a>(&'a self, speech: &'a Speech) -> BoxFuture<'a, Result<String, BoxError>> {
        self.run(speech).boxed()
    }
}

/// Reads to the end, and keeps the last bytes.
async fn last(mut from: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        let read = from.read(&mut buffer).await?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { return Ok(kept) };
        kept.extend_from_slice(part);
        kept.drain(..kept.len().saturating_sub(MAX_REPORT));
    }
}

/// A running command. Dropping it kills the command and all that it has started.
struct Process(Child);

impl Process {
    fn start(command: &str, speech: &Speech) -> Result<Self, BoxError> {
        let mut shell = shell(command);
        for (name, _) in std::env::vars_os() {
            // The command has no part in this agent's connection, and must not know its secret.
            if name.to_string_lossy().to_ascii_uppercase().starts_with("LIVEKIT_") {
                shell.env_remove(name);
            }
        }
        shell.env(LANGUAGE, &speech.language).env(MODEL, &speech.model);
        #[cfg(unix)]
        shell.process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(Self(shell.spawn().map_err(|error| format!("the shell cannot be started: {error}"))?))
    }

    fn pipes(&mut self) -> Result<(ChildStdin, ChildStdout, ChildStderr), BoxError> {
        match (self.0.stdin.take(), self.0.stdout.take(), self.0.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((stdin, stdout, stderr)),
            _ => Err("the command has no pipes".into()),
        }
    }

    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.0.wait().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not waited for yet, so that its number belongs to it. The shell itself is killed and waited for by
        // tokio.
        #[cfg(unix)]
        if let Some(leader) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            use nix::sys::signal::{Signal, killpg};
            use nix::unistd::Pid;
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    // It has quotes of its own.
    shell.arg("/C").raw_arg(command);
    shell
}
