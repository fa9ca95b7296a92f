//! How rooms find the way to the media of a real livekit-server: for each address of the server's name, over
//! each address family, and what is logged when the path is a bad one. An official client is the other
//! participant.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::mpsc::unbounded_channel;

use agent_testkit::{
    ClientEvent, DispatchRequest, JobEndStatus, OfficialClient, RealServer, official_host, real_server,
};
use agent_worker::net::{ByteStream, Dialer, MediaPath, NetOptions};
use agent_worker::room::{JoinRequest, RoomConnector, WebRtc};
use agent_worker::{BoxFuture, JobContext, JobResult, RetryPolicy, Room, RoomEvent, Worker};

use crate::support::captured_log::CapturedLog;
use crate::support::unshared::{is_unshared, unshared};

const SOON: Duration = Duration::from_secs(30);
/// Of the section `rtc` of a server.
const ONLY_IPV4: &str = "  node_ip: 127.0.0.1\n  ips:\n    includes: [\"127.0.0.1/32\"]";

/// Packets of media and data that went each way.
#[derive(Clone, Default)]
struct Counted(Arc<[AtomicUsize; 2]>);

impl Counted {
    fn options(&self) -> NetOptions {
        let counts = Arc::clone(&self.0);
        NetOptions::default().media_filter(move |path| {
            counts[usize::from(path != MediaPath::Udp)].fetch_add(1, Ordering::Relaxed);
            true
        })
    }

    fn udp_and_tcp(&self) -> (usize, usize) {
        (self.0[0].load(Ordering::Relaxed), self.0[1].load(Ordering::Relaxed))
    }
}

async fn join(server: &RealServer, url: String, net: NetOptions) -> Room {
    let token = server.token().identity("agent").join_room("paths").sign().expect("a token");
    let joined = tokio::time::timeout(SOON, WebRtc::new(net).connect(JoinRequest::new(url, token))).await;
    joined.expect("in time").expect("the room is joined")
}

