//! Data tracks through a real server, with official clients of Python's SDK.

use std::time::Duration;

use agent_testkit::{ClientEvent, ClientKind, OfficialClient, RealServer, official_host_of, real_server};
use agent_worker::RoomEvent;
use agent_worker::room::{
    DataTrack, DataTrackFrame, DataTrackStream, DataTrackWriter, RoomError, RoomEvents, TrackError,
};

use super::{SOON, join, until};

/// How long to wait for a frame before the next one is sent.
const PAUSE: Duration = Duration::from_millis(20);

async fn published(events: &mut RoomEvents) -> DataTrack {
    until(events, |event| match event {
        RoomEvent::DataTrackPublished { track, .. } => Some(track),
        _ => None,
    })
    .await
}

/// Sends frames until one arrives: those before the subscription are lost.
async fn until_one_arrives(writer: &mut DataTrackWriter, stream: &mut DataTrackStream) -> DataTrackFrame {
    let first = async {
        loop {
            writer.push("first").await.expect("pushed");
            if let Ok(frame) = tokio::time::timeout(PAUSE, stream.next()).await {
                return frame.expect("the track goes on");
            }
        }
    };
    tokio::time::timeout(SOON, first).await.expect("a frame arrives")
}

async fn next(stream: &mut DataTrackStream) -> Option<DataTrackFrame> {
    loop {
        let frame = tokio::time::timeout(SOON, stream.next()).await.expect("a frame or the end");
        if frame.as_ref().is_none_or(|frame| frame.payload != "first") {
            return frame;
        }
    }
}

#[tokio::test]
async fn frames_of_all_sizes_go_from_one_agent_to_another() {
    let Some(server) = real_server().await else { return };
    let (writer, reader) = (join(&server, "tracks", "writer").await, join(&server, "tracks", "reader").await);
    let mut events = reader.events();
    let mut position = writer.publish_data_track("position").await.expect("published");
    let track = published(&mut events).await;
    assert_eq!((track.name.as_str(), track.encrypted), ("position", false));
    let mut stream = reader.data_track(&track.sid).await.expect("there is one");
    let again = reader.data_track(&track.sid).await.map(drop);
    assert_eq!(again, Err(TrackError::AlreadyRead { sid: track.sid.clone() }));
    assert_eq!(until_one_arrives(&mut position, &mut stream).await, DataTrackFrame::new("first"));
    for len in [0, 1, 15_988, 15_989, 100_000] {
        let payload: Vec<u8> = (0..len).map(|n: u32| (n % 251) as u8).collect();
        let frame = DataTrackFrame::new(payload).with_user_timestamp(u64::from(len));
        // A large frame may lose a packet on a busy machine.
        let arrives = async {
            loop {
                position.push(frame.clone()).await.expect("pushed");
                match tokio::time::timeout(Duration::from_secs(1), stream.next()).await {
                    Ok(got) if got.as_ref() == Some(&frame) => return,
                    Ok(got) => assert!(got.is_some(), "the track ended"),
                    Err(_) => {}
                }
            }
        };
        tokio::time::timeout(SOON, arrives).await.unwrap_or_else(|_| panic!("{len} bytes arrive"));
    }

    // What the server refuses.
    let twice = writer.publish_data_track("position").await.map(drop);
    assert!(matches!(&twice, Err(RoomError::Refused { detail }) if detail.contains("position")), "{twice:?}");
    assert_eq!(writer.publish_data_track("").await.map(drop), Err(RoomError::InvalidTrackName { len: 0 }));
    let listener = server.token().identity("listener").join_room("tracks").can_publish_data(false);
    let listener = super::join_with(&server, listener).await;
    let refused = listener.publish_data_track("x").await.map(drop);
    assert!(matches!(refused, Err(RoomError::NotAllowed { .. })), "{refused:?}");

    // A reader that comes back, and the end of the track.
    drop(stream);
    let mut stream = reader.data_track(&track.sid).await.expect("it is free");
    until_one_arrives(&mut position, &mut stream).await;
    position.unpublish().await.expect("unpublished");
    assert_eq!(next(&mut stream).await, None);
    until(&mut events, |event| matches!(event, RoomEvent::DataTrackUnpublished { .. }).then_some(())).await;
    let gone = reader.data_track(&track.sid).await.map(drop);
    assert_eq!(gone, Err(TrackError::NotPublished { sid: track.sid }));
    // The name is free again.
    writer.publish_data_track("position").await.expect("published again");
}

