//! A frame that was made of its packets, and what the payload formats have in common.

use bytes::{BufMut, Bytes, BytesMut};

/// Width and height in pixels.
pub(super) type Size = (u32, u32);

/// A frame, made of its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::video) struct Picture {
    pub(in crate::video) data: Bytes,
    pub(in crate::video) key_frame: bool,
    /// If the frame contains it.
    pub(in crate::video) size: Option<Size>,
}

/// Numbers the pictures of one stream that is sent, in 15 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PictureIds(pub(super) u16);

impl PictureIds {
    pub(super) fn next(&mut self) -> u16 {
        let id = self.0;
        self.0 = (id + 1) & 0x7fff;
        id
    }
}

/// One after the other; `None`, if one is missing, or all are empty.
pub(super) fn join<'a>(parts: impl Iterator<Item = Option<&'a [u8]>>) -> Option<Bytes> {
    let mut data = BytesMut::new();
    for part in parts {
        data.put_slice(part?);
    }
    (!data.is_empty()).then(|| data.freeze())
}