/// The agent's message arrives at the client. One that has only just joined may miss the first ones.
pub(super) async fn reaches(room: &Room, ada: &mut OfficialClient, text: &'static str) {
    let calling = async {
        loop {
            room.publish_data("chat", text).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let is_it =
        |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.payload == text.as_bytes());
    tokio::select! {
        received = ada.wait_for(is_it, SOON) => drop(received.expect(text)),
        () = calling => unreachable!("it never ends"),
    }
}

/// Joins at `url` beside an official client that joins at the same one, and sends data both ways, over UDP
/// alone.
async fn meet(server: &RealServer, url: String, options: impl FnOnce(NetOptions) -> NetOptions) {
    let counted = Counted::default();
    let room = join(server, url.clone(), options(counted.options())).await;
    let mut events = room.events();
    let token = server.token().identity("ada").join_room("paths").sign().expect("a token");
    let mut ada = OfficialClient::join(&server.url(), &token).await.expect("the client joins");
    reaches(&room, &mut ada, "hello").await;
    ada.send(agent_testkit::DataMessage::new("hi").topic("chat")).await.expect("sent");
    let answered = async {
        while let Some(event) = events.next().await {
            if matches!(event, RoomEvent::DataReceived(data) if &data.payload[..] == b"hi") {
                return;
            }
        }
        panic!("the room ended");
    };
    tokio::time::timeout(SOON, answered).await.expect("we receive her message");
    let (udp, tcp) = counted.udp_and_tcp();
    assert!(udp > 0 && tcp == 0, "{udp} packets over UDP, {tcp} over TCP");
    room.leave().await;
    ada.leave().await.expect("left");
}

/// As most machines have it: `localhost` is `::1` first, and the server's media are at 127.0.0.1 only.
#[tokio::test]
async fn a_name_that_leads_to_the_other_family_first() {
    if is_unshared() || real_server().await.is_none() || official_host().await.is_none() {
        return;
    }
    let hosts = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(hosts.path(), "::1 localhost\n127.0.0.1 localhost\n").expect("written");
    let prepare = format!("mount --bind '{}' /etc/hosts", hosts.path().display());
    unshared(module_path!(), &["--mount"], &prepare, "inside_of_its_own_hosts_file");
}

/// The test above, within its namespace.
#[tokio::test]
async fn inside_of_its_own_hosts_file() {
    if !is_unshared() {
        return;
    }
    let first = tokio::net::lookup_host("localhost:7880").await.expect("a name").next().expect("an address");
    assert!(first.is_ipv6(), "{first}");
    let server = RealServer::builder().rtc_addresses(ONLY_IPV4).start().await.expect("a server");
    let url = server.url().replace("127.0.0.1", "localhost");
    meet(&server, url, |net| net).await;
}

/// A machine without a network: it can reach a server on itself, but not one that announces
/// another address.
#[tokio::test]
async fn a_machine_without_a_route() {
    if is_unshared() || real_server().await.is_none() {
        return;
    }
    unshared(module_path!(), &["--net"], "ip link set lo up", "inside_of_its_own_network");
}

/// The test above, within its namespace.
#[tokio::test]
async fn inside_of_its_own_network() {
    if !is_unshared() {
        return;
    }
    let server = RealServer::builder().rtc_addresses(ONLY_IPV4).start().await.expect("a server");
    let counted = Counted::default();
    join(&server, server.url(), counted.options()).await.leave().await;
    let (udp, tcp) = counted.udp_and_tcp();
    assert!(udp > 0 && tcp == 0, "{udp} packets over UDP, {tcp} over TCP");

    let elsewhere = ONLY_IPV4.replace("node_ip: 127.0.0.1", "node_ip: 203.0.113.9");
    let server = RealServer::builder().rtc_addresses(elsewhere).start().await.expect("a server");
    let token = server.token().identity("agent").join_room("nowhere").sign().expect("a token");
    let mut request = JoinRequest::new(server.url(), token);
    request.timeout = Duration::from_secs(3);
    let text = WebRtc::default().connect(request).await.expect_err("there is no way").to_string();
    assert!(text.contains("the server offers media at 203.0.113.9:"), "{text}");
    let own = "this machine has no route there: it has no IPv4 address for it and no IPv6 address for it";
    assert!(text.contains(own), "{text}");
}

async fn never_called(_: JobContext) -> JobResult {
    Err("the handler was called without a room".into())
}

/// A job of this server, whose media cannot be reached, ends as failed within the time of its attempts, and
/// the worker reports this text. Gives what the server has recorded as its error.
async fn a_job_fails(server: &RealServer, attempts: u32, join_within: Duration, expected: &[&str]) -> String {
    let (failed, mut reports) = unbounded_channel();
    let worker = Worker::builder(never_called)
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .agent_name("tester")
        .join_timeout(join_within)
        .retry(RetryPolicy::attempts(attempts).backoff(Duration::from_millis(10), Duration::from_millis(10)))
        .on_failure(move |job| {
            let _ = failed.send(job);
            std::future::ready(())
        })
        .build()
        .expect("the settings are complete");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("in time"));
    let ended = async {
        let job = server.log().assigned_in("lobby", SOON).await.expect("a job");
        let assigned = Instant::now();
        let end = server.log().outcome(&job.job_id, SOON).await.expect("its end");
        (end, assigned.elapsed())
    };
    let request = DispatchRequest::new("tester", "lobby");
    let api = server.api();
    let (dispatch, (end, took)) = tokio::join!(api.ensure_dispatch(request, SOON), ended);
    dispatch.expect("it is taken");
    assert_eq!(end.status, JobEndStatus::Failed);
    let limit = join_within * attempts + Duration::from_secs(2);
    assert!(took > join_within - Duration::from_millis(500) && took < limit, "{took:?}");
    let report = tokio::time::timeout(SOON, reports.recv()).await.expect("in time").expect("a report");
    for part in [&["the room could not be joined: "], expected].concat() {
        assert!(report.error.contains(part), "{}", report.error);
    }
    tokio::time::timeout(SOON, handle.drain(Duration::ZERO)).await.expect("in time");
    running.await.expect("no panic").expect("drained");
    end.error
}

/// The server announces an address of the one family, and the machine has addresses of the other one.
#[tokio::test]
async fn no_common_address_family() {
    if is_unshared() || real_server().await.is_none() {
        return;
    }
    // The server itself is reached at 127.0.0.1 in each.
    let only_ipv6 =
        "ip link set lo up && ip address add fd00::7/128 dev lo && ip route add default dev lo src fd00::7";
    unshared(module_path!(), &["--net"], only_ipv6, "inside_of_a_network_with_ipv6_alone");
    let only_ipv4 = "ip link set lo up && ip address add 192.0.2.7/32 dev lo && ip route add default dev lo src 192.0.2.7";
    unshared(module_path!(), &["--net"], only_ipv4, "inside_of_a_network_with_ipv4_alone");
}

