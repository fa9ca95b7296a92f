//! One job on a real livekit-server behind a proxy with a password and TLS, with everything that it keeps in
//! a Redis with a password, and all of it logged at every level: no secret of any of them is in the text.
//! A program of its own, as all that its process logs is searched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod support;

use std::time::Duration;

use agent_testkit::{DispatchRequest, JobEndStatus, RedisServer, real_server, redis_server_with};
use agent_worker::api::DataMessage;
use agent_worker::checkpoint::RedisStore;
use agent_worker::coordination::{RedisCoordinator, RedisPubSub};
use agent_worker::net::{NetOptions, Redis};
use agent_worker::{JobContext, JobResult, Worker};

use support::authority::authority;
use support::full_log;
use support::recording_proxy::RecordingProxy;

const SOON: Duration = Duration::from_secs(60);
const REDIS_PASSWORD: &str = "the-redis-password-6e31";
const PROXY_PASSWORD: &str = "the-proxy-password-e0d9";

async fn works(ctx: JobContext) -> JobResult {
    ctx.room().publish_data("chat", "hello").await?;
    let api = ctx.api();
    api.send_data(DataMessage::new("hello")).await?;
    let error = api.remove_participant("absent").await.expect_err("not in the room");
    tracing::info!(?ctx, ?api, ?error, "what a handler may log: {error}");
    ctx.checkpoint::<u32>().save(&7).await?;
    drop(ctx.elect("leader").await?);
    ctx.channel("news").await?.publish("hello").await?;
    Ok(())
}

#[tokio::test]
async fn no_library_logs_a_secret() {
    let Some(server) = real_server().await else { return };
    let Some(redis) = redis_server_with(RedisServer::builder().password(REDIS_PASSWORD)).await else {
        return;
    };
    full_log::log_everything();
    let authority = authority("localhost");
    let port = server.server_url().ws_url().port().expect("a port");
    let between = RecordingProxy::start(authority.acceptor, port).await;
    let net = NetOptions::default().ca_file(authority.file);
    let net = net.proxy(&format!("http://ada:{PROXY_PASSWORD}@{}", between.address)).unwrap();
    let connection = || Redis::new(&redis.url()).unwrap();
    let worker = Worker::builder(works)
        .url("wss://localhost")
        .credentials(server.api_key(), server.api_secret().clone())
        .agent_name("tester")
        .net(net)
        .checkpoints(RedisStore::new(connection()))
        .coordinator(RedisCoordinator::new(connection()))
        .pubsub(RedisPubSub::new(connection()))
        .build()
        .unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("in time"));
    server.api().create_dispatch(DispatchRequest::new("tester", "lobby")).await.expect("a dispatch");
    let job = server.log().assigned_in("lobby", SOON).await.expect("a job");
    let end = server.log().outcome(&job.job_id, SOON).await.expect("its end");
    assert_eq!((end.status, end.error.as_str()), (JobEndStatus::Success, ""));
    handle.drain(Duration::from_secs(5)).await;
    running.await.unwrap().unwrap();

    let text = full_log::text();
    for part in ["registered worker", "job ended", "str0m", "what a handler may log"] {
        assert!(text.contains(part), "{part} is not logged: everything should be");
    }
    let mut secrets = vec![
        ("the API secret", server.api_secret().expose().to_owned()),
        ("the Redis password", REDIS_PASSWORD.to_owned()),
        ("the proxy's password", PROXY_PASSWORD.to_owned()),
        ("the proxy's credentials", format!("ada:{PROXY_PASSWORD}")),
    ];
    let tokens = between.tokens();
    assert!(tokens.len() >= 4, "the worker's, the room's and those of two calls: {tokens:?}");
    secrets.extend(tokens.into_iter().map(|token| ("a token", token)));
    let passwords = between.ice_passwords();
    assert!(passwords.len() >= 2, "ours and the server's: {passwords:?}");
    secrets.extend(passwords.into_iter().map(|password| ("an ICE password", password)));
    full_log::assert_none_of(&secrets);
}
