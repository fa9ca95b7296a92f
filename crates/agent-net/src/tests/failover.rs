//! Regions of a LiveKit Cloud project, as servers on loopback behind a dialer that knows their names.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;

use agent_proto::BoxFuture;

use super::*;
use crate::{ByteStream, Dialer};

const PROJECT: &str = "ws://p.livekit.cloud/agent?protocol=1";

/// Hosts of a cloud; any other one does not answer.
pub(crate) struct Cloud(pub(crate) BTreeMap<&'static str, SocketAddr>);

impl Dialer for Cloud {
    fn dial(&self, host: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        let address = self.0.get(host).copied();
        Box::pin(async move {
            let address = address.ok_or(io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(TcpStream::connect(address).await?) as Box<dyn ByteStream>)
        })
    }
}

/// A project in memory: its own host is silent, once it has taken the connection or before, and all other
/// hosts serve.
pub(crate) struct SilentProject {
    pub(crate) connects: bool,
    pub(crate) serve: fn(DuplexStream),
}

impl Dialer for SilentProject {
    fn dial(&self, host: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        let is_own = host == "p.livekit.cloud";
        Box::pin(async move {
            let (ours, theirs) = duplex(64 * 1024);
            if !is_own {
                (self.serve)(theirs);
            } else if self.connects {
                tokio::spawn(async move {
                    let _open = theirs;
                    pending::<()>().await
                });
            } else {
                pending::<()>().await;
            }
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }
}

/// Options that know a region of the project, from a list that may be used for this long.
pub(crate) fn with_region(project: SilentProject, age: Duration) -> NetOptions {
    let options = NetOptions::default().dialer(project);
    let regions = vec!["https://p.up.livekit.cloud".parse().unwrap()];
    options.regions.keep("p.livekit.cloud", regions, Instant::now() + age);
    options
}

/// The project's own host: it gives its regions, and answers everything else with this status.
struct Home {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

async fn home(status: u16, list: &'static str) -> Home {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = Home { address: listener.local_addr().unwrap(), asked: Arc::default() };
    let asked = Arc::clone(&home.asked);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let read = tcp.read(&mut request).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let authorized = request.contains(&format!("Bearer {TOKEN}"));
                let answer = if request.starts_with("GET /settings/regions ") && authorized {
                    asked.fetch_add(1, Ordering::Relaxed);
                    format!(
                        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n\r\n{list}",
                        list.len()
                    )
                } else {
                    format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n")
                };
                let _ = tcp.write_all(answer.as_bytes()).await;
            });
        }
    });
    home
}

const LIST: &str = r#"{"regions":[{"region":"down","url":"http://p.down.livekit.cloud"},{"region":"evil","url":"http://example.com"},
    {"region":"up","url":"http://p.up.livekit.cloud"}]}"#;

async fn cloud(home: SocketAddr) -> NetOptions {
    let up = SocketAddr::from(([127, 0, 0, 1], echo_server(None).await));
    let hosts = [("p.livekit.cloud", home), ("p.up.livekit.cloud", up), ("example.com", up)];
    NetOptions::default().dialer(Cloud(hosts.into()))
}

#[tokio::test]
async fn a_project_that_fails_is_reached_in_another_region_and_its_list_is_kept() {
    for status in [500, 503, 451] {
        let home = home(status, LIST).await;
        let options = cloud(home.address).await;
        for _ in 0..3 {
            assert_echo(connect(PROJECT, &options).await.unwrap()).await;
        }
        // A project that may not be used in this region is asked again each time.
        let expected = if status == 451 { 3 } else { 1 };
        assert_eq!(home.asked.load(Ordering::Relaxed), expected, "{status}");
    }
}

#[tokio::test]
async fn a_refusal_that_holds_everywhere_is_no_reason_for_another_region() {
    for status in [400, 401, 403, 404, 429] {
        let home = home(status, LIST).await;
        let error = connect(PROJECT, &cloud(home.address).await).await.expect_err("a refusal");
        assert_eq!((error.status(), home.asked.load(Ordering::Relaxed)), (Some(status), 0));
    }
}

#[tokio::test]
async fn without_a_region_that_works_the_error_is_that_of_the_project() {
    let nowhere = r#"{"regions":[{"url":"http://p.livekit.cloud"},{"url":"http://p.down.livekit.cloud"},{"url":"http://example.com"}]}"#;
    for list in [nowhere, "{}", "", "[1"] {
        let home = home(503, list).await;
        let error = connect(PROJECT, &cloud(home.address).await).await.expect_err("no region");
        assert_eq!(error.status(), Some(503), "{list}");
    }
}

#[tokio::test]
async fn another_server_is_not_asked_for_regions() {
    let home = home(503, LIST).await;
    let options = NetOptions::default().dialer(Cloud([("media.example.com", home.address)].into()));
    let error = connect("ws://media.example.com/agent", &options).await.expect_err("a refusal");
    assert_eq!((error.status(), home.asked.load(Ordering::Relaxed)), (Some(503), 0));
}

#[tokio::test]
async fn regions_share_the_time_of_one_connection() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = cloud(silent.local_addr().unwrap()).await.connect_timeout(Duration::from_millis(400));
    let error = tokio::time::timeout(Duration::from_secs(20), connect(PROJECT, &options)).await;
    let error = error.expect("it ends").expect_err("nothing answers");
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_project_leaves_time_for_a_region_of_an_older_list() {
    let serve = |stream| drop(tokio::spawn(echo(stream)));
    for connects in [true, false] {
        let options = with_region(SilentProject { connects, serve }, Duration::ZERO);
        let begun = Instant::now();
        assert_echo(connect(PROJECT, &options).await.unwrap()).await;
        assert_eq!(begun.elapsed().as_millis(), 7500, "half of 10 s, and half of the rest for a new list");
    }
}
