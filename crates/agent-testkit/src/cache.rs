//! The cache of tools that are installed once, and the lock that lets parallel test processes install them
//! only once.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The directory of this project in the user's cache: `$XDG_CACHE_HOME` or `~/.cache`, then
/// `livekit-agents-rust`.
pub(crate) fn dir() -> Option<PathBuf> {
    dir_from(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn dir_from(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // The XDG rules: a relative path is ignored.
    let xdg = var("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let home = || var("HOME").or_else(|| var("USERPROFILE")).map(|home| home.join(".cache"));
    Some(xdg.or_else(home)?.join("livekit-agents-rust"))
}

/// Holds a lock between processes until it is dropped.
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock `name` in `dir`; prints a notice if another process holds it.
pub(crate) async fn lock(dir: &Path, name: &str) -> io::Result<Lock> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join(name);
    let wait = move || {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                notice(&format!("waiting for another process that holds {}", path.display()));
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Lock { _file: file })
    };
    tokio::task::spawn_blocking(wait).await.map_err(io::Error::other)?
}

/// Prints one line to stderr, past the test harness, which would show it for failed tests only.
pub(crate) fn notice(text: &str) {
    // If stderr is closed, there is nowhere to report that.
    let _ = io::stderr().write_all(format!("agent-testkit: {text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_environment() {
        let dir = |xdg: &str, home: &str| {
            dir_from(|name| {
                let value = if name == "XDG_CACHE_HOME" { xdg } else { home };
                (name != "USERPROFILE" && !value.is_empty()).then(|| value.into())
            })
        };
        assert_eq!(dir("/c", "/h"), Some("/c/livekit-agents-rust".into()));
        assert_eq!(dir("", "/h"), Some("/h/.cache/livekit-agents-rust".into()));
        assert_eq!(dir("relative", "/h"), Some("/h/.cache/livekit-agents-rust".into()));
        assert_eq!(dir("", ""), None);
    }

    #[tokio::test]
    async fn a_lock_is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path(), "l").await.unwrap();
        let file = File::options().write(true).open(dir.path().join("l")).unwrap();
        assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        let second = tokio::spawn({
            let dir = dir.path().to_owned();
            async move { lock(&dir, "l").await.map(|_| ()) }
        });
        drop(first);
        second.await.unwrap().unwrap();
    }
}
