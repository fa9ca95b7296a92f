//! An accept loop that survives errors of the system.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// How long to wait after the system refused a connection, as it does at the limit of open files.
const PAUSE: Duration = Duration::from_secs(1);

/// A source of connections.
pub trait Accept {
    /// The accepted connection.
    type Connection;

    /// Waits for the next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

impl Accept for TcpListener {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Accepts connections until it is dropped. Of consecutive errors of the system only the first is reported.
pub async fn accept_all<A: Accept>(
    mut from: A,
    mut connected: impl FnMut(A::Connection),
    mut refused: impl FnMut(&io::Error),
) {
    let mut reported = false;
    loop {
        match from.accept().await {
            Ok(connection) => {
                reported = false;
                connected(connection);
            }
            // This connection ended before it was accepted; the next one is waiting.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut reported, true) {
                    refused(&error);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A source with these results, which is then pending forever.
    struct Script<'a> {
        next: VecDeque<Result<u32, io::ErrorKind>>,
        calls: &'a AtomicUsize,
    }

    impl Accept for Script<'_> {
        type Connection = u32;

        async fn accept(&mut self) -> io::Result<u32> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            match self.next.pop_front() {
                Some(next) => next.map_err(io::Error::from),
                None => std::future::pending().await,
            }
        }
    }

    /// The connections accepted within a time, the number of reported errors, and the number of `accept`
    /// calls.
    async fn accepted(
        within: Duration,
        next: impl IntoIterator<Item = Result<u32, io::ErrorKind>>,
    ) -> (Vec<u32>, usize, usize) {
        let (calls, mut connections, mut reports) = (AtomicUsize::new(0), Vec::new(), 0);
        let script = Script { next: next.into_iter().collect(), calls: &calls };
        let all = accept_all(script, |connection| connections.push(connection), |_| reports += 1);
        let _ = tokio::time::timeout(within, all).await;
        (connections, reports, calls.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_limit_of_open_files_it_waits_and_reports_once() {
        let full = || Err(io::ErrorKind::Other);
        let minute = Duration::from_secs(60);
        let (connections, reports, calls) = accepted(minute, std::iter::repeat_with(full).take(10_000)).await;
        assert_eq!((connections.len(), reports), (0, 1));
        assert!((59..=61).contains(&calls), "{calls}");
        // An accepted connection ends the run of errors: the next error is reported again.
        let (connections, reports, _) = accepted(minute, [full(), full(), Ok(1), full(), Ok(2), Ok(3)]).await;
        assert_eq!((connections, reports), (vec![1, 2, 3], 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_over_already_delays_no_other() {
        let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset].map(Err);
        let (connections, reports, _) =
            accepted(Duration::from_millis(1), gone.into_iter().chain([Ok(1)])).await;
        assert_eq!((connections, reports), (vec![1], 0));
    }
}
