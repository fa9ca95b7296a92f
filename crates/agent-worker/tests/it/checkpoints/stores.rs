//! Checkpoints in memory and in a local file: the rules, several processes at one file, kills at any moment,
//! and files that cannot be used.

use std::error::Error;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agent_testkit::{JobSpec, run_job_in_real_time};
use agent_worker::checkpoint::{CheckpointStore, EmbeddedStore, MemoryStore, StoreError};
use agent_worker::{JobContext, Outcome, RetryPolicy};

use crate::support::store_rules::{holds_the_rules, key};
use crate::support::test_name::test_name;

const KEEP: Duration = Duration::from_secs(3600);
/// The variables that choose which part of this program a child process runs, and with which file.
const CHILD: &str = "AGENT_TEST_STORE_CHILD";

#[tokio::test]
async fn memory_holds_the_rules() {
    holds_the_rules(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(start_paused = true)]
async fn memory_drops_expired_records_on_virtual_time() {
    let store = MemoryStore::new();
    let claim = store.claim(key("a"), KEEP).await.expect("claimed");
    store.write(key("a"), claim.writer, Some(vec![1]), KEEP).await.expect("written");
    assert_eq!(store.len(), 1);
    tokio::time::sleep(KEEP).await;
    assert!(store.is_empty());
    assert_eq!(store.claim(key("a"), KEEP).await.expect("claimed").record, None);
}

#[tokio::test]
async fn a_file_holds_the_rules() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(dir.path().join("store")).expect("a new file");
    holds_the_rules(Arc::new(store)).await;
}

/// Two stores at one file exclude each other as two processes do.
#[tokio::test]
async fn two_stores_at_one_file_exclude_each_other() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let stores = [EmbeddedStore::open(&path).expect("new"), EmbeddedStore::open(&path).expect("there")];
    let mut last = None;
    for turn in 0..20_u8 {
        let store = &stores[usize::from(turn % 2)];
        let claim = store.claim(key("a"), KEEP).await.expect("claimed");
        assert_eq!(claim.record, last);
        last = Some(vec![turn]);
        store.write(key("a"), claim.writer, last.clone(), KEEP).await.expect("written");
    }
}

/// Starts a part of this program in a child process.
fn child(part: &str, path: &Path) -> Child {
    let test = std::env::current_exe().expect("this test is a program");
    let mut command = Command::new("sh");
    // A file may have at most a megabyte, and a write beyond it fails.
    let limit = if part == "fill" { "trap '' XFSZ; ulimit -f 2048; " } else { "" };
    command.args(["-c", &format!("{limit}exec \"$0\" \"$@\"")]).arg(test);
    command
        .args(["--exact", &test_name(module_path!(), "in_a_child"), "--nocapture"])
        .env(CHILD, part)
        .env("STORE", path)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .expect("a process")
}

/// The entry of the child processes that the other tests start.
#[tokio::test]
async fn in_a_child() {
    let Ok(part) = std::env::var(CHILD) else { return };
    let store = EmbeddedStore::open(std::env::var_os("STORE").expect("a file")).expect("opened");
    match part.as_str() {
        "count" => {
            let mut writer = store.claim(key("count"), KEEP).await.expect("claimed").writer;
            for number in 0_u64.. {
                // Some of them larger than a page.
                let mut record = number.to_le_bytes().to_vec();
                record.resize(if number % 3 == 0 { 20_000 } else { 8 }, number.to_le_bytes()[0]);
                writer = store.write(key("count"), writer, Some(record), KEEP).await.expect("written");
                println!("saved {number}");
            }
        }
        "crowd" => {
            let own = key(&format!("own-{}", std::process::id()));
            for number in 0..30_u8 {
                let shared = store.claim(key("shared"), KEEP).await.expect("claimed");
                println!("epoch {}", shared.writer.epoch.0);
                let claim = store.claim(own.clone(), KEEP).await.expect("claimed");
                assert_eq!(claim.record, number.checked_sub(1).map(|n| vec![n]));
                store.write(own.clone(), claim.writer, Some(vec![number]), KEEP).await.expect("written");
            }
            println!("done");
        }
        "fill" => {
            let mut writer = store.claim(key("fill"), KEEP).await.expect("claimed").writer;
            let mut size = 1000;
            loop {
                match store.write(key("fill"), writer, Some(vec![7; size]), KEEP).await {
                    Ok(after) => writer = after,
                    Err(error) => {
                        println!("full {}", text_of(&error));
                        break;
                    }
                }
                println!("saved {size}");
                size *= 2;
            }
            // The last saved value is there, and a small one can still be saved.
            let claim = store.claim(key("fill"), KEEP).await.expect("claimed");
            println!("read {}", claim.record.map_or(0, |record| record.len()));
            store.write(key("fill"), claim.writer, Some(vec![1]), KEEP).await.expect("written");
            println!("small");
        }
        other => panic!("no part {other}"),
    }
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok)
}

