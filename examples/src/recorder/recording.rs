//! The recording of one participant: its tracks, the machine, and its files.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use agent_worker::recording::{
    RecordedAudio, RecordedVideo, Recorder, RecorderInput, RecorderOptions, RecorderOutput,
};
use agent_worker::room::{
    EncodedAudioStream, EncodedFrame, EncodedVideoFrame, EncodedVideoStream, Time, Track, TrackError,
    TrackKind, VideoChoice,
};
use agent_worker::{JobContext, JobError};

use super::files::{self, Command, Commands};

const TOPIC: &str = "recording";

/// How many packets of audio and frames of video wait while the disk is slow: ten seconds.
const CAPACITY: usize = 500;
const VIDEO_CAPACITY: usize = 300;

/// Records one participant.
pub(super) struct Recording {
    ctx: JobContext,
    folder: PathBuf,
    identity: String,
    recorder: Recorder,
    begin: Instant,
    /// The file that is open.
    file: String,
    audio: Option<EncodedAudioStream>,
    video: Option<EncodedVideoStream>,
    /// Which of the sizes of the video is recorded.
    layer: VideoChoice,
}

/// The notice to the room: whose file is written, its name, and once it is complete, its duration.
#[derive(Serialize)]
struct Notice<'n> {
    identity: &'n str,
    file: &'n str,
    duration_seconds: Option<f64>,
}

impl Recording {
    pub(super) fn new(
        ctx: JobContext,
        folder: PathBuf,
        identity: &str,
        options: RecorderOptions,
        layer: VideoChoice,
    ) -> Self {
        Self {
            ctx,
            folder,
            identity: identity.to_owned(),
            recorder: Recorder::new(options),
            begin: Instant::now(),
            file: String::new(),
            audio: None,
            video: None,
            layer,
        }
    }

    /// Records the tracks that come, until no more can come or the job ends.
    pub(super) async fn run(mut self, mut tracks: mpsc::Receiver<Track>) -> Result<(), JobError> {
        let (commands, writer) = files::writer();
        let record = async move {
            self.record(&mut tracks, &commands).await?;
            self.input(RecorderInput::Finish, &commands).await
        };
        let (recorded, written) = tokio::join!(record, writer);
        // If the files cannot be written, that is why it cannot be recorded.
        written?;
        recorded
    }