async fn client(server: &RealServer, kind: ClientKind, room: &str) -> Option<OfficialClient> {
    let host = official_host_of(kind).await?;
    let token = server.token().identity("ada").join_room(room).sign().expect("a token");
    Some(OfficialClient::join_in(&host, &server.url(), &token).await.expect("the client joins"))
}

#[tokio::test]
async fn frames_go_both_ways_with_official_clients() {
    let Some(server) = real_server().await else { return };
    for (kind, room) in [(ClientKind::Python, "python"), (ClientKind::Python12, "python-1-2")] {
        let agent = join(&server, room, "agent").await;
        let mut events = agent.events();
        let Some(mut ada) = client(&server, kind, room).await else { return };

        // From the client.
        let sid = ada.publish_data_track("sensor").await.expect("published");
        let track = published(&mut events).await;
        assert_eq!((track.sid.as_str(), track.name.as_str()), (sid.as_str(), "sensor"));
        let mut stream = agent.data_track(&sid).await.expect("there is one");
        for (len, user_timestamp) in [(1, None), (40_000, Some(7))] {
            let payload = vec![9; len];
            let arrives = async {
                loop {
                    ada.push_data_frame(&sid, &payload, user_timestamp).await.expect("pushed");
                    while let Ok(frame) = tokio::time::timeout(PAUSE, stream.next()).await {
                        let frame = frame.expect("the track goes on");
                        if frame.payload == payload {
                            assert_eq!(frame.user_timestamp, user_timestamp);
                            return;
                        }
                    }
                }
            };
            tokio::time::timeout(SOON, arrives).await.expect("a frame arrives");
        }
        ada.unpublish_data_track(&sid).await.expect("unpublished");
        let ends = async { while stream.next().await.is_some() {} };
        tokio::time::timeout(SOON, ends).await.expect("the stream ends");

        // To the client.
        let mut position = agent.publish_data_track("position").await.expect("published");
        let is_track = |event: &ClientEvent| matches!(event, ClientEvent::DataTrackPublished { .. });
        let ClientEvent::DataTrackPublished { sid, name, identity } =
            ada.wait_for(is_track, SOON).await.expect("the client sees it")
        else {
            unreachable!("it was just checked")
        };
        assert_eq!((name.as_str(), identity.as_str()), ("position", "agent"));
        ada.subscribe_data_track(&sid).await.expect("subscribed");
        for (len, timestamp) in [(1, 5_u64), (40_000, 6)] {
            let frame = DataTrackFrame::new(vec![8; len]).with_user_timestamp(timestamp);
            let is_it = |event: &ClientEvent| match event {
                ClientEvent::DataFrame { payload, user_timestamp, .. } => {
                    *payload == frame.payload && *user_timestamp == Some(timestamp)
                }
                _ => false,
            };
            let arrives = async {
                loop {
                    position.push(frame.clone()).await.expect("pushed");
                    if ada.wait_for(is_it, PAUSE).await.is_ok() {
                        return;
                    }
                }
            };
            tokio::time::timeout(SOON, arrives).await.expect("a frame arrives");
        }
        drop(position);
        let ended = |event: &ClientEvent| matches!(event, ClientEvent::DataTrackUnpublished { .. });
        ada.wait_for(ended, SOON).await.expect("the client sees the end");
    }
}