#[tokio::test]
async fn a_kill_at_any_moment_leaves_the_last_saved_value() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    for round in 0..20_u64 {
        let mut child = child("count", &path);
        let (sender, receiver) = std::sync::mpsc::channel();
        let lines = lines(&mut child);
        let reader = std::thread::spawn(move || {
            for line in lines {
                if let Some(Ok(number)) = line.strip_prefix("saved ").map(str::parse::<u64>) {
                    sender.send(number).expect("it listens");
                }
            }
        });
        // After the first save, at another moment in each round.
        let first = receiver.recv_timeout(Duration::from_secs(30)).expect("it saves");
        tokio::time::sleep(Duration::from_micros(20_000 + round * 1_737)).await;
        child.kill().expect("killed");
        child.wait().expect("gone");
        reader.join().expect("the reader ends");
        let acknowledged = receiver.try_iter().last().unwrap_or(first);

        let store = EmbeddedStore::open(&path).expect("whole after a kill");
        let record = store.claim(key("count"), KEEP).await.expect("claimed").record.expect("saved");
        let (number, rest) = record.split_first_chunk().expect("eight bytes");
        let number = u64::from_le_bytes(*number);
        assert!(
            number == acknowledged || number == acknowledged + 1,
            "{number} is there, {acknowledged} was acknowledged last"
        );
        let len = if number % 3 == 0 { 20_000 - 8 } else { 0 };
        assert!(rest.len() == len && rest.iter().all(|byte| *byte == number.to_le_bytes()[0]), "it is whole");
    }
}

#[tokio::test]
async fn several_processes_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let mut children: Vec<Child> = (0..4).map(|_| child("crowd", &path)).collect();
    let mut epochs = Vec::new();
    let mut done = 0;
    for child in &mut children {
        for line in lines(child) {
            epochs.extend(line.strip_prefix("epoch ").and_then(|epoch| epoch.parse::<u64>().ok()));
            done += u32::from(line == "done");
        }
        assert!(child.wait().expect("ended").success());
    }
    assert_eq!((done, epochs.len()), (4, 120));
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 120, "each epoch was given once");
}

/// A limit on the size of the file: the kernel refuses a write in the same way as on a full disk.
#[tokio::test]
async fn a_full_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = child("fill", &dir.path().join("store"));
    let lines: Vec<String> = lines(&mut child).filter(|line| !line.starts_with("running")).collect();
    assert!(child.wait().expect("ended").success(), "{lines:?}");
    let find =
        |what: &str| lines.iter().filter_map(|line| line.strip_prefix(what)).next_back().unwrap_or_default();
    assert!(find("full ").contains("cannot grow: make room on its disk"), "{lines:?}");
    assert_ne!(find("saved "), "");
    assert_eq!(find("read "), find("saved "), "{lines:?}");
    assert!(lines.iter().any(|line| line == "small"), "{lines:?}");
}

/// The whole text of an error.
fn text_of(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text
}

fn refused(path: &Path) -> String {
    let error = EmbeddedStore::open_within(path, Duration::from_millis(50)).expect_err("it cannot be opened");
    let text = text_of(&error);
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert_eq!(format!("{error:?}"), text, "what a `main` that returns it prints");
    // Another attempt finds the same, but for a lock.
    assert_eq!(matches!(error, StoreError::Unavailable { .. }), text.contains("locked"), "{text}");
    text
}

