//! Encoded audio of official clients, as it comes from a real livekit-server.

use std::time::Duration;

use agent_testkit::{ClientEvent, DataMessage, DispatchRequest, OfficialClient, RealServer, real_server};
use agent_worker::room::{
    AutoSubscribe, EncodedAudioStream, EncodedFrame, JoinRequest, RoomConnector, RoomEvents, WebRtc,
};
use agent_worker::{JobContext, JobResult, Room, RoomEvent, Worker};

const SOON: Duration = Duration::from_secs(20);
/// Of 20 ms each.
const FIVE_SECONDS: usize = 250;

async fn join(server: &RealServer, room: &str) -> Room {
    let token = server.token().identity("agent").join_room(room).sign().expect("a token");
    let request = JoinRequest::new(server.url(), token);
    WebRtc::default().connect(request).await.expect("the room is joined")
}

async fn client(server: &RealServer, room: &str, identity: &str) -> OfficialClient {
    let token = server.token().identity(identity).join_room(room).sign().expect("a token");
    OfficialClient::join(&server.url(), &token).await.expect("the client joins")
}

/// Waits until the server sends this track.
async fn subscribed(events: &mut RoomEvents, sid: &str) {
    let subscribed = async {
        while let Some(event) = events.next().await {
            if matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid) {
                return;
            }
        }
        panic!("the room ended");
    };
    tokio::time::timeout(SOON, subscribed).await.expect("the track is subscribed");
}

/// The next `count` frames.
async fn take(stream: &mut EncodedAudioStream, count: usize) -> Vec<EncodedFrame> {
    let mut frames = Vec::new();
    let reading = async {
        while frames.len() < count {
            frames.push(stream.next().await.expect("the track continues"));
        }
    };
    tokio::time::timeout(SOON, reading).await.expect("frames come");
    frames
}

/// Checks that these are frames of one stream without a gap, each 20 ms after the one before.
fn assert_whole(frames: &[EncodedFrame]) {
    for pair in frames.windows(2) {
        assert_eq!(pair[1].source, pair[0].source);
        assert_eq!(pair[1].sequence, pair[0].sequence + 1, "a frame is missing");
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 960, "frame {}", pair[1].sequence);
        assert!(pair[1].received >= pair[0].received);
    }
    assert!(frames.iter().all(|frame| !frame.payload.is_empty() && frame.clock_rate == 48_000));
}

#[tokio::test]
async fn a_tone_arrives_as_frames_without_a_gap_and_two_tracks_are_two_streams() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = join(&server, "tones").await;
    let mut events = room.events();
    let ada = client(&server, "tones", "ada").await;
    let a = ada.publish_audio("microphone", Some(440)).await.expect("a track");
    subscribed(&mut events, &a).await;
    // More than a second, for a test machine that is busy.
    let mut first = room.encoded_audio(&a).expect("it is published").capacity(FIVE_SECONDS);
    assert_whole(&take(&mut first, 5).await);
    // The second comes while the first plays.
    let bob = client(&server, "tones", "bob").await;
    let b = bob.publish_audio("microphone", Some(220)).await.expect("a track");
    subscribed(&mut events, &b).await;
    let mut second = room.encoded_audio(&b).expect("it is published").capacity(FIVE_SECONDS);
    let (of_ada, of_bob) = tokio::join!(take(&mut first, FIVE_SECONDS), take(&mut second, FIVE_SECONDS));
    assert_whole(&of_ada);
    assert_whole(&of_bob);
    assert_ne!(of_ada[0].source, of_bob[0].source);
    assert_eq!((first.dropped(), second.dropped()), (0, 0));
    // Five seconds of sound take five seconds.
    let took = of_ada[FIVE_SECONDS - 1].received - of_ada[0].received;
    assert!(took > Duration::from_secs(4), "{took:?}");

    // The stream of the muted participant becomes silent, and the other one continues.
    ada.mute(&a, true).await.expect("muted");
    let last = tokio::time::timeout(SOON, async {
        let mut last = None;
        while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_millis(500), first.next()).await {
            last = Some(frame);
        }
        last
    });
    let last = last.await.expect("ada falls silent").expect("some came before");
    take(&mut second, 25).await;
    ada.mute(&a, false).await.expect("no longer muted");
    let next = &take(&mut first, 5).await[0];
    assert_eq!(
        (next.source, next.sequence),
        (last.source, last.sequence + 1),
        "nothing is lost of what comes after"
    );

    // The stream of an unpublished track ends.
    bob.unpublish(&b).await.expect("unpublished");
    let rest = tokio::time::timeout(SOON, async { while second.next().await.is_some() {} });
    rest.await.expect("the stream ends");
    take(&mut first, 25).await;
    // Published again it is another track, perhaps in the same section.
    let b = bob.publish_audio("again", Some(220)).await.expect("a track");
    subscribed(&mut events, &b).await;
    let mut second = room.encoded_audio(&b).expect("it is published").capacity(FIVE_SECONDS);
    let (of_ada, of_bob) = tokio::join!(take(&mut first, 50), take(&mut second, 50));
    assert_whole(&of_ada);
    assert_whole(&of_bob);
    room.leave().await;
    assert!(tokio::time::timeout(SOON, async { while first.next().await.is_some() {} }).await.is_ok());
}

