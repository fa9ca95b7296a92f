//! Two hundred rooms joined, left, dropped and given up: no socket, no task and no participant stays. A
//! program of its own, as it counts open files.
#![allow(clippy::expect_used, reason = "a test may fail")]
#![cfg(target_os = "linux")]

use std::time::Duration;

use tokio::time::Instant;

use agent_testkit::{RealServer, real_server};
use agent_worker::room::{JoinRequest, RoomConnector, WebRtc};

const LIMIT: Duration = Duration::from_secs(15);

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a list of open files").count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

fn request(server: &RealServer, room: &str) -> JoinRequest {
    let token = server.token().identity("agent").join_room(room).sign().expect("a token");
    JoinRequest::new(server.url(), token)
}

#[tokio::test]
async fn two_hundred_rooms_leave_nothing_behind() {
    let Some(server) = real_server().await else { return };
    // What is made once and kept: the tools' own tasks and connections, and the first of everything.
    assert!(occupied(&server).await.is_empty());
    let kept = tasks();
    WebRtc::default().connect(request(&server, "first")).await.expect("joined").leave().await;
    settle(kept).await;
    let files = open_files();

    for round in 0..20 {
        let mut joins = tokio::task::JoinSet::new();
        for n in 0..10_u64 {
            let request = request(&server, &format!("room-{round}-{n}"));
            joins.spawn(async move {
                match n % 4 {
                    // Given up somewhere on the way.
                    0 => {
                        let limit = Duration::from_millis(1 + 2 * n + round);
                        drop(tokio::time::timeout(limit, WebRtc::default().connect(request)).await);
                    }
                    // Dropped without leaving.
                    1 => drop(WebRtc::default().connect(request).await.expect("joined")),
                    // Left in the middle of sending.
                    2 => {
                        let room = WebRtc::default().connect(request).await.expect("joined");
                        room.publish_data("t", vec![0; 60_000]).await.expect("sent");
                        room.leave().await;
                    }
                    _ => WebRtc::default().connect(request).await.expect("joined").leave().await,
                }
            });
        }
        while let Some(joined) = joins.join_next().await {
            joined.expect("no panic");
        }
    }
    settle(kept).await;
    // The API's connection may be closed meanwhile, and its task is then no longer one of those that are
    // kept.
    let until = Instant::now() + LIMIT;
    while open_files() > files {
        assert!(Instant::now() < until, "{} open files, {files} before", open_files());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // And the server has no participants left: each of them sent a leave, however early it was given up.
    let until = Instant::now() + LIMIT;
    loop {
        let left = occupied(&server).await;
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < until, "left behind in {left:?}");
    }
}

/// Rooms in which the server has participants.
async fn occupied(server: &RealServer) -> Vec<String> {
    let mut occupied = Vec::new();
    for room in server.api().list_rooms(&[]).await.expect("a list of rooms") {
        // A room that has just closed has no participants.
        let there = server.api().list_participants(&room.name).await.unwrap_or_default();
        if !there.is_empty() {
            occupied.push(room.name);
        }
    }
    occupied
}

/// Waits until there are at most this many tasks: the leaves take a moment.
async fn settle(at_most: usize) {
    let until = Instant::now() + LIMIT;
    while tasks() > at_most {
        assert!(Instant::now() < until, "{} tasks, {at_most} before", tasks());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
