//! Calls and streams in large numbers between rooms on a real server: what they leave in memory, and what
//! refuses too many of them. A program of its own, as it measures the memory of its process.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail, and shows what it measured"
)]
#![cfg(target_os = "linux")]

#[path = "../../agent-testkit/tests/support/long.rs"]
mod long;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use agent_testkit::{RealServer, real_server};
use agent_worker::Room;
use agent_worker::room::{
    ByteReader, JoinRequest, ParticipantFilter, RoomConnector, RpcErrorCode, RpcRequest, StreamError, WebRtc,
};

const SOON: Duration = Duration::from_secs(40);
/// Our limit of pending calls, and of requests that are served.
const PENDING: usize = 1024;
/// What the allocator may keep.
const SLACK_KIB: u64 = 4 * 1024;
const MIB: usize = 1024 * 1024;

/// One test at a time, as all measure the same process.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A server, and the right to use the process.
async fn alone() -> Option<(MutexGuard<'static, ()>, RealServer)> {
    let guard = ALONE.lock().await;
    Some((guard, real_server().await?))
}

async fn join(server: &RealServer, room: &str, identity: &str) -> Room {
    let token = server.token().identity(identity).join_room(room).sign().expect("a token");
    WebRtc::default().connect(JoinRequest::new(server.url(), token)).await.expect("the room is joined")
}

async fn sees(room: &Room, identity: &str) {
    let filter = ParticipantFilter::identity(identity).within(SOON);
    room.wait_for_participant(filter).await.expect("the participant is there");
}

/// Two participants who know each other.
async fn pair(server: &RealServer, room: &str) -> (Room, Room) {
    let (one, two) = (join(server, room, "one").await, join(server, room, "two").await);
    sees(&one, "two").await;
    sees(&two, "one").await;
    (one, two)
}

async fn soon<F: IntoFuture>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {SOON:?}"),
    }
}

/// Our own size, without the log of the server that we keep.
fn resident_kib(server: &RealServer) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("our own status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the resident size");
    let all: u64 =
        line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB");
    all.saturating_sub(server.log().tail(usize::MAX).len() as u64 / 1024)
}

/// Processor time of this process, in milliseconds.
fn processor_ms() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("our threads");
    let of = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        stat.split_ascii_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or_default()
    };
    tasks.filter_map(Result::ok).map(of).sum::<u64>() / 1_000_000
}

/// Makes this many calls, up to 100 at a time, each of which is answered correctly.
async fn call_many(caller: &Room, calls: usize) {
    let in_flight = Arc::new(Semaphore::new(100));
    let mut calling = JoinSet::new();
    for number in 0..calls {
        let permit = Arc::clone(&in_flight).acquire_owned().await.expect("it is not closed");
        while let Some(called) = calling.try_join_next() {
            called.expect("the answer is correct");
        }
        let caller = caller.clone();
        calling.spawn(async move {
            let answer = caller.perform_rpc("two", "echo", format!("call {number}")).await;
            assert_eq!(answer, Ok(format!("CALL {number}")));
            drop(permit);
        });
    }
    while let Some(called) = calling.join_next().await {
        called.expect("the answer is correct");
    }
}

#[tokio::test]
async fn many_calls_are_answered_within_a_bounded_memory() {
    let Some((_alone, server)) = alone().await else { return };
    let calls = long::times("calls", 5000, 20_000);
    let (one, two) = pair(&server, "calls").await;
    let echo = |request: RpcRequest| async move { request.payload.to_uppercase() };
    two.register_rpc_method("echo", echo).await.expect("registered");
    call_many(&one, 2000).await;
    let before = resident_kib(&server);
    let (begun, used) = (Instant::now(), processor_ms());
    call_many(&one, calls).await;
    let (took, used) = (begun.elapsed().as_secs_f64(), processor_ms() - used);
    let after = resident_kib(&server);
    println!(
        "{calls} calls: {:.0}/s, {} µs of processor time a call for both sides; {before} KiB before, {after} KiB after",
        calls as f64 / took,
        used * 1000 / calls as u64
    );
    assert!(after <= before + SLACK_KIB, "{before} KiB before, {after} KiB after {calls} calls");
    one.leave().await;
    two.leave().await;
}