    async fn record(
        &mut self,
        tracks: &mut mpsc::Receiver<Track>,
        commands: &Commands,
    ) -> Result<(), JobError> {
        let mut may_come = true;
        while may_come || self.audio.is_some() || self.video.is_some() {
            let due = self.recorder.poll_timeout().map(|due| self.begin + (due - Time::ZERO));
            tokio::select! {
                biased;
                _ = self.ctx.cancelled() => break,
                frame = next(&mut self.audio) => match frame {
                    Some(frame) => {
                        let mut packet = RecordedAudio::new(frame.payload, frame.timestamp, frame.source);
                        packet.captured = frame.captured;
                        self.input(RecorderInput::Audio(packet), commands).await?;
                    }
                    None => {
                        self.audio = None;
                        self.published(commands).await?;
                    }
                },
                frame = next_picture(&mut self.video) => match frame {
                    Some(frame) => self.input(RecorderInput::Video(recorded(frame)), commands).await?,
                    None => {
                        self.video = None;
                        self.published(commands).await?;
                    }
                },
                track = tracks.recv(), if may_come => match track {
                    Some(track) => {
                        self.open(&track).await;
                        // Those that are published together are in one file from its beginning.
                        while let Ok(track) = tracks.try_recv() {
                            self.open(&track).await;
                        }
                        self.published(commands).await?;
                    }
                    None => may_come = false,
                },
                () = until(due) => {
                    self.recorder.handle_timeout(self.now());
                    self.carry_out(commands).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads this track. One that cannot be read is not recorded.
    async fn open(&mut self, track: &Track) {
        let opened = match track.kind {
            TrackKind::Video => self.open_video(&track.sid).await,
            _ => self.open_audio(&track.sid),
        };
        if let Err(error) = opened {
            tracing::warn!(%error, track = track.sid, "a track is not recorded");
        }
    }

    fn open_audio(&mut self, sid: &str) -> Result<(), TrackError> {
        if self.audio.is_some() {
            tracing::warn!(track = sid, "a second track of audio is not recorded");
            return Ok(());
        }
        self.audio = Some(self.ctx.room().encoded_audio(sid)?.capacity(CAPACITY));
        Ok(())
    }

    async fn open_video(&mut self, sid: &str) -> Result<(), TrackError> {
        if self.video.is_some() {
            tracing::warn!(track = sid, "a second track of video is not recorded");
            return Ok(());
        }
        self.ctx.room().set_video_choice(sid, self.layer).await?;
        self.video = Some(self.ctx.room().encoded_video(sid)?.capacity(VIDEO_CAPACITY));
        Ok(())
    }

    async fn published(&mut self, commands: &Commands) -> Result<(), JobError> {
        let (audio, video) = (self.audio.is_some(), self.video.is_some());
        self.input(RecorderInput::Published { audio, video }, commands).await
    }

    async fn input(&mut self, input: RecorderInput, commands: &Commands) -> Result<(), JobError> {
        self.recorder.handle_input(input, self.now());
        self.carry_out(commands).await
    }

    async fn carry_out(&mut self, commands: &Commands) -> Result<(), JobError> {
        while let Some(output) = self.recorder.poll_output() {
            match output {
                RecorderOutput::Begin { file_name, .. } => {
                    let path = self.folder.join(&file_name);
                    self.file = file_name;
                    send(commands, Command::Create(path)).await?;
                    self.notify(None).await;
                }
                RecorderOutput::Append(bytes) => send(commands, Command::Append(bytes)).await?,
                RecorderOutput::End { header, duration } => {
                    send(commands, Command::End(header)).await?;
                    self.notify(Some(duration)).await;
                }
                RecorderOutput::RequestKeyFrame => {
                    self.video.iter().for_each(EncodedVideoStream::request_key_frame);
                }
                RecorderOutput::Finished => {}
            }
        }
        Ok(())
    }

    /// Sends a notice to the room. A closed room accepts nothing.
    async fn notify(&self, duration: Option<Duration>) {
        let Self { identity, file, .. } = self;
        let duration_seconds = duration.map(|duration| duration.as_secs_f64());
        let Ok(notice) = serde_json::to_vec(&Notice { identity, file, duration_seconds }) else { return };
        if self.ctx.is_in_room()
            && let Err(error) = self.ctx.room().publish_data(TOPIC, notice).await
        {
            tracing::warn!(%error, "a notice was not sent");
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + self.begin.elapsed()
    }
}

async fn send(commands: &Commands, command: Command) -> Result<(), JobError> {
    // What the writer has failed with is what counts.
    commands.send(command).await.map_err(|_| JobError::fatal("no file can be written"))
}

/// The next packet of a track, if there is one; dropping this loses nothing.
async fn next(audio: &mut Option<EncodedAudioStream>) -> Option<EncodedFrame> {
    match audio {
        Some(audio) => audio.next().await,
        None => std::future::pending().await,
    }
}

/// As [`next`], of a track of video.
async fn next_picture(video: &mut Option<EncodedVideoStream>) -> Option<EncodedVideoFrame> {
    match video {
        Some(video) => video.next().await,
        None => std::future::pending().await,
    }
}

fn recorded(frame: EncodedVideoFrame) -> RecordedVideo {
    let mut recorded = RecordedVideo::new(frame.codec, frame.payload, frame.timestamp, frame.key_frame);
    (recorded.source, recorded.captured) = (frame.source, frame.captured);
    recorded.size = frame
        .width
        .zip(frame.height)
        .and_then(|(width, height)| Some((u16::try_from(width).ok()?, u16::try_from(height).ok()?)));
    recorded
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
