//! How a job's room is joined: at which server, and with which tracks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use agent_testkit::{JobSpec, MockConnector, MockServer, ServerEvent, run_job};
use agent_worker::net::NetOptions;
use agent_worker::room::{
    AutoSubscribe, E2eeKey, E2eeOptions, JoinError, JoinOptions, JoinRequest, RoomConnector, WebRtc,
};
use agent_worker::{
    Agent, BoxFuture, JobContext, JobError, JobResult, Outcome, RetryPolicy, Room, WorkerBuilder,
};

use crate::support::authority::{Authority, authority};

/// Longer than every wait in real time.
const SOON: Duration = Duration::from_secs(30);

/// Records the requests, and joins nothing.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<JoinRequest>>>);

impl RoomConnector for Asked {
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
        self.0.lock().expect("no panic").push(request);
        Box::pin(async { Err(JoinError::Url) })
    }
}

impl Asked {
    fn take(&self) -> Vec<JoinRequest> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

async fn done(_: JobContext) -> JobResult {
    Ok(())
}

async fn joins_directly(ctx: JobContext) -> JobResult {
    ctx.join_with(JoinOptions::new().force_relay(false)).await?;
    Ok(())
}

async fn joins(ctx: JobContext) -> JobResult {
    ctx.join_with(JoinOptions::new().auto_subscribe(AutoSubscribe::VideoOnly)).await?;
    Ok(())
}

/// How a job ends whose assignment names this server.
async fn failure(
    assigned: Option<&str>,
    configure: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
) -> (String, Vec<JoinRequest>) {
    failure_of(joins, assigned, configure).await
}

async fn failure_of(
    agent: impl Agent,
    assigned: Option<&str>,
    configure: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
) -> (String, Vec<JoinRequest>) {
    let asked = Asked::default();
    let server = MockServer::builder().start_in_process();
    if let Some(url) = assigned {
        server.assign_url(url);
    }
    let worker =
        server.worker(agent).agent_name("tester").retry(RetryPolicy::never()).connector(asked.clone());
    tokio::spawn(configure(worker).build().expect("the settings are complete").run());
    let job = server.dispatch(JobSpec::room("lobby")).await.expect("a job");
    match job.outcome().await.expect("its end") {
        Outcome::Failed { error } => (error, asked.take()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn relays_are_forced_by_the_worker_and_the_handler_has_the_last_word() {
    for forced in [false, true] {
        for join_room in [true, false] {
            let configure = |worker: WorkerBuilder| worker.force_relay(forced).join_room(join_room);
            let (_, asked) = failure(None, configure).await;
            assert_eq!(asked.iter().map(|request| request.force_relay).collect::<Vec<_>>(), [forced]);
        }
        let configure = |worker: WorkerBuilder| worker.force_relay(forced).join_room(false);
        let (_, asked) = failure_of(joins_directly, None, configure).await;
        assert_eq!(asked.iter().map(|request| request.force_relay).collect::<Vec<_>>(), [false]);
    }
}

/// Otherwise a handler that asks for encryption would publish without it.
#[tokio::test(start_paused = true)]
async fn options_for_a_room_that_is_joined_otherwise_are_refused() {
    async fn encrypts(ctx: JobContext) -> JobResult {
        ctx.join_with(JoinOptions::new().e2ee(E2eeOptions::shared(E2eeKey::new("passphrase")))).await?;
        Ok(())
    }
    async fn relays(ctx: JobContext) -> JobResult {
        ctx.join_with(JoinOptions::new().force_relay(true)).await?;
        Ok(())
    }
    for (option, run) in [
        ("e2ee", run_job(encrypts, JobSpec::room("lobby")).await),
        ("force_relay", run_job(relays, JobSpec::room("lobby")).await),
        ("auto_subscribe", run_job(joins, JobSpec::room("lobby")).await),
    ] {
        let Outcome::Failed { error } = &run.outcome else { panic!("{option}: {run:?}") };
        assert!(error.contains(&format!("`{option}`")) && error.contains("`.join_room(false)`"), "{error}");
        assert!(!error.contains("passphrase"), "{error}");
    }
}

/// Each attempt calls it again.
#[tokio::test(start_paused = true)]
async fn options_that_the_room_was_joined_with_are_accepted_again() {
    async fn twice(ctx: JobContext) -> JobResult {
        let options = JoinOptions::new().auto_subscribe(AutoSubscribe::VideoOnly).force_relay(false);
        ctx.join_with(options.clone()).await?;
        ctx.join_with(options).await?;
        ctx.join().await?;
        if ctx.attempt() == 1 { Err(JobError::retryable("once more", Duration::ZERO)) } else { Ok(()) }
    }
    let run = run_job(twice, JobSpec::room("lobby").worker(|worker| worker.join_room(false))).await;
    run.assert_success();
    let same = |worker: WorkerBuilder| worker.auto_subscribe(AutoSubscribe::VideoOnly);
    run_job(joins, JobSpec::room("lobby").worker(same)).await.assert_success();
}

#[tokio::test(start_paused = true)]
async fn another_server_gets_no_token_when_it_is_to_be_refused() {
    for (assigned, expected) in [
        (
            "ws://elsewhere.example:7880",
            "the job's assignment names the server elsewhere.example:7880 and the worker's is ",
        ),
        ("nonsense", "the job's assignment names a server that cannot be used: "),
        ("wss://key:s3cret@elsewhere.example", "the job's assignment names a server that cannot be used: "),
    ] {
        for join_room in [true, false] {
            let (error, asked) =
                failure(Some(assigned), |worker| worker.refuse_other_servers(true).join_room(join_room))
                    .await;
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
            assert!(asked.is_empty(), "{asked:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_server_is_joined_otherwise() {
    let (_, asked) = failure(Some("https://Elsewhere.example/livekit/"), |worker| worker).await;
    let [request] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(request.url, "wss://elsewhere.example/livekit");
    assert_eq!(request.auto_subscribe, AutoSubscribe::All);
}

#[tokio::test(start_paused = true)]
async fn tracks_are_those_of_the_worker_or_of_the_join() {
    for (join_room, expected) in [(true, AutoSubscribe::None), (false, AutoSubscribe::VideoOnly)] {
        let (_, asked) =
            failure(None, |worker| worker.auto_subscribe(AutoSubscribe::None).join_room(join_room)).await;
        let [request] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(request.auto_subscribe, expected);
    }
}

/// Joins in the way of the mock server, once the gate is open.
struct Gated {
    mock: MockConnector,
    gate: watch::Receiver<bool>,
}

impl RoomConnector for Gated {
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
        let mut gate = self.gate.clone();
        Box::pin(async move {
            gate.wait_for(|open| *open).await.expect("the test goes on");
            self.mock.connect(request).await
        })
    }
}

/// Nothing else would ever make the agent leave.
#[tokio::test(start_paused = true)]
async fn a_join_that_completes_after_its_job_leaves_the_room_again() {
    let server = MockServer::builder().start_in_process();
    let (open, gate) = watch::channel(false);
    let (joined, mut is_joined) = mpsc::unbounded_channel();
    let agent = move |ctx: JobContext| {
        let joined = joined.clone();
        async move {
            tokio::spawn(async move {
                let _ = joined.send(ctx.join().await.map(drop));
                // A leftover task.
                std::future::pending::<()>().await;
                drop(ctx);
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
            JobResult::Ok(())
        }
    };
    let worker = server.worker(agent).agent_name("tester").join_room(false);
    let worker = worker.connector(Gated { mock: server.connector(), gate });
    tokio::spawn(worker.build().expect("the settings are complete").run());
    let job = server.dispatch(JobSpec::room("lobby")).await.expect("a job");
    assert_eq!(job.outcome().await.expect("its end"), Outcome::Success);
    // The worker is done with the job.
    tokio::time::sleep(Duration::from_secs(10)).await;
    open.send_replace(true);
    let left = tokio::time::timeout(
        Duration::from_secs(60),
        server.wait_for(|event| matches!(event, ServerEvent::Left { .. })),
    );
    assert!(left.await.is_ok(), "a ghost is in the room: {}", server.timeline());
    assert!(is_joined.recv().await.expect("the task goes on").is_err());
    assert!(job.room().participants().is_empty(), "{}", server.timeline());
}

/// How long after a first attempt, whose join is refused in this way, the agent is in its room.
async fn joined_after(status: u16, retry_after: Option<Duration>) -> Duration {
    let server = MockServer::builder().start_in_process();
    server.refuse_joins(status, retry_after);
    let worker = server.worker(done).agent_name("tester").build().expect("the settings are complete");
    tokio::spawn(worker.run());
    let job = server.dispatch(JobSpec::room("lobby")).await.expect("a job");
    server.wait_for(|event| matches!(event, ServerEvent::JoinRefused { .. })).await;
    let refused = Instant::now();
    server.allow_joins();
    let joined = tokio::time::timeout(Duration::from_secs(300), job.room().wait_for_agent()).await;
    assert!(joined.is_ok(), "{}", server.timeline());
    let waited = refused.elapsed();
    assert_eq!(job.outcome().await.expect("its end"), Outcome::Success, "{}", server.timeline());
    waited
}

/// The retry policy's own wait is up to 1 s.
#[tokio::test(start_paused = true)]
async fn a_join_waits_for_the_servers_retry_after() {
    for (status, retry_after, least) in [
        (429, Some(Duration::from_secs(30)), 30),
        (503, Some(Duration::from_secs(30)), 30),
        // No longer than a minute.
        (503, Some(Duration::from_secs(86_400)), 60),
        (503, Some(Duration::ZERO), 0),
        (503, None, 0),
    ] {
        let waited = joined_after(status, retry_after).await;
        let least = Duration::from_secs(least);
        assert!(waited >= least && waited <= least + Duration::from_secs(1), "{status}: {waited:?}");
    }
}

/// Joins over HTTP as long as that is refused, then in the way of the mock server, which has no rooms for
/// WebRTC.
struct OverHttpAtFirst {
    over_http: WebRtc,
    mock: MockConnector,
    attempts: Arc<Mutex<Vec<Instant>>>,
}

impl RoomConnector for OverHttpAtFirst {
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
        let mut attempts = self.attempts.lock().expect("no panic");
        attempts.push(Instant::now());
        if attempts.len() == 1 { self.over_http.connect(request) } else { self.mock.connect(request) }
    }
}

/// As above, with the refusal of a real WebSocket.
#[tokio::test]
async fn a_refused_websocket_of_a_room_carries_its_retry_after() {
    let server = MockServer::start().await.expect("a server");
    let attempts: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let connector = OverHttpAtFirst {
        over_http: WebRtc::default(),
        mock: server.connector(),
        attempts: Arc::clone(&attempts),
    };
    let backoff = Duration::from_millis(1);
    let worker = server
        .worker(done)
        .agent_name("tester")
        .connector(connector)
        .retry(RetryPolicy::attempts(2).backoff(backoff, backoff));
    tokio::spawn(worker.build().expect("the settings are complete").run());
    server.refuse_joins(429, Some(Duration::from_secs(1)));
    let job = server.dispatch(JobSpec::room("lobby")).await.expect("a job");
    server.wait_for(|event| matches!(event, ServerEvent::JoinRefused { status: 429 })).await;
    server.allow_joins();
    let outcome = tokio::time::timeout(SOON, job.outcome()).await.expect("in time").expect("its end");
    assert_eq!(outcome, Outcome::Success, "{}", server.timeline());
    let attempts = attempts.lock().expect("no panic");
    let [first, second] = attempts[..] else { panic!("{attempts:?}") };
    assert!(second - first >= Duration::from_secs(1), "{:?}", second - first);
}

/// Ends TLS before a server; gives the port.
async fn tls_before(server: &MockServer, tls: TlsAcceptor) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server: SocketAddr = server.url().trim_start_matches("ws://").parse().expect("an address");
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let mut client = tls.accept(tcp).await.expect("the client trusts us");
                let mut server = TcpStream::connect(server).await.expect("the server listens");
                // Ends with the connection.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

/// Joins at the worker's own server in the way of the mock server, and at others over the network. Keeps at
/// which.
struct OwnOrOther {
    own: String,
    mock: MockConnector,
    other: WebRtc,
    asked: Arc<Mutex<Vec<String>>>,
}

impl RoomConnector for OwnOrOther {
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
        self.asked.lock().expect("no panic").push(request.url.clone());
        if request.url.starts_with(&self.own) {
            self.mock.connect(request)
        } else {
            self.other.connect(request)
        }
    }
}

/// What the server assigns over an encrypted connection does not lead out of the encryption.
#[tokio::test]
async fn a_server_without_encryption_gets_no_token_of_an_encrypted_worker() {
    let server = MockServer::start().await.expect("a server");
    let Authority { acceptor, file, .. } = &authority("localhost");
    let own = format!("wss://localhost:{}", tls_before(&server, acceptor.clone()).await);
    let net = NetOptions::default().ca_file(file);
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let connector = OwnOrOther {
        own: own.clone(),
        mock: server.connector(),
        other: WebRtc::new(net.clone()),
        asked: Arc::clone(&asked),
    };
    let worker = server
        .worker(done)
        .url(&own)
        .net(net)
        .agent_name("tester")
        .connector(connector)
        .retry(RetryPolicy::never())
        .join_timeout(Duration::from_secs(2));
    tokio::spawn(worker.build().expect("the settings are complete").run());
    let outcome = async |room: &str| {
        let job = server.dispatch(JobSpec::room(room)).await.expect("a job");
        let outcome = tokio::time::timeout(SOON, job.outcome()).await.expect("in time");
        outcome.unwrap_or_else(|error| panic!("{error}"))
    };
    assert_eq!(outcome("encrypted").await, Outcome::Success, "{}", server.timeline());
    assert_eq!(std::mem::take(&mut *asked.lock().expect("no panic")), [format!("{own}/")]);

    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let elsewhere = plain.local_addr().expect("an address");
    for (room, url) in [("ws", format!("ws://{elsewhere}")), ("http", format!("http://{elsewhere}/base"))] {
        server.assign_url(url);
        let Outcome::Failed { error } = outcome(room).await else { panic!("{}", server.timeline()) };
        let expected = format!(
            "names ws://{elsewhere}, without encryption, and the worker is connected to wss://localhost:"
        );
        assert!(error.contains(&expected), "{error}");
    }
    assert_eq!(*asked.lock().expect("no panic"), [""; 0]);
    tokio::select! {
        biased;
        connection = plain.accept() => panic!("{connection:?}"),
        () = std::future::ready(()) => {}
    }
}
