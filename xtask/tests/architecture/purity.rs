//! The pure crates name no clock, socket, task, environment, thread randomness or hash map, whose order is
//! random.
//!
//! clippy.toml of these crates has the same rules for resolved types; this scan also covers code that a
//! crate's features or a platform exclude from the build, and an `allow` does not silence it.

use std::path::{Path as FilePath, PathBuf};

use crate::tokens::{Path, paths, test_modules};

/// Paths that contain these neighbouring names are refused.
const IMPURE: &[(&[&str], &str)] = &[
    (&["std", "env"], "the environment belongs to the drivers"),
    (&["std", "fs"], "files belong to the drivers"),
    (&["std", "process"], "processes belong to the drivers"),
    (&["std", "thread"], "threads belong to the drivers"),
    (&["thread", "sleep"], "a machine returns its timeout"),
    (&["thread_local"], "the state of a machine is in the machine"),
    (&["SystemTime"], "time is an argument"),
    (&["Instant", "now"], "time is an argument"),
    (&["HashMap"], "its order is random: BTreeMap"),
    (&["HashSet"], "its order is random: BTreeSet"),
    (&["RandomState"], "its keys are random"),
    (&["Rng", "new"], "the seed is an argument: Rng::with_seed"),
    (&["collections", "*"], "hides what it names"),
    (&["std", "*"], "hides what it names"),
    (&["net", "*"], "hides what it names"),
    (&["tokio"], "the runtime belongs to the drivers"),
];

/// Addresses are values; everything else of `std::net` opens something.
const ADDRESSES: &[&str] =
    &["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6", "AddrParseError"];

/// Also refused in agent-core and agent-media: their time is `Time`, and they need no addresses.
const CORE: &[(&[&str], &str)] = &[
    (&["Instant"], "a machine's time is Time"),
    (&["std", "net"], "needs no network"),
    (&["time", "*"], "hides what it names"),
];

/// Also refused in agent-room, except in [`CLOCKED`].
const ROOM: &[(&[&str], &str)] =
    &[(&["Instant"], "a machine's time is Time"), (&["time", "*"], "hides what it names")];

/// str0m uses clock readings: it gets one when the room is created, and the rest is derived from it.
const CLOCKED: &[&str] = &["agent-room/src/room.rs", "agent-room/src/transport/clock.rs"];

fn impure(path: &Path, rules: &[(&[&str], &str)]) -> Option<String> {
    let text = path.join("::");
    let named = |words: &[&str]| path.windows(words.len()).any(|window| window == words);
    if let Some((_, why)) = rules.iter().find(|(words, _)| named(words)) {
        return Some(format!("{text}: {why}"));
    }
    let after = path.iter().skip_while(|word| *word != "net").nth(1).map(String::as_str);
    let opens = named(&["std", "net"]) && !after.is_some_and(|name| ADDRESSES.contains(&name));
    opens.then(|| format!("{text}: sockets belong to the drivers"))
}

fn scan(source: &str, extra: &[(&[&str], &str)]) -> Vec<String> {
    let rules = [IMPURE, extra].concat();
    paths(source).iter().filter_map(|path| impure(path, &rules)).collect()
}

/// The sources of a directory that are built into its crate.
fn sources(folder: &str) -> Vec<PathBuf> {
    let all = super::files(&format!("crates/{folder}"), "rs");
    let mut tests: Vec<PathBuf> = Vec::new();
    for file in &all {
        let stem = file.file_stem().unwrap();
        let folder = match stem.to_str().unwrap() {
            "lib" | "mod" => file.parent().unwrap().to_owned(),
            _ => file.with_extension(""),
        };
        for module in test_modules(&super::read(file)) {
            tests.extend([folder.join(format!("{module}.rs")), folder.join(module)]);
        }
    }
    let is_test = |file: &FilePath| tests.iter().any(|test| file.starts_with(test));
    all.into_iter().filter(|file| !is_test(file)).collect()
}

fn scan_folder(folder: &str, extra: &[(&[&str], &str)]) -> Vec<String> {
    let files = sources(folder);
    assert!(files.len() > 3, "only {} files in {folder}", files.len());
    let clocked = |file: &FilePath| CLOCKED.iter().any(|clocked| file.ends_with(clocked));
    let found = files.iter().flat_map(|file| {
        let extra = if clocked(file) { &[] } else { extra };
        scan(&super::read(file), extra).into_iter().map(|what| format!("{}: {what}", file.display()))
    });
    found.collect()
}

#[test]
fn core_is_pure() {
    super::none(&scan_folder("agent-core/src", CORE));
}

#[test]
fn room_is_pure() {
    super::none(&scan_folder("agent-room/src", ROOM));
}

#[test]
fn media_is_pure() {
    super::none(&scan_folder("agent-media/src", CORE));
}

/// Only the machine: its crate has a network, too.
#[test]
fn the_server_machine_is_pure() {
    super::none(&scan_folder("agent-server/src/machine", CORE));
}

/// The scan finds these uses in the crate that may have them.
#[test]
fn the_worker_is_not_pure() {
    let found = scan_folder("agent-worker/src", CORE).join("\n");
    for path in ["tokio::", "Instant"] {
        assert!(found.contains(path), "no {path} in agent-worker:\n{found}");
    }
}

#[test]
fn impurities_are_found() {
    for (bad, path) in [
        ("use std::collections::{BTreeMap, HashMap};", "std::collections::HashMap"),
        ("fn f() { let s: std::collections::HashSet<u8>; }", "std::collections::HashSet"),
        ("use std::collections::*;", "std::collections::*"),
        ("use std::hash::RandomState;", "std::hash::RandomState"),
        ("use std::net;", "std::net"),
        ("use std::{net::{IpAddr, UdpSocket}};", "std::net::UdpSocket"),
        ("use std::net::ToSocketAddrs as Resolve;", "std::net::ToSocketAddrs"),
        ("fn f() -> u64 { std::time::SystemTime::now() }", "std::time::SystemTime::now"),
        ("use std::time::*; fn f() { let t = SystemTime::UNIX_EPOCH; }", "SystemTime::UNIX_EPOCH"),
        ("fn f() { g(Instant::now()) }", "Instant::now"),
        ("fn f() { let now = std::time::Instant::now; }", "std::time::Instant::now"),
        ("fn f() { dbg!(std::env::var(\"X\")) }", "std::env::var"),
        ("use std::{env as surroundings, fmt};", "std::env"),
        ("use std::thread::spawn;", "std::thread::spawn"),
        ("async fn f() { tokio::spawn(g()); }", "tokio::spawn"),
        ("fn f() { fastrand::Rng::new() }", "fastrand::Rng::new"),
        ("thread_local!(static X: u8 = 1);", "thread_local"),
    ] {
        let found = scan(bad, &[]);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: ")), "{bad}: {found:?}");
    }
    assert_eq!(scan("use std::time::Instant;", CORE), ["std::time::Instant: a machine's time is Time"]);
    assert_eq!(scan("use std::net::IpAddr;", CORE), ["std::net::IpAddr: needs no network"]);
}

#[test]
fn pure_code_is_not_reported() {
    let good = "
        //! Never HashMap, never Instant::now.
        use std::net::{IpAddr, SocketAddr};
        use std::time::{Duration, Instant};
        use std::collections::BTreeMap;
        fn f(now: Instant, environment: &str) { fastrand::Rng::with_seed(7); log(\"tokio::spawn\") }
        #[cfg(test)] mod tests { use std::collections::HashMap; }
    ";
    assert_eq!(scan(good, &[]), [""; 0]);
}
