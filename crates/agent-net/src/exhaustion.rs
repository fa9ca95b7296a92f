//! How an error says that the process may open no more files and sockets.

/// Whether this is an error of a process, or a machine, that may open nothing more; with the system's own words for it.
///
/// The look-up of a name may fail for it without saying so: one is then tried to be opened.
#[cfg(unix)]
pub fn exhaustion(error: &std::io::Error) -> Option<std::io::Error> {
    use nix::errno::Errno;
    use std::os::fd::AsFd;

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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_error_for_want_of_a_descriptor_is_known() {
        use nix::errno::Errno;
        use std::io;

        for errno in [Errno::EMFILE, Errno::ENFILE] {
            assert!(exhaustion(&io::Error::from(errno)).is_some());
        }
        assert!(exhaustion(&io::Error::from(Errno::ECONNREFUSED)).is_none());
        // This process has some left.
        assert!(exhaustion(&io::Error::other("failed to look up")).is_none());
    }
}
