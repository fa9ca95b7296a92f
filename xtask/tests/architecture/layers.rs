//! Permitted dependencies between the crates of the workspace, and crates that must not be linked.

use std::collections::BTreeSet;

use crate::graph::{Graph, Need, WORKSPACE, linked_into};

/// A crate, the crates that it is built on, and those that its tests may use in addition.
type Layer = (&'static str, &'static [&'static str], &'static [&'static str]);

/// The layers of the workspace. core, room and media do not depend on each other; proto's types stop at them;
/// testkit is on top.
const LAYERS: &[Layer] = &[
    ("agent-proto", &[], &[]),
    ("agent-worker-core", &["agent-proto"], &["agent-testkit"]),
    ("agent-worker-room", &["agent-proto"], &["agent-testkit"]),
    ("agent-worker-media", &["agent-proto"], &[]),
    // The examples in its docs are written for users of the two above it.
    ("agent-worker-net", &["agent-proto"], &["agent-worker", "agent-testkit"]),
    (
        "agent-worker-rtc",
        &["agent-proto", "agent-worker-room", "agent-worker-media", "agent-worker-net"],
        &["agent-worker", "agent-testkit"],
    ),
    ("agent-worker-server", &["agent-proto", "agent-worker-room", "agent-worker-net"], &[]),
    ("agent-worker-backends", &["agent-proto", "agent-worker-core", "agent-worker-net"], &["agent-worker"]),
    (
        "agent-worker",
        &[
            "agent-proto",
            "agent-worker-core",
            "agent-worker-room",
            "agent-worker-media",
            "agent-worker-net",
            "agent-worker-rtc",
            "agent-worker-backends",
        ],
        &["agent-testkit"],
    ),
    (
        "agent-testkit",
        &[
            "agent-proto",
            // The machines that the simulator runs.
            "agent-worker-core",
            "agent-worker-room",
            "agent-worker-net",
            "agent-worker-server",
            "agent-worker",
        ],
        &[],
    ),
    // Programs like a user's; the benchmark also has a client that uses only the protocol.
    ("quickstart", &["agent-worker", "agent-testkit"], &[]),
    ("examples", &["agent-worker", "agent-testkit", "agent-worker-rtc"], &[]),
    ("agent-bench", &["agent-proto", "agent-worker", "agent-testkit"], &[]),
    ("xtask", &[], &[]),
];

/// Runtimes and sockets belong to the drivers.
const RUNTIMES: &[&str] =
    &["async-io", "async-std", "async-executor", "hyper", "mio", "polling", "smol", "socket2", "tokio"];
/// Sources of randomness and of wall-clock time: a pure crate takes seed and time as arguments.
const IMPURE: &[&str] = &["chrono", "getrandom", "jiff", "rand", "thread_local", "time", "uuid"];
/// TLS and SRTP have one crypto provider, aws-lc-rs.
const CRYPTO: &[&str] = &["native-tls", "openssl", "openssl-sys", "ring"];

/// Crates that must not be linked into a crate.
const FORBIDDEN: &[(&str, &[&[&str]])] = &[
    ("agent-proto", &[RUNTIMES, IMPURE, CRYPTO]),
    ("agent-worker-core", &[RUNTIMES, IMPURE, CRYPTO]),
    // str0m has its own randomness, for its keys.
    ("agent-worker-room", &[RUNTIMES, CRYPTO]),
    ("agent-worker-media", &[RUNTIMES, IMPURE, CRYPTO]),
    ("agent-worker-net", &[CRYPTO]),
    ("agent-worker-rtc", &[CRYPTO]),
    ("agent-worker-server", &[CRYPTO]),
    ("agent-worker-backends", &[CRYPTO]),
    ("agent-worker", &[CRYPTO]),
    ("agent-testkit", &[CRYPTO]),
];

fn layers(graph: &Graph, layers: &[Layer]) -> Vec<String> {
    let mut violations = Vec::new();
    for (_, package) in graph.members() {
        let Some((_, built_on, tests_use)) = layers.iter().find(|(name, ..)| *name == package.name) else {
            violations.push(format!("{} is a new crate: give it a place in LAYERS", package.name));
            continue;
        };
        for (key, need) in &package.needs {
            let needed = &graph.0[key];
            let name = needed.name.as_str();
            let allowed = built_on.contains(&name) || (*need == Need::Dev && tests_use.contains(&name));
            if needed.member && !allowed {
                violations.push(format!("{} must not know {name} ({need:?})", package.name));
            }
        }
    }
    violations
}

fn refused(krate: &str, linked: &BTreeSet<String>, forbidden: &[&str]) -> Vec<String> {
    let found = forbidden.iter().filter(|name| linked.contains(**name));
    found.map(|name| format!("{name} is linked into {krate}")).collect()
}

#[test]
fn crates_know_only_the_layers_below() {
    super::none(&layers(&WORKSPACE, LAYERS));
    for (name, ..) in LAYERS {
        assert!(WORKSPACE.members().any(|(_, p)| p.name == *name), "{name} is in LAYERS but is no crate");
    }
}

#[test]
fn nothing_forbidden_is_linked() {
    let violations: Vec<String> = FORBIDDEN
        .iter()
        .flat_map(|(krate, lists)| {
            let linked = linked_into(krate);
            assert!(linked.contains("prost"), "{krate} links {linked:?}");
            lists.iter().flat_map(|list| refused(krate, &linked, list)).collect::<Vec<_>>()
        })
        .collect();
    super::none(&violations);
}

/// Codec and resampler cost a first build half a minute: who does not ask for them does not get them.
#[test]
fn a_worker_without_media_links_no_codec() {
    let tree = |features: &str| {
        let cargo = std::process::Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--package", "agent-worker", "--edges", "normal", "--prefix", "none"])
            .args(["--features", features])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .expect("cargo runs");
        assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
        let tree = String::from_utf8(cargo.stdout).expect("text");
        let linked = |name: &&str| tree.lines().any(|line| line.split(' ').next() == Some(*name));
        ["agent-worker-media", "ropus", "rubato"].into_iter().filter(linked).collect::<Vec<_>>()
    };
    assert_eq!(tree("redis"), [""; 0]);
    assert_eq!(tree("media"), ["agent-worker-media", "ropus", "rubato"]);
}

/// The names above are those of real packages: the worker links some of them, as it may.
#[test]
fn linked_packages_are_found() {
    let linked = linked_into("agent-worker");
    assert_eq!(
        refused("agent-worker", &linked, &["ring", "mio", "tokio"]),
        ["mio is linked into agent-worker", "tokio is linked into agent-worker"]
    );
}

#[test]
fn a_step_up_or_aside_is_found() {
    let graph = Graph::of(&[
        ("agent-proto", &[]),
        ("agent-worker-core", &[("agent-worker-room", Need::Normal), ("agent-testkit", Need::Dev)]),
        ("agent-worker-room", &[("agent-worker-core", Need::Dev), ("agent-worker", Need::Build)]),
        ("agent-worker", &[("agent-testkit", Need::Normal), ("agent-bench", Need::Normal)]),
        ("agent-bench", &[("agent-worker-core", Need::Normal)]),
        ("agent-testkit", &[("agent-worker", Need::Normal)]),
        ("newcomer", &[]),
    ]);
    assert_eq!(
        layers(&graph, LAYERS),
        [
            "agent-bench must not know agent-worker-core (Normal)",
            "agent-worker must not know agent-testkit (Normal)",
            "agent-worker must not know agent-bench (Normal)",
            "agent-worker-core must not know agent-worker-room (Normal)",
            "agent-worker-room must not know agent-worker-core (Dev)",
            "agent-worker-room must not know agent-worker (Build)",
            "newcomer is a new crate: give it a place in LAYERS",
        ]
    );
}
