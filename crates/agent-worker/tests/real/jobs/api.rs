//! The server's API from a job, on a real livekit-server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use agent_testkit::{DispatchRequest, JobEndStatus, OfficialClient, RealServer, real_server};
use agent_worker::api::{
    ApiError, DataMessage, ParticipantChange, ParticipantSummaryKind, RoomRequest, ServerApi,
};
use agent_worker::room::{DisconnectReason, JoinRequest, RoomConnector, WebRtc};
use agent_worker::{
    Agent, CancelReason, EndedJob, JobContext, JobResult, Room, RoomEvent, Worker, WorkerHandle,
};

const SOON: Duration = Duration::from_secs(30);

/// A handler whose results are sent to the test.
struct Told<H> {
    handler: H,
    ended: mpsc::UnboundedSender<EndedJob>,
}

impl<H, F> Agent for Told<H>
where
    H: Fn(JobContext) -> F + Send + Sync + 'static,
    F: Future<Output = JobResult> + Send,
{
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        (self.handler)(ctx).await
    }

    async fn on_ended(&self, ended: &EndedJob) {
        let _ = self.ended.send(ended.clone());
    }
}

/// A worker of this name, once it is registered, and the ends of its jobs.
async fn worker<H, F>(
    server: &RealServer,
    name: &str,
    handler: H,
) -> (WorkerHandle, mpsc::UnboundedReceiver<EndedJob>)
where
    H: Fn(JobContext) -> F + Send + Sync + 'static,
    F: Future<Output = JobResult> + Send + 'static,
{
    let (ended, ends) = mpsc::unbounded_channel();
    let worker = Worker::builder(Told { handler, ended })
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .agent_name(name)
        .build()
        .expect("the settings are complete");
    let handle = worker.handle();
    tokio::spawn(worker.run());
    assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
    (handle, ends)
}

async fn join(server: &RealServer, room: &str, identity: &str) -> Room {
    let token = server.token().identity(identity).join_room(room).sign().expect("a token");
    let request = JoinRequest::new(server.url(), token);
    WebRtc::default().connect(request).await.expect("the room is joined")
}

/// Waits for an event that `wanted` accepts.
async fn until<T>(room: &Room, wanted: impl Fn(RoomEvent) -> Option<T>) -> T {
    let mut events = room.events();
    let found = async {
        loop {
            let event = events.next().await.expect("the room stays");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, found).await.expect("in time")
}

/// Makes each call once, in its own room.
async fn moderates(ctx: JobContext) -> JobResult {
    let api = ctx.api();
    assert_eq!(api.name(), "moderated");
    for identity in ["ada", "bob"] {
        ctx.room()
            .wait_for_participant(agent_worker::room::ParticipantFilter::identity(identity))
            .await
            .map_err(|error| error.to_string())?;
    }

    let kinds: Vec<ParticipantSummaryKind> =
        api.participants().await?.iter().map(|participant| participant.kind).collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == ParticipantSummaryKind::Agent).count(), 1);

    let mut permissions = api.participant("ada").await?.permissions;
    assert!(permissions.can_publish && permissions.can_publish_data && permissions.can_subscribe);
    permissions.can_publish_data = false;
    let change = ParticipantChange::new().metadata("warned").attributes([("strikes", "1")]);
    let ada = api.update_participant("ada", change.permissions(permissions)).await?;
    assert_eq!((ada.metadata.as_str(), ada.permissions.can_publish_data), ("warned", false));

    api.send_data(DataMessage::new("to all").topic("notice")).await?;
    api.send_data(DataMessage::new("to ada").topic("notice").to("ada")).await?;
    assert_eq!(api.update_metadata("closing").await?.metadata, "closing");

    api.remove_participant("bob").await?;
    assert!(api.remove_participant("absent").await.unwrap_err().is_not_found());

    let transfer = |identity| api.transfer_sip_participant(identity, "tel:+15105550100");
    let refused = transfer("ada").await.unwrap_err().to_string();
    assert!(refused.contains("no SIP session associated with participant"), "{refused}");
    assert!(transfer("absent").await.unwrap_err().is_not_found());

    let dispatch = api.create_dispatch(DispatchRequest::agent("absent").metadata("m")).await?;
    let listed = api.dispatches().await?;
    assert!(listed.iter().any(|one| one.id == dispatch.id && one.metadata == "m"), "{listed:?}");
    api.delete_dispatch(&dispatch.id).await?;
    assert!(!api.dispatches().await?.iter().any(|one| one.id == dispatch.id));

    let other = api.server().create_room(RoomRequest::new("other")).await?;
    assert!(api.room("other").participants().await?.is_empty());
    assert_eq!(api.server().list_rooms(&["other"]).await?.first().map(|room| &room.sid), Some(&other.sid));
    api.room("other").delete().await?;

    api.delete().await?;
    let reason = ctx.cancelled().await;
    assert!(matches!(reason, CancelReason::RoomClosed | CancelReason::Terminated), "{reason}");
    Ok(())
}

