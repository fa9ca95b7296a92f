//! The same tests on Redis and on Valkey.

/// Makes two tests of each of these functions, `redis::NAME` and `valkey::NAME`. A function takes the
/// settings of its server, to which it may add, and asks `redis_server_with` for it.
macro_rules! on_each_kind {
    ($($name:ident),+ $(,)?) => {
        mod redis { on_each_kind!(@tests Redis $($name)+); }
        mod valkey { on_each_kind!(@tests Valkey $($name)+); }
    };
    (@tests $kind:ident $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                use agent_testkit::{RedisKind, RedisServer};
                super::$name(RedisServer::builder().kind(RedisKind::$kind)).await;
            }
        )+
    };
}
