//! A page in a headless Chromium, over the DevTools protocol.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::within;

/// Chromium reads descriptor 3 and writes descriptor 4. With pipes, no port is open to others, and it ends
/// when they are closed, which the system does however the test ends.
const PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

const OPTIONS: [&str; 8] = [
    "--headless",
    "--remote-debugging-pipe",
    // It has no rights as root; it loads only our page.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
];

/// A Chromium with one page. Dropping it ends it.
pub(super) struct Page {
    process: Child,
    commands: ChildStdin,
    messages: UnboundedReceiver<Value>,
    session: Value,
    next: u64,
    complaints: Vec<String>,
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Page {
    pub(super) async fn open(chromium: &Path, profile: &Path, url: &str) -> Self {
        let mut process = Command::new("sh")
            .args(["-c", PIPES])
            .arg(chromium)
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let commands = process.stdin.take().unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let (sender, messages) = unbounded_channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            // A zero byte ends each message.
            while answers.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let _ = sender.send(serde_json::from_slice(&message).expect("JSON"));
                message.clear();
            }
        });
        let mut page =
            Self { process, commands, messages, session: Value::Null, next: 0, complaints: Vec::new() };
        let targets = page.call("Target.getTargets", json!({})).await;
        let targets = targets["targetInfos"].as_array().unwrap();
        let target =
            targets.iter().find(|target| target["type"] == "page").expect("a page")["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        page.session = page.call("Target.attachToTarget", attach).await["sessionId"].take();
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            page.call(domain, json!({})).await;
        }
        page.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        page.call("Page.navigate", json!({ "url": url })).await;
        page
    }

    /// The result of a method.
    pub(super) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut command = json!({ "id": self.next, "method": method, "params": params });
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).expect("Chromium reads");
        loop {
            let mut message = within(self.messages.recv()).await.expect("Chromium has ended");
            if message["id"] == self.next {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.complaints.extend(complaint(&message));
        }
    }

    /// The value of an expression, once its promise is fulfilled.
    pub(super) async fn get(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression,
            "returnByValue": true,
            "awaitPromise": true,
            // The page's policy applies here, too.
            "allowUnsafeEvalBlockedByCSP": false,
        });
        let mut result = self.call("Runtime.evaluate", params).await;
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// The text of the element with this id.
    pub(super) async fn text(&mut self, id: &str) -> String {
        let text = self.get(&format!("document.getElementById('{id}')?.textContent")).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    pub(super) async fn wait_for(&mut self, expression: &str) {
        // While a page loads, its elements are missing.
        let safe = format!("(() => {{ try {{ return {expression}; }} catch {{ return false; }} }})()");
        let until = format!(
            "new Promise((done, late) => {{ const end = performance.now() + 30000; const look = () => \
             {safe} === true ? done(true) : performance.now() > end ? done(document.body.innerText) : setTimeout(look, 10); look(); }})"
        );
        let seen = self.get(&until).await;
        assert_eq!(seen, true, "{expression}: {}", seen.as_str().unwrap_or_default());
    }

    /// Waits until the element with this id has this text.
    pub(super) async fn wait_for_text(&mut self, id: &str, text: &str) {
        self.wait_for(&format!("document.getElementById('{id}').textContent === {}", json!(text))).await;
    }

    /// Presses a key: one character, or the name of a key.
    pub(super) async fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            " " => (32, Some(" ")),
            "End" => (35, None),
            "Home" => (36, None),
            "ArrowLeft" => (37, None),
            "ArrowRight" => (39, None),
            character => (0, Some(character)),
        };
        let mut params = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            params["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", params.clone()).await;
        params["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", params).await;
    }

    pub(super) async fn type_text(&mut self, text: &str) {
        for character in text.chars() {
            self.press(character.encode_utf8(&mut [0; 4])).await;
        }
    }

    /// A person who prefers `dark` or `light`.
    pub(super) async fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Warnings and errors of the page since it was opened: its own, failed requests, violated policies.
    pub(super) async fn complaints(&mut self) -> Vec<String> {
        // Those before this answer have arrived before it.
        self.get("0").await;
        self.complaints.clone()
    }
}

fn complaint(message: &Value) -> Option<String> {
    let params = &message["params"];
    let is_bad = match message["method"].as_str()? {
        "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" => true,
        "Log.entryAdded" => params["entry"]["level"] != "verbose",
        "Inspector.targetCrashed" => panic!("the page crashed"),
        _ => false,
    };
    is_bad.then(|| params.to_string())
}
