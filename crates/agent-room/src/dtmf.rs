//! Telephone keys (DTMF), as SIP participants press them and are sent them.

use agent_proto::livekit as proto;

use crate::{RoomError, RoomEvent};

/// The digits, each at the position of its code (RFC 4733, section 3.2).
const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

impl RoomEvent {
    /// The event of a telephone key, with its code.
    ///
    /// # Errors
    /// [`RoomError::InvalidDtmf`] for a character other than `0`–`9`, `*`, `#` and `A`–`D`.
    pub fn dtmf(sender: impl Into<String>, digit: char) -> Result<Self, RoomError> {
        Ok(Self::DtmfReceived { sender: sender.into(), code: code(digit)?, digit })
    }
}

/// The packet of a digit.
pub(crate) fn packet(digit: char) -> Result<proto::SipDtmf, RoomError> {
    Ok(proto::SipDtmf { code: code(digit)?, digit: digit.to_string() })
}

fn code(digit: char) -> Result<u32, RoomError> {
    (0..)
        .zip(DIGITS)
        .find(|(_, known)| *known == digit)
        .map(|(code, _)| code)
        .ok_or(RoomError::InvalidDtmf { digit })
}

/// The event of a received packet; `None`: neither its digit nor its code is known. A packet whose code does
/// not belong to its digit, as of a client that does not set it, has the code of its digit.
pub(crate) fn event(packet: &proto::SipDtmf, sender: &str) -> Option<RoomEvent> {
    let mut characters = packet.digit.chars();
    let digit = match (characters.next(), characters.next()) {
        (None, _) => *DIGITS.get(usize::try_from(packet.code).ok()?)?,
        (Some(digit), None) => digit.to_ascii_uppercase(),
        (Some(_), Some(_)) => return None,
    };
    RoomEvent::dtmf(sender, digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(code: u32, digit: &str) -> Option<(u32, char)> {
        match event(&proto::SipDtmf { code, digit: digit.to_owned() }, "caller")? {
            RoomEvent::DtmfReceived { sender, code, digit } if sender == "caller" => Some((code, digit)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_digit_has_its_code_and_arrives_as_it_was_sent() {
        for (digit, code) in [('0', 0), ('9', 9), ('*', 10), ('#', 11), ('A', 12), ('D', 15)] {
            let packet = packet(digit).unwrap();
            assert_eq!((packet.code, packet.digit.as_str()), (code, digit.to_string().as_str()));
            assert_eq!(received(packet.code, &packet.digit), Some((code, digit)));
        }
    }

    #[test]
    fn other_characters_are_refused_and_named() {
        for digit in ['a', 'E', '+', ' ', 'ä', '\u{1b}'] {
            let error = packet(digit).unwrap_err();
            assert_eq!(error, RoomError::InvalidDtmf { digit });
            let text = error.to_string();
            assert!(text.contains("0-9, *, # and A-D") && !text.contains(char::is_control), "{text}");
        }
    }

    #[test]
    fn digits_of_other_clients() {
        assert_eq!(received(11, ""), Some((11, '#')), "some set the code only");
        assert_eq!(received(0, "5"), Some((5, '5')), "some set the digit only");
        assert_eq!(received(12, "a"), Some((12, 'A')));
        for (code, digit) in [(16, ""), (u32::MAX, ""), (1, "11"), (1, "x"), (1, "ä"), (1, "1\n")] {
            assert_eq!(received(code, digit), None, "{code} {digit:?}");
        }
    }
}
