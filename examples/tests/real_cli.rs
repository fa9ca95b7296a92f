//! The command line of the example `greeter` on a real server: each command, its log, and its exit code.
#![cfg(unix)]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail, and shows what it saw")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use agent_testkit::{DispatchRequest, RealServer, python_with, real_server};

const SOON: Duration = Duration::from_secs(30);

/// The example in a process. Dropping it sends SIGKILL.
struct Greeter {
    process: Child,
    log: Receiver<String>,
}

impl Drop for Greeter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Greeter {
    fn run(server: &RealServer, args: &[&str]) -> Self {
        Self::run_with(server, args, &[])
    }

    fn run_with(server: &RealServer, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_greeter"))
            .args(args)
            .env("LIVEKIT_URL", server.http_url())
            .env("LIVEKIT_API_KEY", server.api_key())
            .env("LIVEKIT_API_SECRET", server.api_secret().expose())
            .env_remove("LIVEKIT_AGENT_NAME_OVERRIDE")
            .env("LIVEKIT_AGENT_HTTP_PORT", "off")
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let log = lines(process.stderr.take().expect("its log"));
        Self { process, log }
    }

    /// `start`, and the address of its HTTP server.
    fn serving(server: &RealServer) -> (Self, SocketAddr) {
        let greeter = Self::run(server, &["start", "--http-port", "0", "--http-host", "127.0.0.1"]);
        let lines = greeter.wait_for("serving health and status");
        let line: serde_json::Value = serde_json::from_str(lines.last().expect("a line")).expect("JSON");
        let address = line.get("address").and_then(serde_json::Value::as_str).expect("an address");
        let page = line.get("page").and_then(serde_json::Value::as_str);
        assert_eq!(page, Some(&*format!("http://{address}/status")), "what a person opens");
        let address = address.parse().expect("an address");
        (greeter, address)
    }

    /// Waits for a line of the log, and returns all up to it.
    fn wait_for(&self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(SOON) {
            seen.push(line);
            if seen.last().is_some_and(|line| line.contains(text)) {
                return seen;
            }
        }
        panic!("no line with {text:?}: {seen:#?}");
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("sent");
    }

    /// Waits for its end, and returns its exit code and what it printed.
    fn end(mut self) -> (Option<i32>, String) {
        let mut printed = String::new();
        self.process.stdout.take().expect("its output").read_to_string(&mut printed).expect("text");
        (self.process.wait().expect("its end").code(), printed)
    }
}

