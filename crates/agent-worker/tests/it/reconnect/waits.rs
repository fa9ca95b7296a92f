//! When a connection is retried.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use agent_worker::WorkerError;

use super::server::{Manner, Running, Server};
use crate::support::long;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All the ways in which a connection fails at once.
const AT_ONCE: [Manner; 6] = [
    Manner::Refused,
    Manner::Closed,
    Manner::ClosedOpen,
    Manner::ClosedRegistered,
    Manner::Status(503),
    Manner::Status(200),
];

/// Times of the connects, counted from the first.
fn times(dials: &[Instant]) -> Vec<Duration> {
    dials.iter().map(|at| *at - dials[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_at_once_is_not_stormed_and_never_given_up() {
    let hours = long::times("outages of an hour", 1, 20);
    for manner in AT_ONCE {
        let mut firsts = Vec::new();
        for seed in 0..20 {
            let server = Server::new(manner);
            let worker = Running::start(server.worker().seed(seed));
            // The wait does not grow any more after the first minutes.
            sleep(seconds(if seed < hours { 3600 } else { 300 })).await;
            let times = times(&server.dials());
            let in_10_s = times.iter().filter(|at| **at < seconds(10)).count();
            assert!((3..=10).contains(&in_10_s), "{manner:?}: {in_10_s} connects in 10 s: {times:?}");
            let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(gaps.iter().all(|gap| *gap >= Duration::from_millis(100)), "{gaps:?}");
            assert!(
                gaps.iter().all(|gap| *gap <= seconds(11)),
                "at last every ten seconds at most: {gaps:?}"
            );
            assert!(gaps[10..].iter().any(|gap| *gap > seconds(5)), "it grows: {gaps:?}");
            firsts.push(gaps[0]);
            server.treats(Manner::StaysOpen);
            assert!(worker.until(true).await <= seconds(11));
            worker.stop().await;
        }
        // Jitter: workers that lose their connections together do not reconnect together.
        firsts.sort_unstable();
        firsts.dedup_by_key(|wait| wait.as_millis() / 5);
        assert!(firsts.len() >= 15, "{manner:?}: {firsts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_cut_workers_reconnect_one_after_the_other() {
    let server = Server::new(Manner::StaysOpen);
    let workers: Vec<Running> = (0..100).map(|_| Running::start(server.worker())).collect();
    for worker in &workers {
        worker.until(true).await;
    }
    let before = server.dials().len();
    assert_eq!(before, 100);
    server.cut();
    sleep(seconds(2)).await;
    let times = times(&server.dials()[before..]);
    assert_eq!(times.len(), 100, "each of them once");
    let spread = *times.last().expect("some");
    assert!(spread > Duration::from_millis(300) && spread < Duration::from_millis(600), "{spread:?}");
    let busiest =
        times.iter().map(|at| times.iter().filter(|t| t.as_millis() / 50 == at.as_millis() / 50).count());
    assert!(busiest.max() <= Some(35), "{times:?}");
    for worker in workers {
        worker.stop().await;
    }
}

/// An ingress without endpoints answers 404, 401 or 403 to workers that it let in before, and to all of them
/// at once.
#[tokio::test(start_paused = true)]
async fn an_idle_worker_that_was_registered_outlives_refusals() {
    for status in [401, 403, 404, 301, 308] {
        let server = Server::new(Manner::StaysOpen);
        let worker = Running::start(server.worker());
        worker.until(true).await;
        server.treats(Manner::Status(status));
        server.cut();
        for outage in [3, 3600] {
            sleep(seconds(outage)).await;
            assert!(!worker.task.is_finished(), "HTTP {status} for {outage} s");
        }
        server.treats(Manner::StaysOpen);
        assert!(worker.until(true).await <= seconds(11));
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_waits_for_the_servers_retry_after() {
    for (status, header, least, most) in [
        (503, "Retry-After: 30", 30, 31),
        (429, "Retry-After: 30", 30, 31),
        (307, "Location: ws://elsewhere/\r\nRetry-After: 30", 30, 31),
        // No longer than a minute.
        (503, "Retry-After: 86400", 60, 61),
        (503, "Retry-After: 99999999999999999999999", 60, 61),
        (503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT", 30, 31),
        // Nothing to wait for.
        (503, "Retry-After: 0", 0, 1),
        (503, "Retry-After: soon", 0, 1),
        (429, "Retry-After: -30", 0, 1),
    ] {
        let server = Server::new(Manner::Asking(status, header));
        let worker = Running::start(server.worker());
        while server.dials().len() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
        let wait = times(&server.dials())[1];
        assert!(wait >= seconds(least) && wait <= seconds(most), "{status} {header}: {wait:?}");
        server.treats(Manner::StaysOpen);
        worker.until(true).await;
        worker.stop().await;
    }
}

/// 401 and 404 are permanent: a first connection that is refused with them is an error and not retried.
#[tokio::test(start_paused = true)]
async fn a_first_connection_that_is_refused_for_good_ends_the_worker() {
    for status in [401, 403, 404, 301, 308] {
        let server = Server::new(Manner::Status(status));
        let Running { handle, task } = Running::start(server.worker());
        let error = task.await.expect("no panic").expect_err("refused");
        assert!(
            matches!(error, WorkerError::Stopped(_)) && error.to_string().contains(&status.to_string()),
            "{error}"
        );
        assert_eq!(server.dials().len(), 1);
        assert!(!handle.registered().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_gives_up_after_the_configured_number_of_attempts() {
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let recorded = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = Server::new(Manner::Closed);
    let Running { task, .. } = Running::start(server.worker().max_connect_attempts(4));
    let error = task.await.expect("no panic").expect_err("it gives up").to_string();
    assert!(error.starts_with("gave up after 4 failed connection attempts"), "{error}");
    assert_eq!(server.dials().len(), 4);
    let losses = recorded.snapshot().into_vec().into_iter().find_map(|(key, _, _, value)| {
        (key.key().name() == "lk_agents_connection_losses_total").then_some(value)
    });
    assert_eq!(losses, Some(metrics_util::debugging::DebugValue::Counter(4)));
}

/// Nothing has failed before the worker has tried to connect again.
#[tokio::test(start_paused = true)]
async fn a_loss_of_the_connection_is_no_failed_attempt() {
    let server = Server::new(Manner::StaysOpen);
    let worker = Running::start(server.worker().max_connect_attempts(2));
    worker.until(true).await;
    server.cut();
    worker.until(false).await;
    worker.until(true).await;
    sleep(seconds(61)).await;
    let dials = server.dials().len();
    server.treats(Manner::Closed);
    server.cut();
    let error = worker.task.await.expect("no panic").expect_err("it gives up").to_string();
    assert!(error.starts_with("gave up after 2 failed connection attempts"), "{error}");
    assert_eq!(server.dials().len(), dials + 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_takes_too_long_is_given_up_and_retried() {
    // The handshake has 10 s, and so has the answer to the registration.
    for (manner, limit) in [
        (Manner::Silent, seconds(10)),
        (Manner::Unanswered, seconds(10)),
        (Manner::Slow(seconds(11)), seconds(10)),
    ] {
        let server = Server::new(manner);
        let worker = Running::start(server.worker());
        sleep(limit + seconds(1)).await;
        let times = times(&server.dials());
        assert_eq!(times.len(), 2, "{manner:?}: {times:?}");
        assert!(times[1] >= limit, "{manner:?}: {times:?}");
        assert!(!worker.is_registered().await);
        server.treats(Manner::StaysOpen);
        worker.until(true).await;
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_is_waited_for() {
    let server = Server::new(Manner::Slow(seconds(4)));
    let worker = Running::start(server.worker());
    let begin = Instant::now();
    let took = worker.until(true).await;
    assert!(took >= seconds(8) && took < seconds(9), "{took:?}");
    // Whether it dispatches to the worker is known when it has answered what came after the registration.
    assert!(worker.handle.registered().await);
    let took = begin.elapsed();
    assert!(took >= seconds(12) && took < seconds(13), "{took:?}");
    // Late pongs do not mean that the connection is dead.
    sleep(seconds(600)).await;
    assert!(worker.is_registered().await);
    assert_eq!(server.dials().len(), 1);
    worker.stop().await;
}

/// Two failures and a connection that lasts for a while: whether the next loss is the third or the first
/// again.
#[tokio::test(start_paused = true)]
async fn only_a_minute_without_failures_resets_their_count() {
    for (stood, forgotten) in [(seconds(59), false), (seconds(61), true)] {
        let server = Server::new(Manner::Refused);
        let worker = Running::start(server.worker().max_connect_attempts(3));
        while server.dials().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        server.treats(Manner::StaysOpen);
        worker.until(true).await;
        sleep(stood).await;
        server.cut();
        if forgotten {
            worker.until(false).await;
            worker.until(true).await;
            worker.stop().await;
        } else {
            worker.task.await.expect("no panic").expect_err("the third failure in a row");
        }
    }
}
