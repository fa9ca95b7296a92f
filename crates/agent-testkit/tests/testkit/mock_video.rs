//! Frames of video tracks in mock rooms, on virtual time.

use std::time::Duration;

use agent_testkit::{JobSpec, run_job};
use agent_worker::room::{
    EncodedVideoFrame, OutgoingVideoFrame, RoomError, TrackKind, TrackSource, VideoCodec, VideoLayer,
    VideoTrackOptions,
};
use agent_worker::{JobContext, JobResult, RoomEvent};

/// The beginning of a key frame of VP8 of 320 × 240 pixels.
const KEY_FRAME: &[u8] = &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];

#[tokio::test]
async fn a_camera_is_read_until_it_ends() {
    async fn watch(ctx: JobContext) -> JobResult {
        let mut events = ctx.room().events();
        while let Some(event) = events.next().await {
            let RoomEvent::TrackSubscribed { track, .. } = event else { continue };
            let mut frames = ctx.room().encoded_video(&track.sid)?;
            let mut seen = String::new();
            while let Some(frame) = frames.next().await {
                seen.push_str(&format!(
                    "{}{} ",
                    if frame.key_frame { "key " } else { "" },
                    frame.payload.len()
                ));
            }
            ctx.room().publish_data("seen", seen).await?;
            return Ok(());
        }
        Ok(())
    }
    let frame = |payload: &'static [u8]| EncodedVideoFrame::new(VideoCodec::Vp8, payload, Duration::ZERO);
    let spec = JobSpec::room("lobby").script(move |room| async move {
        room.wait_for_agent().await;
        let ada = room.join("ada");
        let camera = ada.publish_camera();
        ada.wait_for_reader(&camera).await;
        ada.send_frame(&camera, frame(KEY_FRAME));
        ada.mute(&camera, true);
        ada.send_frame(&camera, frame(&[0x11; 99]));
        ada.mute(&camera, false);
        ada.send_frame(&camera, frame(&[0x11; 5]));
        ada.unpublish(&camera);
    });
    let run = run_job(watch, spec).await;
    run.assert_success();
    assert_eq!(run.sent_by_agent().last().unwrap().text(), "key 10 5 ");
}

#[tokio::test]
async fn an_agent_shows_pictures_in_layers() {
    async fn show(ctx: JobContext) -> JobResult {
        let mut go = ctx.room().data("go");
        let layers = [VideoLayer::new(160, 120, 100_000), VideoLayer::new(320, 240, 500_000)];
        let options =
            VideoTrackOptions::new("film", VideoCodec::Vp8, 320, 240).source(TrackSource::ScreenShare);
        let refused = ctx.room().publish_encoded_video(options.clone().layers([layers[0]; 4])).await;
        assert_eq!(refused.unwrap_err(), RoomError::InvalidLayers { len: 4 });
        let track = ctx.room().publish_encoded_video(options.layers(layers)).await?;
        let frame = |layer| OutgoingVideoFrame::new(KEY_FRAME, Duration::from_secs(1)).layer(layer);
        assert_eq!(track.send(frame(2)), Err(RoomError::NoSuchLayer { layer: 2, layers: 2 }));
        let none = OutgoingVideoFrame::new(&b"\x10none"[..], Duration::ZERO);
        assert_eq!(track.send(none), Err(RoomError::NoVideoFrame { codec: VideoCodec::Vp8 }));
        go.next().await;
        track.send(frame(0))?;
        track.send(frame(1))?;
        assert!(!track.take_key_frame_request());
        track.unpublish().await?;
        Ok(())
    }
    let spec = JobSpec::room("lobby").script(|room| async move {
        let eve = room.join("eve");
        let track = room.wait_for_track(|_, track| track.name == "film").await;
        assert_eq!((track.kind, track.source), (TrackKind::Video, TrackSource::ScreenShare));
        let mut events = eve.room().events();
        while !matches!(events.next().await, Some(RoomEvent::TrackSubscribed { .. })) {}
        let mut frames = eve.room().encoded_video(&track.sid).unwrap();
        room.send_data("go", "");
        // Of the layers others receive one.
        assert_eq!(frames.next().await.unwrap().payload, KEY_FRAME);
        assert!(frames.next().await.is_none());
    });
    let run = run_job(show, spec).await;
    run.assert_success();
    let layers: Vec<_> =
        run.video_by_agent().map(|sent| (sent.frame.layer, sent.track.name.as_str())).collect();
    assert_eq!(layers, [(0, "film"), (1, "film")]);
    assert_eq!(run.audio.len(), 0);
}