fn lines(log: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Without a command, as with `start`: lines of JSON, and exit code 0 after a drain.
#[tokio::test]
async fn start_logs_json_and_drains() {
    let Some(server) = real_server().await else { return };
    for args in [&[][..], &["start"]] {
        let greeter = Greeter::run(&server, args);
        let log = greeter.wait_for("registered");
        for line in &log {
            let line: serde_json::Value = serde_json::from_str(line).expect(line);
            for field in ["timestamp", "level", "name", "message"] {
                assert!(line.get(field).is_some_and(serde_json::Value::is_string), "{field}: {line}");
            }
        }
        greeter.send(Signal::SIGTERM);
        assert_eq!(greeter.end().0, Some(0));
    }
}

/// Health over HTTP, from the registration to the end of the drain.
#[tokio::test]
async fn start_serves_its_health() {
    let Some(server) = real_server().await else { return };
    let (greeter, address) = Greeter::serving(&server);
    // The log says that it is registered a moment before the server has confirmed it.
    while get(address, "/readyz") != (200, "OK".to_owned()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let job = DispatchRequest::new("greeter", "lobby").metadata(r#"{"name":"Ada"}"#);
    server.api().create_dispatch(job).await.expect("dispatched");
    let list = loop {
        let (_, body) = get(address, "/jobs");
        let list: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        if list["jobs"][0]["state"] == "running" {
            break list;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!((&list["total"], &list["jobs"][0]["room"]), (&1.into(), &"lobby".into()), "{list}");
    assert!(get(address, "/status").1.starts_with("<!doctype html>"));
    let port = address.port().to_string();
    let (code, printed) = Greeter::run(&server, &["status", "--http-port", &port]).end();
    assert_eq!(code, Some(0), "{printed}");
    for part in ["greeter", "state   ready", "1 running", "lobby"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let (_, printed) = Greeter::run(&server, &["status", "--json", "--http-port", &port]).end();
    let raw: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((&raw["worker"]["active_jobs"], &raw["jobs"]["total"]), (&1.into(), &1.into()), "{raw}");
    greeter.send(Signal::SIGTERM);
    while get(address, "/readyz") != (503, "draining".to_owned()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(get(address, "/healthz").0, 200);
    server.api().delete_room("lobby").await.expect("deleted");
    assert_eq!(greeter.end().0, Some(0));
}

/// Status and body.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&address, SOON).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// The parser of the official Python client reads them.
#[tokio::test]
async fn start_exports_metrics_for_prometheus() {
    const FAMILIES: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
families = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    largest = {}
    for sample in family.samples:
        largest[sample.name] = max(float(sample.value), largest.get(sample.name, 0.0))
    families[family.name] = [family.type, family.documentation, largest]
print(json.dumps(families))
";
    let Some(python) = python_with("prometheus-pinned", "prometheus-client==0.25.0\n").await else { return };
    let Some(server) = real_server().await else { return };
    let (greeter, address) = Greeter::serving(&server);
    greeter.wait_for("registered");
    let request = DispatchRequest::new("greeter", "lobby").metadata(r#"{"name":"Ada"}"#);
    server.api().ensure_dispatch(request, SOON).await.expect("a job");
    server.api().delete_room("lobby").await.expect("deleted");
    greeter.wait_for("job ended");

    // The log is written a moment before the last of them change.
    let text = loop {
        let (status, text) = get(address, "/metrics");
        assert_eq!(status, 200, "{text}");
        if text.contains("\nlk_agents_slots_used{agent_name=\"greeter\"} 0\n") {
            break text;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut parser = Command::new(python)
        .args(["-c", FAMILIES])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    parser.stdin.take().expect("its input").write_all(text.as_bytes()).expect("written");
    let output = parser.wait_with_output().expect("its output");
    let families: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&text);
    for (name, kind, sample, value) in [
        ("lk_agents_jobs", "counter", "lk_agents_jobs_total", 1.0),
        ("lk_agents_worker_registered", "gauge", "lk_agents_worker_registered", 1.0),
        ("lk_agents_active_job_count", "gauge", "lk_agents_active_job_count", 0.0),
        ("lk_agents_worker_load", "gauge", "lk_agents_worker_load", 0.0),
        ("lk_agents_job_launch_seconds", "histogram", "lk_agents_job_launch_seconds_count", 1.0),
        ("lk_agents_job_launch_seconds", "histogram", "lk_agents_job_launch_seconds_bucket", 1.0),
    ] {
        let family = &families[name];
        assert_eq!((&family[0], &family[2][sample]), (&kind.into(), &value.into()), "{name}: {family}");
        assert!(family[1].as_str().is_some_and(|meaning| !meaning.is_empty()), "{name}: {family}");
    }
    greeter.send(Signal::SIGTERM);
    assert_eq!(greeter.end().0, Some(0));
}

/// As a service with `Type=notify` and `WatchdogSec=`.
#[tokio::test]
async fn start_reports_to_systemd() {
    let Some(server) = real_server().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("set");
    let wait_for = |state: &str| {
        let mut message = [0; 4096];
        loop {
            let len = socket.recv(&mut message).expect(state);
            let message = String::from_utf8_lossy(message.get(..len).unwrap_or_default());
            if message.lines().any(|line| line == state) {
                return message.into_owned();
            }
        }
    };
    let path = path.to_str().expect("text");
    let greeter =
        Greeter::run_with(&server, &["start"], &[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "200000")]);
    let ready = wait_for("READY=1");
    assert!(ready.contains("STATUS=registered, 0 jobs run"), "{ready}");
    wait_for("WATCHDOG=1");
    // A job keeps the worker draining for a while.
    let request = DispatchRequest::new("greeter", "lobby").metadata(r#"{"name":"Ada"}"#);
    server.api().ensure_dispatch(request, SOON).await.expect("a job");
    wait_for("STATUS=registered, 1 jobs run");
    greeter.send(Signal::SIGTERM);
    wait_for("STOPPING=1");
    server.api().delete_room("lobby").await.expect("deleted");
    assert_eq!(greeter.end().0, Some(0));
}

#[tokio::test]
async fn a_signal_ends_the_job_of_simulate() {
    let Some(server) = real_server().await else { return };
    let greeter = Greeter::run(&server, &["simulate", "--metadata", r#"{"name":"Ada"}"#]);
    greeter.wait_for("dispatched");
    greeter.send(Signal::SIGINT);
    let (code, printed) = greeter.end();
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.starts_with("job AJ_") && printed.contains("in room \"simulate-"), "{printed}");
    let rooms = server.api().list_rooms(&[]).await.expect("a list");
    assert!(rooms.iter().all(|room| !room.name.starts_with("simulate-")), "{rooms:?}");
}

#[tokio::test]
async fn connect_joins_the_room_that_is_named() {
    let Some(server) = real_server().await else { return };
    let greeter = Greeter::run(&server, &["connect", "--room", "lobby", "--metadata", r#"{"name":"Ada"}"#]);
    greeter.wait_for("dispatched");
    server.api().delete_room("lobby").await.expect("deleted");
    let (_, printed) = greeter.end();
    assert!(printed.contains("in room \"lobby\""), "{printed}");
}

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_or_what_is() {
    let Some(server) = real_server().await else { return };
    let (code, printed) = Greeter::run(&server, &["doctor"]).end();
    assert_eq!(code, Some(0), "{printed}");
    for check in ["settings", "clock", "credentials", "registration", "job", "media"] {
        assert!(
            printed.lines().any(|line| line.starts_with(&format!("ok       {check}"))),
            "{check}: {printed}"
        );
    }
    // The list may still have it: a server that stores a change of a room while it is deleted keeps it.
    let is_deletion = |line: &str| line.contains("\"deleting room\"") && line.contains("doctor-");
    server.log().wait_for_line(is_deletion, SOON).await.expect("no room is left");

    let (code, printed) = Greeter::run(&server, &["doctor", "--api-secret", "another"]).end();
    assert_eq!(code, Some(1), "{printed}");
    let failed: Vec<&str> = printed.lines().filter(|line| line.starts_with("failed")).collect();
    assert!(matches!(failed[..], [one] if one.starts_with("failed   credentials")), "{printed}");
}

#[tokio::test]
async fn wrong_settings_and_failures_have_different_exit_codes() {
    let Some(server) = real_server().await else { return };
    for (args, code) in [
        (&["start", "--url", "localhost"][..], 2),
        (&["start", "--no-such-option"], 2),
        (&["simulate", "--metadata", "{}", "--timeout", "soon"], 2),
        (&["simulate", "--metadata", "no JSON"], 1),
        (&["schema"], 1),
    ] {
        let (ended, printed) = Greeter::run(&server, args).end();
        assert_eq!(ended, Some(code), "{args:?}: {printed}");
    }
}

/// Not as if it were not set: the worker would have another name, or its port could not be found.
#[test]
fn a_variable_that_is_no_text_is_wrong_use() {
    const SECRET: &str = "the-secret-4711";
    // Nothing listens there.
    const URL: &str = "ws://127.0.0.1:9";
    let commands: [(&str, &[&str], &[&str]); 3] = [
        (
            URL,
            &["connect", "--room", "lobby"],
            &[
                "LIVEKIT_URL",
                "LIVEKIT_API_KEY",
                "LIVEKIT_API_SECRET",
                "LIVEKIT_AGENT_NAME",
                "LIVEKIT_AGENT_NAME_OVERRIDE",
                "LIVEKIT_AGENT_DEPLOYMENT",
                "LIVEKIT_LOG_LEVEL",
            ],
        ),
        // A path may be no text; there is no such file.
        ("wss://127.0.0.1:9", &["connect", "--room", "lobby"], &["SSL_CERT_FILE"]),
        (URL, &["status"], &["LIVEKIT_AGENT_HTTP_PORT", "LIVEKIT_AGENT_HTTP_HOST"]),
    ];
    for (url, command, variables) in commands {
        for variable in variables {
            let output = Command::new(env!("CARGO_BIN_EXE_greeter"))
                .args(command)
                .env("LIVEKIT_URL", url)
                .env("LIVEKIT_API_KEY", "devkey")
                .env("LIVEKIT_API_SECRET", SECRET)
                .env_remove("RUST_LOG")
                .env(variable, OsStr::from_bytes(&[SECRET.as_bytes(), b"\xff"].concat()))
                .output()
                .expect("it runs");
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{variable}: {text}");
            assert!(text.contains(variable), "{variable}: {text}");
            assert!(*variable != "LIVEKIT_API_SECRET" || !text.contains(SECRET), "{text}");
        }
    }
}
