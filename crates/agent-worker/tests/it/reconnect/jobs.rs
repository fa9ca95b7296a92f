//! A lost connection to the server does not affect jobs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

use agent_testkit::{JobSpec, MockServer, ServerEvent, Violation};
use agent_worker::net::{ByteStream, Dialer, NetOptions};
use agent_worker::{BoxFuture, JobContext, JobId, JobResult, WorkerBuilder};

use super::server::Running;
use super::within;

const SOON: Duration = Duration::from_secs(30);

async fn stays(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

/// Without a socket, and with rooms that stay open for an agent alone.
fn open_house() -> MockServer {
    let day = Duration::from_secs(24 * 3600);
    MockServer::builder().room_timeouts(day, day).start_in_process()
}

async fn running_job(server: &MockServer, builder: WorkerBuilder) -> Running {
    let worker = Running::start(builder.agent_name("tester"));
    worker.until(true).await;
    let job = server.dispatch(JobSpec::room("lobby")).await.unwrap();
    within(SOON, job.room().wait_for_agent()).await;
    worker
}

async fn still_runs(worker: &Running) {
    let slots = worker.handle.status().await.expect("it runs").slots;
    assert_eq!((slots.running, slots.used()), (1, 1), "{slots:?}");
}

fn registrations(event: &ServerEvent) -> bool {
    matches!(event, ServerEvent::Registered { .. })
}

#[tokio::test(start_paused = true)]
async fn a_cut_closed_or_drained_worker_is_registered_again_within_a_second() {
    let faults: [fn(&MockServer); 4] = [
        MockServer::cut_workers,
        |server| server.close_workers(1000, "normal"),
        |server| server.close_workers(1001, "going away"),
        |server| server.close_workers(1011, "internal error"),
    ];
    for fault in faults {
        let server = MockServer::builder().start_in_process();
        let worker = running_job(&server, server.worker(stays)).await;
        fault(&server);
        worker.until(false).await;
        let back = worker.until(true).await;
        assert!(back < Duration::from_secs(1), "{back:?}");
        still_runs(&worker).await;
        worker.stop().await;
    }
}

/// No byte comes, and no error reports that the connection is gone.
#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_noticed_within_30_s() {
    let server = open_house();
    let worker = running_job(&server, server.worker(stays)).await;
    // A quiet connection is not a dead one.
    sleep(Duration::from_secs(600)).await;
    assert!(worker.is_registered().await);
    server.freeze(true);
    let noticed = worker.until(false).await;
    assert!(noticed > Duration::from_secs(15) && noticed <= Duration::from_secs(30), "{noticed:?}");
    still_runs(&worker).await;
    server.freeze(false);
    worker.until(true).await;
    still_runs(&worker).await;
    worker.stop().await;
}

/// For an hour there is no server; the job's outcome is reported as soon as there is one.
#[tokio::test(start_paused = true)]
async fn an_outage_of_an_hour_stops_no_job() {
    let server = open_house();
    let worker = running_job(&server, server.worker(stays)).await;
    server.refuse_connections(true);
    server.cut_workers();
    sleep(Duration::from_secs(3600)).await;
    still_runs(&worker).await;
    server.refuse_connections(false);
    assert!(worker.until(true).await <= Duration::from_secs(11));
    still_runs(&worker).await;
    worker.stop().await;
}

/// Another process at the same address. What ended meanwhile is reported to it.
#[tokio::test]
async fn a_server_that_is_restarted_is_found_again() {
    let first = MockServer::start().await.unwrap();
    let address: SocketAddr = first.url().trim_start_matches("ws://").parse().unwrap();
    let worker = running_job(&first, first.worker(stays)).await;
    drop(first);
    worker.until(false).await;
    let second = loop {
        // The port is free once the system has let go of it.
        if let Ok(server) = MockServer::builder().listen(address).start().await {
            break server;
        }
        sleep(Duration::from_millis(5)).await;
    };
    worker.until(true).await;
    worker.stop().await;
    // It received how the job ended, although it does not know the job.
    let reported = |event: &ServerEvent| {
        matches!(event, ServerEvent::Violation { violation: Violation::ForeignJob, .. })
    };
    within(SOON, second.wait_for(reported)).await;
}

/// A server that refuses all workers for a while, as one that is being set up.
struct Refusing {
    server: SocketAddr,
    refuses: Arc<AtomicBool>,
    /// How many were refused.
    refused: watch::Sender<u64>,
}

impl Dialer for Refusing {
    fn dial(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async {
            if !self.refuses.load(Ordering::Relaxed) {
                return Ok(Box::new(TcpStream::connect(self.server).await?) as Box<dyn ByteStream>);
            }
            self.refused.send_modify(|times| *times += 1);
            let (ours, mut theirs) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                let _ = theirs.read(&mut [0; 4096]).await;
                let _ = theirs.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
            });
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }
}

#[tokio::test]
async fn a_reconnect_that_is_refused_is_retried_with_and_without_a_job() {
    let server = MockServer::start().await.unwrap();
    let address: SocketAddr = server.url().trim_start_matches("ws://").parse().unwrap();
    let refuses = Arc::new(AtomicBool::new(false));
    let dialer = Refusing { server: address, refuses: refuses.clone(), refused: watch::Sender::new(0) };
    let mut refused = dialer.refused.subscribe();
    let builder = server.worker(stays).net(NetOptions::default().dialer(dialer));
    let worker = running_job(&server, builder).await;
    refuses.store(true, Ordering::Relaxed);
    server.cut_workers();
    within(SOON, refused.wait_for(|times| *times >= 3)).await.expect("it is retried");
    still_runs(&worker).await;
    refuses.store(false, Ordering::Relaxed);
    within(SOON, server.wait_for_count(2, registrations)).await;
    still_runs(&worker).await;

    // Idle, too: a whole fleet of idle workers must outlive the rollout of an ingress.
    server.room("lobby").delete();
    let id = server.events().into_iter().find_map(|event| match event {
        ServerEvent::Offered { job_id, .. } => Some(JobId::new(&job_id)),
        _ => None,
    });
    let id = id.expect("the job");
    // Known until the server has read how it ended.
    let forgotten = async {
        while worker.handle.lifecycle(&id).await.is_some() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within(SOON, forgotten).await;
    refuses.store(true, Ordering::Relaxed);
    server.cut_workers();
    within(SOON, refused.wait_for(|times| *times >= 6)).await.expect("it is retried");
    assert!(!worker.task.is_finished());
    refuses.store(false, Ordering::Relaxed);
    within(SOON, server.wait_for_count(3, registrations)).await;
    worker.stop().await;
}
