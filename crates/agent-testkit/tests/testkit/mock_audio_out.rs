//! Audio tracks that agents publish in mock rooms, on virtual time.

use std::time::Duration;

use agent_testkit::{JobSpec, run_job};
use agent_worker::room::{
    AgentPermissions, AudioLevel, AudioTrackOptions, OutgoingFrame, RoomError, RoomEvents, TrackSource,
};
use agent_worker::{JobContext, JobError, JobResult, RetryPolicy, RoomEvent};

const STEP: Duration = Duration::from_millis(20);

async fn wait_for(events: &mut RoomEvents, is_it: impl Fn(&RoomEvent) -> bool) {
    while let Some(event) = events.next().await {
        if is_it(&event) {
            return;
        }
    }
    panic!("the room ended");
}

/// Plays a few frames, once somebody listens.
async fn speak(ctx: JobContext) -> JobResult {
    let mut events = ctx.room().events();
    let track = ctx.room().publish_encoded_audio(AudioTrackOptions::new("voice")).await?;
    assert_eq!(ctx.room().local_participant().tracks[&track.sid()].name, "voice");
    wait_for(&mut events, |event| matches!(event, RoomEvent::LocalTrackPublished { .. })).await;
    wait_for(&mut events, |event| matches!(event, RoomEvent::LocalTrackSubscribed { .. })).await;
    ctx.room().data("go").next().await;
    for (timestamp, word) in (0..).step_by(960).zip(["once", "upon", "a", "time"]) {
        let frame = OutgoingFrame::new(word, timestamp).level(AudioLevel::new(-20, true));
        track.send(frame)?;
        tokio::time::sleep(STEP).await;
    }
    track.mute().await?;
    assert!(track.is_muted());
    track.send(OutgoingFrame::new("muted", 3_840))?;
    tokio::time::sleep(STEP).await;
    track.unpublish().await?;
    wait_for(&mut events, |event| matches!(event, RoomEvent::LocalTrackUnpublished { .. })).await;
    Ok(())
}

#[tokio::test]
async fn frames_of_an_agent_are_received_and_recorded() {
    let spec = JobSpec::room("lobby").script(|room| async move {
        let agent = room.wait_for_agent().await;
        let ada = room.join("ada");
        let track = room.wait_for_track(|publisher, _| publisher.identity == agent.identity).await;
        assert_eq!((track.name.as_str(), track.source), ("voice", TrackSource::Microphone));
        let mut frames = ada.room().encoded_audio(&track.sid).unwrap();
        ada.send_data("go", "");
        let mut heard = Vec::new();
        while let Some(frame) = frames.next().await {
            heard.push((frame.sequence, frame.timestamp, frame.marker, frame.payload));
        }
        let expected = [("once", true), ("upon", false), ("a", false), ("time", false)];
        let expected = (0..).zip(expected);
        let expected = expected.map(|(n, (word, marker))| (u64::from(n), n * 960, marker, word.into()));
        assert_eq!(heard, expected.collect::<Vec<_>>());
        let first = room.wait_for_audio(|sent| sent.track.name == "voice").await;
        assert_eq!(first.frame.payload, "once");
    });
    let run = run_job(speak, spec).await;
    run.assert_success();
    let sent: Vec<_> = run.audio_by_agent().collect();
    assert_eq!(sent.len(), 4, "{sent:?}");
    assert_eq!(sent[3].at - sent[0].at, 3 * STEP);
    assert_eq!(sent[0].frame.audio_level, Some(AudioLevel::new(-20, true)));
}

/// Publishes one track in each attempt, and lets the first attempts fail.
async fn again(ctx: JobContext) -> JobResult {
    let name = format!("attempt {}", ctx.attempt());
    let track = ctx.room().publish_encoded_audio(AudioTrackOptions::new(name)).await?;
    let tracks = ctx.room().local_participant().tracks.clone();
    assert_eq!(tracks.len(), 1, "that of the attempt before is gone: {tracks:?}");
    if ctx.attempt() < 3 {
        // It is not dropped with the handler.
        tokio::spawn(async move {
            let _track = track;
            std::future::pending::<()>().await;
        });
        return Err(JobError::retryable("once more", Duration::from_secs(1)));
    }
    Ok(())
}

#[tokio::test]
async fn the_tracks_of_an_attempt_end_with_it() {
    let retry = RetryPolicy::default();
    let run = run_job(again, JobSpec::room("lobby").worker(|builder| builder.retry(retry))).await;
    run.assert_success();
}

#[tokio::test]
async fn sources_and_tracks_that_are_not_permitted_are_refused() {
    async fn agent(ctx: JobContext) -> JobResult {
        let refused = ctx.room().publish_encoded_audio(AudioTrackOptions::new("voice")).await;
        let Err(RoomError::NotAllowed { detail }) = refused else { panic!("{refused:?}") };
        ctx.room().publish_data("refused", detail).await?;
        Ok(())
    }
    for (can_publish, expected) in [
        (true, "no permission to publish the source Microphone, but [Camera] (`can_publish_sources`)"),
        (false, "no permission to publish tracks (`can_publish`)"),
    ] {
        let spec = JobSpec::room("lobby").worker(move |builder| {
            let mut may = AgentPermissions::default();
            may.can_publish = can_publish;
            may.can_publish_sources = vec![TrackSource::Camera];
            builder.permissions(may)
        });
        let run = run_job(agent, spec).await;
        assert_eq!(run.sent_by_agent().next().unwrap().text(), expected);
    }
}

#[tokio::test]
async fn a_track_that_the_servers_api_mutes_is_silent_until_the_agent_ends_that() {
    async fn agent(ctx: JobContext) -> JobResult {
        let mut events = ctx.room().events();
        let track = ctx.room().publish_encoded_audio(AudioTrackOptions::new("voice")).await?;
        let me = ctx.room().local_participant().identity.clone();
        ctx.api().mute_track(&me, &track.sid(), true).await?;
        wait_for(&mut events, |event| matches!(event, RoomEvent::TrackMuted { .. })).await;
        assert!(track.is_muted());
        track.send(OutgoingFrame::new("muted", 0))?;
        tokio::time::sleep(STEP).await;
        track.unmute().await?;
        track.send(OutgoingFrame::new("heard", 960))?;
        tokio::time::sleep(STEP).await;
        // Too long a frame, and one after the end.
        assert_eq!(track.send(OutgoingFrame::new("", 0)), Err(RoomError::AudioFrameSize { len: 0 }));
        drop(track);
        wait_for(&mut events, |event| matches!(event, RoomEvent::LocalTrackUnpublished { .. })).await;
        Ok(())
    }
    let run = run_job(agent, JobSpec::room("lobby").participant("ada")).await;
    run.assert_success();
    let sent: Vec<_> = run.audio.iter().map(|sent| sent.frame.payload.clone()).collect();
    assert_eq!(sent, ["heard"]);
}
