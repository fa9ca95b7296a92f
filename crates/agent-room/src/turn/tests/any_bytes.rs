//! Whatever a relay sends: no panic, nothing unbounded, and the contract of machines is kept.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use agent_proto::Time;

use super::server::{PEER, Pair, address};
use crate::turn::framing::Deframer;
use crate::turn::message::{Attribute, Class, Message, Method, Writer};

#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    /// An answer to one of the requests, with such attributes.
    Answer {
        which: usize,
        class: bool,
        attributes: Vec<(u8, Vec<u8>)>,
        flip: Option<usize>,
    },
    /// The right answers.
    Serve,
    Send(u8),
    Pass(u16),
    Nonce(String),
}

const ATTRIBUTES: [Attribute; 8] = [
    Attribute::ErrorCode,
    Attribute::Lifetime,
    Attribute::Realm,
    Attribute::Nonce,
    Attribute::XorRelayedAddress,
    Attribute::XorPeerAddress,
    Attribute::Data,
    Attribute::MessageIntegrity,
];

fn step() -> impl Strategy<Value = Step> {
    let error = prop_oneof![
        vec(any::<u8>(), 0..40),
        prop_oneof![Just(401_u16), Just(437), Just(438), Just(300)].prop_map(|code| vec![
            0,
            0,
            (code / 100) as u8,
            (code % 100) as u8
        ]),
    ];
    prop_oneof![
        vec(any::<u8>(), 0..100).prop_map(Step::Bytes),
        (0x40..0x50_u8, any::<u8>(), vec(any::<u8>(), 0..20))
            .prop_map(|(a, b, rest)| Step::Bytes([&[a, b, 0], &rest[..]].concat())),
        (any::<usize>(), any::<bool>(), vec((0..8_u8, error), 0..6), proptest::option::of(any::<usize>()))
            .prop_map(|(which, class, attributes, flip)| Step::Answer { which, class, attributes, flip }),
        Just(Step::Serve),
        any::<u8>().prop_map(Step::Send),
        (0..700_u16).prop_map(Step::Pass),
        "[a-z]{0,5}".prop_map(Step::Nonce),
    ]
}

fn apply(pair: &mut Pair, step: Step) {
    match step {
        Step::Bytes(bytes) => drop(pair.receive(bytes)),
        Step::Answer { which, class, attributes, flip } => {
            let Some(request) = which.checked_rem(pair.requests.len()).map(|at| pair.requests.remove(at))
            else {
                return;
            };
            let id = Message::read(&request).unwrap().transaction;
            let method = [Method::Allocate, Method::Refresh, Method::ChannelBind]
                .into_iter()
                .find(|method| Message::read(&request).unwrap().is(*method, Class::Request))
                .unwrap();
            let mut writer = Writer::new(method, if class { Class::Success } else { Class::Error }, id);
            for (kind, value) in attributes {
                writer = writer.add(ATTRIBUTES[usize::from(kind)], &value);
            }
            let mut bytes = writer.finish();
            if let Some(at) = flip.map(|at| at % bytes.len()) {
                bytes[at] ^= 0x41;
            }
            pair.receive(bytes);
        }
        Step::Serve => pair.answer_all(),
        Step::Send(n) => {
            pair.client.send(address(&format!("192.0.2.9:{}", u16::from(n) + 1)), b"x", pair.now);
            pair.client.send(address(PEER), b"x", pair.now);
            pair.drain();
        }
        Step::Pass(seconds) => pair.pass(seconds.into()),
        Step::Nonce(nonce) => pair.nonce = nonce,
    }
}

proptest! {
    #[test]
    fn nothing_that_a_relay_sends_breaks_a_client(steps in vec(step(), 1..80)) {
        let mut pair = Pair::new("sesame");
        let count = steps.len();
        for step in steps {
            apply(&mut pair, step);
        }
        // Three answers to each request at most, some timers, and what was sent.
        prop_assert!(pair.log.len() < 100 + count * 100, "{}", pair.log.len());
        // With a server that answers nothing any more it ends.
        pair.requests.clear();
        pair.pass(4000);
        prop_assert_eq!(pair.client.poll_timeout(), None);
        let ends = pair.log.iter().filter(|line| line.starts_with("failed")).count();
        prop_assert_eq!(ends, 1);
        prop_assert!(!pair.log.iter().any(|line| line.contains("sesame")));
    }

    #[test]
    fn any_stream_ends_in_messages_or_in_an_end(pieces in vec(vec(any::<u8>(), 0..300), 0..50)) {
        let mut deframer = Deframer::default();
        'all: for piece in pieces {
            deframer.push(&piece);
            loop {
                match deframer.next() {
                    Ok(Some(message)) => prop_assert!(message.len() <= 8192),
                    Ok(None) => break,
                    Err(_) => break 'all,
                }
            }
        }
    }

    #[test]
    fn any_message_can_be_read(bytes in vec(any::<u8>(), 0..200), id: [u8; 12]) {
        let whole = [Writer::new(Method::Allocate, Class::Success, id).finish(), bytes.clone()].concat();
        let mut framed = whole.clone();
        let len = (bytes.len() & !3) as u16;
        framed.truncate(20 + usize::from(len));
        framed[2..4].copy_from_slice(&len.to_be_bytes());
        for bytes in [&bytes[..], &whole, &framed] {
            if let Some(message) = Message::read(bytes) {
                let _ = (message.error(), message.is_signed(&[0; 16]), message.address(Attribute::XorPeerAddress));
            }
        }
        let mut pair = Pair::allocated();
        pair.now = Time::ZERO + Duration::from_secs(1);
        pair.receive(Bytes::from(framed));
    }
}
