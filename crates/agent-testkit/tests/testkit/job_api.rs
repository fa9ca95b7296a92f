//! The server's API from a job in a mock room: calls take effect, and are recorded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use agent_testkit::{ApiCall, JobSpec, MockServer, ServerEvent, run_job, run_job_in_real_time};
use agent_worker::api::{
    ApiError, DataMessage, DispatchRequest, ParticipantChange, ParticipantPermissions,
    ParticipantSummaryKind, ServerApi, SipTransfer,
};
use agent_worker::room::Participant;
use agent_worker::{CancelReason, JobContext, JobResult, Outcome};

/// Ada after the warning.
fn warning() -> ParticipantChange {
    let mut permissions = ParticipantPermissions::new();
    permissions.can_publish_data = false;
    ParticipantChange::new()
        .name("Ada")
        .metadata("warned")
        .attributes([("strikes", "1")])
        .permissions(permissions)
}

fn transfer() -> SipTransfer {
    SipTransfer::new("tel:+15105550100").play_dialtone().header("X-Desk", "7")
}

async fn moderates(ctx: JobContext) -> JobResult {
    let api = ctx.api();
    let there = api.participants().await?;
    let agents = there.iter().filter(|who| who.kind == ParticipantSummaryKind::Agent).count();
    assert_eq!((there.len(), agents), (4, 1));
    let track = api.participant("ada").await?.track_sids.first().cloned().ok_or("no track")?;
    api.mute_track("ada", &track, true).await?;
    let ada = api.update_participant("ada", warning()).await?;
    assert_eq!((ada.name.as_str(), ada.permissions.can_publish_data), ("Ada", false));
    api.send_data(DataMessage::new("be kind").topic("notice").to("ada")).await?;
    api.update_metadata("closing").await?;
    api.remove_participant("bob").await?;
    api.transfer_sip_participant("caller", transfer()).await?;
    let no_caller = api.transfer_sip_participant("ada", "tel:+1").await.unwrap_err().to_string();
    assert!(no_caller.contains("no SIP session associated with participant"), "{no_caller}");
    assert!(api.remove_participant("absent").await.unwrap_err().is_not_found());
    Ok(())
}

#[tokio::test]
async fn calls_take_effect_and_are_recorded() {
    let mut caller = Participant::new("", "caller");
    caller.attributes = BTreeMap::from([("sip.callID".to_owned(), "SCL_1".to_owned())]);
    let spec = JobSpec::for_publisher("lobby", "ada").participant("bob").participant_as(caller);
    let spec = spec.script(|room| async move {
        room.wait_for_data(|sent| sent.text() == "be kind").await;
        let ada = room.wait_for("ada").await;
        assert_eq!((ada.metadata.as_str(), ada.permissions.can_publish_data), ("warned", false));
        assert!(ada.permissions.can_publish);
        assert!(ada.tracks.values().all(|track| track.muted));
    });
    let run = run_job(moderates, spec).await;
    run.assert_success();

    let room = || "lobby".to_owned();
    let identity = |identity: &str| identity.to_owned();
    let remove = |who| ApiCall::RemoveParticipant { room: room(), identity: identity(who) };
    let muted = run.api_calls.get(2).cloned();
    assert!(matches!(muted, Some(ApiCall::MuteTrack { identity, muted: true, .. }) if identity == "ada"));
    let others: Vec<&ApiCall> =
        run.api_calls.iter().filter(|call| !matches!(call, ApiCall::MuteTrack { .. })).collect();
    let expected = [
        ApiCall::ListParticipants { room: room() },
        ApiCall::GetParticipant { room: room(), identity: identity("ada") },
        ApiCall::UpdateParticipant { room: room(), identity: identity("ada"), change: warning() },
        ApiCall::SendData {
            room: room(),
            topic: "notice".into(),
            text: "be kind".into(),
            lossy: false,
            to: vec!["ada".into()],
        },
        ApiCall::UpdateRoomMetadata { room: room(), metadata: "closing".into() },
        remove("bob"),
        ApiCall::TransferSipParticipant { room: room(), identity: identity("caller"), transfer: transfer() },
        ApiCall::TransferSipParticipant {
            room: room(),
            identity: identity("ada"),
            transfer: SipTransfer::new("tel:+1"),
        },
        remove("absent"),
    ];
    assert_eq!(others, expected.iter().collect::<Vec<_>>());
    let refused = run.timeline.events().iter().filter_map(|(_, event)| match event {
        ServerEvent::ApiRefused { method, code, .. } => Some(format!("{method} {code}")),
        _ => None,
    });
    assert_eq!(
        refused.collect::<Vec<_>>(),
        ["SIP/TransferSIPParticipant invalid_argument", "RoomService/RemoveParticipant not_found"]
    );
}

