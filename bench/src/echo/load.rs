//! The load: participants of our own that send prepared Opus in many rooms, and count what comes back. It
//! runs in a process of its own, and answers each line on its standard input with one line of JSON.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use agent_worker::Room;
use agent_worker::media::{AudioCodec, AudioFormat, EncoderOptions, RopusCodec};
use agent_worker::net::AccessToken;
use agent_worker::room::{
    AudioLevel, AudioTrackOptions, JoinRequest, OutgoingFrame, ParticipantKind, RoomConnector, WebRtc,
};
use agent_worker::{RoomEvent, Secret};

use crate::usage::processor_ns;

/// The identity of the participant in each room.
pub(super) const GUEST: &str = "guest";

/// The frequency of what it plays.
pub(super) const HERTZ: f64 = 440.0;

/// Ten seconds of packets, played again and again.
const PACKETS: u32 = 500;

const PACKET: Duration = Duration::from_millis(20);
const FORMAT: AudioFormat = AudioFormat::MONO_48K;
const SAMPLES: u32 = 960;

/// How long it takes at most until sound comes back in all rooms: a server starts some ten jobs a second.
const HEARD_WITHIN: Duration = Duration::from_secs(120);

/// The server, and the rooms.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadTask {
    #[arg(long)]
    pub(super) url: String,
    /// What the names of the rooms begin with.
    #[arg(long)]
    pub(super) prefix: String,
    #[arg(long, env = "LIVEKIT_API_KEY")]
    pub(super) key: String,
    #[arg(long, env = "LIVEKIT_API_SECRET", hide_env_values = true)]
    pub(super) secret: String,
}

/// The name of a room.
pub(super) fn room_name(prefix: &str, number: usize) -> String {
    format!("{prefix}-{number}")
}

/// A request, one on each line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// Join rooms until there are as many.
    Grow {
        rooms: usize,
    },
    /// Wait until sound has come back in each room.
    Heard,
    Mark,
}

/// What has happened so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct LoadMark {
    /// Packets that were sent, in all rooms.
    pub(super) sent: u64,
    /// Packets that came back, for each room.
    pub(super) received: Vec<u64>,
    /// Processor time of this process.
    pub(super) processor_ns: u64,
}

/// One room.
struct Guest {
    _room: Room,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    received: watch::Sender<u64>,
}

/// Runs until standard input ends.
pub(crate) fn run(task: &LoadTask) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let packets = packets()?;
    let mut guests = Vec::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let ask = serde_json::from_str(&line?)?;
        match ask {
            Ask::Grow { rooms } => {
                while guests.len() < rooms {
                    guests.push(runtime.block_on(join(task, guests.len(), &packets))?);
                }
            }
            Ask::Heard => runtime.block_on(heard(&guests))?,
            Ask::Mark => {}
        }
        writeln!(out, "{}", serde_json::to_string(&mark(&guests))?)?;
        out.flush()?;
    }
    Ok(())
}

fn mark(guests: &[Guest]) -> LoadMark {
    LoadMark {
        sent: guests.iter().map(|guest| guest.counts.sent.load(Ordering::Relaxed)).sum(),
        received: guests.iter().map(|guest| *guest.counts.received.borrow()).collect(),
        processor_ns: processor_ns(),
    }
}

async fn join(task: &LoadTask, number: usize, packets: &Arc<[Bytes]>) -> Result<Guest> {
    let room = room_name(&task.prefix, number);
    let secret = Secret::from(task.secret.clone());
    let token = AccessToken::new(&task.key, secret).identity(GUEST).join_room(&room).sign()?;
    let room = WebRtc::default().connect(JoinRequest::new(&task.url, token)).await?;
    let counts = Arc::new(Counts::default());
    tokio::spawn(listen(room.clone(), Arc::clone(&counts)));
    let track = room.publish_encoded_audio(AudioTrackOptions::new("microphone")).await?;
    let (packets, sent) = (Arc::clone(packets), Arc::clone(&counts));
    tokio::spawn(async move {
        let mut ticks = interval(PACKET);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut timestamp = 0_u32;
        for packet in packets.iter().cycle() {
            ticks.tick().await;
            let frame = OutgoingFrame::new(packet.clone(), timestamp).level(AudioLevel::new(-15, true));
            if track.send(frame).is_err() {
                return;
            }
            timestamp = timestamp.wrapping_add(SAMPLES);
            sent.sent.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(Guest { _room: room, counts })
}

/// Counts the packets of the agent's track.
async fn listen(room: Room, counts: Arc<Counts>) {
    let mut events = room.events();
    while let Some(event) = events.next().await {
        let RoomEvent::TrackSubscribed { participant, track } = event else { continue };
        if participant.kind != ParticipantKind::Agent {
            continue;
        }
        let Ok(mut frames) = room.encoded_audio(&track.sid) else { continue };
        while frames.next().await.is_some() {
            counts.received.send_modify(|count| *count += 1);
        }
    }
}

async fn heard(guests: &[Guest]) -> Result<()> {
    let all = async {
        for guest in guests {
            let mut received = guest.counts.received.subscribe();
            // The sender is in the guest.
            let _ = received.wait_for(|count| *count > 0).await;
        }
    };
    if timeout(HEARD_WITHIN, all).await.is_err() {
        let silent = guests.iter().filter(|guest| *guest.counts.received.borrow() == 0).count();
        bail!("nothing came back in {silent} of {} rooms within {HEARD_WITHIN:?}", guests.len());
    }
    Ok(())
}

/// Something like a voice: overtones, a loudness that changes, and a little noise.
fn packets() -> Result<Arc<[Bytes]>> {
    let mut encoder = RopusCodec.encoder(FORMAT, &EncoderOptions::new())?;
    let mut noise = 1_u32;
    let mut packets = Vec::new();
    for packet in 0..PACKETS {
        let samples: Vec<i16> = (packet * SAMPLES..(packet + 1) * SAMPLES)
            .map(|at| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                sample(f64::from(at) / f64::from(FORMAT.sample_rate()), f64::from(noise >> 16) / 65_536.0)
            })
            .collect();
        let mut payload = Vec::new();
        encoder.encode(&samples, &mut payload).context("the load could not be encoded")?;
        packets.push(Bytes::from(payload));
    }
    Ok(packets.into())
}

fn sample(seconds: f64, noise: f64) -> i16 {
    let sine = |hertz: f64| (seconds * hertz * std::f64::consts::TAU).sin();
    let voice = sine(HERTZ) + 0.2 * sine(2.0 * HERTZ) + 0.1 * sine(3.0 * HERTZ) + 0.02 * (noise - 0.5);
    (8_000.0 * (0.8 + 0.2 * sine(4.0)) * voice) as i16
}
