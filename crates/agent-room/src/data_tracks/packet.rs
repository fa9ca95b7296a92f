//! The packets of data tracks.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-----+-+-+-+---+---------------+-------------------------------+
//! |  V  |S|F|X|      reserved     |            handle             |
//! +-----+-+-+-+---+---------------+-------------------------------+
//! |            sequence           |             frame             |
//! +-------------------------------+-------------------------------+
//! |                       timestamp (90 kHz)                      |
//! +-------------------------------+-------------------------------+
//! | if X: extension words − 1     |  extensions, padded to words  |
//! +-------------------------------+-------------------------------+
//! |                            payload                            |
//! ```
//! V is 0, S marks the first packet of a frame and F the last one. An extension is its id, its length and
//! that many bytes; the id 0 begins the padding. The words of the extensions include their count.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The length of a header without extensions, in bytes.
const HEADER_LEN: usize = 12;
const VERSION_SHIFT: u8 = 5;
const START: u8 = 1 << 4;
const LAST: u8 = 1 << 3;
const EXTENDED: u8 = 1 << 2;

/// Ids of extensions.
const PADDING: u8 = 0;
const ENCRYPTION: u8 = 1;
const USER_TIMESTAMP: u8 = 2;
/// The lengths of their contents, in bytes.
const ENCRYPTION_LEN: usize = 1 + IV_LEN;
const USER_TIMESTAMP_LEN: usize = 8;
const IV_LEN: usize = 12;

/// A part of a frame, or a whole one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Which track it is of: a number of its publisher towards the server, of the server towards a
    /// subscriber. Not 0.
    pub(crate) handle: u16,
    /// Counts the packets of a track, and wraps around.
    pub(crate) sequence: u16,
    /// Counts the frames of a track, and wraps around.
    pub(crate) frame: u16,
    /// When the frame was sent, in units of 1/90,000 s from any start.
    pub(crate) timestamp: u32,
    /// Whether it is the first packet of its frame.
    pub(crate) start: bool,
    /// Whether it is the last packet of its frame.
    pub(crate) last: bool,
    pub(crate) extensions: Extensions,
    pub(crate) payload: Bytes,
}

/// What a header may hold in addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// How the frame is encrypted.
    pub(crate) encryption: Option<FrameEncryption>,
    /// A number of the publisher's, usually milliseconds since 1970.
    pub(crate) user_timestamp: Option<u64>,
}

/// The key and nonce of an encrypted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameEncryption {
    pub(crate) key_index: u8,
    pub(crate) iv: [u8; IV_LEN],
}

impl Extensions {
    /// Their length, without padding and the count of words.
    fn len(&self) -> usize {
        let len = |present, len| if present { 2 + len } else { 0 };
        len(self.encryption.is_some(), ENCRYPTION_LEN)
            + len(self.user_timestamp.is_some(), USER_TIMESTAMP_LEN)
    }

    /// The length of a header with these extensions, in bytes.
    pub(crate) fn header_len(&self) -> usize {
        match self.len() {
            0 => HEADER_LEN,
            len => HEADER_LEN + (2 + len).next_multiple_of(4),
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        if let Some(FrameEncryption { key_index, iv }) = self.encryption {
            out.put_slice(&[ENCRYPTION, ENCRYPTION_LEN as u8, key_index]);
            out.put_slice(&iv);
        }
        if let Some(timestamp) = self.user_timestamp {
            out.put_slice(&[USER_TIMESTAMP, USER_TIMESTAMP_LEN as u8]);
            out.put_u64(timestamp);
        }
    }

    /// Unknown extensions are skipped, and what a newer version appends to a known one. `None`: one of them
    /// is longer than all of them.
    fn decode(mut block: &[u8]) -> Option<Self> {
        let mut extensions = Self::default();
        while let [id, len, rest @ ..] = block
            && *id != PADDING
        {
            let (mut content, after) = rest.split_at_checked(usize::from(*len))?;
            match *id {
                ENCRYPTION if content.len() >= ENCRYPTION_LEN => {
                    let (key_index, mut iv) = (content.get_u8(), [0; IV_LEN]);
                    content.copy_to_slice(&mut iv);
                    extensions.encryption = Some(FrameEncryption { key_index, iv });
                }
                USER_TIMESTAMP if content.len() >= USER_TIMESTAMP_LEN => {
                    extensions.user_timestamp = Some(content.get_u64());
                }
                _ => {}
            }
            block = after;
        }
        Some(extensions)
    }
}

impl Packet {
    pub(crate) fn encode(&self) -> Bytes {
        let header_len = self.extensions.header_len();
        let mut out = BytesMut::with_capacity(header_len + self.payload.len());
        let flag = |set, flag| if set { flag } else { 0 };
        let extended = header_len > HEADER_LEN;
        out.put_u8(flag(self.start, START) | flag(self.last, LAST) | flag(extended, EXTENDED));
        out.put_u8(0);
        out.put_u16(self.handle);
        out.put_u16(self.sequence);
        out.put_u16(self.frame);
        out.put_u32(self.timestamp);
        if extended {
            // Two extensions of known lengths: a few words.
            out.put_u16(((header_len - HEADER_LEN) / 4 - 1) as u16);
            self.extensions.encode(&mut out);
            out.put_bytes(PADDING, header_len - out.len());
        }
        out.put_slice(&self.payload);
        out.freeze()
    }

    /// `None`: it is no packet, or one of another version.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let (mut header, rest) = bytes.split_at_checked(HEADER_LEN)?;
        let flags = header.get_u8();
        header.advance(1);
        let handle = header.get_u16();
        if flags >> VERSION_SHIFT != 0 || handle == 0 {
            return None;
        }
        let mut packet = Self {
            handle,
            sequence: header.get_u16(),
            frame: header.get_u16(),
            timestamp: header.get_u32(),
            start: flags & START != 0,
            last: flags & LAST != 0,
            ..Self::default()
        };
        let mut header_len = HEADER_LEN;
        if flags & EXTENDED != 0 {
            let (words, extensions) = rest.split_first_chunk()?;
            let len = 4 * (usize::from(u16::from_be_bytes(*words)) + 1);
            packet.extensions = Extensions::decode(extensions.get(..len - words.len())?)?;
            header_len += len;
        }
        packet.payload = bytes.slice(header_len..);
        Some(packet)
    }
}