#[tokio::test]
async fn each_call_once_and_a_deleted_room_ends_the_job() {
    let Some(server) = real_server().await else { return };
    let (worker, mut ends) = worker(&server, "moderator", moderates).await;
    let (ada, bob) = (join(&server, "moderated", "ada").await, join(&server, "moderated", "bob").await);
    let mut notices = ada.data("notice");
    server.api().create_dispatch(DispatchRequest::new("moderator", "moderated")).await.expect("dispatched");

    let strikes = until(&ada, |event| match event {
        RoomEvent::AttributesChanged { participant, changed } if participant.identity == "ada" => {
            changed.get("strikes").cloned()
        }
        _ => None,
    });
    let received = async {
        let mut received = Vec::new();
        while received.len() < 2 {
            let notice = notices.next().await.expect("the room stays").expect("nothing is missing");
            assert_eq!(notice.sender, None);
            received.push(String::from_utf8_lossy(&notice.payload).into_owned());
        }
        received
    };
    let (strikes, received, removed) =
        tokio::join!(strikes, tokio::time::timeout(SOON, received), bob.closed());
    assert_eq!((strikes.as_str(), received.expect("in time").join(", ").as_str()), ("1", "to all, to ada"));
    assert_eq!(removed, DisconnectReason::Removed);
    let closed = tokio::time::timeout(SOON, ada.closed()).await.expect("the room is deleted");
    assert_eq!(closed, DisconnectReason::RoomDeleted);
    assert!(!ada.local_participant().permissions.can_publish_data);

    let ended = tokio::time::timeout(SOON, ends.recv()).await.expect("in time").expect("the job ends");
    assert!(ended.outcome.is_success(), "{ended:?}");
    // The server may record its own action before the worker has reported anything.
    let end = server.log().outcome(ended.job.id.as_str(), SOON).await.expect("recorded");
    match end.status {
        JobEndStatus::Failed => assert_eq!(end.error, "agent worker left the room"),
        status => assert_eq!(status, JobEndStatus::Success),
    }
    worker.drain(Duration::ZERO).await;
}

/// Waits until one agent is in the room.
async fn alone(server: &RealServer, room: &str) {
    let one = async {
        loop {
            let there = server.api().list_participants(room).await.expect("a list");
            if there.iter().filter(|who| who.kind == ParticipantSummaryKind::Agent).count() == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, one).await.unwrap_or_else(|_| panic!("one agent stays in {room}"));
}

#[tokio::test]
async fn a_track_is_muted_for_its_publisher() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let token = server.token().identity("ada").join_room("loud").sign().expect("a token");
    let ada = OfficialClient::join(&server.url(), &token).await.expect("she joins");
    let sid = ada.publish_audio("song", Some(440)).await.expect("published");
    let room = join(&server, "loud", "bob").await;
    // Muted before it is announced, it would be announced as muted.
    let announced = || room.participant("ada").is_some_and(|ada| ada.tracks.contains_key(&sid));
    until(&room, |_| announced().then_some(())).await;
    let muted = until(&room, |event| match event {
        RoomEvent::TrackMuted { track, .. } => Some(track.sid),
        _ => None,
    });
    let api = server.api().room("loud");
    let (muted, done) = tokio::join!(muted, api.mute_track("ada", &sid, true));
    done.expect("muted");
    assert_eq!(muted, sid);
    let unmuted = api.mute_track("ada", &sid, false).await.unwrap_err().to_string();
    assert!(unmuted.contains("remote unmute not enabled"), "{unmuted}");
    assert!(api.mute_track("absent", &sid, true).await.is_err());
}