#[tokio::test]
async fn a_job_that_deletes_its_room_ends_with_it() {
    let deletes = |ctx: JobContext| async move {
        ctx.api().delete().await?;
        let reason = ctx.cancelled().await;
        assert!(matches!(reason, CancelReason::RoomClosed | CancelReason::Terminated), "{reason}");
        Ok(())
    };
    let run = run_job(deletes, JobSpec::room("lobby").participant("ada")).await;
    assert_eq!(run.outcome, Outcome::Success);
    assert_eq!(run.api_calls, [ApiCall::DeleteRoom { room: "lobby".into() }]);
}

#[tokio::test]
async fn a_dispatch_that_no_worker_accepts_fails_without_a_wait_in_the_mock() {
    let begun = Instant::now();
    let asks = |ctx: JobContext| async move {
        let error = ctx.api().ensure_dispatch("absent", Duration::from_secs(60)).await.unwrap_err();
        assert!(matches!(error, ApiError::NotTaken { .. }), "{error}");
        let left = ctx.api().dispatches().await?;
        assert!(left.iter().all(|dispatch| dispatch.agent_name != "absent"), "{left:?}");
        Ok(())
    };
    let run = run_job(asks, JobSpec::room("lobby").lasts(Duration::from_secs(600))).await;
    run.assert_success();
    assert!(run.duration >= Duration::from_secs(60), "{:?}", run.duration);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let created = run.api_calls.iter().filter(|call| matches!(call, ApiCall::CreateDispatch(_))).count();
    assert_eq!(created, 8, "one in 8.5 s");
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_dispatch_an_agent_once() {
    let server = MockServer::builder().dispatch_delay(Duration::from_millis(200)).start_in_process();
    let stays = |ctx: JobContext| async move {
        ctx.cancelled().await;
        JobResult::Ok(())
    };
    let helper = server.worker(stays).agent_name("helper").build().unwrap();
    tokio::spawn(helper.run());
    let asks = |ctx: JobContext| async move {
        let request = DispatchRequest::agent("helper").metadata(ctx.job().id.to_string());
        ctx.api().ensure_dispatch(request, Duration::from_secs(20)).await?;
        Ok(())
    };
    let asker = server.worker(asks).agent_name("asker").build().unwrap();
    tokio::spawn(asker.run());
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(server.dispatch(JobSpec::room("lobby").agent_name("asker")).await.unwrap());
    }
    for job in jobs {
        assert_eq!(job.outcome().await.unwrap(), Outcome::Success);
    }
    let helpers = server.events().into_iter().filter_map(|event| match event {
        ServerEvent::ApiCalled { call: ApiCall::CreateDispatch(request) } => Some(request.agent_name),
        _ => None,
    });
    // Those that were created at once are withdrawn, and their jobs terminated.
    assert!(helpers.count() <= 5);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let there = server.room("lobby").participants();
    assert_eq!(there.len(), 1, "{there:?}");
}

#[tokio::test]
async fn an_unreachable_server_is_a_retryable_error() {
    let asks = |ctx: JobContext| async move {
        if ctx.attempt() == 1 {
            // A port that was free a moment ago has no listener.
            let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let api = ServerApi::new(&format!("ws://{address}").parse()?, "key", "secret")?;
            api.list_rooms(&[]).await?;
        }
        ctx.room().publish_data("attempt", ctx.attempt().to_string()).await?;
        Ok(())
    };
    let run = run_job_in_real_time(asks, JobSpec::room("lobby")).await;
    run.assert_success();
    assert_eq!(run.sent[0].text(), "2");
}
