//! Commands of a real shell.
#![cfg(unix)]

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use agent_testkit::{JobSpec, run_job_in_real_time};
use agent_worker::media::{AudioFormat, AudioFrame};
use agent_worker::room::AudioTrackOptions;

use super::speech;
use crate::sounds;
use crate::transcriber::agent::transcriber;
use crate::transcriber::command::ShellCommand;
use crate::transcriber::engine::{BoxError, Engine};

/// A timeout that no working test reaches.
const LONG: Duration = Duration::from_secs(1_000);

async fn run(command: &str) -> Result<String, BoxError> {
    Engine::new(ShellCommand::new(command), 4, LONG).transcribe(&speech("pt-BR", "large-v3")).await
}

async fn error(command: &str) -> String {
    run(command).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_command_gets_the_sound_the_language_and_the_model() {
    assert_eq!(
        run("echo \"$SPEECH_LANGUAGE, $SPEECH_MODEL:\"; wc -c").await.unwrap(),
        "pt-BR, large-v3: 32044"
    );
    assert_eq!(run("head -c 4; echo; head -c 4 >/dev/null; head -c 4").await.unwrap(), "RIFF WAVE");
    // One that does not read it.
    assert_eq!(run("echo hello").await.unwrap(), "hello");
    assert_eq!(run("true").await.unwrap(), "");
}

#[tokio::test]
async fn a_failure_shows_the_end_of_the_error_output() {
    assert_eq!(
        error("echo 'no model' >&2; exit 3").await,
        "the command ended with exit status: 3: \"no model\""
    );
    let long = error("yes x | head -c 1000000 >&2; echo the reason >&2; exit 1").await;
    assert!(long.ends_with("the reason\"") && long.len() < 600, "{long}");
    let missing = error("/no/such/engine").await;
    assert!(
        missing.starts_with("the command ended with exit status: 127: ") && missing.contains("not found"),
        "{missing}"
    );
    assert_eq!(error("printf '\\377'").await, "the command printed something that is not UTF-8");
}

#[tokio::test]
async fn the_output_is_bounded() {
    // Without a bound this would continue until the time limit.
    assert_eq!(error("yes").await, "the engine returned more than 65536 bytes");
    assert_eq!(error("yes; echo not reached").await, "the engine returned more than 65536 bytes");
}

/// Waits until there is something to be found.
async fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < until, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The number of the process that writes it into this file, once it has.
async fn pid_in(file: &Path) -> String {
    let read = || std::fs::read_to_string(file).ok().filter(|pid| pid.ends_with('\n'));
    wait_for("no process has written its number", read).await.trim().to_owned()
}

/// Waits until a process has ended, by the file that the system shows for it.
async fn ended(pid: &str) {
    if !Path::new("/proc/self/stat").exists() {
        return;
    }
    let stat = format!("/proc/{pid}/stat");
    // A process that was killed and not yet waited for by its new parent is `Z`.
    let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    wait_for("the process still runs", || (!runs()).then_some(())).await;
}

#[tokio::test]
async fn a_command_that_hangs_is_given_up() {
    let limit = Duration::from_millis(50);
    let engine = Engine::new(ShellCommand::new("sleep 1000"), 1, limit);
    let error = engine.transcribe(&speech("", "")).await.unwrap_err();
    assert_eq!(error.to_string(), "the engine did not answer within 50ms");
}

#[tokio::test]
async fn a_command_that_is_given_up_is_killed_with_what_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let (shell, child) = (folder.path().join("shell"), folder.path().join("child"));
    let command =
        format!("echo $$ > '{}'; sleep 1000 & echo $! > '{}'; wait", shell.display(), child.display());
    let engine = Engine::new(ShellCommand::new(command), 1, LONG);
    let speech = speech("", "");
    tokio::select! {
        result = engine.transcribe(&speech) => panic!("{result:?}"),
        _ = pid_in(&child) => {}
    }
    ended(&pid_in(&shell).await).await;
    ended(&pid_in(&child).await).await;
}

/// On the clock of the machine, as the command is a process.
#[tokio::test]
async fn a_command_is_killed_when_the_job_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shell");
    let command = ShellCommand::new(format!("echo $$ > {}; sleep 1000", file.display()));
    let written = file.clone();
    let spec = JobSpec::room("lobby").script(|room| async move {
        let ada = room.join("ada");
        let microphone = ada.room().publish_audio(AudioTrackOptions::new("microphone")).await.unwrap();
        room.wait_for_agent().await;
        microphone.push(&sounds::vowels(AudioFormat::MONO_48K, Duration::from_secs(1))).await.unwrap();
        let silence = AudioFrame::silence(AudioFormat::MONO_48K, Duration::from_secs(1));
        microphone.push(&silence).await.unwrap();
        pid_in(&written).await;
        room.delete();
    });
    run_job_in_real_time(transcriber(Engine::new(command, 1, LONG)), spec).await;
    ended(&pid_in(&file).await).await;
}

/// The program runs in a process of its own with the secret in its environment, as this one must not change
/// its own.
#[tokio::test]
async fn a_command_does_not_know_the_secret() {
    const INSIDE: &str = "TRANSCRIBER_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        let seen = run("env | grep -i livekit; echo end").await.unwrap();
        assert_eq!(seen, "end");
        assert_eq!(run("echo \"$OTHER\"").await.unwrap(), "kept");
        return;
    }
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["transcriber::tests::command::a_command_does_not_know_the_secret", "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .env("LIVEKIT_API_SECRET", "very-secret")
        .env("LIVEKIT_API_KEY", "key")
        .env("livekit_token", "token")
        .env("OTHER", "kept")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
