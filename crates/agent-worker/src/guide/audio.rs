//! Receiving audio: the encoded frames of other participants' tracks.
//!
//! An agent reads a track as a stream of Opus packets, each with its sequence number, timestamp and audio
//! level. This suits agents that record, forward or analyse packets, or have their own decoder.
//! Most others need PCM, with the feature `media`: see the page `pcm`. Encoded frames can be
//! [published](super::audio_out), too.
//!
//! ```
//! use agent_worker::room::TrackKind;
//! use agent_worker::{JobContext, JobResult, RoomEvent};
//!
//! /// Counts the audio bytes of each track until the track or the job ends.
//! async fn count(ctx: JobContext) -> JobResult {
//!     let (mut events, mut tasks) = (ctx.room().events(), Vec::new());
//!     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
//!         let RoomEvent::TrackSubscribed { participant, track } = event else { continue };
//!         if track.kind != TrackKind::Audio {
//!             continue;
//!         }
//!         let (job, mut frames) = (ctx.clone(), ctx.room().encoded_audio(&track.sid)?);
//!         tasks.retain(|task: &tokio::task::JoinHandle<_>| !task.is_finished());
//!         tasks.push(ctx.spawn(async move {
//!             let mut bytes = 0;
//!             while let Some(frame) = job.run_until_cancelled(frames.next()).await.flatten() {
//!                 bytes += frame.payload.len();
//!             }
//!             let (who, lost) = (&participant.identity, frames.dropped());
//!             let count = format!("{who}: {bytes} bytes, {lost} frames lost");
//!             job.room().publish_data("count", count).await
//!         }));
//!     }
//!     // Tasks that still run when the handler returns are cancelled, and would send no count.
//!     for task in tasks {
//!         if let Err(error) = task.await? {
//!             tracing::warn!(%error, "a count was not sent");
//!         }
//!     }
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # use agent_worker::room::EncodedFrame;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let speech = JobSpec::room("lobby").script(|room| async move {
//!     room.wait_for_agent().await;
//!     let ada = room.join("ada");
//!     let microphone = ada.publish_microphone();
//!     ada.wait_for_reader(&microphone).await;
//!     for number in 0..50 {
//!         ada.send_frame(&microphone, EncodedFrame::new(vec![0; 80], number.into(), number * 960));
//!     }
//!     // The job ends while the track is there.
//! });
//! let run = run_job(count, speech).await;
//! run.assert_success();
//! assert_eq!(run.sent_by_agent().next().unwrap().text(), "ada: 4000 bytes, 0 frames lost");
//! # });
//! ```
//! [`encoded_audio`](crate::Room::encoded_audio) opens the stream of a track by its sid, from
//! [`TrackSubscribed`](crate::RoomEvent::TrackSubscribed) or from
//! [`Participant::tracks`](crate::room::Participant::tracks). A track has one reader at a time: to use its
//! frames twice, share them, as they are cheap to clone.
//!
//! # Which tracks are received
//! By default the server sends all of them. `.auto_subscribe(AutoSubscribe::AudioOnly)` of the worker or of
//! one [join](crate::room::JoinOptions) excludes [video](super::video), and
//! [`AutoSubscribe::None`](crate::room::AutoSubscribe::None) excludes everything. A track that is excluded is
//! sent while it is read: it is subscribed when its stream is opened, and unsubscribed when the stream is
//! dropped.
//!
//! [`set_subscribed`](crate::Room::set_subscribed) decides for one track by hand and overrides the default: a
//! track that was unsubscribed by hand stays so, and its stream is silent.
//! [`set_track_enabled`](crate::Room::set_track_enabled) pauses a track that stays subscribed. Both choices
//! last while the track is published, also when our connection is re-established, at most until the end of
//! the attempt; a participant who rejoins publishes other tracks. The next attempt begins with the
//! default, and its events repeat which tracks are subscribed. The results of a request are events:
//! `TrackSubscribed`, `TrackUnsubscribed`, or `TrackSubscriptionFailed` with its reason.
//! [`is_subscribed`](crate::Room::is_subscribed) is the current state.
//!
//! While a track is muted, its stream has no frames, after up to a second of silence that the server sends
//! first.
//!
//! # Who speaks
//! [`SpeakersChanged`](crate::RoomEvent::SpeakersChanged) has the participants who speak, loudest first,
//! each with a level from 0 to 1; [`active_speakers`](crate::Room::active_speakers) is the current list. The
//! server measures it every 400 ms from the levels that publishers send with their frames, for all tracks of
//! the room, subscribed or not. It does not pass the levels of the single frames on (livekit-server 1.13
//! removes that header), so that an agent that needs finer levels measures them in the decoded audio.
//!
//! # Frames
//! | [`EncodedFrame`](crate::room::EncodedFrame) | |
//! |---|---|
//! | `payload` | one Opus packet, as encoded by its publisher: usually 20 ms, mono or stereo |
//! | `sequence` | the frame's number, without wrap-around. A gap is a frame that was lost, in the network or locally |
//! | `timestamp` | start of its audio, in 1/48,000 s; wraps around. A step longer than the frame before is silence that was not sent |
//! | `source` | the stream that `sequence` and `timestamp` refer to. It changes when the connection was re-established |
//! | `marker` | the first frame after silence, if its publisher sets it |
//! | `audio_level` | volume and voice activity, if the server forwards them, which livekit-server 1.13 does not |
//! | `received` | when it arrived |
//!
//! Frames are delivered in the order of arrival, each once. In a bad network that differs from the order of
//! their numbers: use a jitter buffer for playback, and sort by number for recording.
//!
//! # Slow readers, and the end of a stream
//! One second of frames is queued for a reader (50 frames unless
//! [`capacity`](crate::room::EncodedAudioStream::capacity) is set). Beyond that the oldest are dropped, as
//! current audio matters more than late audio. [`dropped`](crate::room::EncodedAudioStream::dropped) returns
//! their number, the log warns once for each job, and [`lk_agents_room_events_dropped_total`](super::metrics)
//! counts them as `frames`. So read each track in a separate task, as above, and do slow work elsewhere.
//!
//! The stream ends when its track is unpublished, its publisher leaves, or the room or the attempt ends. It
//! continues after a lost connection to the room was re-established. Without a reader no frames are queued.
//!
//! # In tests
//! A [`MockParticipant`](https://docs.rs/agent-testkit) of `run_job` and the mock server publishes tracks and
//! sends the test's frames, as above, on virtual time.
