//! Our decoder on arbitrary and damaged bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use agent_proto::{DecodeError, MAX_FRAME_LEN};

use crate::arbitrary::{self, Enums};
use crate::compat::random;
use crate::table::TABLE;

/// Every message's decoder reads the frame or refuses it; a panic fails the test.
fn all_decoders(frame: &Bytes) -> Result<(), String> {
    for case in TABLE {
        // A value that was read is encoded again, too.
        if let Err(error @ DecodeError::TooLarge { .. }) = (case.check.decode)(frame, frame.len()) {
            return Err(format!("{}: {error}", case.name));
        }
        if frame.is_empty() {
            continue;
        }
        let limit = frame.len() - 1;
        let refused = DecodeError::TooLarge { len: frame.len(), limit };
        if (case.check.decode)(frame, limit) != Err(refused) {
            return Err(format!("{} was read over the limit of {limit}", case.name));
        }
    }
    Ok(())
}

#[test]
fn any_bytes() {
    random(&vec(any::<u8>(), 0..64), |bytes| all_decoders(&bytes.into())).unwrap();
}

#[test]
fn damaged_frames() {
    for case in TABLE {
        let damage = vec((any::<Index>(), any::<u8>()), 0..3);
        let strategy = (arbitrary::message(&case.descriptor(), Enums::Any), damage, any::<Index>());
        random(&strategy, |(message, damage, end)| {
            let mut frame = message.0.encode_to_vec();
            for (at, byte) in damage {
                if !frame.is_empty() {
                    let at = at.index(frame.len());
                    frame[at] = byte;
                }
            }
            frame.truncate(end.index(frame.len() + 1));
            match (case.check.decode)(&frame.into(), MAX_FRAME_LEN) {
                Ok(_) | Err(DecodeError::Malformed { .. }) => Ok(()),
                Err(other) => Err(format!("{}: {other}", case.name)),
            }
        })
        .unwrap();
    }
}

/// A newer peer's field: skipped, and the known ones are read.
#[test]
fn unknown_fields_are_skipped() {
    for case in TABLE {
        let strategy = arbitrary::message(&case.descriptor(), Enums::Any);
        random(&strategy, |message| {
            let mut frame = message.0.encode_to_vec();
            let known = (case.check.decode)(&frame.clone().into(), MAX_FRAME_LEN);
            // Field 5000: a varint, then one of three bytes.
            frame.extend([0xc0, 0xb8, 0x02, 0x07, 0xc2, 0xb8, 0x02, 0x03, b'n', b'e', b'w']);
            let with_unknown = (case.check.decode)(&frame.into(), MAX_FRAME_LEN);
            if with_unknown == known && known.is_ok() { Ok(()) } else { Err(format!("{with_unknown:?}")) }
        })
        .unwrap();
    }
}

/// Messages in messages, far deeper than any real one: prost's recursion limit answers, not the stack.
#[test]
fn deep_nesting_is_refused_or_skipped() {
    let mut frame = Vec::new();
    for _ in 0..20_000 {
        let mut outer = vec![0x0a];
        prost::encoding::encode_varint(frame.len() as u64, &mut outer);
        outer.extend(&frame);
        frame = outer;
        if frame.len() > 60_000 {
            break;
        }
    }
    all_decoders(&frame.into()).unwrap();
    // Groups, the other way to nest.
    all_decoders(&vec![0x0b; 100_000].into()).unwrap();
}
