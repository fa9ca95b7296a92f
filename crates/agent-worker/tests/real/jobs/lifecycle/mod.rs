//! How jobs end, are retried and are cleaned up after, on a real livekit-server.

mod attempts;
mod ends;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use agent_testkit::{DispatchRequest, JobEnd, RealServer};
use agent_worker::room::{JoinRequest, RoomConnector, WebRtc};
use agent_worker::{
    Agent, CancelReason, EndedJob, JobContext, JobResult, Outcome, Room, Worker, WorkerBuilder, WorkerHandle,
};

const AGENT: &str = "lifecycle";
const SOON: Duration = Duration::from_secs(30);

/// What jobs report, with their room.
#[derive(Debug)]
enum Report {
    /// Its handler was called, as this participant.
    Called(String),
    Cancelled(CancelReason),
    /// Its cleanup ran, and whether it was in its room.
    CleanedUp(bool),
    Ended(EndedJob),
}

type Reports = mpsc::UnboundedSender<(String, Report)>;

/// A handler whose steps are reported to the test.
struct Reporting<H> {
    handler: H,
    reports: Reports,
}

impl<H, F> Agent for Reporting<H>
where
    H: Fn(JobContext, Reports) -> F + Send + Sync + 'static,
    F: Future<Output = JobResult> + Send,
{
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let (room, reports) = (ctx.job().room.name.clone(), self.reports.clone());
        let who = ctx.room().local_participant().identity.clone();
        reports.send((room.clone(), Report::Called(who)))?;
        let cleaned = reports.clone();
        ctx.on_cleanup(async move |ctx| {
            cleaned.send((room, Report::CleanedUp(ctx.is_in_room()))).unwrap();
        });
        (self.handler)(ctx, reports).await
    }

    async fn on_ended(&self, ended: &EndedJob) {
        let _ = self.reports.send((ended.job.room.name.clone(), Report::Ended(ended.clone())));
    }
}

struct Stage {
    server: RealServer,
    worker: WorkerHandle,
    received: mpsc::UnboundedReceiver<(String, Report)>,
    /// Reports of other rooms that came meanwhile.
    kept: BTreeMap<String, Vec<Report>>,
    /// Other participants, who stay in the rooms until the end.
    guests: Vec<Room>,
}

impl Stage {
    async fn new<H, F>(handler: H, change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Option<Self>
    where
        H: Fn(JobContext, Reports) -> F + Send + Sync + 'static,
        F: Future<Output = JobResult> + Send + 'static,
    {
        let server = agent_testkit::real_server().await?;
        let (reports, received) = mpsc::unbounded_channel();
        let builder = Worker::builder(Reporting { handler, reports })
            .url(server.url())
            .credentials(server.api_key(), server.api_secret().clone())
            .agent_name(AGENT)
            .grace(Duration::from_millis(500));
        let worker = change(builder).build().expect("the settings are complete");
        let handle = worker.handle();
        tokio::spawn(worker.run());
        assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
        Some(Self { server, worker: handle, received, kept: BTreeMap::new(), guests: Vec::new() })
    }

    async fn dispatch(&self, room: &str, metadata: &str) -> String {
        let request = DispatchRequest::new(AGENT, room).metadata(metadata);
        self.server.api().create_dispatch(request).await.expect("the server takes the dispatch").id
    }

    /// The next report of a room's job.
    async fn next(&mut self, room: &str) -> Report {
        loop {
            if let Some(first) = self.kept.get_mut(room).filter(|kept| !kept.is_empty()) {
                return first.remove(0);
            }
            let received = tokio::time::timeout(SOON, self.received.recv()).await;
            let (of, received) =
                received.unwrap_or_else(|_| panic!("nothing from {room}")).expect("the worker runs");
            self.kept.entry(of).or_default().push(received);
        }
    }

    async fn called(&mut self, room: &str) -> String {
        match self.next(room).await {
            Report::Called(who) => who,
            other => panic!("{room}: {other:?}"),
        }
    }

    /// The rest of a job: the reason to stop, if there was one, whether its one cleanup was in the room, and
    /// its end.
    async fn rest(&mut self, room: &str) -> (Option<CancelReason>, bool, EndedJob) {
        let (mut reason, mut cleanups) = (None, Vec::new());
        loop {
            match self.next(room).await {
                Report::Called(_) => panic!("{room} is called again"),
                Report::Cancelled(why) => reason = Some(why),
                Report::CleanedUp(in_room) => cleanups.push(in_room),
                Report::Ended(ended) => {
                    let [in_room] = cleanups[..] else { panic!("{room}: {} cleanups", cleanups.len()) };
                    return (reason, in_room, ended);
                }
            }
        }
    }

    async fn recorded(&self, room: &str) -> JobEnd {
        let job = self.server.log().assigned_in(room, SOON).await.expect("a job for the room").job_id;
        self.server.log().outcome(&job, SOON).await.expect("the end of the job")
    }

    async fn stop(self) {
        self.worker.drain(Duration::from_secs(1)).await;
        for guest in self.guests {
            guest.leave().await;
        }
    }

    /// Another participant in a room.
    async fn join(&self, room: &str, identity: &str) -> Room {
        let token = self.server.token().identity(identity).join_room(room).sign().expect("a token");
        WebRtc::default().connect(JoinRequest::new(self.server.url(), token)).await.expect("joined")
    }
}

fn text(outcome: &Outcome) -> &str {
    outcome.error().unwrap_or("SUCCESS")
}
