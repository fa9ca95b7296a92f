//! Recording: files of what participants say and show, without a codec. Feature `recording`.
//!
//! ```
//! use std::path::PathBuf;
//!
//! use agent_worker::recording::{
//!     Container, RecordedAudio, Recorder, RecorderInput, RecorderOptions, RecorderOutput,
//! };
//! use agent_worker::room::{Time, TrackKind};
//! use agent_worker::{JobContext, JobResult, RoomEvent};
//! use tokio::fs::File;
//! use tokio::io::{AsyncSeekExt, AsyncWriteExt};
//! use tokio::time::Instant;
//!
//! /// Records the first track of audio until it ends.
//! async fn record(ctx: JobContext, folder: PathBuf) -> JobResult {
//!     let mut events = ctx.room().events();
//!     let (speaker, mut packets) = loop {
//!         match ctx.run_until_cancelled(events.next()).await.flatten() {
//!             Some(RoomEvent::TrackSubscribed { participant, track }) if track.kind == TrackKind::Audio => {
//!                 break (participant, ctx.room().encoded_audio(&track.sid)?);
//!             }
//!             Some(_) => {}
//!             None => return Ok(()),
//!         }
//!     };
//!     drop(events); // a stream that is open and not read overflows
//!     let options = RecorderOptions::new(&format!("{}-{}", ctx.job().id, speaker.identity), Container::OggOpus);
//!     let (mut recorder, begin) = (Recorder::new(options), Instant::now());
//!     let mut file: Option<File> = None;
//!     loop {
//!         let due = recorder.poll_timeout().map(|due| begin + (due - Time::ZERO));
//!         let packet = tokio::select! {
//!             biased;
//!             packet = ctx.run_until_cancelled(packets.next()) => Some(packet.flatten()),
//!             () = tokio::time::sleep_until(due.unwrap_or(begin)), if due.is_some() => None,
//!         };
//!         let now = Time::ZERO + begin.elapsed();
//!         match packet {
//!             Some(Some(packet)) => {
//!                 let captured = packet.captured;
//!                 let mut packet = RecordedAudio::new(packet.payload, packet.timestamp, packet.source);
//!                 packet.captured = captured;
//!                 recorder.handle_input(RecorderInput::Audio(packet), now);
//!             }
//!             Some(None) => recorder.handle_input(RecorderInput::Finish, now),
//!             None => recorder.handle_timeout(now),
//!         }
//!         while let Some(output) = recorder.poll_output() {
//!             match (output, &mut file) {
//!                 (RecorderOutput::Begin { file_name, .. }, _) => {
//!                     file = Some(File::create_new(folder.join(file_name)).await?);
//!                 }
//!                 (RecorderOutput::Append(bytes), Some(file)) => file.write_all(&bytes).await?,
//!                 (RecorderOutput::End { header, .. }, Some(file)) => {
//!                     if let Some(header) = header {
//!                         file.rewind().await?;
//!                         file.write_all(&header).await?;
//!                     }
//!                     file.sync_all().await?;
//!                 }
//!                 (RecorderOutput::Finished, _) => return Ok(()),
//!                 _ => {}
//!             }
//!         }
//!     }
//! }
//! ```
//! Add `"recording"` to the `features` of `agent-worker` in your `Cargo.toml`. Nothing is decoded or encoded,
//! so that a recording takes little processor time. The example `recorder` is a complete agent: it records
//! each participant of a room, with the settings of the job, and writes in a separate task, so that a slow
//! disk delays no packets.
//!
//! # Files
//! | | codecs | for |
//! |---|---|---|
//! | [`OggOpus`](crate::recording::Container::OggOpus) | Opus | audio alone, such as for transcription |
//! | [`WebM`](crate::recording::Container::WebM) | Opus, VP8, VP9, AV1 | browsers |
//! | [`Mp4`](crate::recording::Container::Mp4) | Opus, H.264, H.265, VP8, VP9, AV1 | everything else |
//!
//! Bytes come in parts of a second. A file whose writer was killed, or whose machine lost its power, can be
//! played up to the last part that is on the disk; it lacks its duration and an index for seeking, so a
//! player has to read it. ffmpeg cannot open an MP4 file that ends within the first bytes of a part: so
//! write each part at once, or use WebM.
//!
//! # What the recorder does
//! - **Order and times.** Frames wait for half a second
//!   ([`delay`](crate::recording::RecorderOptions::delay)). Then those of audio and video are in order, at
//!   the times at which they were captured, whenever their packets came.
//! - **Pauses.** Lost packets are marked as lost, so that a player conceals them. Sound that was not sent, as
//!   the sender was silent or muted, is written as silence, which takes 1 kB for ten seconds. So the sound of
//!   a file is as long as the recorded time, in all players.
//! - **Layers.** If a camera is sent in several sizes, one is recorded: choose it with
//!   [`set_video_choice`](crate::Room::set_video_choice) before the track is read. A camera that is muted
//!   does not begin another file: the black pictures of a few pixels that a server sends then are left out.
//! - **Parts.** Another codec or size of the picture begins another file; so does video that comes later than
//!   audio, or audio that comes later than video, as players expect both to be announced at the beginning. A
//!   connection that is re-established does not: the file continues at the right time.
//! - **Limits.** [`max_duration`](crate::recording::RecorderOptions::max_duration) ends it; waiting frames
//!   are limited to 16 MiB and 2,048 for each track; [`stats`](crate::recording::Recorder::stats) counts what
//!   was dropped.
//!
//! It has no clock and does no I/O: [`Recorder`](crate::recording::Recorder) is called with times, as above.
//! For frames that are in order already a [`ContainerWriter`](crate::recording::ContainerWriter) writes one
//! file.
