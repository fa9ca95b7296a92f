//! A real livekit-server: started, restarted, frozen, queried through its API, and cleaned up.

use std::path::Path;
use std::time::{Duration, Instant};

use agent_testkit::{
    ApiError, DataMessage, DispatchRequest, ParticipantChange, RealServer, RoomRequest, ServerApi,
    ServerError, real_server,
};

/// Whether a process of this id exists; unknown on systems without `/proc`.
fn exists(pid: u32) -> Option<bool> {
    Path::new("/proc/self").exists().then(|| Path::new(&format!("/proc/{pid}")).exists())
}

#[tokio::test]
async fn it_answers_on_loopback_and_is_gone_when_dropped() {
    let Some(server) = real_server().await else { return };
    assert!(
        server.url().starts_with("ws://127.0.0.1:") && server.http_url().starts_with("http://127.0.0.1:")
    );
    assert!(server.api().answers().await);
    let started =
        server.log().wait_for_line(|line| line.contains("starting LiveKit server"), Duration::from_secs(5));
    let started = started.await.expect("its log is read");
    assert!(started.contains(&format!("\"version\":\"{}\"", agent_testkit::SERVER_VERSION)), "{started}");

    let (pid, api) = (server.pid().expect("it runs"), server.api().clone());
    assert_ne!(exists(pid), Some(false));
    drop(server);
    assert!(!api.answers().await);
    assert_ne!(exists(pid), Some(true));
}

#[tokio::test]
async fn it_restarts_on_the_same_ports_and_has_forgotten_its_rooms() {
    let Some(server) = real_server().await else { return };
    let (url, pid) = (server.url(), server.pid());
    server.api().create_room(RoomRequest::new("lobby")).await.expect("a room");
    listed("rooms", async || server.api().list_rooms(&[]).await, |rooms| rooms.len() == 1).await;
    server.restart().await.expect("it starts again");
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), pid);
    assert_eq!(server.api().list_rooms(&[]).await.expect("rooms"), []);
    assert_eq!(server.log().count("starting LiveKit server"), 2, "one log over both");

    server.stop();
    assert_eq!(server.pid(), None);
    assert!(!server.api().answers().await);
}

#[cfg(unix)]
#[tokio::test]
async fn it_can_be_frozen_and_ends_when_asked() {
    let Some(server) = real_server().await else { return };
    server.pause().expect("it runs");
    until(server.api(), false, Duration::from_secs(10)).await; // a signal takes a moment to reach every thread
    server.resume().expect("it runs");
    until(server.api(), true, Duration::from_secs(10)).await;
    server.terminate().expect("it runs");
    until(server.api(), false, Duration::from_secs(10)).await;
    server.stop();
    assert!(matches!(server.pause(), Err(ServerError::Stopped)));
}

