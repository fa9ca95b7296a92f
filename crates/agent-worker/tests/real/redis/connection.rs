//! The connection to Redis or Valkey: each fault is reported clearly, within the time limit, and is over
//! when the server is back.

use std::time::Duration;

use tokio::time::Instant;

use agent_testkit::{RedisServer, RedisServerBuilder, redis_server_with};
use agent_worker::net::Redis;

use super::error_text;

const LIMIT: Duration = Duration::from_millis(500);

on_each_kind!(
    a_server_that_is_not_there,
    a_server_that_refuses_the_credentials,
    a_server_that_restarts_is_found_again_at_once,
    a_server_that_hangs_is_waited_for_until_the_timeout,
    a_server_that_takes_no_more_clients_may_take_some_later,
    users_and_passwords_of_any_characters,
);

fn redis(url: &str) -> Redis {
    Redis::new(url).expect("a URL").timeout(LIMIT)
}

async fn a_server_that_is_not_there(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    let redis = redis(&server.url());
    server.kill();
    let text = error_text(redis.ping().await.expect_err("nothing is there"), true);
    assert!(
        text.contains(&format!("127.0.0.1:{}", server.port())) && text.contains("`Redis::new`"),
        "{text}"
    );
    let nowhere = Redis::new("redis://no-such-host.invalid").expect("a URL");
    let text = error_text(nowhere.ping().await.expect_err("no such host"), true);
    assert!(text.contains("no-such-host.invalid:6379"), "{text}");
}

async fn a_server_that_refuses_the_credentials(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings.password("open-sesame")).await else { return };
    redis(&server.url()).ping().await.expect("the right password in the URL");
    let address = format!("redis://127.0.0.1:{}", server.port());
    redis(&address).password("open-sesame").ping().await.expect("the right password beside it");

    let none = error_text(redis(&address).ping().await.expect_err("no password"), false);
    let wrong =
        error_text(redis(&address).password("hunter2").ping().await.expect_err("a wrong password"), false);
    for text in [none, wrong] {
        assert!(text.contains("refuses the credentials") && text.contains("`Redis::password`"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("open-sesame"), "{text}");
    }
}

async fn a_server_that_takes_no_more_clients_may_take_some_later(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings.password("open-sesame")).await else { return };
    server.command(&["CONFIG", "SET", "maxclients", "1"]).await.expect("set");
    let first = redis(&server.url());
    first.ping().await.expect("the first one");
    let text = error_text(redis(&server.url()).ping().await.expect_err("full"), true);
    // The server may have closed the connection before the command.
    assert!(text.contains("max number of clients") || text.contains("cannot be reached"), "{text}");
    drop(first);
}

async fn users_and_passwords_of_any_characters(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    let port = server.port();
    let login = async |user: &str, password: &str, url: String| {
        let rights = ["ACL", "SETUSER", user, "reset", "on", &format!(">{password}"), "+ping"];
        server.command(&rights).await.expect("a user");
        redis(&url).ping().await.unwrap_or_else(|error| panic!("{user} {password}: {error}"));
    };
    // As they are, and percent-encoded; `+`, `&` and `=` mean nothing else here, as they do behind a `?`.
    login("u", "a&b=c+d", format!("redis://u:a&b=c+d@127.0.0.1:{port}")).await;
    login("u", "a&b", format!("redis://u:a%26b@127.0.0.1:{port}/0")).await;
    login("u", "-._~!$&'()*+,;=:", format!("redis://u:-._~!$&'()*+,;=:@127.0.0.1:{port}")).await;
    login("u+1;x", "/?#[]@%", format!("redis://u+1;x:%2F%3F%23%5B%5D%40%25@127.0.0.1:{port}")).await;
    login("m\u{fc}ller", "\u{1f600}", format!("redis://m%C3%BCller:%F0%9F%98%80@127.0.0.1:{port}")).await;
    // A user without a password takes any.
    server.command(&["ACL", "SETUSER", "open", "reset", "on", "nopass", "+ping"]).await.expect("a user");
    redis(&format!("redis://open@127.0.0.1:{port}")).ping().await.expect("no password is needed");
    let text =
        error_text(redis(&format!("redis://u@127.0.0.1:{port}")).ping().await.expect_err("one is"), false);
    assert!(text.contains("WRONGPASS"), "{text}");
}

async fn a_server_that_restarts_is_found_again_at_once(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    let redis = redis(&server.url());
    for _ in 0..5 {
        redis.ping().await.expect("it is there");
        server.restart().await.expect("it starts again");
    }
    redis.ping().await.expect("it is there again");
}

async fn a_server_that_hangs_is_waited_for_until_the_timeout(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    let redis = redis(&server.url());
    redis.ping().await.expect("it is there");
    server.pause().expect("it is frozen");
    // Over an existing connection, and over a new one.
    for _ in 0..2 {
        let start = Instant::now();
        let text = error_text(redis.ping().await.expect_err("it hangs"), true);
        assert!(start.elapsed() >= LIMIT && start.elapsed() < LIMIT * 8, "{:?}", start.elapsed());
        assert!(text.contains("500ms") && text.contains("`Redis::timeout`"), "{text}");
    }
    server.resume().expect("it continues");
    redis.ping().await.expect("it is there again");
}

#[tokio::test]
async fn an_http_server_is_reported_as_no_redis() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let text = error_text(redis(&format!("redis://{address}")).ping().await.expect_err("no Redis"), false);
    assert!(text.contains("does not answer as Redis does"), "{text}");
    server.abort();
}

/// On Redis alone: the Valkey that the testkit installs has no TLS.
#[tokio::test]
async fn over_tls() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(path("cert.pem"), made.cert.pem()).expect("written");
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).expect("written");
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let settings = RedisServer::builder()
        .config_line(format!("tls-port {port}"))
        .config_line(format!("tls-cert-file {}", path("cert.pem")))
        .config_line(format!("tls-key-file {}", path("key.pem")))
        .config_line("tls-auth-clients no");
    let Some(server) = redis_server_with(settings).await else { return };
    let secure = redis(&format!("rediss://localhost:{port}"));
    secure.clone().ca_file(path("cert.pem")).ping().await.expect("a certificate that is trusted");
    let text = error_text(secure.ping().await.expect_err("a certificate that is not trusted"), false);
    assert!(text.contains("no TLS connection") && text.contains("`Redis::ca_file`"), "{text}");
    let plain = redis(&format!("rediss://localhost:{}", server.port()));
    // The server waits for the rest of what it reads as a command.
    let text = error_text(plain.ping().await.expect_err("no TLS there"), true);
    assert!(text.contains("rediss:// against redis://"), "{text}");
}
