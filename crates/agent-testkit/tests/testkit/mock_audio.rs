//! Frames of audio tracks in mock rooms, on virtual time.

use std::time::Duration;

use agent_testkit::{JobSpec, run_job};
use agent_worker::room::{AutoSubscribe, EncodedFrame, RoomEvents, TrackError, TrackKind};
use agent_worker::{JobContext, JobError, JobResult, RetryPolicy, RoomEvent};

/// One of 20 ms.
fn frame(payload: &'static str, number: u32) -> EncodedFrame {
    EncodedFrame::new(payload, number.into(), number * 960)
}

/// The sid of the first track that is published.
async fn published(events: &mut RoomEvents) -> String {
    while let Some(event) = events.next().await {
        if let RoomEvent::TrackPublished { track, .. } = event {
            return track.sid;
        }
    }
    panic!("the room ended");
}

/// Reads every track that it is sent, and reports each in the end.
async fn listen(ctx: JobContext) -> JobResult {
    let mut events = ctx.room().events();
    let mut tasks = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            RoomEvent::TrackSubscribed { track, .. } => {
                let mut frames = ctx.room().encoded_audio(&track.sid)?;
                ctx.room().publish_data("listening", track.name.clone()).await?;
                tasks.push(ctx.spawn(async move {
                    let (mut played, mut received) = (String::new(), Vec::new());
                    while let Some(frame) = frames.next().await {
                        played.push_str(std::str::from_utf8(&frame.payload).unwrap());
                        received.push(frame.received);
                    }
                    let steps: Vec<_> = received.windows(2).map(|pair| pair[1] - pair[0]).collect();
                    format!("{}: {played} {steps:?} {}", track.name, frames.dropped())
                }));
            }
            RoomEvent::ParticipantLeft { .. } => break,
            _ => {}
        }
    }
    for task in tasks {
        let report = task.await?;
        ctx.room().publish_data("report", report).await?;
    }
    Ok(())
}

#[tokio::test]
async fn each_stream_has_the_frames_of_its_track_in_their_time() {
    let spec = JobSpec::room("lobby").script(|room| async move {
        let (ada, bob) = (room.join("ada"), room.join("bob"));
        // One is there before the agent, the other is not.
        let first = ada.publish("first", TrackKind::Audio, Default::default());
        ada.send_frame(&first, frame("too early ", 0));
        room.wait_for_agent().await;
        let second = bob.publish("second", TrackKind::Audio, Default::default());
        for name in ["first", "second"] {
            room.wait_for_data(|sent| sent.topic == "listening" && sent.text() == name).await;
        }
        for n in 0..3 {
            ada.send_frame(&first, frame("a", n));
            bob.send_frame(&second, frame("b", n));
            // No track has the frames of another one, and a muted one is silent.
            bob.send_frame(&first, frame("?", n));
            ada.mute(&first, true);
            ada.send_frame(&first, frame("?", n));
            ada.mute(&first, false);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ada.unpublish(&first);
        ada.send_frame(&first, frame("?", 3));
        bob.send_frame(&second, frame("b", 3));
        bob.leave();
    });
    let run = run_job(listen, spec).await;
    run.assert_success();
    let played: Vec<_> = run.sent_by_agent().filter(|s| s.topic == "report").map(|s| s.text()).collect();
    assert_eq!(played, ["first: aaa [20ms, 20ms] 0", "second: bbbb [20ms, 20ms, 20ms] 0"]);
}

#[tokio::test]
async fn an_agent_without_subscriptions_gets_no_track_events_and_no_frames() {
    async fn look(ctx: JobContext) -> JobResult {
        let mut events = ctx.room().events();
        let mut frames = ctx.room().encoded_audio(&published(&mut events).await)?;
        ctx.room().publish_data("listening", "").await?;
        while let Some(event) = events.next().await {
            match event {
                RoomEvent::TrackSubscribed { .. } => return Err("a track is subscribed".into()),
                RoomEvent::ParticipantLeft { .. } => break,
                _ => {}
            }
        }
        match frames.next().await {
            Some(_) => Err("there was a frame".into()),
            None => Ok(()),
        }
    }
    for (auto_subscribe, succeeds) in [
        (AutoSubscribe::None, true),
        (AutoSubscribe::VideoOnly, true),
        (AutoSubscribe::AudioOnly, false),
        (AutoSubscribe::All, false),
    ] {
        let spec = JobSpec::room("lobby").script(|room| async move {
            let ada = room.join("ada");
            let sid = ada.publish_microphone();
            room.wait_for_data(|sent| sent.topic == "listening").await;
            ada.send_frame(&sid, frame("a", 0));
            ada.leave();
        });
        let spec = spec.worker(move |builder| builder.auto_subscribe(auto_subscribe));
        let run = run_job(look, spec).await;
        assert_eq!(run.outcome.is_success(), succeeds, "{auto_subscribe:?}: {:?}", run.outcome);
    }
}

#[tokio::test]
async fn an_attempt_ends_its_streams_and_the_next_one_reads_the_track_again() {
    async fn twice(ctx: JobContext) -> JobResult {
        let sid = published(&mut ctx.room().events()).await;
        let mut frames = ctx.room().encoded_audio(&sid)?;
        assert!(matches!(ctx.room().encoded_audio(&sid), Err(TrackError::AlreadyRead { .. })));
        ctx.room().publish_data("listening", ctx.attempt().to_string()).await?;
        let frame = frames.next().await.ok_or("the track ended")?;
        ctx.room().publish_data("report", frame.payload).await?;
        match ctx.attempt() {
            // It reads on, until its attempt is over.
            1 => {
                let room = ctx.room().clone();
                tokio::spawn(async move {
                    while frames.next().await.is_some() {}
                    assert!(!room.is_connected(), "the attempt is over");
                });
                Err(JobError::retryable("once more", Duration::from_secs(1)))
            }
            _ => Ok(()),
        }
    }
    let spec = JobSpec::room("lobby").script(|room| async move {
        let ada = room.join("ada");
        let sid = ada.publish_microphone();
        for (attempt, payload) in [("1", "one"), ("2", "two")] {
            room.wait_for_data(|sent| sent.topic == "listening" && sent.text() == attempt).await;
            ada.send_frame(&sid, frame(payload, 0));
        }
    });
    let retry = RetryPolicy::default();
    let run = run_job(twice, spec.worker(move |builder| builder.retry(retry))).await;
    run.assert_success();
    let played: Vec<_> = run.sent_by_agent().filter(|s| s.topic == "report").map(|s| s.text()).collect();
    assert_eq!(played, ["one", "two"]);
}