/// Reads the first track that is published, and reports the number of frames when it receives "done".
async fn count(ctx: JobContext, unsubscribes: bool) -> JobResult {
    let mut done = ctx.room().data("done");
    let mut events = ctx.room().events();
    let track = loop {
        match events.next().await {
            Some(RoomEvent::TrackPublished { track, .. }) => break track,
            Some(_) => {}
            None => return Err("nothing is published".into()),
        }
    };
    if unsubscribes {
        ctx.room().set_subscribed(&track.sid, false).await?;
    }
    let mut frames = ctx.room().encoded_audio(&track.sid)?;
    ctx.room().publish_data("counting", "").await?;
    let mut count = 0;
    loop {
        tokio::select! {
            frame = frames.next() => count += frame.map(|_| 1).ok_or("the track ended")?,
            _ = done.next() => break,
        }
    }
    ctx.room().publish_data("counted", count.to_string()).await?;
    Ok(())
}

#[tokio::test]
async fn a_worker_gets_the_frames_of_tracks_that_it_reads_unless_it_unsubscribed_from_them() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    for (mode, unsubscribes) in
        [(AutoSubscribe::AudioOnly, false), (AutoSubscribe::None, false), (AutoSubscribe::None, true)]
    {
        let has_frames = !unsubscribes;
        let name = format!("{mode:?} {unsubscribes}");
        let count = move |ctx: JobContext| count(ctx, unsubscribes);
        let builder = Worker::builder(count).auto_subscribe(mode).agent_name(&name);
        let builder = builder.url(server.url()).credentials(server.api_key(), server.api_secret().clone());
        let worker = builder.build().expect("the settings are complete");
        let handle = worker.handle();
        tokio::spawn(worker.run());
        assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));

        let witness = join(&server, &name).await;
        let mut events = witness.events();
        let mut ada = client(&server, &name, "ada").await;
        let sid = ada.publish_audio("microphone", Some(440)).await.expect("a track");
        server.api().create_dispatch(DispatchRequest::new(&name, &name)).await.expect("dispatched");
        let data = |event: &ClientEvent, topic: &str| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some(topic));
        ada.wait_for(|event| data(event, "counting"), SOON).await.expect("the agent reads");
        subscribed(&mut events, &sid).await;
        // Until the subscribed participant gets a hundred.
        take(&mut witness.encoded_audio(&sid).expect("it is published"), 100).await;
        ada.send(DataMessage::new("").topic("done")).await.expect("sent");
        let counted =
            ada.wait_for(|event| data(event, "counted"), SOON).await.expect("the agent has counted");
        let ClientEvent::Data(counted) = counted else { panic!("{counted:?}") };
        let counted: u32 = String::from_utf8_lossy(&counted.payload).parse().expect("a number");
        assert_eq!(counted > 50, has_frames, "{mode:?}: {counted} frames");
        assert!(has_frames || counted == 0, "{mode:?}: {counted} frames");
        handle.drain(Duration::ZERO).await;
    }
}
