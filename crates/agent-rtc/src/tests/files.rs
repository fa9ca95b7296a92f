//! Byte streams that are saved to files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::FutureExt;

use agent_room::{StreamError, StreamKind};

use super::streams::{content, ended, opened};
use super::{RoomBackend, room};
use crate::{ByteReader, FileError, Room};

/// A folder of one test, which is removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("agent-rtc-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of its files.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A stream of which a half has arrived.
async fn half(room: &Room, backend: &mut RoomBackend, number: u64) -> ByteReader {
    backend.stream(opened(number, "files", StreamKind::bytes()));
    backend.stream(content(number, "half "));
    room.byte_streams("files").next().await.unwrap().unwrap()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn an_incomplete_stream_leaves_no_file_and_an_existing_one_as_it_was() {
    let (folder, (room, mut backend)) = (Folder::new("incomplete"), room());
    fs::write(folder.file("old"), "as it was").unwrap();
    for (number, name) in [(1, "new"), (2, "old")] {
        let reader = half(&room, &mut backend, number).await;
        backend.stream(ended(number, Err(StreamError::SenderLeft)));
        let saved = reader.save(folder.file(name)).await;
        assert!(matches!(saved, Err(FileError::NotReceived(StreamError::SenderLeft))), "{saved:?}");
    }
    assert_eq!((folder.names(), &*text(&folder.file("old"))), (vec!["old".to_owned()], "as it was"));
}

#[tokio::test]
async fn a_save_that_is_dropped_leaves_no_file_and_an_existing_one_as_it_was() {
    let (folder, (room, mut backend)) = (Folder::new("dropped"), room());
    fs::write(folder.file("old"), "as it was").unwrap();
    for (number, name) in [(1, "new"), (2, "old")] {
        let mut saving = Box::pin(half(&room, &mut backend, number).await.save(folder.file(name)));
        // Until the half was taken out of the stream.
        while folder.names().len() < 2 || fs::metadata(folder.file(&other(&folder))).unwrap().len() == 0 {
            assert!((&mut saving).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(saving);
        assert_eq!((folder.names(), &*text(&folder.file("old"))), (vec!["old".to_owned()], "as it was"));
    }
}

/// The file that is not the old one.
fn other(folder: &Folder) -> String {
    folder.names().into_iter().find(|name| name != "old").unwrap()
}

#[tokio::test]
async fn the_file_appears_when_it_is_complete() {
    let (folder, (room, mut backend)) = (Folder::new("complete"), room());
    let path = folder.file("file");
    // Several at the same time, of which the last one stays.
    let readers = [half(&room, &mut backend, 1).await, half(&room, &mut backend, 2).await];
    let [first, second] = readers.map(|reader| tokio::spawn(reader.save(path.clone())));
    while folder.names().is_empty() {
        tokio::task::yield_now().await;
    }
    for (number, saving) in [(1, first), (2, second)] {
        assert_eq!(path.exists(), number == 2);
        backend.stream(content(number, if number == 1 { "one" } else { "two" }));
        backend.stream(ended(number, Ok(BTreeMap::new())));
        assert_eq!(saving.await.unwrap().unwrap(), 8);
        assert_eq!(text(&path), if number == 1 { "half one" } else { "half two" });
    }
    assert_eq!(folder.names(), ["file"]);
}

#[cfg(unix)]
#[tokio::test]
async fn links_and_permissions_of_an_existing_file_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let (folder, (room, mut backend)) = (Folder::new("links"), room());
    let (file, link) = (folder.file("file"), folder.file("link"));
    fs::write(&file, "before").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&file, &link).unwrap();
    let reader = half(&room, &mut backend, 1).await;
    backend.stream(ended(1, Ok(BTreeMap::new())));
    assert_eq!(reader.save(&link).await.unwrap(), 5);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(text(&file), "half ");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    // What is not a file is written to, and not replaced.
    let reader = half(&room, &mut backend, 2).await;
    backend.stream(ended(2, Ok(BTreeMap::new())));
    assert_eq!(reader.save("/dev/null").await.unwrap(), 5);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[tokio::test]
async fn a_path_that_cannot_be_written_is_in_the_error() {
    let (folder, (room, mut backend)) = (Folder::new("paths"), room());
    for (number, path) in [(1, folder.0.clone()), (2, folder.file("missing/file"))] {
        let saved = half(&room, &mut backend, number).await.save(&path).await;
        assert!(matches!(&saved, Err(FileError::Io { path: named, .. }) if *named == path), "{saved:?}");
    }
    assert!(folder.names().is_empty());
}
