//! A server of each kind is the requested program.

use agent_testkit::{RedisKind, RedisServer, redis_server_with};

#[tokio::test]
async fn a_valkey_is_a_valkey_and_a_redis_is_not() {
    for kind in RedisKind::ALL {
        let Some(server) = redis_server_with(RedisServer::builder().kind(kind)).await else { continue };
        let info = server.command(&["INFO", "server"]).await.unwrap();
        let name = info.lines().find_map(|line| line.strip_prefix("server_name:"));
        let is = if name == Some("valkey") { RedisKind::Valkey } else { RedisKind::Redis };
        assert_eq!(is, kind, "{info}");
    }
}
