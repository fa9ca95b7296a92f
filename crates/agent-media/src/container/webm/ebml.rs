//! Elements of EBML (RFC 8794): an id, a length and content.

/// The longest length that is written in one byte.
const MAX_SHORT: u64 = 126;

/// The marker of an unknown length, in eight bytes.
pub(super) const UNKNOWN_LEN: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// Appends an element.
pub(super) fn element(out: &mut Vec<u8>, id: u32, content: &[u8]) {
    put_id(out, id);
    put_len(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Appends an element with others in it.
pub(super) fn master(out: &mut Vec<u8>, id: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    write(&mut content);
    element(out, id, &content);
}

/// Appends a number in as few bytes as possible.
pub(super) fn uint(out: &mut Vec<u8>, id: u32, value: u64) {
    let bytes = value.to_be_bytes();
    let leading = (value.leading_zeros() / 8).min(7) as usize;
    element(out, id, bytes.get(leading..).unwrap_or(&bytes));
}

/// Appends a number in eight bytes, so that any other one can replace it.
pub(super) fn long_uint(out: &mut Vec<u8>, id: u32, value: u64) {
    element(out, id, &value.to_be_bytes());
}

pub(super) fn float(out: &mut Vec<u8>, id: u32, value: f64) {
    element(out, id, &value.to_be_bytes());
}

/// Appends an element of `len` bytes altogether that is to be ignored. `len` is 2 to 128.
pub(super) fn void(out: &mut Vec<u8>, len: usize) {
    element(out, 0xec, &vec![0; len.saturating_sub(2)]);
}

/// Appends an id, which has its length in its first bits.
pub(super) fn put_id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    let leading = (id.leading_zeros() / 8).min(3) as usize;
    out.extend_from_slice(bytes.get(leading..).unwrap_or(&bytes));
}

/// Appends a length in as few bytes as possible.
pub(super) fn put_len(out: &mut Vec<u8>, len: u64) {
    if len <= MAX_SHORT {
        out.push(0x80 | len as u8);
        return;
    }
    // A length of n bytes has 7 n bits. All of them set is the unknown length.
    let bytes = (2..8).find(|bytes| len < (1 << (7 * bytes)) - 1).unwrap_or(8);
    let marked = (len & ((1 << 56) - 1)) | 1 << (7 * bytes);
    let all = marked.to_be_bytes();
    out.extend_from_slice(all.get(8 - bytes..).unwrap_or(&all));
}

/// A length in eight bytes.
pub(super) fn long_len(len: u64) -> [u8; 8] {
    (len & ((1 << 56) - 1) | 1 << 56).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lens(len: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_len(&mut out, len);
        out
    }

    /// The examples of RFC 8794, section 4.4, and the bounds of each width.
    #[test]
    fn lengths_are_as_short_as_possible() {
        assert_eq!(lens(0), [0x80]);
        assert_eq!(lens(2), [0x82]);
        assert_eq!(lens(126), [0xfe]);
        assert_eq!(lens(127), [0x40, 0x7f], "0xff is the unknown length");
        assert_eq!(lens(16_382), [0x7f, 0xfe]);
        assert_eq!(lens(16_383), [0x20, 0x3f, 0xff]);
        assert_eq!(lens((1 << 21) - 2), [0x3f, 0xff, 0xfe]);
        assert_eq!(lens((1 << 21) - 1), [0x10, 0x1f, 0xff, 0xff]);
        assert_eq!(long_len(2), [0x01, 0, 0, 0, 0, 0, 0, 0x02]);
    }

    #[test]
    fn elements_have_id_length_and_content() {
        let mut out = Vec::new();
        uint(&mut out, 0x4286, 1);
        uint(&mut out, 0xd7, 0);
        uint(&mut out, 0x2a_d7b1, 1_000_000);
        void(&mut out, 5);
        assert_eq!(
            out,
            [
                &[0x42, 0x86, 0x81, 1][..],
                &[0xd7, 0x81, 0],
                &[0x2a, 0xd7, 0xb1, 0x83, 0x0f, 0x42, 0x40],
                &[0xec, 0x83, 0, 0, 0],
            ]
            .concat()
        );
    }
}
