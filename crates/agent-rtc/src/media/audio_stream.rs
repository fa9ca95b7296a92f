//! PCM of the tracks of others.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::time::{Sleep, sleep_until};

use agent_media::{
    AudioCodec, AudioFormat, AudioReceiver, AudioReceiverOptions, AudioReceiverStats, EncodedPacket,
    ReceivedAudio, RopusCodec,
};
use agent_proto::Time;
use agent_room::EncodedFrame;

use super::AudioError;
use crate::Room;
use crate::audio::EncodedAudioStream;
use crate::shared::Shared;

impl Room {
    /// Opens a stream of the PCM of an audio track, by its sid: in the given [`AudioFormat`], or with the
    /// given [`AudioReceiverOptions`]. A track has one stream at a time, of PCM or of
    /// [encoded frames](Self::encoded_audio).
    ///
    /// [`AudioFormat`]: agent_media::AudioFormat
    ///
    /// ```
    /// use agent_worker::media::AudioFormat;
    /// use agent_worker::room::TrackKind;
    /// use agent_worker::{JobContext, JobResult, RoomEvent};
    ///
    /// /// Reports how loud each participant is.
    /// async fn listen(ctx: JobContext) -> JobResult {
    ///     let mut events = ctx.room().events();
    ///     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
    ///         let RoomEvent::TrackSubscribed { participant, track } = event else { continue };
    ///         if track.kind != TrackKind::Audio {
    ///             continue;
    ///         }
    ///         let mut audio = ctx.room().audio(&track.sid, AudioFormat::MONO_16K)?;
    ///         ctx.spawn(async move {
    ///             while let Some(received) = audio.next().await {
    ///                 println!("{}: {:?}", participant.identity, received.audio.level());
    ///             }
    ///         });
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`AudioError::Track`], as for [`encoded_audio`](Self::encoded_audio).
    pub fn audio(
        &self,
        track_sid: &str,
        options: impl Into<AudioReceiverOptions>,
    ) -> Result<AudioStream, AudioError> {
        self.audio_with(&RopusCodec, track_sid, options)
    }

    /// As [`audio`](Self::audio), with another codec.
    ///
    /// # Errors
    /// As [`audio`](Self::audio), and [`AudioError::Codec`] if the codec refuses the options.
    pub fn audio_with(
        &self,
        codec: &dyn AudioCodec,
        track_sid: &str,
        options: impl Into<AudioReceiverOptions>,
    ) -> Result<AudioStream, AudioError> {
        let receiver = AudioReceiver::new(codec, options.into())?;
        let frames = self.encoded_audio(track_sid)?;
        Ok(AudioStream::new(self.shared().clone(), frames, receiver))
    }
}

/// The PCM of one audio track, from [`Room::audio`]: pieces of some 20 ms without holes, each when its time
/// has come.
///
/// A jitter buffer puts packets in order, and waits for late ones as long as the network makes it necessary:
/// a few milliseconds on a good one, 200 ms at most ([`JitterOptions`]). What is lost is made up, and
/// [marked](ReceivedAudio::is_concealed). While the publisher is silent (DTX) there is its background noise;
/// while the track is muted or not subscribed, nothing comes, and the stream continues afterwards.
///
/// What waits for a slow reader is bounded: at most 50 packets, or [`capacity`](Self::capacity), beyond which
/// the oldest are dropped and counted in [`dropped`](Self::dropped). Nothing is decoded before it is read.
///
/// It ends as [`EncodedAudioStream`] does, after what has been received was played.
///
/// [`JitterOptions`]: agent_media::JitterOptions
pub struct AudioStream {
    shared: Arc<Shared>,
    frames: EncodedAudioStream,
    receiver: AudioReceiver,
    /// The dropped packets that the receiver knows of.
    dropped: u64,
    /// Whether no more packets come.
    ended: bool,
    due: Pin<Box<Sleep>>,
}

impl AudioStream {
    fn new(shared: Arc<Shared>, frames: EncodedAudioStream, receiver: AudioReceiver) -> Self {
        let due = Box::pin(sleep_until(shared.instant(Time::ZERO)));
        Self { shared, frames, receiver, dropped: 0, ended: false, due }
    }

    /// How many packets wait for a slow reader at most; at least one does. If more are waiting, the oldest
    /// are dropped.
    #[must_use]
    pub fn capacity(mut self, packets: usize) -> Self {
        self.frames = self.frames.capacity(packets);
        self
    }

    /// The track's sid.
    #[must_use]
    pub fn track_sid(&self) -> &str {
        self.frames.track_sid()
    }

    /// Sample rate and channel count of the PCM.
    #[must_use]
    pub fn format(&self) -> AudioFormat {
        self.receiver.format()
    }

    /// How many packets were dropped so far, as they were not read in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.frames.dropped()
    }

    /// What the jitter buffer and the decoder have seen and done.
    #[must_use]
    pub fn stats(&self) -> AudioReceiverStats {
        self.receiver.stats()
    }

    /// The next piece; `None` after the last one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<ReceivedAudio> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<ReceivedAudio>> {
        loop {
            if let Some(audio) = self.receiver.poll_output() {
                return Poll::Ready(Some(audio));
            }
            self.receive(cx);
            if self.ended && self.receiver.is_empty() {
                return Poll::Ready(None);
            }
            let now = self.shared.now();
            match self.receiver.poll_timeout() {
                Some(due) if due <= now => self.receiver.handle_timeout(now),
                Some(due) => {
                    self.due.as_mut().reset(self.shared.instant(due));
                    ready!(self.due.as_mut().poll(cx));
                }
                None => return Poll::Pending,
            }
        }
    }

    /// Takes all packets that wait.
    fn receive(&mut self, cx: &mut Context<'_>) {
        while !self.ended
            && let Poll::Ready(frame) = Pin::new(&mut self.frames).poll_next(cx)
        {
            // What was dropped is older than this frame.
            self.note_dropped();
            match frame {
                Some(frame) => self.receiver.push(packet(frame), self.shared.now()),
                None => self.ended = true,
            }
        }
    }

    /// Tells the receiver what was dropped since the last time.
    fn note_dropped(&mut self) {
        let dropped = self.frames.dropped();
        if dropped > self.dropped {
            self.receiver.note_dropped(dropped - self.dropped);
            self.dropped = dropped;
        }
    }
}

fn packet(frame: EncodedFrame) -> EncodedPacket {
    let mut packet = EncodedPacket::new(frame.payload, frame.sequence, frame.timestamp);
    packet.source = frame.source;
    packet.received = frame.received;
    packet
}

impl Stream for AudioStream {
    type Item = ReceivedAudio;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ReceivedAudio>> {
        self.poll(cx)
    }
}

impl fmt::Debug for AudioStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudioStream")
            .field("frames", &self.frames)
            .field("format", &self.receiver.format())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
