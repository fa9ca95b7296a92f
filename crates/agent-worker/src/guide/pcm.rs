//! Hearing and speaking: PCM of audio tracks. Feature `media`.
//!
//! ```
//! use agent_worker::media::AudioFormat;
//! use agent_worker::room::{AudioTrackOptions, TrackKind};
//! use agent_worker::{JobContext, JobResult, RoomEvent};
//!
//! /// Sends the sound of the first participant back.
//! async fn echo(ctx: JobContext) -> JobResult {
//!     let mut events = ctx.room().events();
//!     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
//!         let RoomEvent::TrackSubscribed { track, .. } = event else { continue };
//!         if track.kind != TrackKind::Audio {
//!             continue;
//!         }
//!         drop(events); // a stream that is open and not read overflows
//!         let mut input = ctx.room().audio(&track.sid, AudioFormat::MONO_48K)?;
//!         let output = ctx.room().publish_audio(AudioTrackOptions::new("echo")).await?;
//!         while let Some(received) = ctx.run_until_cancelled(input.next()).await.flatten() {
//!             output.push(&received.audio).await?;
//!         }
//!         output.wait_for_playout().await?;
//!         break;
//!     }
//!     Ok(())
//! }
//! ```
//! Add `"media"` to the `features` of `agent-worker` in your `Cargo.toml`. The codec is compiled for it, in
//! pure Rust. In dev builds let it be optimised, as it takes a third of a core for each track otherwise;
//! profiles are those of your own `Cargo.toml`:
//! ```toml
//! [profile.dev.package]
//! ropus = { opt-level = 3 }
//! agent-worker-media = { opt-level = 3 }
//! ```
//!
//! # Hearing
//! [`Room::audio`](crate::Room::audio) opens the stream of a track in the [format](crate::media::AudioFormat)
//! that you ask for: 16 kHz mono for most speech recognition, 48 kHz stereo for music. 8, 12, 16, 24 and 48
//! kHz are decoded directly; other rates from 8 to 192 kHz are converted.
//!
//! Each item is some 20 ms of [sound](crate::media::AudioFrame), with its time and whether it was
//! [concealed](crate::media::ReceivedAudio::is_concealed). A *jitter buffer* returns them in order and at an
//! even pace: packets wait for late ones as long as the network of the last seconds requires it: 10 ms
//! on a good one, and [at most 200 ms](crate::media::JitterOptions). A lost packet is rebuilt from the next
//! one if the sender puts a copy there (FEC), and concealed otherwise.
//! On a busy machine packets are delayed even on a perfect network: a
//! [`min_delay`](crate::media::JitterOptions::min_delay) of 20 or 30 ms is less audible than concealment.
//! [`stats`](crate::media::AudioStream::stats) counts it all.
//!
//! | what happens | what is heard |
//! |---|---|
//! | the publisher is silent and sends nothing (DTX) | its background noise |
//! | the track is muted, or not subscribed | nothing, one second after the last packet; the stream continues afterwards |
//! | the connection is re-established | the same; the time of the pause is in the media time |
//! | the track is unpublished, or its publisher leaves | the end of the stream |
//! | the reader is slow | the newest second: older packets are dropped, and counted |
//!
//! # Speaking
//! [`Room::publish_audio`](crate::Room::publish_audio) publishes a track that takes PCM of any rate and
//! channel count. [`push`](crate::media::AudioTrack::push) queues it, and waits while a second is queued; it
//! is encoded and sent in real time, the first packet at once. So both kinds of sources work: those that are
//! faster than real time, as speech synthesis, and those at their own pace, as the echo above, to which no
//! delay is added as long as they come in time, or up to 40 ms late. If such a source was held up for longer,
//! what comes in a lump then is played at its pace, and all that follows is later by as much. An agent that
//! sends back what it hears can look at [`queued_duration`](crate::media::AudioTrack::queued_duration), and
//! [`clear`](crate::media::AudioTrack::clear) what has become too much.
//!
//! | | |
//! |---|---|
//! | [`clear`](crate::media::AudioTrack::clear) | stops speaking at once, when a person interrupts (barge-in) |
//! | [`position`](crate::media::AudioTrack::position) | how much was played: so an interrupted agent knows what was heard |
//! | [`queued_duration`](crate::media::AudioTrack::queued_duration) | how long the queued sound lasts |
//! | [`wait_for_playout`](crate::media::AudioTrack::wait_for_playout) | until everything was played |
//! | [`mute`](crate::media::AudioTrack::mute), `unmute` | its time continues while it is muted |
//! | [`unpublish`](crate::media::AudioTrack::unpublish), or dropping it | ends the track |
//!
//! Others see the agent speaking, as each packet has its level. A new session publishes the track again by
//! itself. What an agent may publish is in its [permissions](crate::room::AgentPermissions); a refusal is an
//! error that names the source.
//!
//! # Without a codec
//! Audio that is only recorded, forwarded or played from an Opus file needs no PCM: see
//! [encoded audio](super::audio), which costs a tenth of the processor time.
//!
//! # Testing
//! In the mock rooms of agent-testkit others play and hear PCM, on virtual time: its guide shows it under
//! "Testing sound", with a test of 15 lines, tones to play, and measurements of received sound.
//!
//! # What is not part of this SDK
//! Speech recognition and synthesis, language models, and turn taking. [`AudioStream`] and
//! [`AudioTrack`] are the interfaces for them: the example `transcriber` finds segments of speech by voice
//! activity, passes each to an engine of yours, which is a command or an HTTP endpoint behind a trait of one
//! method, and sends the texts as
//! [transcriptions](super::streams#chats-transcriptions-the-state-of-an-agent).
//!
//! [`AudioStream`]: crate::media::AudioStream
//! [`AudioTrack`]: crate::media::AudioTrack
