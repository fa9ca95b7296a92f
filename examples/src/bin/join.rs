//! Joins a room with a token, without a worker: sends a greeting, prints its events, and leaves when the room
//! ends.
//!
//! ```console
//! $ LIVEKIT_URL=ws://localhost:7880 LIVEKIT_TOKEN=… cargo run -p examples --bin join
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to its terminal")]

use std::error::Error;

use agent_rtc::{JoinRequest, RoomConnector, RoomEvent, WebRtc};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let request = JoinRequest::new(setting("LIVEKIT_URL")?, setting("LIVEKIT_TOKEN")?);
    let room = WebRtc::default().connect(request).await?;
    println!("joined {} as {}", room.name(), room.local_participant().identity);

    let mut events = room.events();
    room.publish_data("chat", "Hello!").await?;
    while let Some(event) = events.next().await {
        match event {
            RoomEvent::ParticipantJoined(who) => println!("{} joined", who.identity),
            RoomEvent::ParticipantLeft { participant, .. } => println!("{} left", participant.identity),
            RoomEvent::DataReceived(data) => println!("{} bytes of data", data.payload.len()),
            RoomEvent::Disconnected { reason } => println!("the room is over: {reason:?}"),
            _ => {}
        }
    }
    Ok(())
}
