//! Our audio tracks without a connection: what is asked of the server and of the connection, in order.

mod promises;
mod rules;

use std::time::Duration;

use agent_proto::{Time, livekit as proto};

use super::{
    AudioTrackOptions, LocalTrackMessage, LocalTrackOutput, LocalTracks, VideoLayer, VideoTrackOptions,
};
use crate::{CommandId, OutgoingFrame, OutgoingVideoFrame, RoomError, VideoCodec};
use proto::signal_request::Message as Request;

/// The tracks of a room, and the other side of them.
struct World {
    tracks: LocalTracks,
    now: Time,
    /// The client id of the last request.
    cid: String,
}

impl World {
    fn new() -> Self {
        Self { tracks: LocalTracks::new(3, Duration::from_secs(10), 7), now: Time::ZERO, cid: String::new() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.tracks.handle_timeout(self.now);
    }

    fn publish(&mut self, id: CommandId, name: &str) {
        self.tracks.publish(id, AudioTrackOptions::new(name).into(), self.now);
    }

    /// The server's answer to the last request.
    fn answer(&mut self, sid: &str) {
        self.outputs();
        let track = proto::TrackInfo { sid: sid.to_owned(), name: "voice".to_owned(), ..Default::default() };
        let response = proto::TrackPublishedResponse { cid: self.cid.clone(), track: Some(track) };
        self.tracks.message(LocalTrackMessage::Published(Box::new(response)));
    }

    /// A track that is published.
    fn published(&mut self, id: CommandId, sid: &str) {
        self.publish(id, "voice");
        self.answer(sid);
        self.tracks.section_answered(id, true);
        self.outputs();
    }

    /// Whether a frame of the track is sent now.
    fn sends(&mut self, id: CommandId) -> bool {
        self.now = self.now + Duration::from_millis(20);
        self.tracks.place(id, OutgoingFrame::new("x", 0).into(), self.now).is_some()
    }

    /// The outputs since the last call.
    fn outputs(&mut self) -> Vec<String> {
        let mut outputs = Vec::new();
        while let Some(output) = self.tracks.poll_output() {
            outputs.push(match output {
                LocalTrackOutput::Request(request) => match *request {
                    Request::AddTrack(request) => {
                        let muted = if request.muted { " muted" } else { "" };
                        let text = format!("add {:?}{muted}", request.name);
                        self.cid = request.cid;
                        text
                    }
                    Request::Mute(request) => format!("mute {} {}", request.sid, request.muted),
                    other => format!("{other:?}"),
                },
                LocalTrackOutput::OpenSection(id, cid, _) => {
                    assert_eq!(cid, self.cid);
                    format!("open {id}")
                }
                LocalTrackOutput::CloseSection(id) => format!("close {id}"),
                LocalTrackOutput::Done(id, Ok(())) => format!("{id} done"),
                LocalTrackOutput::Done(id, Err(error)) => format!("{id} failed: {}", label(&error)),
                LocalTrackOutput::Changed(id, Some(track)) => {
                    format!("{id} is {}{}", track.sid, if track.muted { ", muted" } else { "" })
                }
                LocalTrackOutput::Changed(id, None) => format!("{id} is gone"),
                LocalTrackOutput::Published(track) => format!("published {}", track.sid),
                LocalTrackOutput::Republished(track, before) => {
                    format!("republished {}, was {before}", track.sid)
                }
                LocalTrackOutput::Unpublished(track) => format!("unpublished {}", track.sid),
                LocalTrackOutput::Subscribed(track) => format!("subscribed {}", track.sid),
                LocalTrackOutput::Muted(track) => format!("{} muted: {}", track.sid, track.muted),
            });
        }
        outputs
    }
}

fn label(error: &RoomError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}