/// Waits until the server answers, or no longer answers.
async fn until(api: &ServerApi, answers: bool, within: Duration) {
    let limit = Instant::now() + within;
    while api.answers().await != answers {
        assert!(Instant::now() < limit, "after {within:?} it still answers: {}", !answers);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn servers_run_beside_each_other() {
    let Some(first) = real_server().await else { return };
    let Some(second) = real_server().await else { return };
    assert_ne!(first.url(), second.url());
    first.api().create_room(RoomRequest::new("lobby")).await.expect("a room");
    assert_eq!(second.api().list_rooms(&[]).await.expect("rooms"), []);
}

#[tokio::test]
async fn the_api_makes_changes_and_ends_rooms_and_dispatches() {
    let Some(server) = real_server().await else { return };
    let api = server.api();
    let request = RoomRequest::new("lobby")
        .empty_timeout(Duration::from_secs(60))
        .departure_timeout(Duration::from_secs(60))
        .metadata("first")
        .agent("greeter", "from the room");
    let room = api.create_room(request).await.expect("a room");
    assert!(room.sid.starts_with("RM_"), "{room:?}");
    assert_eq!((room.name.as_str(), room.metadata.as_str(), room.participants), ("lobby", "first", 0));
    let room = api.update_room_metadata("lobby", "second").await.expect("changed");
    assert_eq!(room.metadata, "second");
    listed("rooms", async || api.list_rooms(&["lobby", "none"]).await, |rooms| rooms == [room.clone()]).await;
    assert_eq!(api.list_participants("lobby").await.expect("participants"), []);
    api.send_data("lobby", DataMessage::new("hello").topic("chat").lossy().to("ada"))
        .await
        .expect("sent without receivers");

    let request = DispatchRequest::new("helper", "lobby").metadata("m").attributes([("a", "b")]);
    let dispatch = api.create_dispatch(request).await.expect("a dispatch");
    assert!(dispatch.id.starts_with("AD_"), "{dispatch:?}");
    assert_eq!((dispatch.agent_name.as_str(), dispatch.metadata.as_str()), ("helper", "m"));
    assert_eq!(dispatch.attributes.get("a").map(String::as_str), Some("b"));
    let dispatches = async || api.list_dispatches("lobby").await;
    listed("dispatches", dispatches, |dispatches| {
        let mut names: Vec<_> = dispatches.iter().map(|dispatch| dispatch.agent_name.as_str()).collect();
        names.sort_unstable();
        names == ["greeter", "helper"]
    })
    .await;
    api.delete_dispatch("lobby", &dispatch.id).await.expect("deleted");
    listed("dispatches", dispatches, |dispatches| dispatches.len() == 1).await;

    let missing = api.remove_participant("lobby", "absent").await.expect_err("not in the room");
    assert!(missing.is_not_found(), "{missing}");
    let change = ParticipantChange::new().name("x");
    assert!(
        api.update_participant("lobby", "absent", change).await.expect_err("not in the room").is_not_found()
    );
    api.delete_room("lobby").await.expect("deleted");
    listed("rooms", async || api.list_rooms(&["lobby"]).await, |rooms| rooms.is_empty()).await;
}

/// Waits until a list has the expected content: the server reads lists from its store, which may lag behind
/// the response to a change.
async fn listed<T: std::fmt::Debug>(
    what: &str,
    list: impl AsyncFn() -> Result<Vec<T>, ApiError>,
    right: impl Fn(&[T]) -> bool,
) {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        let found = list().await.expect(what);
        if right(&found) {
            return;
        }
        assert!(Instant::now() < limit, "the list of {what} stays {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn api_errors_contain_the_reason() {
    let Some(server) = real_server().await else { return };
    let stranger =
        ServerApi::new(server.server_url(), server.api_key(), "another secret of enough characters")
            .expect("a client");
    let error = stranger.list_rooms(&[]).await.expect_err("the secret is wrong");
    let ApiError::InvalidToken { .. } = &error else { panic!("{error:?}") };
    assert!(!error.to_string().contains("eyJ"), "the server repeats the token, the error does not: {error}");
    assert!(
        error.to_string().starts_with("RoomService/ListRooms: the server does not accept the token ("),
        "{error}"
    );

    server.stop();
    let error = server.api().list_rooms(&[]).await.expect_err("there is no listener");
    assert!(matches!(error, ApiError::Unreachable { method: "RoomService/ListRooms", .. }), "{error:?}");
}

#[tokio::test]
async fn a_binary_that_cannot_run_is_reported_with_its_output() {
    let error = RealServer::builder().start_binary("/no/such/file").await.expect_err("no file");
    assert!(
        matches!(&error, ServerError::Start { .. }) && error.to_string().contains("/no/such/file"),
        "{error}"
    );

    let dir = tempfile::tempdir().expect("a folder");
    let script = dir.path().join("server");
    std::fs::write(&script, "#!/bin/sh\necho the last line of output >&2\nexit 3\n").expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("made executable");
        let error =
            RealServer::builder().start_binary(script).await.expect_err("it ends at once").to_string();
        assert!(error.contains("exit status: 3") && error.contains("the last line of output"), "{error}");
    }
}

/// Started by the test below in a process of its own, which is then killed.
#[cfg(unix)]
#[tokio::test]
async fn child_that_is_killed() {
    if std::env::var_os("AGENT_TESTKIT_CHILD").is_none() {
        return;
    }
    let Some(server) = real_server().await else { return };
    println!("server {} {}", server.pid().expect("it runs"), server.http_url());
    std::future::pending::<()>().await;
}

#[cfg(unix)]
#[tokio::test]
async fn it_is_gone_when_the_test_process_is_killed() {
    use std::io::{BufRead, BufReader};
    if real_server().await.is_none() {
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "server::child_that_is_killed", "--nocapture"])
        .env("AGENT_TESTKIT_CHILD", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("this test again");
    let line = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("server ")?.1.to_owned()))
        .expect("the server's id and address");
    let (_, http_url) = line.split_once(' ').expect("id and address");
    let api = ServerApi::new(&http_url.parse().expect("an address"), "devkey", "secret").expect("a client");
    assert!(api.answers().await);
    child.kill().expect("killed");
    child.wait().expect("gone");
    // The server does not outlive its test.
    until(&api, false, Duration::from_secs(5)).await;
}
