//! Emulation prevention of H.264 and H.265: a payload contains no start code, as a 3 is inserted before each
//! byte of at most 3 that follows two zeros.

/// Appends the bytes, escaped.
pub(crate) fn escape_into(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && *byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(*byte);
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
    }
}

/// The bytes without escapes.
pub(crate) fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        out.push(*byte);
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        escape_into(&mut out, bytes);
        out
    }

    #[test]
    fn three_is_put_before_what_could_be_a_start_code() {
        assert_eq!(escaped(&[0, 0, 1, 0, 0, 0, 0, 4]), [0, 0, 3, 1, 0, 0, 3, 0, 0, 4]);
        assert_eq!(escaped(&[0, 0, 3]), [0, 0, 3, 3]);
    }

    proptest! {
        #[test]
        fn escaped_bytes_are_unescaped(bytes in proptest::collection::vec(0..5_u8, 0..300)) {
            let escaped = escaped(&bytes);
            prop_assert_eq!(unescaped(&escaped), bytes);
            let start_code = |window: &[u8]| matches!(window, [0, 0, 0..=2]);
            prop_assert!(!escaped.windows(3).any(start_code));
        }
    }
}
