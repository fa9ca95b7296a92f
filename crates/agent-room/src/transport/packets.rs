//! Media packets as they arrive.

use bytes::Bytes;
use str0m::media::{MediaKind, Mid};
use str0m::rtp::RtpPacket;

use super::{Transport, capture, codecs};
use crate::connection::TransportEvent;
use crate::video::VideoPacket;
use crate::{AudioLevel, EncodedFrame};

impl Transport {
    /// Handles a media packet. An audio packet is a whole frame, as Opus is never split (RFC 7587).
    pub(super) fn packet(&mut self, packet: &RtpPacket) {
        let Some(mid) = self.rtc.direct_api().stream_rx(&packet.header.ssrc).map(|stream| stream.mid())
        else {
            return self.routes.drop_frame();
        };
        match self.rtc.media(mid).map(|media| media.kind()) {
            Some(MediaKind::Audio) => {}
            Some(MediaKind::Video) => return self.video_packet(packet, mid),
            None => return,
        }
        // Without a payload it is padding.
        let track = self.routes.track(*packet.header.ssrc, mid).filter(|_| !packet.payload.is_empty());
        let Some(track) = track.cloned() else { return self.routes.drop_frame() };
        let level = packet.header.ext_vals.audio_level;
        let voice = packet.header.ext_vals.voice_activity.unwrap_or_default();
        let frame = EncodedFrame {
            payload: Bytes::copy_from_slice(&packet.payload),
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            clock_rate: packet.time.frequency().get(),
            source: *packet.header.ssrc,
            marker: packet.header.marker,
            audio_level: level.map(|dbov| AudioLevel::new(dbov, voice)),
            captured: capture::time(packet),
            received: self.clock.time(packet.timestamp),
        };
        self.events.push_back(TransportEvent::Frame { track, frame });
    }

    fn video_packet(&mut self, packet: &RtpPacket, mid: Mid) {
        let track = self.routes.track(*packet.header.ssrc, mid).cloned();
        let codec = codecs::video(&self.rtc, packet.header.payload_type);
        let (Some(track), Some(codec)) = (track, codec) else { return self.routes.drop_frame() };
        let packet = VideoPacket {
            source: *packet.header.ssrc,
            codec,
            sequence: *packet.seq_no,
            timestamp: packet.time.numer(),
            captured: capture::time(packet),
            marker: packet.header.marker,
            payload: Bytes::copy_from_slice(&packet.payload),
        };
        self.events.push_back(TransportEvent::VideoPacket { track, packet });
    }
}