#[tokio::test]
async fn an_agent_is_dispatched_once_however_often_it_is_requested() {
    let Some(server) = real_server().await else { return };
    let called = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&called);
    let stays = move |ctx: JobContext| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            ctx.cancelled().await;
            JobResult::Ok(())
        }
    };
    let (helper, _ends) = worker(&server, "helper", stays).await;
    // The first attempt of the job fails after it called, as one that was killed would.
    let (dispatched, mut ids) = mpsc::unbounded_channel();
    let asks = move |ctx: JobContext| {
        let dispatched = dispatched.clone();
        async move {
            let dispatch = ctx.api().ensure_dispatch("helper", SOON).await?;
            dispatched.send(dispatch.id)?;
            match ctx.attempt() {
                1 => Err(agent_worker::JobError::retryable("once more", Duration::from_millis(10))),
                _ => Ok(()),
            }
        }
    };
    let (asker, mut ends) = worker(&server, "asker", asks).await;
    server.api().ensure_dispatch(DispatchRequest::new("asker", "shared"), SOON).await.expect("it is taken");
    let ended = tokio::time::timeout(SOON, ends.recv()).await.expect("in time").expect("the job ends");
    assert!(ended.outcome.is_success(), "{ended:?}");
    let (first, second) = (ids.recv().await, ids.recv().await);
    assert!(first.is_some() && first == second, "{first:?} {second:?}");
    // The caller leaves after the end of the job.
    alone(&server, "shared").await;
    assert_eq!(called.load(Ordering::SeqCst), 1);

    // Concurrent requests of independent programs.
    let other = ServerApi::new(server.server_url(), server.api_key(), server.api_secret().clone());
    let other = other.expect("a client");
    server.api().create_room(RoomRequest::new("at-once")).await.expect("created");
    let request = || DispatchRequest::new("helper", "at-once");
    let (one, two) =
        tokio::join!(server.api().ensure_dispatch(request(), SOON), other.ensure_dispatch(request(), SOON));
    let (one, two) = (one.expect("it is taken"), two.expect("it is taken"));
    assert_eq!(one.id, two.id);
    let listed = server.api().list_dispatches("at-once").await.expect("a list");
    assert_eq!(listed.iter().filter(|dispatch| dispatch.agent_name == "helper").count(), 1, "{listed:?}");
    alone(&server, "at-once").await;
    asker.drain(Duration::ZERO).await;
    helper.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_dispatch_that_no_worker_accepts_leaves_nothing_behind() {
    let Some(server) = real_server().await else { return };
    let request = DispatchRequest::new("absent", "empty");
    let error = server.api().ensure_dispatch(request, Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, ApiError::NotTaken { .. }), "{error}");
    let left = server.api().list_dispatches("empty").await.expect("a list");
    assert!(left.iter().all(|dispatch| dispatch.agent_name.is_empty()), "{left:?}");
}

#[tokio::test]
async fn errors_name_the_missing_grant_and_what_to_do() {
    let Some(server) = real_server().await else { return };
    let text = |error: ApiError| error.to_string();
    let token = server.token().administer_room("lobby").sign().expect("a token");
    let api = ServerApi::with_token(server.server_url(), token);
    assert!(api.room("lobby").participants().await.expect("permitted").is_empty());
    assert_eq!(
        text(api.room("vault").remove_participant("ada").await.unwrap_err()),
        "RoomService/RemoveParticipant: the server did not find the grant `roomAdmin` for room \"vault\" in the token \
         (permissions denied): sign the token with it, or use an API key that may grant it"
    );
    let deleted = text(api.room("lobby").delete().await.unwrap_err());
    assert!(deleted.contains("RoomService/DeleteRoom") && deleted.contains("`roomCreate`"), "{deleted}");
    let listed = text(api.list_rooms(&[]).await.unwrap_err());
    assert!(listed.contains("`roomList`"), "{listed}");

    let stranger =
        ServerApi::new(server.server_url(), server.api_key(), "another secret of enough characters");
    let refused = text(stranger.expect("a client").room("lobby").participants().await.unwrap_err());
    assert!(refused.contains("check that API key and secret are those of this server"), "{refused}");
    assert!(!refused.contains("eyJ"), "the server repeats the token, the error does not: {refused}");

    let missing = text(server.api().room("nowhere").send_data(DataMessage::new("hello?")).await.unwrap_err());
    assert!(missing.contains("a room or a participant that does not exist"), "{missing}");
}
