//! One set-up: where and how a doctor runs, and what it has to find.

use std::ffi::OsString;
use std::path::Path;

use tokio::process::Command;

use crate::guide_tables::{Line, up_to};
use crate::process::{Printed, Report};

const GREETER: &str = env!("CARGO_BIN_EXE_greeter");
/// It keeps checkpoints in `strikes.redb`, in its current folder.
const CHAT_MODERATOR: &str = env!("CARGO_BIN_EXE_chat_moderator");

pub(crate) struct SetUp {
    /// As it is in the guide.
    cause: &'static str,
    program: &'static str,
    url: String,
    credentials: [String; 2],
    /// A command that runs another one.
    within: Vec<&'static str>,
    /// For the shell, in a mount namespace, before the program takes its place.
    before: String,
    variables: Vec<(&'static str, OsString)>,
    folder: tempfile::TempDir,
    /// What is found; nothing if all is well.
    found: Option<Found>,
}

struct Found {
    verdict: &'static str,
    check: &'static str,
    /// In its text, among others.
    says: Vec<&'static str>,
    /// Behind this are the words of a system or library, which differ.
    words_after: Option<&'static str>,
    /// In the log, beside the last line.
    logs: Option<&'static str>,
}

impl SetUp {
    pub(crate) fn new(cause: &'static str) -> Self {
        Self {
            cause,
            program: GREETER,
            url: String::new(),
            credentials: ["devkey", "a-secret-for-tests-on-loopback-only"].map(str::to_owned),
            within: Vec::new(),
            before: String::new(),
            variables: Vec::new(),
            folder: tempfile::tempdir().expect("a folder"),
            found: None,
        }
    }

    pub(crate) fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    pub(crate) fn credentials(mut self, key: &str, secret: &str) -> Self {
        self.credentials = [key, secret].map(str::to_owned);
        self
    }

    /// With a store of checkpoints in a folder of its own.
    pub(crate) fn with_store(mut self) -> Self {
        self.program = CHAT_MODERATOR;
        self
    }

    pub(crate) fn within(mut self, command: &[&'static str]) -> Self {
        self.within = command.to_vec();
        self
    }

    /// In one of the networks.
    pub(crate) fn network(self, name: &'static str) -> Self {
        self.within(&["ip", "netns", "exec", name])
    }

    pub(crate) fn before(mut self, commands: impl Into<String>) -> Self {
        self.before = commands.into();
        self
    }

    /// With this instead of `/etc/hosts`.
    pub(crate) fn hosts(self, lines: &str) -> Self {
        let file = self.folder.path().join("hosts");
        std::fs::write(&file, lines).expect("written");
        let mount = format!("mount --bind '{}' /etc/hosts", file.display());
        self.before(mount)
    }

    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Where the program runs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn fails(self, check: &'static str, says: &[&'static str]) -> Self {
        self.finds("failed", check, says)
    }

    pub(crate) fn warns(self, check: &'static str, says: &[&'static str]) -> Self {
        self.finds("warning", check, says)
    }

