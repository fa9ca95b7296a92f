//! The errors of the stores behind checkpoints and coordination, and of what jobs do with them.

use std::error::Error;
use std::time::Duration;

use agent_testkit::{FaultyStore, JobSpec, MockServer, StoreFault, StoreOperation, run_job};
use agent_worker::checkpoint::{KeyBy, MemoryStore};
use agent_worker::coordination::{FileCoordinator, MAX_MESSAGE_LEN, MemoryCoordinator};
use agent_worker::{ConfigError, JobContext, JobError, JobResult, WorkerBuilder};

use super::agents::failed;
use super::worker;
use crate::support::guide_tables::{self, Line, steady};
use crate::support::steady_log::Log;

/// The text of an error, and a sign if there is more behind it: the system's words. A `main` that returns it
/// prints both.
fn printed(what: &'static str, error: impl Error) -> Line {
    let (text, debug) = (error.to_string(), format!("{error:?}"));
    // The source may have the same text.
    let behind = if debug.len() > text.len() { ": …" } else { "" };
    assert!(debug.starts_with(&text) && (behind.is_empty() || error.source().is_some()), "{debug}");
    assert!(!debug.contains('\n'), "{debug}");
    (what, steady(&(text + behind)))
}

#[test]
fn settings_of_stores() {
    let refused = |what, builder: WorkerBuilder| {
        let error: ConfigError = builder.build().err().unwrap_or_else(|| panic!("{what} was taken"));
        (what, error.to_string())
    };
    let ok = || worker("ws://localhost:7880");
    let minute = Duration::from_secs(60);
    let lines = [
        refused("`.checkpoint_interval(0 s)`", ok().checkpoint_interval(Duration::ZERO)),
        refused("both of one minute", ok().checkpoint_interval(minute).checkpoint_expiry(minute)),
    ];
    guide_tables::check("times", &lines);
}

#[cfg(feature = "embedded-store")]
#[test]
fn files_of_checkpoints() {
    use agent_worker::checkpoint::EmbeddedStore;

    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    let open = |path| EmbeddedStore::open_within(path, Duration::from_millis(50)).expect_err("no store");
    std::fs::write(path("checkpoints.redb"), "some other file").expect("written");
    drop(EmbeddedStore::open(path("held.redb")).expect("a store"));
    let _holder = redb::Database::open(path("held.redb")).expect("held");
    let mut lines = vec![
        printed("no path", EmbeddedStore::open("").expect_err("no store")),
        printed("a missing folder", open(path("no-folder/checkpoints.redb"))),
        printed("it is a folder", open(dir.path().to_owned())),
        printed("it is another file, or damaged", open(path("checkpoints.redb"))),
        printed("another process keeps it open", open(path("held.redb"))),
    ];
    // Root may write in other folders of any owner, and no user in this one.
    if cfg!(target_os = "linux") {
        lines.insert(2, printed("a read-only folder", open("/sys/checkpoints.redb".into())));
    }
    for (_, text) in &mut lines {
        *text = text
            .replace(&dir.path().display().to_string(), "/var/lib/agent")
            .replace("/sys", "/var/lib/agent");
        *text = text.replace("held.redb", "checkpoints.redb").replace("50ms", "5s");
    }
    guide_tables::check("files-of-checkpoints", &lines);
}

#[test]
fn folders_of_leases() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("leases"), "a file").expect("written");
    let mut lines = [
        printed("no folder", FileCoordinator::open("").expect_err("no folder")),
        printed("it is a file", FileCoordinator::open(dir.path().join("leases")).expect_err("a file")),
    ];
    for (_, text) in &mut lines {
        *text = text.replace(&dir.path().display().to_string(), "/var/lib/agent");
    }
    guide_tables::check("folders-of-leases", &lines);
}

#[cfg(feature = "redis")]
mod redis {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use agent_testkit::run_job_in_real_time;
    use agent_worker::Outcome;
    use agent_worker::checkpoint::RedisStore;
    use agent_worker::coordination::{RedisCoordinator, RedisPubSub};
    use agent_worker::net::{Redis, RedisError};

