//! The media sections in which we send our tracks.
//!
//! The server finds the track of a section by its client id, the second token of `a=msid`. str0m keeps that
//! of a section's first track, so a section that is used again has another one in the offers that the server
//! sees. Sections are used again, as none can be removed: their number is that of the tracks at one time.

use str0m::Rtc;
use str0m::change::SdpApi;
use str0m::media::{Direction, MediaKind, Mid, Rid, Simulcast, SimulcastLayer};
use str0m::rtp::{ExtensionValues, RtpWrite};

use agent_proto::Time;

use super::clock::RtcClock;
use super::codecs;
use crate::CommandId;
use crate::local_tracks::{PlacedForm, PlacedFrame, SectionKind};
use crate::video::{self, PictureIds};

/// The names of layers, the smallest first. One alone has none.
const LAYERS: [&str; 3] = ["q", "h", "f"];
/// Maximum payload of a packet, in bytes: with its headers it fits what str0m takes for a datagram.
const MAX_PAYLOAD: usize = 1_080;

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
    kind: SectionKind,
    /// One, or one of each layer.
    streams: Vec<SendStream>,
}

#[derive(Clone, Default)]
struct SendStream {
    rid: Option<Rid>,
    next_sequence: u64,
    pictures: PictureIds,
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
    pub(super) fn open(&mut self, track: CommandId, cid: &str, kind: SectionKind) {
        let state = SendState::Wanted(track);
        let free = |section: &&mut SendSection| section.state == SendState::Free && section.can_be(kind);
        match self.sections.iter_mut().find(free) {
            Some(section) => {
                cid.clone_into(&mut section.cid);
                (section.state, section.kind) = (state, kind);
            }
            None => {
                let (first_cid, cid) = (cid.to_owned(), cid.to_owned());
                let streams = streams(kind);
                self.sections.push(SendSection { mid: None, first_cid, cid, state, kind, streams });
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

    /// Whether the sections have changed since the last offer.
    pub(super) fn needs_offer(&self) -> bool {
        self.sections.iter().any(|section| matches!(section.state, SendState::Wanted(_) | SendState::Closing))
    }

    /// Streams with new names for the sections that are used again: packets of the next track are none of the
    /// previous one.
    pub(super) fn rename_streams(&mut self, rtc: &mut Rtc) {
        for section in &mut self.sections {
            if let (Some(mid), SendState::Wanted(_)) = (section.mid, section.state) {
                let mut api = rtc.direct_api();
                for stream in &mut section.streams {
                    let source = api.new_ssrc();
                    let repair = (section.kind != SectionKind::Audio).then(|| api.new_ssrc());
                    api.reset_stream_tx(mid, stream.rid, source, repair);
                    *stream = SendStream { rid: stream.rid, ..SendStream::default() };
                }
            }
        }
    }

    /// Adds what is to be offered.
    pub(super) fn change(&mut self, changes: &mut SdpApi<'_>) {
        for section in &mut self.sections {
            match (section.mid, section.state) {
                (None, SendState::Wanted(track)) => {
                    let cid = || Some(section.cid.clone());
                    let (kind, layers) = (section.media_kind(), section.simulcast());
                    let mid = changes.add_media(kind, Direction::SendOnly, cid(), cid(), layers);
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
                answered.push((track, codecs::payload_type(rtc, mid, section.kind).is_some()));
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
        section.write(rtc, clock, frame, now).is_some()
    }

    /// The track whose frames are sent in this section.
    pub(super) fn track(&self, mid: Mid) -> Option<CommandId> {
        let section = self.sections.iter().find(|section| section.mid == Some(mid))?;
        match section.state {
            SendState::Open(track) => Some(track),
            _ => None,
        }
    }
}

impl SendSection {
    /// Whether a section of this kind may become one of that kind: the number of its streams stays.
    fn can_be(&self, kind: SectionKind) -> bool {
        match (self.kind, kind) {
            (SectionKind::Audio, SectionKind::Audio) => true,
            (SectionKind::Video { streams: of, .. }, SectionKind::Video { streams, .. }) => of == streams,
            _ => false,
        }
    }

    fn media_kind(&self) -> MediaKind {
        match self.kind {
            SectionKind::Audio => MediaKind::Audio,
            SectionKind::Video { .. } => MediaKind::Video,
        }
    }

    fn simulcast(&self) -> Option<Simulcast> {
        if self.streams.len() < 2 {
            return None;
        }
        let mut simulcast = Simulcast::new();
        // The best one first, as browsers offer them.
        for rid in LAYERS.iter().take(self.streams.len()).rev() {
            simulcast.add_send_layer(SimulcastLayer::new(rid));
        }
        Some(simulcast)
    }

    /// Writes a frame. `None`: it cannot be sent.
    fn write(&mut self, rtc: &mut Rtc, clock: RtcClock, frame: &PlacedFrame, now: Time) -> Option<()> {
        let mid = self.mid?;
        let pt = codecs::payload_type(rtc, mid, self.kind)?;
        let layer = match frame.form {
            PlacedForm::Audio { .. } => 0,
            PlacedForm::Video { layer, .. } => layer,
        };
        let to = self.streams.get_mut(layer)?;
        let mut api = rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, to.rid)?;
        let mut write = |payload: &[u8], marker, levels: ExtensionValues, again| {
            let sequence = to.next_sequence.into();
            to.next_sequence += 1;
            let packet = RtpWrite::new(pt, sequence, frame.timestamp, clock.instant(now), payload);
            stream.write_rtp(packet.marker(marker).ext_vals(levels).nackable(again));
        };
        match frame.form {
            PlacedForm::Audio { marker, level } => {
                let levels = ExtensionValues {
                    audio_level: Some(level.dbov),
                    voice_activity: Some(level.voice),
                    ..Default::default()
                };
                write(&frame.payload, marker, levels, false);
            }
            PlacedForm::Video { codec, .. } => {
                let packets = video::split(codec, &frame.payload, MAX_PAYLOAD, &mut to.pictures);
                let last = packets.len().checked_sub(1)?;
                for (n, packet) in packets.iter().enumerate() {
                    write(packet, n == last, ExtensionValues::default(), true);
                }
            }
        }
        Some(())
    }
}

/// The streams of a section.
fn streams(kind: SectionKind) -> Vec<SendStream> {
    match kind {
        SectionKind::Video { streams, .. } if streams > 1 => {
            let named = |rid: &&str| SendStream { rid: Some(Rid::from(*rid)), ..SendStream::default() };
            LAYERS.iter().take(streams).map(named).collect()
        }
        _ => vec![SendStream::default()],
    }
}