/// How many runs of a method have not ended.
#[derive(Clone)]
struct Running(watch::Sender<usize>);

impl Running {
    fn begin(&self) -> Run {
        self.0.send_modify(|running| *running += 1);
        Run(self.0.clone())
    }

    async fn are(&self, number: usize) {
        let mut running = self.0.subscribe();
        soon("runs of the method", running.wait_for(|running| *running == number)).await.expect("it is kept");
    }
}

struct Run(watch::Sender<usize>);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

/// Offers a method that never returns.
async fn offer_hang(room: &Room) -> Running {
    let running = Running(watch::Sender::new(0));
    let of_method = running.clone();
    let hang = move |_| {
        let run = of_method.begin();
        async move {
            let _run = run;
            std::future::pending::<()>().await;
        }
    };
    room.register_rpc_method("hang", hang).await.expect("registered");
    running
}

/// As many calls as may be pending, of a method that does not return.
fn hang(caller: &Room) -> JoinSet<u32> {
    let mut calls = JoinSet::new();
    for _ in 0..PENDING {
        let caller = caller.clone();
        calls.spawn(async move {
            let call = caller.perform_rpc("two", "hang", "x".repeat(1000)).timeout(10 * SOON);
            call.await.expect_err("it does not return").code
        });
    }
    calls
}

#[tokio::test]
async fn methods_that_never_return_are_bounded_and_end_with_the_room() {
    let Some((_alone, server)) = alone().await else { return };
    let mut sizes = Vec::new();
    for round in 0..3 {
        let name = format!("hang-{round}");
        let (one, two) = pair(&server, &name).await;
        let three = join(&server, &name, "three").await;
        sees(&three, "two").await;
        let running = offer_hang(&two).await;
        let mut calls = hang(&one);
        running.are(PENDING).await;
        // Our own side refuses the next call, and the other side that of somebody else.
        let refused = one.perform_rpc("two", "hang", "").await.expect_err("it is one too many");
        assert!(refused.is(RpcErrorCode::SendFailed), "{refused:?}");
        assert_eq!(refused.data, "1024 calls are pending already");
        let refused = soon("a refusal", three.perform_rpc("two", "hang", "")).await;
        let refused = refused.expect_err("it is one too many");
        assert!(refused.is(RpcErrorCode::ApplicationError), "{refused:?}");
        assert_eq!(refused.data, "1024 requests are being served already");

        // Either side may end it all.
        let (first, second) = if round % 2 == 0 { (two, one) } else { (one, two) };
        first.leave().await;
        drop(first);
        running.are(0).await;
        while let Some(code) = soon("the end of a call", calls.join_next()).await {
            let expected = [
                RpcErrorCode::RecipientDisconnected,
                RpcErrorCode::ApplicationError,
                RpcErrorCode::SendFailed,
            ]
            .map(RpcErrorCode::code);
            let code = code.expect("it is refused");
            assert!(expected.contains(&code), "{code}");
        }
        second.leave().await;
        three.leave().await;
        drop((second, three));
        sizes.push(resident_kib(&server));
    }
    println!("after rounds of {PENDING} calls that hang: {sizes:?} KiB");
    // The first two rounds are the warm-up, one for each way to end.
    let (warm, last) = (sizes.get(1).expect("round 2"), sizes.last().expect("round 3"));
    assert!(*last <= warm + SLACK_KIB, "{sizes:?} KiB");
}

/// Sends this many MiB in parts, and returns the time.
async fn send(room: &Room, topic: &str, mib: usize) -> Duration {
    let begun = Instant::now();
    let total = (mib * MIB) as u64;
    let mut writer = room.stream_bytes(topic).total_length(total).await.expect("opened");
    for _ in 0..mib * 16 {
        writer.write(vec![7; MIB / 16]).await.expect("written");
    }
    writer.close().await.expect("closed");
    begun.elapsed()
}

/// Reads a whole stream; returns its length.
async fn read(mut reader: ByteReader) -> Result<usize, StreamError> {
    let mut length = 0;
    while let Some(piece) = reader.next().await {
        length += piece?.len();
    }
    Ok(length)
}

