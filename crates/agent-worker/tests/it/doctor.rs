//! `doctor` on set-ups that are broken in one way each: it names that cause, and what depends on it is
//! skipped.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use agent_testkit::{FaultyStore, MockServer, StoreFault, StoreOperation};
use agent_worker::checkpoint::StoreError;
use agent_worker::cli::doctor::{Check, Finding, Verdict, examine};
use agent_worker::net::{NetOptions, Resolver};
use agent_worker::{BoxFuture, ConfigError, JobContext, JobResult, Worker, WorkerBuilder};

async fn never_called(_: JobContext) -> JobResult {
    panic!("the doctor ran the user's agent")
}

/// What was found, and that every check has one finding.
async fn findings(worker: WorkerBuilder) -> Vec<Finding> {
    let mut begun = Vec::new();
    let found = tokio::time::timeout(Duration::from_secs(60), examine(worker, |check| begun.push(check)));
    let found = found.await.expect("in time");
    let checks: Vec<Check> = found.iter().map(|finding| finding.check).collect();
    let mut sorted = checks.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((checks.len(), &sorted), (13, &checks), "each check once, in order");
    let examined = |finding: &&Finding| finding.verdict != Verdict::Skipped && finding.check != Check::Clock;
    let examined: Vec<Check> = found.iter().filter(examined).map(|finding| finding.check).collect();
    assert!(examined.iter().all(|check| begun.contains(check)), "{begun:?} {examined:?}");
    found
}

/// The only failure among these findings.
fn only_failure(found: &[Finding]) -> &Finding {
    let failed: Vec<&Finding> = found.iter().filter(|finding| finding.verdict == Verdict::Failed).collect();
    let [failed] = failed[..] else { panic!("{found:#?}") };
    failed
}

/// Asserts that this check alone failed, with a text that contains all of these, and that what depends on it
/// was skipped.
async fn fails(worker: WorkerBuilder, check: Check, texts: &[&str]) {
    let found = findings(worker).await;
    let failed = only_failure(&found);
    assert_eq!(failed.check, check, "{found:#?}");
    for text in texts {
        assert!(failed.text.contains(text), "{text:?} in {failed}");
    }
    for later in found.iter().filter(|finding| finding.check >= Check::Registration && finding.check > check)
    {
        assert_eq!(later.verdict, Verdict::Skipped, "{later}");
    }
}

fn verdict(found: &[Finding], check: Check) -> Verdict {
    found.iter().find(|finding| finding.check == check).unwrap().verdict
}

/// Resolves every name to these addresses.
struct To(Vec<SocketAddr>);

