//! A hundred rooms joined, left, dropped and given up: no socket and no task stays. Alone in its program, as it counts both.
#![allow(clippy::expect_used, reason = "a test may fail")]
#![cfg(target_os = "linux")]

use agent_testkit::{RealServer, real_server};
use agent_worker::{JoinRequest, RoomConnector, WebRtc};
use std::time::Duration;

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
async fn a_hundred_rooms_leave_nothing_behind() {
    let Some(server) = real_server().await else { return };
    // What is made once and kept: the tools' own tasks and connections, and the first of everything.
    rooms_with_somebody(&server).await;
    let kept = tasks();
    WebRtc::default().connect(request(&server, "first")).await.expect("joined").leave().await;
    settle(kept).await;
    let files = open_files();

    for round in 0..10 {
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
                    // Dropped without a word.
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
    assert!(tasks() <= kept, "{} tasks, {kept} before", tasks());
    let now = open_files();
    assert!(now <= files, "{now} open files, {files} before");
}

/// Waits until there are at most so many tasks: the goodbyes take up to a second each.
async fn settle(at_most: usize) {
    let settled = async {
        while tasks() > at_most {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // The assertion that follows says what is wrong.
    let _ = tokio::time::timeout(Duration::from_secs(10), settled).await;
}
