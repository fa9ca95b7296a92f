//! A project of LiveKit Cloud whose own address fails: a real livekit-server is its other region.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

use agent_testkit::{DispatchRequest, JobEndStatus, real_server};
use agent_worker::net::{ByteStream, Dialer, NetOptions};
use agent_worker::{BoxFuture, JobContext, JobResult, Worker};

const SOON: Duration = Duration::from_secs(30);
const LIST: &str =
    r#"{"regions":[{"url":"http://p.down.livekit.cloud"},{"url":"http://p.up.livekit.cloud"}]}"#;

/// The hosts of the project.
#[derive(Clone)]
struct Project {
    /// Host and port of the region that works.
    up: String,
    /// How often the project's own address was tried for something else than its regions.
    tried: Arc<AtomicUsize>,
}

impl Dialer for Project {
    fn dial(&self, host: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        let host = host.to_owned();
        Box::pin(async move {
            Ok(match &*host {
                "p.livekit.cloud" => {
                    let (ours, theirs) = tokio::io::duplex(64 * 1024);
                    tokio::spawn(own_address(theirs, Arc::clone(&self.tried)));
                    Box::new(ours) as Box<dyn ByteStream>
                }
                "p.up.livekit.cloud" => Box::new(TcpStream::connect(&self.up).await?),
                _ => return Err(io::ErrorKind::ConnectionRefused.into()),
            })
        })
    }
}

async fn own_address(mut stream: DuplexStream, tried: Arc<AtomicUsize>) {
    let mut request = [0; 4096];
    let read = stream.read(&mut request).await.unwrap_or_default();
    let (status, body) = if request[..read].starts_with(b"GET /settings/regions ") {
        ("200 OK", LIST)
    } else {
        tried.fetch_add(1, Ordering::Relaxed);
        ("503 Service Unavailable", "")
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}

#[tokio::test]
async fn a_worker_registers_and_joins_its_rooms_in_a_region_that_works() {
    let Some(server) = real_server().await else { return };
    let project = Project { up: server.url().replace("ws://", ""), tried: Arc::default() };
    let agent = |ctx: JobContext| async move {
        ctx.room().set_attributes([("seen", "yes")]).await?;
        JobResult::Ok(())
    };
    let worker = Worker::builder(agent)
        .url("ws://p.livekit.cloud")
        .credentials(server.api_key(), server.api_secret().clone())
        .net(NetOptions::default().dialer(project.clone()))
        .agent_name("cloudy")
        .build()
        .expect("the settings are complete");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
    server
        .api()
        .create_dispatch(DispatchRequest::new("cloudy", "clouds"))
        .await
        .expect("the dispatch is taken");
    let job = server.log().assigned_in("clouds", SOON).await.expect("a job for the room").job_id;
    let end = server.log().outcome(&job, SOON).await.expect("the end of the job");
    assert_eq!(end.status, JobEndStatus::Success, "{}", end.error);
    assert!(
        project.tried.load(Ordering::Relaxed) >= 2,
        "the worker and its room tried the project's own address"
    );
    handle.drain(Duration::from_secs(5)).await;
    running.await.expect("no panic").expect("the worker ends well");
}
