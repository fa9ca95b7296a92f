//! Publishing audio: tracks of the agent, from encoded frames.
//!
//! [`publish_encoded_audio`](crate::Room::publish_encoded_audio) publishes a track, which others see and hear
//! as that of any participant. It is fed with Opus packets: from a file, from an encoder of the agent's, or
//! from another participant, whose frames are passed on without being decoded. With the feature `media`
//! a track takes PCM, too: see the page `pcm`.
//!
//! ```
//! use agent_worker::room::{AudioLevel, AudioTrackOptions, OutgoingFrame, TrackKind};
//! use agent_worker::{JobContext, JobResult, RoomEvent};
//!
//! /// Sends the frames of the first track back, until it ends.
//! async fn echo(ctx: JobContext) -> JobResult {
//!     let mut events = ctx.room().events();
//!     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
//!         if let RoomEvent::TrackSubscribed { track, .. } = event
//!             && track.kind == TrackKind::Audio
//!         {
//!             drop(events); // a stream that is open and not read overflows
//!             let mut frames = ctx.room().encoded_audio(&track.sid)?;
//!             let echo = ctx.room().publish_encoded_audio(AudioTrackOptions::new("echo")).await?;
//!             while let Some(frame) = ctx.run_until_cancelled(frames.next()).await.flatten() {
//!                 // Passed on as it is; the level makes others see who speaks.
//!                 echo.send(OutgoingFrame::from(frame).level(AudioLevel::new(-20, true)))?;
//!             }
//!             return Ok(());
//!         }
//!     }
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # use agent_worker::room::EncodedFrame;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let sound = JobSpec::room("lobby").script(|room| async move {
//!     room.wait_for_agent().await;
//!     let ada = room.join("ada");
//!     let microphone = ada.publish_microphone();
//!     ada.wait_for_reader(&microphone).await;
//!     room.wait_for_track(|_, track| track.name == "echo").await;
//!     ada.send_frame(&microphone, EncodedFrame::new(&b"hello"[..], 0, 0));
//!     room.wait_for_audio(|sent| sent.frame.payload == "hello").await;
//!     ada.unpublish(&microphone);
//! });
//! let run = run_job(echo, sound).await;
//! run.assert_success();
//! assert_eq!(run.audio_by_agent().count(), 1);
//! # });
//! ```
//!
//! # Frames
//! | [`OutgoingFrame`](crate::room::OutgoingFrame) | |
//! |---|---|
//! | `payload` | one Opus packet, of at most 1,400 bytes |
//! | `timestamp` | start of its audio, in 1/48,000 s: 960 after the previous frame of 20 ms. It continues through pauses. After a step back it continues in real time, so the frames of another source may follow |
//! | `audio_level` | its volume and whether it is speech. The server computes the [active speakers](crate::RoomEvent::SpeakersChanged) from it; without a level the agent is never one |
//! | `marker` | the first frame after silence that was not sent. The first frame of a track has it in any case |
//!
//! [`send`](crate::room::EncodedAudioTrack::send) never waits, and a frame is sent when it is passed or not
//! at all: the caller keeps the pace, for example with [`tokio::time::interval`]. Frames of a muted track,
//! and those without a connection to the server, are dropped, as they would be late. Silence need not be sent
//! (DTX): others hear none either.
//!
//! # Several tracks, and their options
//! [`AudioTrackOptions`](crate::room::AudioTrackOptions) has the name, the source (microphone by default),
//! and whether it is stereo. Each call publishes another track, at most 64. The token must permit it, and its
//! source: [`AgentPermissions`](crate::room::AgentPermissions) of the worker, otherwise
//! [`NotAllowed`](crate::room::RoomError::NotAllowed) names what is missing.
//!
//! # How a track ends, and how it continues
//! A track is unpublished when its [handle](crate::room::EncodedAudioTrack) is dropped, and at the end of the
//! attempt, before the next one begins. The server may end it, too: then `send` returns
//! [`TrackUnpublished`](crate::room::RoomError::TrackUnpublished).
//!
//! After a lost connection that was resumed, it continues as before. After a new session it is published
//! again by itself, with another sid ([`LocalTrackRepublished`](crate::RoomEvent::LocalTrackRepublished)),
//! and its handle works on.
//!
//! [`mute`](crate::room::EncodedAudioTrack::mute) and `unmute` are seen by others. The server's API may mute
//! a track as well: that is [`TrackMuted`](crate::RoomEvent::TrackMuted) with the agent's own participant.
//!
//! # In tests
//! Mock rooms take tracks of agents, on virtual time: a [`MockRoom`](https://docs.rs/agent-testkit) waits for
//! tracks and frames, `Run::audio_by_agent` has what was sent, and other participants of the test read it
//! as an agent would.