#[tokio::test]
async fn a_reader_that_does_not_read_fails_alone() {
    let Some((_alone, server)) = alone().await else { return };
    // More than a reader may leave unread.
    let mib = long::times("MiB of a stream", 20, 100);
    let read_mib = long::times("MiB of a stream that is read at once", 4, 100);
    let (one, two) = pair(&server, "unread").await;
    let (mut unread, mut others) = (two.byte_streams("unread"), two.byte_streams("read"));

    // What is read at once.
    let (used, sender) = (processor_ms(), one.clone());
    let sending = tokio::spawn(async move { send(&sender, "read", read_mib).await });
    let reader = soon("a stream", others.next()).await.expect("the room stays").expect("none is missed");
    let begun = Instant::now();
    assert_eq!(soon("all of it", read(reader)).await, Ok(read_mib * MIB));
    let rate = read_mib as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{read_mib} MiB: {rate:.1} MiB/s, {} ms of processor time for both sides",
        processor_ms() - used
    );
    sending.await.expect("sent");

    let before = resident_kib(&server);
    let sender = one.clone();
    let mut sending = tokio::spawn(async move { send(&sender, "unread", mib).await });
    let mut stuck = soon("a stream", unread.next()).await.expect("the room stays").expect("none is missed");
    let (mut most, mut read_beside) = (0, 0);
    loop {
        let sender = one.clone();
        let small = tokio::spawn(async move { sender.send_bytes("read", vec![1; 100_000]).await });
        let reader = soon("a stream", others.next()).await.expect("the room stays").expect("none is missed");
        assert_eq!(soon("another stream", read(reader)).await, Ok(100_000));
        small.await.expect("no panic").expect("sent");
        read_beside += 1;
        most = most.max(resident_kib(&server));
        if sending.is_finished() {
            soon("the sender", &mut sending).await.expect("sent");
            break;
        }
    }
    // The streams arrive in order, so all of it has arrived.
    match stuck.next().await {
        Some(Err(StreamError::BufferFull { unread, limit })) => {
            assert_eq!(limit, 16 * MIB);
            assert!((limit..limit + 64 * 1024).contains(&unread), "{unread} bytes");
        }
        other => panic!("{:?} bytes instead of an error", other.map(|piece| piece.map(|piece| piece.len()))),
    }
    println!(
        "{mib} MiB unread: {before} KiB before, at most {most} KiB; {read_beside} streams read beside it"
    );
    assert!(read_beside > 1);
    // The unread content, what waits to be sent, and what waits for the server's acknowledgement.
    assert!(most <= before + 24 * 1024, "{before} KiB before, {most} KiB");
    one.leave().await;
    two.leave().await;
}

#[tokio::test]
async fn open_streams_of_a_sender_that_leaves_are_removed() {
    let Some((_alone, server)) = alone().await else { return };
    let mut sizes = Vec::new();
    let two = join(&server, "left", "two").await;
    let mut streams = two.byte_streams("t");
    for _ in 0..long::times("senders of 1,000 streams", 4, 50) {
        let one = join(&server, "left", "one").await;
        sees(&one, "two").await;
        let sender = one.clone();
        let opening = tokio::spawn(async move {
            let mut writers = Vec::new();
            for _ in 0..1000 {
                let mut writer = sender.stream_bytes("t").await.expect("opened");
                writer.write(vec![0; 100]).await.expect("written");
                writers.push(writer);
            }
            writers
        });
        let mut readers = Vec::new();
        while readers.len() < 1000 {
            let stream = soon("a stream", streams.next()).await.expect("the room stays");
            readers.push(stream.expect("none is missed"));
        }
        let writers = opening.await.expect("opened");
        one.leave().await;
        drop(writers);
        let (mut left, mut refused) = (0, 0);
        for reader in readers {
            match soon("the end of a stream", read(reader)).await {
                Err(StreamError::SenderLeft) => left += 1,
                Err(StreamError::TooManyStreams { limit: 256 }) => refused += 1,
                other => panic!("{other:?}"),
            };
        }
        assert_eq!((left, refused), (256, 744));
        sizes.push(resident_kib(&server));
    }
    println!("after 1,000 streams each: {sizes:?} KiB");
    let (warm, last) = (sizes.get(1).expect("round 2"), sizes.last().expect("the last round"));
    assert!(*last <= warm + SLACK_KIB, "{sizes:?} KiB");
    two.leave().await;
}
