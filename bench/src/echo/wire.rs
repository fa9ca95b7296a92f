//! When bursts arrive, without the jitter buffers of official clients: a participant of our own decodes each
//! packet as soon as it has it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use agent_testkit::RealServer;
use agent_worker::media::{AudioCodec, AudioFormat, RopusCodec};
use agent_worker::room::{EncodedAudioStream, JoinRequest, ParticipantKind, RoomConnector, WebRtc};
use agent_worker::{Room, RoomEvent};

const FORMAT: AudioFormat = AudioFormat::MONO_48K;

/// As loud is a burst, and as quiet is it before one.
const LOUD: i16 = 4_000;
const QUIET: Duration = Duration::from_millis(300);

/// A burst that does not come back by then is lost.
const PATIENCE: Duration = Duration::from_millis(900);

/// A participant that listens to another one and to the agent.
pub(super) struct Wire {
    _room: Room,
    direct: Arrivals,
    echo: Arrivals,
}

/// When bursts begin in a track.
type Arrivals = Arc<Mutex<Vec<Instant>>>;

impl Wire {
    /// Joins a room, and receives the sound of this participant and of the agent.
    pub(super) async fn join(server: &RealServer, room: &str, publisher: &'static str) -> Result<Self> {
        let token = server.token().identity("wire").join_room(room).sign()?;
        let room = WebRtc::default().connect(JoinRequest::new(server.url(), token)).await?;
        let (direct, echo) = (Arrivals::default(), Arrivals::default());
        let (listening, of_publisher, of_agent) = (room.clone(), Arc::clone(&direct), Arc::clone(&echo));
        tokio::spawn(async move {
            let mut events = listening.events();
            while let Some(event) = events.next().await {
                let RoomEvent::TrackSubscribed { participant, track } = event else { continue };
                let arrivals = match participant.kind {
                    ParticipantKind::Agent => &of_agent,
                    _ if participant.identity == publisher => &of_publisher,
                    _ => continue,
                };
                if let Ok(frames) = listening.encoded_audio(&track.sid) {
                    tokio::spawn(listen(frames, Arc::clone(arrivals)));
                }
            }
        });
        Ok(Self { _room: room, direct, echo })
    }

    /// How much later each burst since this time came from the agent, in milliseconds; `None`: it did not.
    pub(super) fn added_since(&self, since: Instant) -> Vec<Option<f64>> {
        let all = |arrivals: &Arrivals| arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (direct, echo) = (all(&self.direct), all(&self.echo));
        let bursts = direct.into_iter().filter(|at| *at >= since);
        let added = |at: Instant| {
            let back = echo.iter().find(|back| **back >= at && **back < at + PATIENCE)?;
            Some((*back - at).as_secs_f64() * 1_000.0)
        };
        bursts.map(added).collect()
    }
}

async fn listen(mut frames: EncodedAudioStream, arrivals: Arrivals) {
    let Ok(mut decoder) = RopusCodec.decoder(FORMAT) else { return };
    let (mut samples, mut last_loud) = (Vec::new(), None);
    while let Some(frame) = frames.next().await {
        let now = Instant::now();
        samples.clear();
        if decoder.decode(&frame.payload, &mut samples).is_err() {
            continue;
        }
        let Some(at) = samples.iter().position(|sample| *sample >= LOUD) else { continue };
        let begin = now + FORMAT.duration_of(at);
        if last_loud.is_none_or(|last| begin.saturating_duration_since(last) >= QUIET) {
            arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(begin);
        }
        last_loud = Some(now + FORMAT.duration_of(samples.len()));
    }
}
