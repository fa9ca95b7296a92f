//! The media sections in which we send our tracks.
//!
//! The server finds the track of a section by its client id, the second token of `a=msid`. str0m keeps that
//! of a section's first track, so a section that is used again has another one in the offers that the server
//! sees. Sections are used again, as none can be removed: their number is that of the tracks at one time.

use str0m::Rtc;
use str0m::change::SdpApi;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::rtp::{ExtensionValues, RtpWrite, SeqNo, Ssrc};

use agent_proto::Time;

use super::clock::RtcClock;
use crate::CommandId;
use crate::local_tracks::PlacedFrame;

/// The sections of our tracks.
#[derive(Default)]
pub(super) struct Sending {
    sections: Vec<SendSection>,
}

struct SendSection {
    /// `None`: it is not offered yet.
    mid: Option<Mid>,
    /// The client id of its first track, which str0m knows.
    first_cid: String,
    cid: String,
    state: SendState,
    next_sequence: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SendState {
    /// To be offered for this track.
    Wanted(CommandId),
    /// Offered, without an answer.
    Offered(CommandId),
    /// It sends the frames of this track.
    Open(CommandId),
    /// To be offered without a track.
    Closing,
    /// Without a track.
    Free,
}

impl SendState {
    fn is_for(self, track: CommandId) -> bool {
        matches!(self, Self::Wanted(of) | Self::Offered(of) | Self::Open(of) if of == track)
    }
}

impl Sending {
    /// The next offer has a section for this track.
    pub(super) fn open(&mut self, track: CommandId, cid: &str) {
        let state = SendState::Wanted(track);
        match self.sections.iter_mut().find(|section| section.state == SendState::Free) {
            Some(section) => {
                cid.clone_into(&mut section.cid);
                section.state = state;
            }
            None => {
                let (first_cid, cid) = (cid.to_owned(), cid.to_owned());
                self.sections.push(SendSection { mid: None, first_cid, cid, state, next_sequence: 0 });
            }
        }
    }

    /// The next offer has no section for this track. `false`: there is none.
    pub(super) fn close(&mut self, track: CommandId) -> bool {
        let Some(section) = self.sections.iter_mut().find(|section| section.state.is_for(track)) else {
            return false;
        };
        section.state = match section.state {
            // It was not offered for this track.
            SendState::Wanted(_) => SendState::Free,
            _ => SendState::Closing,
        };
        self.sections.retain(|section| section.mid.is_some() || section.state != SendState::Free);
        true
    }

    /// Whether the last offer lacks something.
    pub(super) fn wants_offer(&self) -> bool {
        self.sections.iter().any(|section| matches!(section.state, SendState::Wanted(_) | SendState::Closing))
    }

    /// Streams with new names for the sections that are used again: packets of the next track are none of the
    /// previous one.
    pub(super) fn rename_streams(&mut self, rtc: &mut Rtc) {
        for section in &mut self.sections {
            if let (Some(mid), SendState::Wanted(_)) = (section.mid, section.state) {
                let mut api = rtc.direct_api();
                let source: Ssrc = api.new_ssrc();
                api.reset_stream_tx(mid, None, source, None);
                section.next_sequence = 0;
            }
        }
    }

    /// Adds what is to be offered.
    pub(super) fn change(&mut self, changes: &mut SdpApi<'_>) {
        for section in &mut self.sections {
            match (section.mid, section.state) {
                (None, SendState::Wanted(track)) => {
                    let cid = || Some(section.cid.clone());
                    let mid = changes.add_media(MediaKind::Audio, Direction::SendOnly, cid(), cid(), None);
                    (section.mid, section.state) = (Some(mid), SendState::Offered(track));
                }
                (Some(mid), SendState::Wanted(track)) => {
                    changes.set_direction(mid, Direction::SendOnly);
                    section.state = SendState::Offered(track);
                }
                (Some(mid), SendState::Closing) => {
                    changes.set_direction(mid, Direction::Inactive);
                    section.state = SendState::Free;
                }
                _ => {}
            }
        }
    }

    /// The offer with the client ids of the current tracks.
    pub(super) fn name_tracks(&self, mut offer: String) -> String {
        for section in self.sections.iter().filter(|section| section.cid != section.first_cid) {
            offer = offer.replace(&section.first_cid, &section.cid);
        }
        offer
    }

    /// The offer was answered: the tracks whose sections it contained, and whether the server takes them.
    pub(super) fn answered(&mut self, rtc: &Rtc) -> Vec<(CommandId, bool)> {
        let mut answered = Vec::new();
        for section in &mut self.sections {
            if let (Some(mid), SendState::Offered(track)) = (section.mid, section.state) {
                section.state = SendState::Open(track);
                answered.push((track, payload_type(rtc, mid).is_some()));
            }
        }
        answered
    }

    /// Writes a frame. `false`: its track has no section.
    pub(super) fn write(
        &mut self,
        rtc: &mut Rtc,
        clock: RtcClock,
        track: CommandId,
        frame: &PlacedFrame,
        now: Time,
    ) -> bool {
        let open = |section: &&mut SendSection| section.state == SendState::Open(track);
        let Some(section) = self.sections.iter_mut().find(open) else { return false };
        let Some(mid) = section.mid else { return false };
        let Some(pt) = payload_type(rtc, mid) else { return false };
        let mut api = rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(mid, None) else { return false };
        let sequence = SeqNo::from(section.next_sequence);
        section.next_sequence += 1;
        let levels = ExtensionValues {
            audio_level: Some(frame.level.dbov),
            voice_activity: Some(frame.level.voice),
            ..Default::default()
        };
        let packet = RtpWrite::new(pt, sequence, frame.timestamp, clock.instant(now), &frame.payload[..]);
        stream.write_rtp(packet.marker(frame.marker).ext_vals(levels));
        true
    }
}

/// The payload type of Opus in a section in which the server takes packets.
fn payload_type(rtc: &Rtc, mid: Mid) -> Option<Pt> {
    let media = rtc.media(mid).filter(|media| media.direction().is_sending())?;
    let opus = |pt: &Pt| {
        rtc.codec_config().iter().any(|params| params.pt() == *pt && params.spec().codec == Codec::Opus)
    };
    media.remote_pts().iter().copied().find(opus)
}
