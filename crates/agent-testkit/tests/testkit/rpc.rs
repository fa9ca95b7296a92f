//! Remote procedure calls between an agent and the participants that a test plays.

use std::time::Duration;

use agent_testkit::{JobSpec, MockRoom, run_job};
use agent_worker::room::{AgentPermissions, RpcError, RpcErrorCode, RpcRequest};
use agent_worker::{JobContext, JobResult, Room, WorkerBuilder};

/// Has methods that answer, fail, panic and take too long.
async fn calculator(ctx: JobContext) -> JobResult {
    let room = ctx.room();
    room.register_rpc_method("square", |request: RpcRequest| async move {
        let number: i64 = request.payload.parse().map_err(|_| RpcError::new(1, "not a number", "payload"))?;
        Ok::<_, RpcError>((number * number).to_string())
    })
    .await?;
    room.register_rpc_method("panic", |_| async {
        if true {
            panic!("out of range")
        }
    })
    .await?;
    room.register_rpc_method("hang", |_| std::future::pending::<()>()).await?;
    room.register_rpc_method("old", |_| async { "old" }).await?;
    room.unregister_rpc_method("old").await?;
    room.publish_data("ready", "").await?;
    ctx.cancelled().await;
    Ok(())
}

async fn call(room: &Room, to: &str, method: &str, payload: &str) -> Result<String, u32> {
    room.perform_rpc(to, method, payload).await.map_err(|error| error.code)
}

#[tokio::test]
async fn an_agent_has_methods() {
    let job = JobSpec::room("lobby").script(|room| async move {
        let ada = room.join("ada");
        let agent = room.wait_for_data(|sent| sent.topic == "ready").await.sender.unwrap();
        let call = |method: &'static str, payload: &'static str| {
            let (room, agent) = (ada.room().clone(), agent.clone());
            async move { call(&room, &agent, method, payload).await }
        };
        assert_eq!(call("square", "12").await, Ok("144".to_owned()));
        assert_eq!(call("square", "twelve").await, Err(1));
        assert_eq!(call("panic", "").await, Err(1500));
        assert_eq!(call("hang", "").await, Err(1502));
        assert_eq!(call("old", "").await, Err(1400));
        let error = ada.room().perform_rpc(&agent, "square", "twelve").await.unwrap_err();
        assert_eq!(error, RpcError::new(1, "not a number", "payload"));
        let served = room.wait_for_rpc_call(|call| call.method == "square").await;
        assert_eq!((served.caller.as_str(), served.result.as_deref()), ("ada", Ok("144")));
    });
    let run = run_job(calculator, job.lasts(Duration::ZERO)).await;
    run.assert_success();
    let calls: Vec<_> = run
        .rpc_calls
        .iter()
        .map(|call| (call.method.as_str(), call.result.as_ref().map_err(|error| error.code)))
        .collect();
    let square = "144".to_owned();
    assert_eq!(
        calls,
        [
            ("square", Ok(&square)),
            ("square", Err(1)),
            ("panic", Err(1500)),
            ("hang", Err(1502)),
            ("old", Err(1400)),
            ("square", Err(1))
        ]
    );
}

/// Plays Ada with methods of all kinds, and Bob, who joins late.
async fn others(room: MockRoom) {
    let ada = room.join("ada");
    let offers = ada.room();
    offers.register_rpc_method("confirm", |_| async { "yes" }).await.unwrap();
    offers
        .register_rpc_method("refuse", |_| async { Err::<(), _>(RpcError::new(7, "no", "")) })
        .await
        .unwrap();
    offers
        .register_rpc_method("panic", |_| async {
            if true {
                panic!("out of range")
            }
        })
        .await
        .unwrap();
    offers.register_rpc_method("hang", |_| std::future::pending::<()>()).await.unwrap();
    let large = 16 * 1024 * 1024 + 1;
    offers.register_rpc_method("large", move |_| async move { "x".repeat(large) }).await.unwrap();
    let leaving = ada.clone();
    offers
        .register_rpc_method("leave", move |_| {
            let leaving = leaving.clone();
            async move {
                leaving.leave();
                std::future::pending::<()>().await;
            }
        })
        .await
        .unwrap();
    // What the handle offers outlives it.
    drop(ada);
    room.send_data("ready", "");
    room.wait_for_data(|sent| sent.topic == "calls bob").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    room.join("bob");
}

#[tokio::test]
async fn an_agent_calls_and_gets_each_error() {
    let agent = |ctx: JobContext| async move {
        let room = ctx.room();
        room.data("ready").next().await.ok_or("the room is over")??;
        let code = |result: Result<String, RpcError>| result.map_err(|error| error.code);
        assert_eq!(code(room.perform_rpc("ada", "confirm", "").await), Ok("yes".to_owned()));
        assert_eq!(code(room.perform_rpc("ada", "refuse", "").await), Err(7));
        assert_eq!(code(room.perform_rpc("ada", "panic", "").await), Err(1500));
        assert_eq!(code(room.perform_rpc("ada", "other", "").await), Err(1400));
        assert_eq!(code(room.perform_rpc("ada", "large", "").await), Err(1504));
        let too_large = "x".repeat(16 * 1024 * 1024 + 1);
        assert_eq!(code(room.perform_rpc("ada", "confirm", too_large).await), Err(1402));
        let hang = room.perform_rpc("ada", "hang", "").timeout(Duration::from_millis(100));
        assert_eq!(code(hang.await), Err(1502));
        assert_eq!(code(room.perform_rpc("nobody", "confirm", "").await), Err(1401));
        // Bob joins after the request was sent, and never acknowledges it.
        room.publish_data("calls bob", "").await?;
        assert_eq!(code(room.perform_rpc("bob", "confirm", "").await), Err(1501));
        let left = room.perform_rpc("ada", "leave", "").await.unwrap_err();
        assert!(left.is(RpcErrorCode::RecipientDisconnected), "{left}");
        JobResult::Ok(())
    };
    let run = run_job(agent, JobSpec::room("lobby").participant("carol").script(others)).await;
    run.assert_success();
    assert_eq!(run.rpc_calls.len(), 10);
    assert!(run.timeline.to_string().contains("code: Some(1503)"), "{}", run.timeline);
}

#[tokio::test]
async fn an_agent_without_the_permission_calls_nobody() {
    let agent = |ctx: JobContext| async move {
        let error = ctx.room().perform_rpc("ada", "confirm", "").await.unwrap_err();
        assert!(error.is(RpcErrorCode::SendFailed), "{error}");
        assert!(error.data.contains("no permission to publish data"), "{error:?}");
        JobResult::Ok(())
    };
    let silent = |worker: WorkerBuilder| {
        let mut permissions = AgentPermissions::default();
        permissions.can_publish_data = false;
        worker.permissions(permissions)
    };
    run_job(agent, JobSpec::room("lobby").participant("ada").worker(silent)).await.assert_success();
}