#[tokio::test]
async fn files_that_cannot_be_used() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    assert!(refused(&path("no-folder/store")).contains("make its folder first"));
    let text = refused(dir.path());
    assert!(text.contains("is a folder: name a file in it"), "{text}");
    let error = EmbeddedStore::open("").expect_err("no path");
    assert!(text_of(&error).contains("the path of the checkpoint store is empty: name a file"), "{error}");

    std::fs::write(path("text"), "this is no database".repeat(1000)).expect("written");
    assert!(refused(&path("text")).contains("no such store: move it away"));
    assert!(refused(&path("text/store")).contains("is no folder"));
    // Nothing is made of it.
    assert!(std::fs::read_to_string(path("text")).expect("there").starts_with("this is no database"));
}

#[tokio::test]
async fn a_file_that_another_process_keeps_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let store = EmbeddedStore::open_within(&path, Duration::from_millis(50)).expect("new");
    let holder = redb::Database::open(&path).expect("held");
    let text = refused(&path);
    assert!(text.contains("stayed locked by another process for 50ms"), "{text}");
    let error = store.claim(key("a"), KEEP).await.expect_err("locked");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    drop(holder);
    store.claim(key("a"), KEEP).await.expect("it is free again");
}

/// The error that a job gets of a store in this state, and how the job ends.
#[tokio::test]
async fn a_job_whose_file_is_locked_fails_with_a_clear_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let store = EmbeddedStore::open_within(&path, Duration::from_millis(50)).expect("new");
    let handler = |ctx: JobContext| async move {
        ctx.checkpoint().save(&1).await?;
        Ok(())
    };
    let spec = || {
        let store = store.clone();
        JobSpec::room("lobby").worker(|builder| builder.checkpoints(store).retry(RetryPolicy::never()))
    };
    let holder = redb::Database::open(&path).expect("held");
    let run = run_job_in_real_time(handler, spec()).await;
    let Outcome::Failed { error } = &run.outcome else { panic!("{run:?}") };
    assert!(error.contains(&format!("the checkpoint store {} stayed locked", path.display())), "{error}");
    drop(holder);
    run_job_in_real_time(handler, spec()).await.assert_success();
}

/// However the file is damaged, opening and using it gives a value or a clear error: no panic, and nothing
/// that was never saved.
#[tokio::test]
async fn a_damaged_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store");
    let store = EmbeddedStore::open(&path).expect("new");
    let record = vec![7; 10_000];
    for name in ["a", "b", "c"] {
        let writer = store.claim(key(name), KEEP).await.expect("claimed").writer;
        store.write(key(name), writer, Some(record.clone()), KEEP).await.expect("written");
    }
    drop(store);
    let whole = std::fs::read(&path).expect("there");
    let (mut errors, mut values) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        for cut in [false, true] {
            std::fs::write(&path, &whole).expect("written");
            let mut file = std::fs::File::options().write(true).open(&path).expect("there");
            if cut {
                file.set_len(at as u64).expect("cut");
            } else {
                file.seek(SeekFrom::Start(at as u64)).expect("there");
                file.write_all(&[0xA5; 64]).expect("changed");
            }
            drop(file);
            let read = async {
                let store = EmbeddedStore::open(&path)?;
                store.claim(key("b"), KEEP).await
            };
            match read.await {
                Ok(claim) => {
                    values += 1;
                    // An empty file is a new one.
                    assert!(claim.record == Some(record.clone()) || at == 0, "at {at}, cut: {cut}");
                }
                Err(error) => {
                    errors += 1;
                    let text = text_of(&error);
                    assert!(text.contains(&path.display().to_string()), "{text}");
                    assert!(matches!(error, StoreError::Unusable { .. }), "at {at}, cut: {cut}: {text}");
                }
            }
        }
    }
    assert!(errors > 10 && values > 10, "{errors} errors, {values} values");
}
