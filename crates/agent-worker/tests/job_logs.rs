//! The log lines of a job. A program of its own with one test, as some of it is logged on other
//! threads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::oneshot;

use agent_testkit::{FaultyStore, JobSpec, MockServer, ServerEvent, StoreFault, StoreOperation};
use agent_worker::coordination::{
    CoordinationError, Inbox, MemoryCoordinator, MemoryPubSub, PubSub, Subscription,
};
use agent_worker::{Agent, Answer, BoxFuture, EndedJob, Job, JobContext, JobError, JobResult};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Topics in memory, on which somebody outside of all jobs publishes what is not a message.
struct Noisy(MemoryPubSub);

impl PubSub for Noisy {
    fn subscribe<'a>(
        &'a self,
        topic: &'a str,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, CoordinationError>> {
        let publisher = inbox.clone();
        std::thread::spawn(move || publisher.deliver(&Bytes::from_static(b"noise"))).join().unwrap();
        self.0.subscribe(topic, inbox)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Recording {
    format: String,
}

struct Recorder;

impl Agent for Recorder {
    async fn on_request(&self, _: &Job) -> Answer {
        tracing::info!("asked by the server");
        Answer::accept()
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let Recording { format } = ctx.metadata()?;
        tracing::info!(format, "recording");
        ctx.on_cleanup(async |_| panic!("planted in a callback"));
        ctx.on_cleanup(async |_| tracing::info!("cleaning up"));
        let (begin, begun) = oneshot::channel();
        drop(ctx.spawn(async {
            tracing::info!("a task of the job");
            let _ = begin.send(());
            std::future::pending::<()>().await;
        }));
        begun.await?;
        let panics = ctx.spawn_named("careless", async { panic!("planted in a task") });
        assert!(panics.await.is_err());
        let progress = ctx.checkpoint::<u32>().resume().await?;
        progress.set(7);
        if ctx.attempt() == 1 {
            return Err(JobError::retryable("the disk is busy", Duration::from_millis(1)));
        }
        let _lead = ctx.elect("seat").await?.lead().await?;
        let channel = ctx.jobs_channel().await?;
        channel.publish("hello").await?;
        ctx.room().publish_data("recording", "").await?;
        ctx.cancelled().await;
        Ok(())
    }

    async fn on_ended(&self, _: &EndedJob) {
        tracing::info!("notified of the end");
    }
}

#[tokio::test]
async fn the_request_id_is_on_every_line_about_a_job() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let server = MockServer::start().await.unwrap();
    let store = FaultyStore::new();
    store.fail_all(
        [StoreOperation::Save, StoreOperation::Delete],
        StoreFault::unavailable("the disk is full"),
    );
    let worker = server
        .worker(Recorder)
        .agent_name("recorder")
        .metadata::<Recording>()
        .job_timeout(Duration::from_secs(60))
        .coordinator(MemoryCoordinator::new())
        .checkpoints(store)
        .pubsub(Noisy(MemoryPubSub::new()))
        .build()
        .unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    for (room, metadata, cancel) in [
        ("full", r#"{"request_id":"r-1\n2","format":"mp4","Quality":"high","timeout":50}"#, true),
        ("invalid", r#"{"request_id":4711,"format":false}"#, false),
        ("plain", r#"{"format":"webm"}"#, true),
    ] {
        let job = server.dispatch(JobSpec::room(room).metadata(metadata)).await.unwrap();
        if cancel {
            job.room().wait_for_data(|sent| sent.topic == "recording").await;
            job.terminate();
        }
        job.outcome().await.unwrap();
    }
    handle.drain(Duration::from_secs(5)).await;
    running.await.unwrap().unwrap();
    let ids: Vec<String> = server
        .events()
        .into_iter()
        .filter_map(|event| match event {
            ServerEvent::Offered { job_id, .. } => Some(job_id),
            _ => None,
        })
        .collect();

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let start = log.lines().find(|line| line.contains("starting worker")).unwrap();
    for setting in [
        "agent=recorder",
        "answer_timeout=1s",
        "assignment_timeout=7.5s",
        "join_timeout=15s",
        "room_reconnect_timeout=60s",
        "job_timeout=60s",
        "max_job_timeout=none",
        "cleanup_timeout=10s",
        "grace=10s",
        "drain_timeout=3600s",
        "end_when=TargetLeft { after: 10s }",
        "stale_after=60s",
        "checkpoint_interval=30s",
        "checkpoint_expiry=86400s",
        "lease=10s",
    ] {
        assert!(start.contains(&format!(" {setting} ")), "{setting} is not in {start}");
    }
    assert_eq!(log.matches("starting worker").count(), 1);
    let [full, invalid, plain] = ids.as_slice() else { panic!("{ids:?}") };
    let about = |id: &str, words: &[&str]| {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
        for word in words {
            assert!(lines.iter().any(|line| line.contains(word)), "{word} is not in the log of {id}\n{log}");
        }
        lines
    };
    let all = [
        "received job request",
        "asked by",
        "assigned",
        "recording",
        "a task of the job",
        "the attempt failed",
        "the task careless of a job panicked: planted in a task",
        "the progress since the last checkpoint is lost: the checkpoint store failed: the disk is full",
        "cancelled the tasks",
        "cleaning up",
        "a cleanup callback panicked: planted in a callback",
        "dropped a message that cannot be decoded",
        "elected leader",
        "released the lease",
        "cancelling",
        "job ended",
        "notified of",
    ];
    for line in about(full, &[&all[..], &[r#"["$.Quality"]"#]].concat()) {
        assert!(line.contains(r"request_id=r-1\n2"), "{line}");
    }
    for line in about(invalid, &["received", "assigned", "invalid_input: $.format", "notified of"]) {
        assert!(line.contains("request_id=4711"), "{line}");
    }
    for line in about(plain, &all) {
        assert!(!line.contains("request_id"), "{line}");
    }
    // Lines about no job are about the worker.
    let of_worker = [
        "starting worker",
        "registered worker",
        "worker stopped",
        "worker is draining",
        "open files",
        "no connection to the server",
    ];
    let ours = ["agent_worker", "agent_backends", "agent_net", "agent_rtc", "job_logs"];
    let rest = log.lines().filter(|line| ours.iter().any(|target| line.contains(target)));
    let rest = rest.filter(|line| !ids.iter().any(|id| line.contains(id)));
    for line in rest {
        assert!(of_worker.iter().any(|word| line.contains(word)), "whose line is this? {line}");
    }
}
