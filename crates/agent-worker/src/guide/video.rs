//! Video: the pictures of other participants and of the agent, as encoded frames.
//!
//! [`encoded_video`](crate::Room::encoded_video) reads a track, and
//! [`publish_encoded_video`](crate::Room::publish_encoded_video) publishes one. Frames are passed on as
//! they are: an agent forwards or stores them, or decodes and encodes with a library of its choice. The
//! codecs are VP8, VP9, H.264, H.265 and AV1.
//!
//! ```
//! use agent_worker::room::{TrackKind, VideoCodec, VideoTrackOptions};
//! use agent_worker::{JobContext, JobResult, RoomEvent};
//!
//! /// Shows the first camera again, as a track of its own.
//! async fn mirror(ctx: JobContext) -> JobResult {
//!     let mut events = ctx.room().events();
//!     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
//!         let RoomEvent::TrackSubscribed { track, .. } = event else { continue };
//!         if track.kind != TrackKind::Video {
//!             continue;
//!         }
//!         drop(events); // a stream that is open and not read overflows
//!         let mut camera = ctx.room().encoded_video(&track.sid)?;
//!         // The codec of a frame is known with the first one.
//!         let Some(first) = ctx.run_until_cancelled(camera.next()).await.flatten() else { return Ok(()) };
//!         let (width, height) = (first.width.unwrap_or_default(), first.height.unwrap_or_default());
//!         let options = VideoTrackOptions::new("mirror", first.codec, width, height);
//!         let mirror = ctx.room().publish_encoded_video(options).await?;
//!         mirror.send(first)?;
//!         while let Some(frame) = ctx.run_until_cancelled(camera.next()).await.flatten() {
//!             // Somebody begins to watch.
//!             if mirror.take_key_frame_request() {
//!                 camera.request_key_frame();
//!             }
//!             mirror.send(frame)?;
//!         }
//!         return Ok(());
//!     }
//!     Ok(())
//! }
//! # use std::time::Duration;
//! # use agent_testkit::{JobSpec, run_job};
//! # use agent_worker::room::EncodedVideoFrame;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let pictures = JobSpec::room("lobby").script(|room| async move {
//!     room.wait_for_agent().await;
//!     let ada = room.join("ada");
//!     let camera = ada.publish_camera();
//!     ada.wait_for_reader(&camera).await;
//!     // A key frame of VP8 of 320 × 240 pixels begins like this.
//!     let key_frame: &'static [u8] = &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
//!     let frame = EncodedVideoFrame::new(VideoCodec::Vp8, key_frame, Duration::ZERO);
//!     ada.send_frame(&camera, frame);
//!     room.wait_for_video(|sent| sent.frame.payload == key_frame).await;
//!     ada.unpublish(&camera);
//! });
//! let run = run_job(mirror, pictures).await;
//! run.assert_success();
//! assert_eq!(run.video_by_agent().count(), 1);
//! # });
//! ```
//!
//! # Frames of others
//! | [`EncodedVideoFrame`](crate::room::EncodedVideoFrame) | |
//! |---|---|
//! | `payload` | one picture, whole: VP8 and VP9 as they are, H.264 and H.265 with start codes (Annex B), AV1 as OBUs with their sizes |
//! | `codec` | the codec, of each frame: a publisher may change it |
//! | `timestamp` | when it is to be shown, on a clock of the stream that begins anywhere |
//! | `captured` | when it was captured, on the clock of its publisher, which is one for all its tracks: so sound and pictures can be played or recorded in sync. Frames of sound have it, too. It is known some seconds after the beginning |
//! | `key_frame` | whether it can be decoded without another one. A stream begins with one |
//! | `width`, `height` | the size, of key frames. It changes with the layer that the server sends |
//! | `after_loss` | frames are missing before this one, which is a key frame |
//!
//! Packets are put in order, and lost ones requested again. If one is missing for more than 300 ms, frames
//! are left out up to the next key frame, which is requested from the publisher.
//! [`request_key_frame`](crate::room::EncodedVideoStream::request_key_frame) does the same at any time, at
//! most once a second; encoders for calls send none without a request.
//!
//! A slow reader loses whole frames: at most 60 are queued (unless
//! [`capacity`](crate::room::EncodedVideoStream::capacity) is set), and if more come, the oldest are dropped
//! up to a key frame. [`dropped`](crate::room::EncodedVideoStream::dropped) returns how many.
//!
//! # Which size
//! A browser sends a camera in several sizes (simulcast), of which the server sends each participant one: the
//! largest that its connection permits. [`set_video_choice`](crate::Room::set_video_choice) chooses another
//! one, by quality or by the size at which it is shown, and how many pictures a second. A key frame of the
//! new size follows.
//!
//! # Tracks of the agent
//! [`VideoTrackOptions`](crate::room::VideoTrackOptions) has the name, codec, size and source (camera by
//! default), and the [layers](crate::room::VideoTrackOptions::layers), if the agent sends several sizes
//! itself: then each frame names its [layer](crate::room::OutgoingVideoFrame::layer).
//!
//! [`send`](crate::room::EncodedVideoTrack::send) never waits, and a frame is sent when it is given or not at
//! all: the caller keeps the pace. A track begins with a key frame, and continues with one after it was
//! muted or without a connection; frames before that are not sent. When somebody begins to watch, or has lost
//! a frame, a key frame is requested:
//! [`key_frame_requested`](crate::room::EncodedVideoTrack::key_frame_requested) waits for that, and
//! [`take_key_frame_request`](crate::room::EncodedVideoTrack::take_key_frame_request) looks whether it
//! happened. An encoder sends one then; a file has one every few seconds, for which others wait.
//!
//! How a track ends, is muted, and continues after a lost connection is as for audio: see the page
//! [`audio_out`](super::audio_out).
//!
//! # In tests
//! Mock rooms carry frames both ways, on virtual time, as above: participants of the test send them with
//! `send_frame`, and `Run::video_by_agent` has what the agent sent.
