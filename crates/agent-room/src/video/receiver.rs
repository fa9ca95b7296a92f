//! The video streams of the tracks that are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agent_proto::Time;

use super::assembler::{Assembler, VideoPacket};
use crate::EncodedVideoFrame;

/// An output, to be carried out in order.
#[derive(Debug, PartialEq)]
pub(crate) enum VideoOutput {
    /// Give a frame to who reads the track with this sid.
    Frame(Arc<str>, EncodedVideoFrame),
    /// Request a key frame of this stream.
    RequestKeyFrame(u32),
}

/// The video that we receive.
#[derive(Debug, Default)]
pub(crate) struct VideoReceiver {
    /// The tracks that are read; packets of others are dropped.
    read: BTreeSet<String>,
    /// By SSRC. A track has one stream at a time; the previous one ends with the first packet of the next.
    streams: BTreeMap<u32, (Arc<str>, Assembler)>,
}

impl VideoReceiver {
    /// The track with this sid is read, or no longer.
    pub(crate) fn set_read(&mut self, sid: &str, is_read: bool) {
        if is_read {
            self.read.insert(sid.to_owned());
        } else if self.read.remove(sid) {
            self.streams.retain(|_, (track, _)| **track != *sid);
        }
    }

    /// A packet of a track was received.
    pub(crate) fn handle_packet(&mut self, track: &Arc<str>, packet: VideoPacket, now: Time) {
        if !self.read.contains(&**track) {
            return;
        }
        let source = packet.source;
        if self.streams.get(&source).is_none_or(|(of, _)| of != track) {
            self.streams.retain(|_, (of, _)| of != track);
            self.streams.insert(source, (track.clone(), Assembler::new()));
        }
        if let Some((_, stream)) = self.streams.get_mut(&source) {
            stream.handle_packet(packet, now);
        }
    }

    /// A key frame of this track is needed.
    pub(crate) fn want_key_frame(&mut self, sid: &str) {
        let of_track = self.streams.values_mut().filter(|(track, _)| **track == *sid);
        of_track.for_each(|(_, stream)| stream.want_key_frame());
    }

    /// The session is gone, and its streams with it.
    pub(crate) fn interrupted(&mut self) {
        self.streams.clear();
    }

    pub(crate) fn poll_output(&mut self, now: Time) -> Option<VideoOutput> {
        for (source, (track, stream)) in &mut self.streams {
            if let Some(frame) = stream.poll_frame() {
                return Some(VideoOutput::Frame(track.clone(), frame));
            }
            if stream.takes_request(now) {
                return Some(VideoOutput::RequestKeyFrame(*source));
            }
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.streams.values().filter_map(|(_, stream)| stream.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.streams.values_mut().for_each(|(_, stream)| stream.handle_timeout(now));
    }
}
