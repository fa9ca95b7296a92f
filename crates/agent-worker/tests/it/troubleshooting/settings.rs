//! The errors of `build()`.

use std::time::Duration;

use agent_worker::net::NetOptions;
use agent_worker::{ConfigError, Worker, WorkerBuilder};

use super::{done, worker};
use crate::support::guide_tables::{self, Line};

fn refused(what: &'static str, builder: WorkerBuilder) -> Line {
    let error: ConfigError = builder.build().err().unwrap_or_else(|| panic!("{what} was taken"));
    assert_eq!(error.exit_code(), 2);
    (what, error.to_string())
}

#[test]
fn settings_that_cannot_work() {
    let url = |url: &str| worker(url);
    let ok = || worker("ws://localhost:7880");
    let lines = [
        refused("no URL", Worker::builder(done).credentials("key", "secret")),
        refused("an empty URL", url("")),
        refused("`localhost:7880`", url("localhost:7880")),
        refused("`ftp://localhost`", url("ftp://localhost")),
        refused("`ws://`", url("ws://")),
        refused("`ws://localhost:port`", url("ws://localhost:port")),
        refused("`ws://key:secret@localhost`", url("ws://key:secret@localhost")),
        refused("`ws://localhost?token=x`", url("ws://localhost?token=x")),
        refused("`ws://localhost#x`", url("ws://localhost#x")),
        refused("no key, or an empty one", ok().credentials("", "secret")),
        refused("no secret, or an empty one", ok().credentials("key", "")),
        refused("a line break behind the secret", ok().credentials("key", "secret\n")),
        refused("`.max_jobs(0)`", ok().max_jobs(0)),
        refused("`.answer_timeout(3 s)`", ok().answer_timeout(Duration::from_secs(3))),
        refused("`.deployment(\"blue green\")`", ok().deployment("blue green")),
        refused("`.lease(100 ms)`", ok().lease(Duration::from_millis(100))),
        refused("`.lease(1 day)`", ok().lease(Duration::from_secs(86_400))),
        refused("an agent name of 300 bytes", ok().agent_name("a".repeat(300))),
        refused(
            "`wss://`, and a missing certificate file",
            url("wss://localhost").net(NetOptions::default().ca_file("/certs/ca.pem")),
        ),
        (
            "`NetOptions::proxy(\"ftp://proxy\")`",
            NetOptions::default().proxy("ftp://proxy").expect_err("no proxy").to_string(),
        ),
    ];
    guide_tables::check("settings", &lines);
}
