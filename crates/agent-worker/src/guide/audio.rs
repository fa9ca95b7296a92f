//! Audio in: the encoded frames of the tracks that others publish.
//!
//! An agent reads a track as a stream of Opus packets, each with its number, time and loudness. That is what
//! an agent needs that records, forwards or analyses what is said, or that has a decoder of its own. **There
//! is no PCM yet**: no decoder, no jitter buffer, and no way to publish sound; they will stand on these
//! streams.
//!
//! ```
//! use agent_worker::room::TrackKind;
//! use agent_worker::{JobContext, JobResult, RoomEvent};
//!
//! /// Counts what everybody in the room says, in bytes, until the job is over.
//! async fn count(ctx: JobContext) -> JobResult {
//!     let mut events = ctx.room().events();
//!     loop {
//!         tokio::select! {
//!             _ = ctx.cancelled() => return Ok(()),
//!             event = events.next() => match event {
//!                 Some(RoomEvent::TrackSubscribed { participant, track }) if track.kind == TrackKind::Audio => {
//!                     let mut frames = ctx.room().encoded_audio(&track.sid)?;
//!                     let room = ctx.room().clone();
//!                     ctx.spawn(async move {
//!                         let mut bytes = 0;
//!                         while let Some(frame) = frames.next().await {
//!                             bytes += frame.payload.len();
//!                         }
//!                         // The track is over.
//!                         let said = format!("{}: {bytes} bytes, {} frames lost", participant.identity, frames.dropped());
//!                         room.publish_data("said", said).await
//!                     });
//!                 }
//!                 Some(_) => {}
//!                 None => return Ok(()),
//!             },
//!         }
//!     }
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # use agent_worker::room::EncodedFrame;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let talk = JobSpec::room("lobby").script(|room| async move {
//!     room.wait_for_agent().await;
//!     let ada = room.join("ada");
//!     let microphone = ada.publish_microphone();
//!     tokio::time::sleep(std::time::Duration::from_millis(1)).await; // virtual time passes when nobody has anything to do
//!     for number in 0..50 {
//!         ada.send_frame(&microphone, EncodedFrame::new(vec![0; 80], number.into(), number * 960));
//!     }
//!     ada.unpublish(&microphone);
//!     room.wait_for_data(|sent| sent.topic == "said").await;
//! });
//! let run = run_job(count, talk).await;
//! assert_eq!(run.sent_by_agent().next().unwrap().text(), "ada: 4000 bytes, 0 frames lost");
//! # });
//! ```
//! [`encoded_audio`](crate::Room::encoded_audio) opens the stream of a track by its sid, from
//! [`TrackSubscribed`](crate::RoomEvent::TrackSubscribed) or from
//! [`Participant::tracks`](crate::room::Participant::tracks). A track has one reader at a time: who wants to
//! do two things with it shares the frames, which are cheap to clone.
//!
//! # Which tracks come
//! By default the server sends all of them. `.auto_subscribe(AutoSubscribe::AudioOnly)` of the worker or of
//! one [join](crate::room::JoinOptions) leaves video out, which this version does not read, and
//! [`AutoSubscribe::None`](crate::room::AutoSubscribe::None) everything: no frames come then, and streams
//! stay empty. While a track is muted its stream is silent: the server sends up to a second of silence first,
//! and nothing after that.
//!
//! # What a frame is
//! | [`EncodedFrame`](crate::room::EncodedFrame) | |
//! |---|---|
//! | `payload` | one Opus packet, whatever its publisher encodes: mostly 20 ms, mono or stereo |
//! | `sequence` | counts frames, without wrapping around. A number that is left out is a frame that was lost, on the network or here |
//! | `timestamp` | when its sound begins, in 1/48,000 s; wraps around. A step of more than the sound before it is silence that was not sent |
//! | `source` | names the stream in which both count. Another one begins after the connection was re-established |
//! | `marker` | the first frame after such silence, if its publisher says so |
//! | `audio_level` | how loud it is, and whether it is speech, if the server passes that on, which livekit-server 1.13 does not |
//! | `received` | when it arrived |
//!
//! Frames come in the order of their arrival, each of them once. Over a bad network that is not the order of
//! their numbers: who plays them needs a jitter buffer, who records them sorts by number.
//!
//! # Slow readers, and the end
//! A second of frames waits for a reader (50 of them; [`capacity`](crate::room::EncodedAudioStream::capacity)
//! says otherwise). Of more the oldest are dropped: live sound that is late is worth less than what is said
//! now. [`dropped`](crate::room::EncodedAudioStream::dropped) has their number, the log warns once for each
//! job, and [`lk_agents_room_events_dropped_total`](super::metrics) counts them as `frames`. So read each
//! track in a task of its own, as above, and do slow work elsewhere.
//!
//! The stream ends when its track is unpublished, its publisher leaves, the room is over, or the attempt that
//! opened it ends. It goes on when the connection to the room is lost and comes back. Without a reader
//! nothing is kept.
//!
//! # In tests
//! A [`MockParticipant`](https://docs.rs/agent-testkit) of `run_job` and the mock server publishes tracks and
//! sends frames of the test's own, as above, on virtual time.