impl Resolver for To {
    fn resolve(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>> {
        let found = self.0.clone();
        Box::pin(async { Ok(found) })
    }
}

/// An address of this machine at which nothing listens.
async fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn worker(url: impl Into<String>) -> WorkerBuilder {
    let net = NetOptions::default().no_proxy().connect_timeout(Duration::from_secs(2));
    Worker::builder(never_called).url(url).credentials("key", "secret").net(net)
}

/// A web server that is not LiveKit: it gives the same response to everything.
async fn web_server(response: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let response = response.clone();
            tokio::spawn(async move {
                let mut request = [0; 8192];
                while stream.read(&mut request).await.is_ok_and(|len| len > 0) {
                    stream.write_all(response.as_bytes()).await.unwrap();
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_server_that_works_fails_no_check() {
    let server = MockServer::start().await.unwrap();
    let store = FaultyStore::new();
    let found = findings(server.worker(never_called).checkpoints(store.clone())).await;
    let failed: Vec<&Finding> = found.iter().filter(|finding| finding.verdict == Verdict::Failed).collect();
    assert!(failed.is_empty(), "{found:#?}");
    for check in
        [Check::Checkpoints, Check::Addresses, Check::Clock, Check::Credentials, Check::Job, Check::Media]
    {
        assert_eq!(verdict(&found, check), Verdict::Ok, "{found:#?}");
    }
    assert_eq!(verdict(&found, Check::Leases), Verdict::Skipped, "there is no coordinator");
    assert!(store.inner().is_empty(), "the record is deleted");
}

#[tokio::test]
async fn settings_that_are_missing_or_wrong() {
    let no_server = || Worker::builder(never_called).credentials("key", "secret");
    fails(no_server(), Check::Settings, &["LIVEKIT_URL"]).await;
    fails(no_server().url("localhost:7880"), Check::Settings, &["ws:// or wss://"]).await;
    let copied = worker("ws://localhost:7880").credentials("key ", "secret");
    fails(copied, Check::Settings, &["API key", "white space", "LIVEKIT_API_KEY"]).await;
}

#[tokio::test]
async fn wrong_credentials() {
    let server = MockServer::start().await.unwrap();
    let wrong = server.worker(never_called).credentials(server.api_key(), "another secret");
    fails(wrong, Check::Credentials, &["the API secret is not that of this key", "LIVEKIT_API_SECRET"]).await;
    let unknown = server.worker(never_called).credentials("another key", "secret");
    fails(unknown, Check::Credentials, &["does not know the API key", "LIVEKIT_API_KEY"]).await;
}

/// What may be the secret is not shown.
#[tokio::test]
async fn key_and_secret_swapped() {
    const SECRET: &str = "a-secret-of-more-than-thirty-two-bytes";
    let server = MockServer::builder().credentials("key", SECRET).start().await.unwrap();
    let found = findings(server.worker(never_called).credentials(SECRET, "key")).await;
    let failed = only_failure(&found);
    assert!(failed.check == Check::Credentials && failed.text.contains("swapped"), "{failed}");
    assert!(found.iter().all(|finding| !finding.text.contains(SECRET)), "{found:#?}");
}

#[tokio::test]
async fn nothing_listens() {
    let address = dead_address().await;
    fails(worker(format!("ws://{address}")), Check::Addresses, &["nothing answers", &address.to_string()])
        .await;
}

#[tokio::test]
async fn a_name_without_an_address() {
    let net = NetOptions::default().no_proxy().resolver(To(Vec::new()));
    fails(worker("ws://media.test").net(net), Check::Addresses, &["media.test", "DNS"]).await;
}

/// As `localhost` with a server that listens to one family only, or a name with the address of a server that
/// is gone.
#[tokio::test]
async fn one_of_two_addresses_is_dead() {
    let server = MockServer::start().await.unwrap();
    let alive: SocketAddr = server.url().trim_start_matches("ws://").parse().unwrap();
    let dead = dead_address().await;
    let net = NetOptions::default().no_proxy().resolver(To(vec![dead, alive]));
    let found = findings(server.worker(never_called).url("ws://media.test:7880").net(net)).await;
    let warned: Vec<&Finding> = found.iter().filter(|finding| finding.verdict == Verdict::Warning).collect();
    let [warned] = warned[..] else { panic!("{found:#?}") };
    assert_eq!(warned.check, Check::Addresses);
    for text in [format!("{alive} accepts"), format!("{dead} does not"), "LIVEKIT_URL".to_owned()] {
        assert!(warned.text.contains(&text), "{text:?} in {warned}");
    }
    assert_eq!(verdict(&found, Check::Job), Verdict::Ok, "it works nevertheless");
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(7200));
    let url = web_server(format!("HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 2\r\n\r\nOK")).await;
    let found = findings(worker(url)).await;
    let clock = found.iter().find(|finding| finding.check == Check::Clock).unwrap();
    assert_eq!(clock.verdict, Verdict::Failed, "{found:#?}");
    assert!(clock.text.contains("s behind the server's") && clock.text.contains("NTP"), "{clock}");
}

#[tokio::test]
async fn another_web_server() {
    let url = web_server("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let found = findings(worker(url)).await;
    let http = only_failure(&found);
    assert_eq!(http.check, Check::Http, "{found:#?}");
    for text in ["not a LiveKit server", "404", "LIVEKIT_URL"] {
        assert!(http.text.contains(text), "{text:?} in {http}");
    }
    assert_eq!(verdict(&found, Check::Credentials), Verdict::Skipped, "it is not about them");
}

#[tokio::test]
async fn a_server_that_accepts_connections_and_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    fails(worker(url), Check::Http, &["did not answer"]).await;
}

#[tokio::test]
async fn tls_where_there_is_none() {
    let server = MockServer::start().await.unwrap();
    let url = server.url().replace("ws://", "wss://");
    fails(worker(url), Check::Http, &["TLS", "ws://"]).await;
}

/// Stores have no part in the other checks.
#[tokio::test]
async fn a_store_that_cannot_save() {
    let server = MockServer::start().await.unwrap();
    let store = FaultyStore::new();
    store.fail_next(StoreOperation::Save, StoreFault::unavailable("no space left on device (os error 28)"));
    let found = findings(server.worker(never_called).checkpoints(store)).await;
    let failed = only_failure(&found);
    assert_eq!(failed.check, Check::Checkpoints);
    assert!(failed.text.contains("no space left on device"), "{failed}");
    assert_eq!(verdict(&found, Check::Job), Verdict::Ok);
}

/// The other commands of the program leave it alone.
#[tokio::test]
async fn a_store_that_cannot_be_opened() {
    let server = MockServer::start().await.unwrap();
    let problem = "the checkpoint store /data/store cannot grow: make room on its disk".to_owned();
    let full = move || Err::<FaultyStore, _>(StoreError::Unavailable { problem, source: None });
    let found = findings(server.worker(never_called).open_checkpoints(full.clone())).await;
    let failed = only_failure(&found);
    assert_eq!(failed.check, Check::Checkpoints);
    assert!(failed.text.contains("/data/store cannot grow"), "{failed}");
    assert_eq!(verdict(&found, Check::Job), Verdict::Ok);

    let error = server.worker(never_called).open_checkpoints(full).build().err().unwrap();
    assert!(matches!(&error, ConfigError::Checkpoints(_)) && error.exit_code() == 1, "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn more_jobs_than_open_files_allow() {
    let found = findings(worker(format!("ws://{}", dead_address().await)).max_jobs(1 << 40)).await;
    let files = found.iter().find(|finding| finding.check == Check::Descriptors).unwrap();
    assert_eq!(files.verdict, Verdict::Warning, "{files}");
    assert!(files.text.contains("`max_jobs`") && files.text.contains("ulimit -n"), "{files}");
}

#[tokio::test]
async fn a_room_that_cannot_be_joined() {
    let server = MockServer::start().await.unwrap();
    server.refuse_joins(503, None);
    fails(server.worker(never_called), Check::Job, &["503"]).await;
}
