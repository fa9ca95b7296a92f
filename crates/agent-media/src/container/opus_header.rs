//! The headers of Opus in files (RFC 7845, section 5).

/// The program that is named in headers.
pub(super) const VENDOR: &str = concat!("agent-media ", env!("CARGO_PKG_VERSION"));

/// How many samples a decoder drops at the beginning: none, as a recording begins in the middle of a stream,
/// at the time of its first sample.
pub(super) const PRE_SKIP: u16 = 0;

/// The rate before encoding is unknown: that of the decoder.
pub(super) const SAMPLE_RATE: u32 = 48_000;

/// The first header: 19 bytes.
pub(super) fn head(channels: u8) -> Vec<u8> {
    let mut head = b"OpusHead".to_vec();
    head.extend([1, channels]);
    head.extend(PRE_SKIP.to_le_bytes());
    head.extend(SAMPLE_RATE.to_le_bytes());
    // No gain, and channels as they are.
    head.extend([0, 0, 0]);
    head
}

/// The second header: the program that wrote the file, and no comments.
pub(super) fn tags() -> Vec<u8> {
    let mut tags = b"OpusTags".to_vec();
    let len = u32::try_from(VENDOR.len()).unwrap_or_default();
    tags.extend(len.to_le_bytes());
    tags.extend(VENDOR.as_bytes());
    tags.extend(0_u32.to_le_bytes());
    tags
}
