//! STUN messages as TURN uses them (RFC 8489): written, signed with long-term credentials, and read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::hmac;
use md5::{Digest, Md5};

use agent_proto::text::shorten;

/// Length of a message without attributes.
pub(super) const HEADER_LEN: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Length of a signature (HMAC-SHA1).
const SIGNATURE_LEN: usize = 20;
/// Maximum length of a server's text that is kept, in characters.
const MAX_REASON: usize = 80;

/// Identifies a request and its response.
pub(super) type TransactionId = [u8; 12];
/// Of long-term credentials.
pub(super) type Key = [u8; 16];

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Allocate = 3,
    Refresh = 4,
    Data = 7,
    ChannelBind = 9,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Request = 0x000,
    Indication = 0x010,
    Success = 0x100,
    Error = 0x110,
}

/// The attributes that are written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Username = 0x0006,
    MessageIntegrity = 0x0008,
    ErrorCode = 0x0009,
    ChannelNumber = 0x000c,
    Lifetime = 0x000d,
    XorPeerAddress = 0x0012,
    Data = 0x0013,
    Realm = 0x0014,
    Nonce = 0x0015,
    XorRelayedAddress = 0x0016,
    RequestedAddressFamily = 0x0017,
    RequestedTransport = 0x0019,
}

/// The key of long-term credentials (RFC 8489, 9.2.2).
pub(super) fn key(username: &str, realm: &str, password: &str) -> Key {
    Md5::digest(format!("{username}:{realm}:{password}")).into()
}

/// A message that is being written.
pub(super) struct Writer {
    bytes: Vec<u8>,
    transaction: TransactionId,
}

impl Writer {
    pub(super) fn new(method: Method, class: Class, transaction: TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&(method as u16 | class as u16).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(&transaction);
        Self { bytes, transaction }
    }

    /// Adds an attribute; none is added that does not fit.
    pub(super) fn add(mut self, attribute: Attribute, value: &[u8]) -> Self {
        let Ok(len) = u16::try_from(value.len()) else { return self };
        self.bytes.extend_from_slice(&(attribute as u16).to_be_bytes());
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an address, in the form that address translators do not recognise.
    pub(super) fn add_address(self, attribute: Attribute, address: SocketAddr) -> Self {
        let mut value = Vec::with_capacity(20);
        value.extend_from_slice(&[0, if address.is_ipv4() { 1 } else { 2 }]);
        value.extend_from_slice(&(address.port() ^ 0x2112).to_be_bytes());
        let mask = mask(&self.transaction);
        match address.ip() {
            IpAddr::V4(ip) => value.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask)),
            IpAddr::V6(ip) => value.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask)),
        }
        self.add(attribute, &value)
    }

    /// Signs everything so far.
    pub(super) fn sign(mut self, key: &Key) -> Self {
        self.set_length(SIGNATURE_LEN + 4);
        let signature = hmac::sign(&hmac_key(key), &self.bytes);
        self.add(Attribute::MessageIntegrity, signature.as_ref())
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.set_length(0);
        self.bytes
    }

    /// Sets the header's length as if `more` bytes followed.
    fn set_length(&mut self, more: usize) {
        let len = u16::try_from(self.bytes.len() - HEADER_LEN + more).unwrap_or(u16::MAX);
        if let Some(place) = self.bytes.get_mut(2..4) {
            place.copy_from_slice(&len.to_be_bytes());
        }
    }
}