    use super::*;

    /// What servers answer to `HELLO`, shortened.
    const REPLICA: &str = "*4\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$7\r\nreplica";
    const CLUSTER: &str = "*4\r\n$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster";
    const SENTINEL: &str = "*4\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n$4\r\nrole\r\n$8\r\nsentinel";

    /// A server that answers every command with this line.
    async fn answers(line: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, line));
            }
        });
        format!("redis://127.0.0.1:{}", address.port())
    }

    /// One answer for each command, which begins with `*`.
    async fn answer(mut stream: TcpStream, line: &str) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut bytes).await {
            let commands = bytes.iter().take(read).filter(|byte| **byte == b'*').count();
            for _ in 0..commands {
                let _ = stream.write_all(format!("{line}\r\n").as_bytes()).await;
            }
        }
    }

    async fn refused(what: &'static str, redis: Redis) -> Line {
        let error: RedisError = redis.timeout(Duration::from_secs(1)).ping().await.expect_err(what);
        printed(what, error)
    }

    #[tokio::test]
    async fn servers_that_cannot_be_used() {
        let url = |what, url: &str| printed(what, Redis::new(url).expect_err(what));
        let redis = |url: &str| Redis::new(url).expect("a URL");
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let silent = silent.local_addr().expect("an address").port();
        let lines = [
            url("`localhost:6379`", "localhost:6379"),
            url("`http://localhost`", "http://localhost"),
            url("`redis://`", "redis://"),
            url("`redis://localhost:63790000`", "redis://localhost:63790000"),
            url("`redis://localhost/cache`", "redis://localhost/cache"),
            url("`redis://:pass/word@localhost`", "redis://:pass/word@localhost"),
            url("`redis://:%FF@localhost`", "redis://:%FF@localhost"),
            url("`redis://::1`", "redis://::1"),
            url("`redis://localhost?protocol=3`", "redis://localhost?protocol=3"),
            url("`redis://localhost?prefix=staging*`", "redis://localhost?prefix=staging*"),
            refused("nothing listens there", redis("redis://127.0.0.1:1")).await,
            refused("an unknown host", redis("redis://host.invalid")).await,
            refused("no password", redis(&answers("-NOAUTH Authentication required.").await)).await,
            refused(
                "a wrong password",
                redis(&answers("-WRONGPASS invalid username-password pair or user is disabled.").await)
                    .password("x"),
            )
            .await,
            refused(
                "no such database",
                redis(&format!("{}/99", answers("-ERR DB index is out of range").await)),
            )
            .await,
            refused(
                "a command that its user may not use",
                redis(&answers("-NOPERM this user has no permissions to run the 'ping' command").await),
            )
            .await,
            refused(
                "keys that its user may not use",
                redis(
                    &answers(
                        "-NOPERM this user has no permissions to access one of the keys used as arguments",
                    )
                    .await,
                ),
            )
            .await,
            refused("a replica", redis(&answers(REPLICA).await)).await,
            refused("a node of a Redis Cluster", redis(&answers(CLUSTER).await)).await,
            refused(
                "one that does not report cluster mode",
                redis(&answers("-MOVED 3999 127.0.0.1:6381").await),
            )
            .await,
            refused("a Sentinel", redis(&answers(SENTINEL).await)).await,
            refused("a web server", redis(&answers("HTTP/1.1 400 Bad Request").await)).await,
            refused("`rediss://`, and it speaks without TLS", redis(&format!("rediss://127.0.0.1:{silent}")))
                .await,
        ];
        guide_tables::check("redis", &lines);
    }

    /// Uses each kind of store, and reports the kind of each error.
    async fn uses_all_stores(ctx: JobContext) -> JobResult {
        let errors: [JobError; 3] = [
            ctx.checkpoint::<u64>().load().await.expect_err("no store").into(),
            ctx.elect("lobby").await.expect_err("no store").into(),
            ctx.jobs_channel().await.expect_err("no store").into(),
        ];
        let text = errors.map(|error| format!("{:?} {error}", error.kind()));
        Err(text.join("\n").into())
    }

    /// For each operation of a job, wrong credentials are reported as such, and a temporary failure leads to
    /// another attempt.
    #[tokio::test]
    async fn the_answer_of_a_server_decides_about_a_retry() {
        for (line, part, retried) in [
            ("-NOAUTH Authentication required.", "refuses the credentials: NOAUTH", false),
            ("-LOADING Redis is loading the dataset in memory", "cannot do this now: LOADING", true),
            ("-READONLY You can't write against a read only replica.", "cannot do this now: READONLY", true),
            ("-ERR unknown command", "answered with an error: ERR unknown command", false),
            (REPLICA, "cannot do this now: it is a replica", true),
            ("-NOREPLICAS Not enough good replicas to write.", "cannot do this now: NOREPLICAS", true),
            ("-MOVED 3999 127.0.0.1:6381", "is a node of a Redis Cluster", false),
            ("-CLUSTERDOWN Hash slot not served", "is a node of a Redis Cluster", false),
            (SENTINEL, "is a Sentinel", false),
            ("-NOPERM this user has no permissions to run the 'x' command", "`ACL SETUSER … +x`", false),
        ] {
            let redis = Redis::new(&answers(line).await).expect("a URL");
            let spec = JobSpec::room("lobby").worker(|builder| {
                builder
                    .checkpoints(RedisStore::new(redis.clone()))
                    .coordinator(RedisCoordinator::new(redis.clone()))
                    .pubsub(RedisPubSub::new(redis))
            });
            let Outcome::Failed { error } = run_job_in_real_time(uses_all_stores, spec).await.outcome else {
                panic!("{line}")
            };
            assert_eq!(error.lines().count(), 3, "{error}");
            for text in error.lines() {
                assert!(text.contains(part) && text.contains("Retryable") == retried, "{text}");
            }
        }
    }
}

