//! Detects errors that mean the process cannot open more files or sockets.

/// Returns the system's error if the process, or the machine, has reached its limit of open files.
///
/// A DNS lookup may fail for this reason without reporting it, so the function tries to open a file.
#[cfg(unix)]
pub fn exhaustion(error: &std::io::Error) -> Option<std::io::Error> {
    use std::os::fd::AsFd;

    use nix::errno::Errno;

    let is = |error: &std::io::Error| {
        matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE))
    };
    match error.raw_os_error() {
        Some(code) => is(error).then(|| std::io::Error::from_raw_os_error(code)),
        None => std::io::stderr().as_fd().try_clone_to_owned().err().filter(is),
    }
}

/// Nothing is known of such errors here.
#[cfg(not(unix))]
pub fn exhaustion(_: &std::io::Error) -> Option<std::io::Error> {
    None
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn an_error_for_lack_of_a_descriptor_is_recognized() {
        use std::io;

        use nix::errno::Errno;

        for errno in [Errno::EMFILE, Errno::ENFILE] {
            assert!(exhaustion(&io::Error::from(errno)).is_some());
        }
        assert!(exhaustion(&io::Error::from(Errno::ECONNREFUSED)).is_none());
        // This process has descriptors left.
        assert!(exhaustion(&io::Error::other("failed to look up")).is_none());
    }
}
