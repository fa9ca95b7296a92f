//! Data tracks between an agent and the participants that a test plays.

use agent_testkit::{JobSpec, MockRoom, run_job};
use agent_worker::room::{AgentPermissions, DataTrackFrame, DataTrackStream, RoomError};
use agent_worker::{JobContext, JobResult, Room, RoomEvent};

/// Opens the first data track that somebody else publishes.
async fn first_track(room: &Room) -> DataTrackStream {
    let (me, mut events) = (room.local_participant().identity.clone(), room.events());
    loop {
        let event = events.next().await.unwrap();
        if let RoomEvent::DataTrackPublished { participant, track } = event
            && participant.identity != me
        {
            return room.data_track(&track.sid).await.unwrap();
        }
    }
}

/// Doubles the positions that somebody publishes, until they end.
async fn doubler(ctx: JobContext) -> JobResult {
    let mut doubled = ctx.room().publish_data_track("doubled").await?;
    let mut positions = first_track(ctx.room()).await;
    ctx.room().publish_data("ready", "").await?;
    while let Some(frame) = positions.next().await {
        let payload: Vec<u8> = frame.payload.iter().map(|byte| byte * 2).collect();
        doubled.push(DataTrackFrame::new(payload).with_user_timestamp(7)).await?;
    }
    doubled.unpublish().await?;
    Ok(())
}

async fn asks_for_doubles(room: MockRoom) {
    let ada = room.join("ada");
    let mut doubles = first_track(ada.room()).await;
    let mut positions = ada.room().publish_data_track("positions").await.unwrap();
    assert!(matches!(
        ada.room().publish_data_track("positions").await,
        Err(RoomError::Refused { detail }) if detail.contains("positions")
    ));
    assert!(matches!(ada.room().publish_data_track("").await, Err(RoomError::InvalidTrackName { len: 0 })));
    room.wait_for_data(|sent| sent.topic == "ready").await;
    for position in [[1, 2], [3, 4]] {
        positions.push(position.to_vec()).await.unwrap();
        let frame = doubles.next().await.unwrap();
        assert_eq!(
            (&*frame.payload, frame.user_timestamp),
            (&[position[0] * 2, position[1] * 2][..], Some(7))
        );
    }
    // Its end is that of the agent's loop, and so of the agent's own track.
    drop(positions);
    assert_eq!(doubles.next().await, None);
}

#[tokio::test]
async fn frames_go_both_ways_until_a_track_ends() {
    run_job(doubler, JobSpec::room("lobby").script(asks_for_doubles)).await.assert_success();
}

#[tokio::test]
async fn without_the_permission_to_publish_data_there_is_no_data_track() {
    async fn publisher(ctx: JobContext) -> JobResult {
        let refused = ctx.room().publish_data_track("positions").await;
        assert!(matches!(refused, Err(RoomError::NotAllowed { .. })), "{refused:?}");
        Ok(())
    }
    let job = JobSpec::room("lobby").worker(|worker| {
        let mut permissions = AgentPermissions::default();
        permissions.can_publish_data = false;
        worker.permissions(permissions)
    });
    run_job(publisher, job).await.assert_success();
}

/// Reads the first data track to its end.
async fn reader(ctx: JobContext) -> JobResult {
    let mut track = first_track(ctx.room()).await;
    ctx.room().publish_data("ready", "").await?;
    while track.next().await.is_some() {}
    Ok(())
}

#[tokio::test]
async fn a_track_ends_when_its_publisher_leaves() {
    let job = JobSpec::room("lobby").participant("bob").script(|room| async move {
        let ada = room.join("ada");
        let _track = ada.room().publish_data_track("positions").await.unwrap();
        room.wait_for_data(|sent| sent.topic == "ready").await;
        ada.leave();
    });
    run_job(reader, job).await.assert_success();
}