/// A message that was received: its frame is whole, its attributes may be anything.
#[derive(Debug)]
pub(super) struct Message<'a> {
    kind: u16,
    pub(super) transaction: TransactionId,
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, attributes) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let [a, b, c, d, cookie @ .., _, _, _, _, _, _, _, _, _, _, _, _] = header;
        let kind = u16::from_be_bytes([*a, *b]);
        let len = usize::from(u16::from_be_bytes([*c, *d]));
        let whole = kind >> 14 == 0 && len % 4 == 0 && len == attributes.len() && *cookie == COOKIE;
        let transaction = *header.last_chunk::<12>()?;
        whole.then_some(Self { kind, transaction, bytes })
    }

    /// Whether it is this one.
    pub(super) fn is(&self, method: Method, class: Class) -> bool {
        self.kind == method as u16 | class as u16
    }

    /// The value of the first such attribute. Those behind the signature are not part of the message.
    pub(super) fn get(&self, wanted: Attribute) -> Option<&'a [u8]> {
        self.attributes()
            .take_while(|(_, kind, _)| {
                wanted == Attribute::MessageIntegrity || *kind != Attribute::MessageIntegrity as u16
            })
            .find_map(|(_, kind, value)| (kind == wanted as u16).then_some(value))
    }

    pub(super) fn address(&self, wanted: Attribute) -> Option<SocketAddr> {
        let (head, ip) = self.get(wanted)?.split_first_chunk::<4>()?;
        let [_, family, port @ ..] = *head;
        let port = u16::from_be_bytes(port) ^ 0x2112;
        let mask = mask(&self.transaction);
        let ip: IpAddr = match (family, ip.len()) {
            (1, 4) => Ipv4Addr::from(unmasked::<4>(ip, mask)?).into(),
            (2, 16) => Ipv6Addr::from(unmasked::<16>(ip, mask)?).into(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    /// Code and text of an error.
    pub(super) fn error(&self) -> Option<(u16, String)> {
        let ([_, _, class, number], text) = self.get(Attribute::ErrorCode)?.split_first_chunk::<4>()?;
        let code = u16::from(class & 7) * 100 + u16::from(*number);
        Some((code, shorten(String::from_utf8_lossy(text).trim(), MAX_REASON)))
    }

    pub(super) fn is_signed(&self, key: &Key) -> bool {
        let Some((at, _, signature)) =
            self.attributes().find(|(_, kind, _)| *kind == Attribute::MessageIntegrity as u16)
        else {
            return false;
        };
        let Some(before) = self.bytes.get(..at) else { return false };
        let Ok(len) = u16::try_from(at - HEADER_LEN + 4 + SIGNATURE_LEN) else { return false };
        let mut signed = before.to_vec();
        if let Some(place) = signed.get_mut(2..4) {
            place.copy_from_slice(&len.to_be_bytes());
        }
        hmac::verify(&hmac_key(key), &signed, signature).is_ok()
    }

    /// Place, kind and value of each attribute, up to the first that does not fit.
    fn attributes(&self) -> impl Iterator<Item = (usize, u16, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        let mut at = HEADER_LEN;
        std::iter::from_fn(move || {
            let ([a, b, c, d], rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
            let value = rest.get(..usize::from(u16::from_be_bytes([*c, *d])))?;
            let place = at;
            at += 4 + value.len().next_multiple_of(4);
            Some((place, u16::from_be_bytes([*a, *b]), value))
        })
    }
}

fn hmac_key(key: &Key) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key)
}

/// What addresses are masked with.
fn mask(transaction: &TransactionId) -> impl Iterator<Item = u8> + use<> {
    COOKIE.into_iter().chain(*transaction)
}

fn unmasked<const N: usize>(ip: &[u8], mask: impl Iterator<Item = u8>) -> Option<[u8; N]> {
    let bytes: Vec<u8> = ip.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: TransactionId = [7; 12];

    #[test]
    fn encoded_messages_are_decoded() {
        let key = key("user", "realm", "password");
        for address in ["192.0.2.1:3478", "[2001:db8::1]:49152"] {
            let address = address.parse().unwrap();
            let bytes = Writer::new(Method::Allocate, Class::Success, TRANSACTION)
                .add(Attribute::Realm, b"abcde")
                .add_address(Attribute::XorRelayedAddress, address)
                .sign(&key)
                .add(Attribute::Lifetime, &[1; 4])
                .finish();
            let message = Message::read(&bytes).unwrap();
            assert!(
                message.is(Method::Allocate, Class::Success) && !message.is(Method::Allocate, Class::Error)
            );
            assert_eq!(message.transaction, TRANSACTION);
            assert_eq!(message.get(Attribute::Realm), Some(&b"abcde"[..]));
            assert_eq!(message.address(Attribute::XorRelayedAddress), Some(address));
            assert_eq!(message.get(Attribute::Lifetime), None, "it is not signed");
            assert!(message.is_signed(&key) && !message.is_signed(&[0; 16]));
            let mut other = bytes.clone();
            other[25] ^= 1;
            assert!(!Message::read(&other).unwrap().is_signed(&key));
        }
    }

    /// RFC 5769, 2.4: a request with long-term authentication.
    #[test]
    fn the_test_vector_of_the_standard() {
        let key = key("\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}", "example.org", "TheMatrIX");
        let vector = "00010060 2112a442 78ad3433 c6ad72c0 29da412e 00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000 \
                      0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341 0014000b 6578616d 706c652e \
                      6f726700 00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666";
        let digits: Vec<u8> = vector.bytes().filter(u8::is_ascii_hexdigit).collect();
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let message = Message::read(&bytes).unwrap();
        assert_eq!(message.get(Attribute::Nonce), Some(&b"f//499k954d6OL34oL9FSTvy64sA"[..]));
        assert!(message.is_signed(&key));
    }

    #[test]
    fn an_error_has_a_code_and_a_text_on_one_line() {
        let error = |value: &[u8]| {
            let bytes = Writer::new(Method::Refresh, Class::Error, TRANSACTION)
                .add(Attribute::ErrorCode, value)
                .finish();
            Message::read(&bytes).unwrap().error()
        };
        assert_eq!(error(b"\0\0\x04\x26Stale\nNonce"), Some((438, "Stale\\nNonce".to_owned())));
        assert_eq!(error(b"\0\0\x04"), None);
    }
}
