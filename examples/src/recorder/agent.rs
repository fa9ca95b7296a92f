//! The agent: a recording for each participant.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::pending;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

use agent_worker::recording::RecorderOptions;
use agent_worker::room::{Participant, Track, TrackSource};
use agent_worker::{Agent, JobContext, JobError, JobResult, RoomEvent, typed};

use super::metadata::RecordingJobMetadata;
use super::recording::Recording;
use crate::parameters::settings;

/// How many tracks of a participant wait to be opened at most.
const QUEUED_TRACKS: usize = 16;

/// What is left of the grace for the cleanup, when the files are completed.
const RESERVE: Duration = Duration::from_secs(1);

/// The agent, whose files are in this folder.
pub fn recorder(folder: &Path) -> impl Agent + use<> {
    let folder = folder.to_owned();
    typed(RecordingJobMetadata::accepted(), move |ctx, job| record(ctx, job, folder))
}

async fn record(ctx: JobContext, job: RecordingJobMetadata, folder: PathBuf) -> JobResult {
    let job = settings(ctx.metadata()?, &RecordingJobMetadata::accepted(), job)?;
    let mut events = ctx.room().events();
    // By participant, and whether it is what it shares of its screen.
    let mut tracks: BTreeMap<(String, bool), mpsc::Sender<Track>> = BTreeMap::new();
    let mut recordings = FuturesUnordered::new();
    let mut failure = None;
    let limit = async {
        match job.max_duration_seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => pending().await,
        }
    };
    tokio::pin!(limit);
    loop {
        let event = tokio::select! {
            _ = ctx.cancelled() => break,
            () = &mut limit => break,
            Some(recorded) = recordings.next() => {
                keep(&mut failure, recorded);
                continue;
            }
            event = events.next() => event,
        };
        match event {
            Some(RoomEvent::TrackPublished { participant, track }) if job.includes(&track) => {
                let is_screen =
                    matches!(track.source, TrackSource::ScreenShare | TrackSource::ScreenShareAudio);
                let queue = tracks.entry((participant.sid.clone(), is_screen)).or_insert_with(|| {
                    let options = RecorderOptions::new(&name(&ctx, &participant, is_screen), job.container());
                    let identity = &participant.identity;
                    let recording =
                        Recording::new(ctx.clone(), folder.clone(), identity, options, job.layer());
                    let (queue, tracks) = mpsc::channel(QUEUED_TRACKS);
                    recordings.push(ctx.spawn(recording.run(tracks)));
                    queue
                });
                if queue.try_send(track).is_err() {
                    tracing::warn!(identity = participant.identity, "a track is not recorded");
                }
            }
            Some(RoomEvent::ParticipantLeft { participant, .. }) => {
                tracks.retain(|(sid, _), _| *sid != participant.sid);
            }
            Some(_) => {}
            None => break,
        }
    }
    // The recordings complete their files.
    drop(tracks);
    ctx.shutdown("the recording has ended");
    let complete = async {
        while let Some(recorded) = recordings.next().await {
            keep(&mut failure, recorded);
        }
    };
    let completed = timeout(ctx.grace().saturating_sub(RESERVE), complete).await;
    match (failure, completed) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(_)) => Err(JobError::fatal("the disk is too slow: the last seconds are not in the files")),
    }
}

/// Keeps the first failure of a recording for the end of the job: the others go on. One that was cancelled
/// has not failed.
fn keep(failure: &mut Option<JobError>, recorded: Result<JobResult, JoinError>) {
    let error = match recorded {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(error) if error.is_cancelled() => return,
        Err(error) => error.into(),
    };
    tracing::warn!(%error, "a recording has failed: the others go on");
    failure.get_or_insert(error);
}

/// How the files of a participant are called: no other recording has the same.
fn name(ctx: &JobContext, participant: &Participant, is_screen: bool) -> String {
    let screen = if is_screen { "-screen" } else { "" };
    format!("{}.{}-{}{screen}-{}", ctx.job().id, ctx.attempt(), participant.sid, participant.identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_failure_is_kept_and_a_panic_is_one() {
        let mut failure = None;
        keep(&mut failure, Ok(Ok(())));
        let hangs = tokio::spawn(pending::<JobResult>());
        hangs.abort();
        keep(&mut failure, hangs.await);
        assert!(failure.is_none(), "{failure:?}");
        keep(&mut failure, tokio::spawn(async { panic!("no space") }).await);
        keep(&mut failure, Ok(Err("the second".into())));
        let failure = failure.unwrap().to_string();
        assert!(failure.contains("panicked"), "{failure}");
    }
}
