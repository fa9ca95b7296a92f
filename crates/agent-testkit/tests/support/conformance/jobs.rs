//! Jobs from start to end.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use agent_testkit::{DispatchRequest, RoomRequest};
use agent_worker::{Agent, CancelReason, JobContext, JobKind, JobResult};

use super::stage::{AGENT, Stage, soon};

#[derive(Default, serde::Deserialize)]
struct Numbered {
    #[allow(dead_code, reason = "read from the metadata")]
    number: u32,
}

/// Behaves as its metadata specify.
async fn scripted(ctx: JobContext) -> JobResult {
    match ctx.job().raw_metadata.as_str() {
        "succeed" => Ok(()),
        "fail" => Err("no such voice".into()),
        "panic" => panic!("index out of bounds"),
        "hang" => std::future::pending().await,
        "stay" => {
            ctx.cancelled().await;
            Ok(())
        }
        "shutdown" => {
            ctx.shutdown("enough");
            assert_eq!(ctx.cancelled().await, CancelReason::Shutdown("enough".into()));
            Ok(())
        }
        _ => {
            ctx.metadata::<Numbered>()?;
            Ok(())
        }
    }
}

/// An agent that reports when it runs and why it was cancelled.
fn reporting() -> (impl Agent, Reports) {
    let (sender, reports) = mpsc::unbounded_channel();
    let agent = async move |ctx: JobContext| {
        sender.send(format!("as {}", ctx.room().local_participant().identity))?;
        sender.send(format!("cancelled: {}", ctx.cancelled().await))?;
        Ok(())
    };
    (agent, Reports(reports))
}

struct Reports(mpsc::UnboundedReceiver<String>);

impl Reports {
    async fn next(&mut self) -> String {
        soon(self.0.recv()).await.expect("the worker runs")
    }
}

pub(crate) async fn outcomes_of_handlers(stage: &Stage) -> Vec<String> {
    let worker = stage.run(scripted, |w| w).await;
    let mut observed = Vec::new();
    for metadata in ["succeed", "fail", "panic", "shutdown", r#"{"number":"seven"}"#, "{"] {
        let room = format!("room {metadata}");
        stage.dispatch(&room, metadata).await;
        observed.push(format!("{metadata}: {}", stage.end_in(&room).await));
    }
    worker.stop().await;
    observed
}

pub(crate) async fn a_job_over_its_time(stage: &Stage) -> Vec<String> {
    let worker = stage.run(scripted, |w| w.job_timeout(Duration::from_millis(500))).await;
    stage.dispatch("slow", "stay").await;
    let observed = vec![stage.end_in("slow").await];
    worker.stop().await;
    observed
}

pub(crate) async fn drained_jobs(stage: &Stage) -> Vec<String> {
    let mut worker = stage.run(scripted, |w| w.grace(Duration::from_millis(300))).await;
    for (room, metadata) in [("hanging", "hang"), ("staying", "stay")] {
        stage.dispatch(room, metadata).await;
    }
    worker.called(2).await;
    let report = worker.stop().await;
    vec![
        format!("{report:?}"),
        format!("hanging: {}", stage.end_in("hanging").await),
        format!("staying: {}", stage.end_in("staying").await),
    ]
}

pub(crate) async fn jobs_that_end_at_once(stage: &Stage) -> Vec<String> {
    // Without joining the room the end comes immediately.
    let worker = stage.run(scripted, |w| w.join_room(false)).await;
    let api = stage.api();
    let dispatches = (0..100).map(|n| {
        api.create_dispatch(DispatchRequest::new(AGENT, format!("quick-{}", n % 5)).metadata("succeed"))
    });
    for dispatched in futures_util::future::join_all(dispatches).await {
        dispatched.expect("the server takes the dispatch");
    }
    let observed = stage.ends(100).await;
    worker.stop().await;
    observed
}

pub(crate) async fn a_burst_into_every_slot(stage: &Stage) -> Vec<String> {
    let mut worker = stage.run(scripted, |w| w.max_jobs(30)).await;
    let api = stage.api();
    let dispatches = (0..30).map(|n| {
        api.create_dispatch(DispatchRequest::new(AGENT, format!("burst-{}", n % 10)).metadata("stay"))
    });
    for dispatched in futures_util::future::join_all(dispatches).await {
        dispatched.expect("the server takes the dispatch");
    }
    worker.called(30).await;
    let report = worker.stop().await;
    let mut observed = vec![format!("{report:?}")];
    observed.extend(stage.ends(30).await);
    observed
}

pub(crate) async fn a_deleted_dispatch(stage: &Stage) -> Vec<String> {
    let (agent, mut reports) = reporting();
    let worker = stage.run(agent, |w| w).await;
    let dispatch = stage.dispatch("undone", "").await;
    let identity = reports.next().await;
    stage.api().delete_dispatch("undone", &dispatch).await.unwrap();
    let mut observed = vec![reports.next().await, stage.end_in("undone").await];
    let gone = async {
        let identity = identity.trim_start_matches("as ");
        while stage.api().list_participants("undone").await.unwrap().iter().any(|p| p.identity == identity) {}
    };
    soon(gone).await;
    observed.push("the agent is gone".to_owned());
    worker.stop().await;
    observed
}