    fn finds(mut self, verdict: &'static str, check: &'static str, says: &[&'static str]) -> Self {
        let (says, words_after, logs) = (says.to_vec(), None, None);
        self.found = Some(Found { verdict, check, says, words_after, logs });
        self
    }

    pub(crate) fn words_after(mut self, mark: &'static str) -> Self {
        self.found.as_mut().expect("something").words_after = Some(mark);
        self
    }

    pub(crate) fn logs(mut self, text: &'static str) -> Self {
        self.found.as_mut().expect("something").logs = Some(text);
        self
    }

    pub(crate) fn command(&self, command: &str) -> Command {
        let before = if self.before.is_empty() { String::new() } else { format!("{} && ", self.before) };
        let script = format!("{before}exec \"$0\" \"$@\"");
        let mut line = self.within.clone();
        line.extend(["unshare", "--mount", "sh", "-c", &script, self.program, command]);
        let (program, args) = line.split_first().expect("a command");
        let [key, secret] = &self.credentials;
        let kept = ["PATH", "HOME", "TMPDIR"].map(|name| Some((name, std::env::var_os(name)?)));
        let mut process = Command::new(program);
        process.args(args).current_dir(self.folder()).kill_on_drop(true);
        process.env_clear().envs(kept.into_iter().flatten());
        process.env("LIVEKIT_URL", &self.url).env("LIVEKIT_API_KEY", key).env("LIVEKIT_API_SECRET", secret);
        process
            .env("LIVEKIT_AGENT_HTTP_PORT", "0")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        process
    }

    /// Runs the doctor; returns the guide's line, and what is wrong with what it found.
    pub(crate) async fn examine(&self) -> (Option<Line>, Option<String>) {
        let report = Report::of(self.command("doctor")).await;
        let failed = self.found.as_ref().filter(|found| found.verdict == "failed");
        let mut wrong = Vec::new();
        if report.code != Some(i32::from(failed.is_some())) {
            wrong.push("its exit code is wrong".to_owned());
        }
        if report.lines.len() != 13 {
            wrong.push("not each check has a line".to_owned());
        }
        let bad: Vec<&Printed> =
            report.lines.iter().filter(|line| !matches!(&*line.verdict, "ok" | "skipped")).collect();
        let mut line = None;
        match (&self.found, &bad[..]) {
            (None, []) => {}
            (Some(found), [one]) if (found.verdict, found.check) == (&*one.verdict, &*one.check) => {
                let says = found.says.iter().chain(&found.words_after);
                let missing = says.filter(|text| !one.text.contains(**text));
                wrong.extend(missing.map(|text| format!("it does not say {text:?}")));
                line = wrong.is_empty().then(|| (self.cause, self.steady(found, one)));
            }
            _ => wrong.push("it found something else".to_owned()),
        }
        let mut log = report.log.clone();
        if let Some(found) = failed {
            let last = format!("error: checks failed: {}\n", found.check);
            log = log.strip_suffix(&last).map_or_else(|| format!("no {last}: {log}"), str::to_owned);
        }
        let logged = self.found.as_ref().and_then(|found| found.logs);
        if log.lines().any(|line| logged.is_none_or(|text| !line.contains(text))) {
            wrong.push("the log has other lines".to_owned());
        }
        let problem = (!wrong.is_empty()).then(|| {
            let lines: Vec<String> = report.lines.iter().map(|line| format!("{line:?}")).collect();
            format!(
                "{}: {}\nexit code {:?}\n{}\n{}",
                self.cause,
                wrong.join(", "),
                report.code,
                lines.join("\n"),
                report.log
            )
        });
        (line, problem)
    }

    /// As it is in the guide: without what differs each time.
    fn steady(&self, found: &Found, line: &Printed) -> String {
        let text = found.words_after.map_or_else(|| line.text.clone(), |mark| up_to(&line.text, mark));
        let mut words: Vec<String> = text.split(' ').map(steady_word).collect();
        for at in 1..words.len() {
            // The difference of two clocks, which a second may end between.
            if words[at] == "s" && line.check == "clock" {
                "N".clone_into(&mut words[at - 1]);
            }
        }
        format!("{} {}: {}", line.verdict, line.check, words.join(" "))
    }
}

/// Ports and durations differ. Ports that are free are above all that are written in messages.
fn steady_word(word: &str) -> String {
    let is_decimal =
        |text: &str| text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if ["ms", "µs", "s"].iter().filter_map(|unit| word.strip_suffix(unit)).any(is_decimal) {
        return "N ms".to_owned();
    }
    let end = word.trim_end_matches([':', ',']).len();
    let (address, after) = word.split_at(end);
    match address.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok_and(|port| port > 9999) => {
            format!("{host}:PORT{after}")
        }
        _ => word.to_owned(),
    }
}