/// The test above, within its first namespace.
#[tokio::test]
async fn inside_of_a_network_with_ipv6_alone() {
    if !is_unshared() {
        return;
    }
    let elsewhere = ONLY_IPV4.replace("node_ip: 127.0.0.1", "node_ip: 203.0.113.9");
    let server = RealServer::builder().rtc_addresses(elsewhere).start().await.expect("a server");
    let own = "this machine has no route there: it has no IPv4 address for it and IPv6 address fd00::7";
    let expected = ["the server offers media at 203.0.113.9:", own];
    // In its first 5 s the server's room does not know of the job: the server records what the worker
    // reports.
    let recorded = a_job_fails(&server, 1, Duration::from_secs(3), &expected).await;
    for part in expected {
        assert!(recorded.contains(part), "{recorded}");
    }
}

/// The test above, within its second namespace.
#[tokio::test]
async fn inside_of_a_network_with_ipv4_alone() {
    if !is_unshared() {
        return;
    }
    let address = |action| {
        let ip = Command::new("ip").args(["address", action, "fd00::9/128", "dev", "lo"]).status();
        assert!(ip.expect("`ip` is there").success());
    };
    address("add");
    let only_ipv6 = "  node_ip: \"fd00::9\"\n  ips:\n    includes: [\"fd00::9/128\"]";
    let server = RealServer::builder().rtc_addresses(only_ipv6).start().await.expect("a server");
    // The server has its sockets: from now on this is the address of another machine.
    address("delete");
    let own = "this machine has no route there: it has IPv4 address 192.0.2.7 and no IPv6 address for it";
    let expected = ["the server offers media at [fd00::9]:", own];
    let recorded = a_job_fails(&server, 2, Duration::from_secs(7), &expected).await;
    // By now a server ends the job as soon as its agent leaves: it leaves after the report.
    assert!(recorded.contains(own), "{recorded}");
}

/// Connections to this address for every name.
struct Resolver(String);

impl Dialer for Resolver {
    fn dial(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async { Ok(Box::new(TcpStream::connect(&self.0).await?) as Box<dyn ByteStream>) })
    }
}

/// As behind a proxy or a load balancer.
#[tokio::test]
async fn a_name_whose_address_has_no_media() {
    let Some(server) = real_server().await else { return };
    if official_host().await.is_none() {
        return;
    }
    let address = server.url().replace("ws://", "");
    meet(&server, "ws://media.invalid:7880".to_owned(), |net| net.dialer(Resolver(address))).await;
}

/// An address of this machine that is not of the link only.
fn own_ipv6() -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let global = fields.get(3) == Some(&"00");
        let address = u128::from_str_radix(fields.first().filter(|_| global)?, 16).ok()?;
        Some(std::net::Ipv6Addr::from(address).to_string())
    })
}

#[tokio::test]
async fn a_server_with_media_over_ipv6_alone() {
    let Some(ip) = own_ipv6() else { return eprintln!("skipped: this machine has no IPv6 address") };
    if real_server().await.is_none() {
        return;
    }
    let only_ipv6 = format!("  node_ip: \"{ip}\"\n  ips:\n    includes: [\"{ip}/128\"]");
    let server = RealServer::builder().rtc_addresses(only_ipv6).start().await.expect("a server");
    let counted = Counted::default();
    let room = join(&server, server.url(), counted.options()).await;
    room.publish_data("t", "over IPv6").await.expect("sent");
    room.leave().await;
    let (udp, tcp) = counted.udp_and_tcp();
    assert!(udp > 0 && tcp == 0, "{udp} packets over UDP, {tcp} over TCP");
}

#[tokio::test]
async fn a_room_that_has_to_use_tcp_logs_it() {
    let Some(server) = real_server().await else { return };
    let log = CapturedLog::start(tracing::Level::WARN);
    let room =
        join(&server, server.url(), NetOptions::default().media_filter(|path| path != MediaPath::Udp)).await;
    room.publish_data("t", "over TCP").await.expect("sent");
    room.leave().await;
    let lines = log.lines_with("media and data of the room go over TCP");
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("WARN") && line.contains("no UDP packet came back from 127.0.0.1:"), "{line}");
}
