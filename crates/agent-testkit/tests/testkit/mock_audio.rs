//! Frames of audio tracks in mock rooms, on virtual time.

use std::time::Duration;

use agent_testkit::{JobSpec, TrackSubscriber, run_job};
use agent_worker::room::{AutoSubscribe, EncodedFrame, RoomError, RoomEvents, TrackError, TrackKind};
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

/// The identities of the participants that get the frames of a track.
fn receivers(subscribers: &[TrackSubscriber]) -> Vec<&str> {
    subscribers.iter().filter(|subscriber| subscriber.enabled).map(|s| s.identity.as_str()).collect()
}

#[tokio::test]
async fn an_agent_is_subscribed_automatically_only_to_the_requested_kinds() {
    async fn look(ctx: JobContext) -> JobResult {
        let mut events = ctx.room().events();
        while let Some(event) = events.next().await {
            match event {
                RoomEvent::TrackSubscribed { .. } => return Err("a track is subscribed".into()),
                RoomEvent::ParticipantLeft { .. } => break,
                _ => {}
            }
        }
        Ok(())
    }
    for (auto_subscribe, succeeds) in [
        (AutoSubscribe::None, true),
        (AutoSubscribe::VideoOnly, true),
        (AutoSubscribe::AudioOnly, false),
        (AutoSubscribe::All, false),
    ] {
        let spec = JobSpec::room("lobby").script(move |room| async move {
            room.wait_for_agent().await;
            let ada = room.join("ada");
            let sid = ada.publish_microphone();
            assert_eq!(ada.subscribers(&sid).is_empty(), succeeds);
            ada.leave();
        });
        let spec = spec.worker(move |builder| builder.auto_subscribe(auto_subscribe));
        let run = run_job(look, spec).await;
        assert_eq!(run.outcome.is_success(), succeeds, "{auto_subscribe:?}: {:?}", run.outcome);
    }
}

#[tokio::test]
async fn a_track_is_subscribed_while_it_is_read() {
    async fn read_one(ctx: JobContext) -> JobResult {
        let mut events = ctx.room().events();
        let sid = published(&mut events).await;
        let mut frames = ctx.room().encoded_audio(&sid)?;
        let frame = frames.next().await.ok_or("the track ended")?;
        assert!(ctx.room().is_subscribed(&sid));
        drop(frames);
        while let Some(event) = events.next().await {
            if let RoomEvent::TrackUnsubscribed { track_sid } = event {
                assert!(track_sid == sid && !ctx.room().is_subscribed(&sid));
                break;
            }
        }
        ctx.room().publish_data("report", frame.payload).await?;
        Ok(())
    }
    let spec = JobSpec::room("lobby").script(|room| async move {
        let ada = room.join("ada");
        let sid = ada.publish_microphone();
        let subscribed = ada.wait_for_subscribers(&sid, |all| !all.is_empty()).await;
        assert_eq!(receivers(&subscribed).len(), 1);
        ada.send_frame(&sid, frame("one", 0));
        ada.wait_for_subscribers(&sid, <[_]>::is_empty).await;
    });
    let run = run_job(read_one, spec.worker(|builder| builder.auto_subscribe(AutoSubscribe::None))).await;
    run.assert_success();
    assert_eq!(run.sent_by_agent().next().unwrap().text(), "one");
}

#[tokio::test]
async fn a_track_is_unsubscribed_and_paused_by_hand() {
    async fn by_hand(ctx: JobContext) -> JobResult {
        let sid = published(&mut ctx.room().events()).await;
        let (mut frames, mut steps) = (ctx.room().encoded_audio(&sid)?, ctx.room().data("step"));
        let room = ctx.room();
        let mut heard = String::new();
        for step in ["pause", "continue", "unsubscribe", "subscribe"] {
            steps.next().await.ok_or("the room ended")??;
            match step {
                "pause" => room.set_track_enabled(&sid, false).await?,
                "continue" => room.set_track_enabled(&sid, true).await?,
                "unsubscribe" => room.set_subscribed(&sid, false).await?,
                _ => room.set_subscribed(&sid, true).await?,
            }
            room.publish_data("done", step).await?;
        }
        for _ in 0..3 {
            let frame = frames.next().await.ok_or("the track ended")?;
            heard.push_str(std::str::from_utf8(&frame.payload).unwrap());
        }
        let unknown = room.set_subscribed("TR_nobody", true).await;
        assert!(matches!(unknown, Err(RoomError::TrackNotFound { .. })), "{unknown:?}");
        room.publish_data("report", heard).await?;
        Ok(())
    }
    let spec = JobSpec::room("lobby").script(|room| async move {
        let ada = room.join("ada");
        let sid = ada.publish_microphone();
        ada.wait_for_reader(&sid).await;
        let mut subscribed = Vec::new();
        for (number, step) in ["pause", "continue", "unsubscribe", "subscribe", ""].into_iter().enumerate() {
            subscribed.push((ada.subscribers(&sid).len(), receivers(&ada.subscribers(&sid)).len()));
            ada.send_frame(&sid, frame(["a", "?", "b", "?", "c"][number], 0));
            if step.is_empty() {
                break;
            }
            ada.send_data("step", step);
            room.wait_for_data(|sent| sent.topic == "done" && sent.text() == step).await;
        }
        assert_eq!(subscribed, [(1, 1), (1, 0), (1, 1), (0, 0), (1, 1)]);
    });
    let run = run_job(by_hand, spec).await;
    run.assert_success();
    let report = run.sent_by_agent().find(|sent| sent.topic == "report").unwrap();
    assert_eq!(report.text(), "abc");
}

/// The next attempt begins as the first one did, and its events repeat what is subscribed.
#[tokio::test]
async fn choices_by_hand_end_with_the_attempt() {
    async fn twice(ctx: JobContext) -> JobResult {
        let mut events = ctx.room().events();
        let sid = loop {
            match events.next().await {
                Some(RoomEvent::TrackSubscribed { track, .. }) => break track.sid,
                Some(_) => {}
                None => return Err("the room ended".into()),
            }
        };
        if ctx.attempt() > 1 {
            return Ok(());
        }
        ctx.room().set_subscribed(&sid, false).await?;
        Err(JobError::retryable("once more", Duration::from_secs(1)))
    }
    let spec = JobSpec::room("lobby").script(|room| async move {
        let ada = room.join("ada");
        let sid = ada.publish_microphone();
        ada.wait_for_subscribers(&sid, |all| !all.is_empty()).await;
        ada.wait_for_subscribers(&sid, <[_]>::is_empty).await;
        ada.wait_for_subscribers(&sid, |all| !all.is_empty()).await;
    });
    let retry = RetryPolicy::default();
    run_job(twice, spec.worker(move |builder| builder.retry(retry))).await.assert_success();
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
