//! Audio between two participants of a room.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use agent_rtc::{AudioTrackOptions, OutgoingFrame, Room, RoomEvent};

use super::text::text;

/// How long the first packet of one direction may take.
const FIRST_PACKET: Duration = Duration::from_secs(10);
/// An Opus packet of 20 ms of silence, and its samples at 48 kHz.
const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];
const SAMPLES: u32 = 960;
const PACKET: Duration = Duration::from_millis(20);

/// Sends audio from each to the other; returns what was found.
pub(super) async fn both_ways(agent: &Room, other: &Room) -> Result<String, String> {
    let out = one_way(agent, other, "from the agent").await?;
    let back = one_way(other, agent, "to the agent").await?;
    Ok(format!("audio flows both ways: the first packet took {out:.1?} from the agent, {back:.1?} to it"))
}

async fn one_way(from: &Room, to: &Room, direction: &str) -> Result<Duration, String> {
    timeout(FIRST_PACKET, first_packet(from, to)).await.unwrap_or_else(|_| {
        Err(format!(
            "no audio arrived {direction} within {FIRST_PACKET:?}, though both have joined: check that the network lets media through, \
             and the server's `rtc` settings (ports, `use_external_ip`)"
        ))
    })
}

/// From the first packet that was sent to the first one that arrived.
async fn first_packet(from: &Room, to: &Room) -> Result<Duration, String> {
    let mut events = to.events();
    let track = from.publish_encoded_audio(AudioTrackOptions::new("doctor")).await;
    let track = track.map_err(|error| text(&error))?;
    loop {
        match events.next().await {
            Some(RoomEvent::TrackSubscribed { track: other, .. }) if other.sid == track.sid() => break,
            Some(_) => {}
            None => return Err("the room was closed".to_owned()),
        }
    }
    let mut arriving = to.encoded_audio(&track.sid()).map_err(|error| text(&error))?;
    let began = Instant::now();
    let mut pace = interval(PACKET);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut timestamp = 0_u32;
    loop {
        tokio::select! {
            _ = pace.tick() => {
                track.send(OutgoingFrame::new(SILENCE, timestamp)).map_err(|error| text(&error))?;
                timestamp = timestamp.wrapping_add(SAMPLES);
            }
            frame = arriving.next() => return match frame {
                Some(_) => Ok(began.elapsed()),
                None => Err("the track was ended".to_owned()),
            },
        }
    }
}
