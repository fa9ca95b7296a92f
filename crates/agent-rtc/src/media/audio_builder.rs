//! The description of a track of ours that is fed with PCM.

use std::future::IntoFuture;
use std::sync::Arc;

use agent_media::{AudioCodec, AudioFormat, AudioSender, AudioSenderOptions, EncoderOptions, RopusCodec};
use agent_proto::BoxFuture;
use agent_room::AudioTrackOptions;

use super::{AudioError, AudioTrack};
use crate::Room;

/// A track that is published when this is awaited, from [`Room::publish_audio`].
#[derive(Debug)]
#[must_use = "it is published when it is awaited"]
pub struct AudioTrackBuilder {
    room: Room,
    options: AudioTrackOptions,
    sender: Option<AudioSenderOptions>,
    codec: Arc<dyn AudioCodec>,
}

impl Room {
    /// Publishes an audio track from PCM of any sample rate and channel count.
    ///
    /// ```
    /// use agent_worker::media::{AudioError, AudioFormat, AudioFrame};
    /// use agent_worker::room::AudioTrackOptions;
    /// use std::time::Duration;
    ///
    /// # async fn example(room: agent_worker::Room, speech: Vec<AudioFrame>) -> Result<(), AudioError> {
    /// let voice = room.publish_audio(AudioTrackOptions::new("voice")).await?;
    /// for frame in speech {
    ///     // Waits while a second of sound is queued.
    ///     voice.push(&frame).await?;
    /// }
    /// voice.wait_for_playout().await?;
    /// voice.unpublish().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When awaited: [`AudioError::Room`], as for [`publish_encoded_audio`](Self::publish_encoded_audio), and
    /// [`AudioError::Codec`] if the codec refuses the options.
    pub fn publish_audio(&self, options: AudioTrackOptions) -> AudioTrackBuilder {
        AudioTrackBuilder { room: self.clone(), options, sender: None, codec: Arc::new(RopusCodec) }
    }
}

impl AudioTrackBuilder {
    /// Sets how sound is queued and encoded. By default: 48 kHz, with DTX if the track has it, at most one
    /// second queued. The channel count of its format becomes that of the track.
    pub fn sender(mut self, options: AudioSenderOptions) -> Self {
        self.sender = Some(options);
        self
    }

    /// Sets the codec.
    pub fn codec(mut self, codec: Arc<dyn AudioCodec>) -> Self {
        self.codec = codec;
        self
    }
}

impl IntoFuture for AudioTrackBuilder {
    type Output = Result<AudioTrack, AudioError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { room, mut options, sender, codec } = self;
            let sender = sender.unwrap_or_else(|| {
                let format = if options.stereo { AudioFormat::STEREO_48K } else { AudioFormat::MONO_48K };
                AudioSenderOptions::new().format(format).encoder(EncoderOptions::new().dtx(options.dtx))
            });
            (options.stereo, options.dtx) = (sender.format.channels() == 2, sender.encoder.dtx);
            let sender = AudioSender::new(&*codec, sender)?;
            let track = room.publish_encoded_audio(options).await?;
            Ok(AudioTrack::new(room.shared().clone(), track, sender))
        })
    }
}
