//! How an error says that the process may open no more files and sockets.

/// Whether this is an error of a process, or a machine, that may open nothing more; with the system's own words for it.
///
/// The look-up of a name may fail for it without saying so: one is then tried to be opened.
#[cfg(unix)]
pub fn exhaustion(error: &std::io::Error) -> Option<std::io::Error> {
    use rustix::io::Errno;
    use std::os::fd::AsFd;

    let is =
        |error: &std::io::Error| matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE));
    match error.raw_os_error() {
        Some(code) => is(error).then(|| std::io::Error::from_raw_os_error(code)),
        None => std::io::stderr().as_fd().try_clone_to_owned().err().filter(is),
    }
}

#[cfg(not(unix))]
pub fn exhaustion(_: &std::io::Error) -> Option<std::io::Error> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_error_for_want_of_a_descriptor_is_known() {
        use rustix::io::Errno;
        use std::io;

        let of = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert!(exhaustion(&of(errno)).is_some());
        }
        assert!(exhaustion(&of(Errno::CONNREFUSED)).is_none());
        // This process has some left.
        assert!(exhaustion(&io::Error::other("failed to look up")).is_none());
    }
}