pub(crate) async fn a_deleted_room(stage: &Stage) -> Vec<String> {
    let (agent, mut reports) = reporting();
    let worker = stage.run(agent, |w| w).await;
    stage.dispatch("deleted", "").await;
    reports.next().await;
    stage.api().delete_room("deleted").await.unwrap();
    // The server sends it in two ways, and either may arrive first.
    let reason = reports.next().await.replace("terminated", "room_closed");
    worker.stop().await;
    vec![reason]
}

/// In the first seconds after a new kind of worker has registered, a room does not know of its jobs: only the
/// worker ends them.
pub(crate) async fn a_room_deleted_too_early(stage: &Stage) -> Vec<String> {
    for attempt in 0..5 {
        let (kind, room) = (format!("kind-{attempt}"), format!("early-{attempt}"));
        let (agent, mut reports) = reporting();
        let worker = stage.run(agent, |w| w.deployment(&kind)).await;
        let started = Instant::now();
        let request = DispatchRequest::new(AGENT, &room).deployment(&kind);
        stage.api().create_dispatch(request).await.unwrap();
        reports.next().await;
        stage.api().delete_room(&room).await.unwrap();
        let took = started.elapsed();
        let observed = vec![reports.next().await, stage.end_in(&room).await];
        worker.stop().await;
        // The time is 5 s; on a busy machine it may have passed.
        if took < Duration::from_secs(4) {
            return observed;
        }
    }
    panic!("this machine is too slow");
}

pub(crate) async fn a_removed_agent(stage: &Stage) -> Vec<String> {
    let (agent, mut reports) = reporting();
    let worker = stage.run(agent, |w| w).await;
    stage.dispatch("removed", "").await;
    let identity = reports.next().await;
    stage.api().remove_participant("removed", identity.trim_start_matches("as ")).await.unwrap();
    let reason = reports.next().await.replace("terminated", "kicked");
    // Our own status may arrive before the server's.
    let end = stage.end_in("removed").await.replace("agent worker left the room", "kicked");
    worker.stop().await;
    vec![reason, end]
}

pub(crate) async fn fields_of_a_job(stage: &Stage) -> Vec<String> {
    let (sender, mut reports) = mpsc::unbounded_channel();
    let agent = move |ctx: JobContext| {
        let sender = sender.clone();
        async move {
            sender.send(ctx.job().clone())?;
            JobResult::Ok(())
        }
    };
    let worker = stage.run(agent, |w| w).await;
    let room = stage.api().create_room(RoomRequest::new("fields").metadata("of the room")).await.unwrap();
    let request =
        DispatchRequest::new(AGENT, "fields").metadata("of the job").attributes([("color", "blue")]);
    let dispatch = stage.api().create_dispatch(request).await.unwrap();
    let job = soon(reports.recv()).await.unwrap();
    let end = stage.end_in("fields").await;
    worker.stop().await;
    vec![
        format!("kind {}, agent {:?}, deployment {:?}", job.kind, job.agent_name, job.deployment),
        format!("metadata {:?}, attributes {:?}", job.raw_metadata, job.attributes),
        format!(
            "room {:?} {:?}, the one that was made: {}",
            job.room.name,
            job.room.metadata,
            job.room.sid == room.sid
        ),
        format!("of the dispatch: {}", job.dispatch_id == dispatch.id),
        format!("ids: {} {} {}", &job.id.as_str()[..3], &job.dispatch_id[..3], &job.room.sid[..3]),
        format!("target {:?}, resuming {}", job.target, job.resuming),
        end,
    ]
}

pub(crate) async fn participant_jobs(stage: &Stage) -> Vec<String> {
    targets(stage, JobKind::Participant).await
}

pub(crate) async fn publisher_jobs(stage: &Stage) -> Vec<String> {
    targets(stage, JobKind::Publisher).await
}

/// One job for a participant who joined before the dispatch, one for a participant who joined after it.
async fn targets(stage: &Stage, kind: JobKind) -> Vec<String> {
    let (sender, mut reports) = mpsc::unbounded_channel();
    let agent = move |ctx: JobContext| {
        let sender = sender.clone();
        async move {
            let target = ctx.target().map(|target| (target.identity.clone(), target.kind));
            sender.send(format!("{} job of {target:?}", ctx.job().kind))?;
            JobResult::Ok(())
        }
    };
    let worker = stage.run(agent, |w| w.job_kind(kind)).await;
    let mut observed = Vec::new();
    for room in ["before", "after"] {
        if room == "after" {
            stage.dispatch(room, "").await;
        }
        let Some(_ada) = stage.publisher(room).await else { return expected_of_targets(kind) };
        if room == "before" {
            stage.dispatch(room, "").await;
        }
        observed.push(format!("{room}: {}", soon(reports.recv()).await.unwrap()));
        observed.push(stage.end_in(room).await);
    }
    worker.stop().await;
    observed
}

/// Without an official client there is no publisher on the real server: a line on stderr has reported that.
fn expected_of_targets(kind: JobKind) -> Vec<String> {
    let job = |room: &str| format!("{room}: {kind} job of Some((\"ada\", Standard))");
    vec![job("before"), "JS_SUCCESS".into(), job("after"), "JS_SUCCESS".into()]
}