/// A type that writes values which it cannot read.
#[derive(serde::Serialize, serde::Deserialize)]
struct Unread {
    #[serde(rename(serialize = "total"))]
    count: u64,
}

#[tokio::test]
async fn jobs_and_their_checkpoints() {
    let store = MemoryStore::new();
    let with = |metadata: &'static str| {
        let store = store.clone();
        JobSpec::room("lobby").metadata(metadata).worker(|worker| worker.checkpoints(store))
    };
    let by = |key: KeyBy| {
        move |ctx: JobContext| {
            let key = key.clone();
            async move {
                ctx.checkpoint::<u64>().key(key).load().await?;
                Ok(())
            }
        }
    };
    let request = || by(KeyBy::Metadata("request_id".to_owned()));
    let saved = run_job(
        |ctx: JobContext| async move {
            ctx.checkpoint::<u64>().version(2).save(&1).await?;
            Err(JobError::retryable("not yet", Duration::ZERO))
        },
        with(""),
    );
    saved.await;
    let large = |ctx: JobContext| async move {
        ctx.checkpoint::<String>().save(&"x".repeat(1 << 24)).await?;
        Ok(())
    };
    let other = |ctx: JobContext| async move {
        ctx.checkpoint::<Vec<u64>>().version(2).load().await?;
        Ok(())
    };
    let no_number = |ctx: JobContext| async move {
        ctx.checkpoint::<Vec<f64>>().version(2).save(&vec![0.5, f64::NAN]).await?;
        Ok(())
    };
    let unread = |ctx: JobContext| async move {
        ctx.checkpoint::<Unread>().version(2).save(&Unread { count: 1 }).await?;
        Ok(())
    };
    let lines = [
        failed("no store", by(KeyBy::Target), JobSpec::room("lobby")).await,
        failed("metadata without the field of the key", request(), with(r#"{"request":"r-7"}"#)).await,
        failed("a field that is not a string or number", request(), with(r#"{"request_id":["r-7"]}"#)).await,
        failed("`KeyBy::Text(\"\")`", by(KeyBy::Text(String::new())), with("")).await,
        failed("saved by a newer agent", by(KeyBy::Target), with("")).await,
        failed("saved as another type", other, with("")).await,
        failed("a value of 16 MiB", large, with("")).await,
        failed("a NaN in the value", no_number, with("")).await,
        failed("a field whose name for reading differs from that for writing", unread, with("")).await,
    ];
    guide_tables::check("checkpoints", &lines);
}

/// The text with another job id.
fn steady_job(text: &str) -> String {
    let (before, _) = text.split_once("key=job:").expect("the key of a job");
    format!("{before}key=job:AJ_1")
}

#[tokio::test(start_paused = true)]
async fn values_that_cannot_be_saved() {
    let (log, _guard) = Log::keep();
    let server = MockServer::builder().start_in_process();
    let counts = |ctx: JobContext| async move {
        let progress = ctx.checkpoint::<u64>().resume().await?;
        progress.set(1);
        let score = ctx.checkpoint::<f64>().key(KeyBy::Job).resume().await?;
        score.set(f64::NAN);
        ctx.cancelled().await;
        Ok(())
    };
    let store = FaultyStore::new();
    store.fail_all(
        [StoreOperation::Save, StoreOperation::Delete],
        StoreFault::unavailable("the store's own words"),
    );
    let worker = server
        .worker(counts)
        .agent_name("tester")
        .checkpoints(store)
        .checkpoint_interval(Duration::from_secs(1));
    let running = tokio::spawn(worker.build().unwrap().run());
    let job = server.dispatch(JobSpec::room("lobby")).await.unwrap();
    let lines = [
        ("the store is unavailable, locked or full", log.line("not saved yet").await),
        ("the same when the job ends", {
            job.terminate();
            log.line("is lost: the checkpoint store failed").await
        }),
        ("the value cannot be saved", steady_job(&log.line("a f64) cannot be saved").await)),
    ];
    running.abort();
    guide_tables::check("saving", &lines);
}

#[tokio::test]
async fn jobs_and_each_other() {
    async fn text<F>(
        what: &'static str,
        handler: impl FnOnce(JobContext) -> F + Clone + Send + Sync + 'static,
    ) -> Line
    where
        F: Future<Output = JobResult> + Send + 'static,
    {
        let spec = JobSpec::room("lobby").worker(|worker| worker.coordinator(MemoryCoordinator::new()));
        failed(what, handler, spec).await
    }
    let elect = |ctx: JobContext| async move {
        let _ = ctx.elect("lobby").await?;
        Ok(())
    };
    let channel = |ctx: JobContext| async move {
        ctx.jobs_channel().await?;
        Ok(())
    };
    let lines = [
        failed("`ctx.elect(…)` without a store", elect, JobSpec::room("lobby")).await,
        failed(
            "`ctx.jobs_channel()` before `ctx.join()`, with `.join_room(false)`",
            channel,
            JobSpec::room("lobby").worker(|worker| worker.join_room(false)),
        )
        .await,
        text("an empty key", |ctx| async move {
            let _ = ctx.elect("").await?;
            Ok(())
        })
        .await,
        text("a topic of 600 bytes", |ctx| async move {
            ctx.channel("t".repeat(600)).await?;
            Ok(())
        })
        .await,
        text("a message of 60,001 bytes", |ctx| async move {
            ctx.jobs_channel().await?.publish(vec![0; MAX_MESSAGE_LEN + 1]).await?;
            Ok(())
        })
        .await,
        text("a leader's value of 2 MB", |ctx| async move {
            ctx.elect("lobby").await?.lead().await?.write(vec![0; 2_000_000]).await?;
            Ok(())
        })
        .await,
    ];
    guide_tables::check("coordination", &lines);
}
