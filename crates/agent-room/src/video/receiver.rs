//! The video streams of the tracks that are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agent_proto::Time;

use super::assembler::{Assembler, VideoPacket};
use crate::EncodedVideoFrame;

/// An output, to be carried out in order.
#[derive(Debug, PartialEq)]
pub(crate) enum VideoOutput {
    /// Give a frame to the reader of the track with this sid.
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
    streams: BTreeMap<u32, Stream>,
}

#[derive(Debug)]
struct Stream {
    track: Arc<str>,
    packets: Assembler,
    /// Whether a frame was given to the reader.
    begun: bool,
    /// Whether a frame was dropped since the last one that was given: those after it need it.
    broken: bool,
}

impl Stream {
    const fn new(track: Arc<str>) -> Self {
        Self { track, packets: Assembler::new(), begun: false, broken: false }
    }

    /// The next frame for the reader.
    fn poll_frame(
        &mut self,
        mut decrypt: impl FnMut(&str, EncodedVideoFrame) -> Option<EncodedVideoFrame>,
    ) -> Option<EncodedVideoFrame> {
        let mut left_out = false;
        while let Some(frame) = self.packets.poll_frame() {
            match decrypt(&self.track, frame) {
                // As long as none can be read, a key frame is of no use.
                None => (self.broken, left_out) = (true, false),
                Some(frame) if self.broken && !frame.key_frame => left_out = true,
                Some(mut frame) => {
                    frame.after_loss = self.begun && (frame.after_loss || self.broken);
                    (self.begun, self.broken) = (true, false);
                    return Some(frame);
                }
            }
        }
        if left_out {
            self.packets.require_key_frame();
        }
        None
    }
}

impl VideoReceiver {
    /// The track with this sid is read, or no longer.
    pub(crate) fn set_read(&mut self, sid: &str, is_read: bool) {
        if is_read {
            self.read.insert(sid.to_owned());
        } else if self.read.remove(sid) {
            self.streams.retain(|_, stream| *stream.track != *sid);
        }
    }

    /// A packet of a track was received.
    pub(crate) fn handle_packet(&mut self, track: &Arc<str>, packet: VideoPacket, now: Time) {
        if !self.read.contains(&**track) {
            return;
        }
        let source = packet.source;
        if self.streams.get(&source).is_none_or(|stream| stream.track != *track) {
            self.streams.retain(|_, stream| stream.track != *track);
            self.streams.insert(source, Stream::new(track.clone()));
        }
        if let Some(stream) = self.streams.get_mut(&source) {
            stream.packets.handle_packet(packet, now);
        }
    }

    /// A key frame of this track is needed.
    pub(crate) fn require_key_frame(&mut self, sid: &str) {
        let of_track = self.streams.values_mut().filter(|stream| *stream.track == *sid);
        of_track.for_each(|stream| stream.packets.require_key_frame());
    }

    /// The session is gone, and its streams with it.
    pub(crate) fn interrupted(&mut self) {
        self.streams.clear();
    }

    /// The next output. `decrypt` makes of a frame what it was before it was encrypted, or nothing.
    pub(crate) fn poll_output(
        &mut self,
        now: Time,
        mut decrypt: impl FnMut(&str, EncodedVideoFrame) -> Option<EncodedVideoFrame>,
    ) -> Option<VideoOutput> {
        for (source, stream) in &mut self.streams {
            if let Some(frame) = stream.poll_frame(&mut decrypt) {
                return Some(VideoOutput::Frame(stream.track.clone(), frame));
            }
            if stream.packets.takes_request(now) {
                return Some(VideoOutput::RequestKeyFrame(*source));
            }
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.streams.values().filter_map(|stream| stream.packets.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.streams.values_mut().for_each(|stream| stream.packets.handle_timeout(now));
    }
}
