//! What a sender writes is what a reader reads, or an error: never something else.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{
    Abilities, Outgoing, SendOwner, StreamKind, StreamLimits, StreamOptions, whole_characters,
};
use super::*;

/// What the network does to a packet. The data channel does none of it; a peer might.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Arrives,
    Repeated,
    Lost,
    /// It arrives after the next one.
    Late,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        60 => Just(Fate::Arrives),
        2 => Just(Fate::Repeated),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Late),
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        0..50usize,
        prop::sample::select(vec![14_999, 15_000, 15_001, 29_999, 30_000, 30_001]),
        14_700..15_100usize,
        0..400_000usize,
    ];
    (len, any::<u64>(), 1..255u8).prop_map(|(len, seed, letters)| {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..letters)).take(len).collect()
    })
}

fn abilities() -> impl Strategy<Value = Abilities> {
    prop::sample::select(vec![
        Abilities::default(),
        Abilities { inline: true, ..Abilities::default() },
        Abilities::ALL,
    ])
}

/// All packets of a whole content.
fn sent(kind: StreamKind, content: Bytes, to: Abilities) -> Vec<StreamPacket> {
    let mut outgoing = Outgoing::new(1, usize::MAX / 2);
    let options = StreamOptions::new("id", "topic", kind);
    outgoing.send(SendOwner::Command(1), options, content, 0, to).unwrap();
    std::iter::from_fn(|| {
        let packet = outgoing.next_packet()?;
        outgoing.accepted(packet.stream);
        Some(StreamPacket::of(packet.value).unwrap())
    })
    .collect()
}

/// What the reader of the only stream gets.
fn received(packets: impl IntoIterator<Item = StreamPacket>, reads: &[bool]) -> Result<Vec<u8>, StreamError> {
    let mut incoming = Incoming::new(StreamLimits::default());
    let mut readers = StreamReaders::new(StreamLimits::default());
    readers.open_topic(true, "topic");
    readers.open_topic(false, "topic");
    let (mut content, mut reads) = (Vec::new(), reads.iter().cycle());
    let mut drain = |readers: &mut StreamReaders| loop {
        match readers.read(IncomingStream(1)) {
            Poll::Pending => return None,
            Poll::Ready(None) => return Some(Ok(())),
            Poll::Ready(Some(Ok(piece))) => {
                assert!(!piece.is_empty() && piece.len() <= 64 * 1024);
                content.extend_from_slice(&piece);
            }
            Poll::Ready(Some(Err(error))) => return Some(Err(error)),
        }
    };
    let mut opened = false;
    for packet in packets {
        incoming.receive(ada(), packet);
        while let Some(event) = incoming.poll_event() {
            opened = true;
            readers.push(event);
        }
        if opened
            && *reads.next().unwrap_or(&true)
            && let Some(end) = drain(&mut readers)
        {
            return end.map(|()| content);
        }
    }
    if !opened {
        return Err(StreamError::Interrupted);
    }
    incoming.room_ended();
    while let Some(event) = incoming.poll_event() {
        readers.push(event);
    }
    drain(&mut readers).unwrap_or(Ok(())).map(|()| content)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_survive_a_round_trip(content in content(), to in abilities(), reads in vec(any::<bool>(), 1..5)) {
        let packets = sent(StreamKind::bytes(), content.clone().into(), to);
        prop_assert_eq!(received(packets, &reads).unwrap(), content);
    }

    #[test]
    fn text_survives_a_round_trip(text in "(x|é|€|😀){0,9000}", to in abilities()) {
        let packets = sent(StreamKind::text(), text.clone().into(), to);
        for packet in &packets {
            if let StreamPacket::Chunk(chunk) = packet && !to.deflate {
                prop_assert!(std::str::from_utf8(&chunk.content).is_ok() && chunk.content.len() <= 15_000);
            }
        }
        prop_assert_eq!(received(packets, &[true]).unwrap(), text.into_bytes());
    }

    #[test]
    fn a_network_that_loses_makes_an_error_and_never_other_content(
        content in content(),
        to in abilities(),
        fates in vec(fate(), 40),
    ) {
        let packets = sent(StreamKind::bytes(), content.clone().into(), to);
        let (mut arrived, mut late, mut whole) = (Vec::new(), None, true);
        for (at, packet) in packets.into_iter().enumerate() {
            let fate = fates.get(at).copied().unwrap_or(Fate::Arrives);
            whole &= matches!(fate, Fate::Arrives | Fate::Repeated);
            match fate {
                Fate::Lost => {}
                Fate::Late => late = late.or(Some(packet)),
                Fate::Arrives | Fate::Repeated => {
                    if fate == Fate::Repeated {
                        arrived.push(packet.clone());
                    }
                    arrived.push(packet);
                    arrived.extend(late.take());
                }
            }
        }
        match received(arrived, &[true]) {
            Ok(read) => prop_assert_eq!(read, content),
            Err(error) => prop_assert!(!whole, "{error}"),
        }
    }

    /// Any bytes of any sender, in any order: no panic, and memory within the limits (I8, I11).
    #[test]
    fn garbage(packets in vec(garbage_packet(), 1..200), reads: bool) {
        let limits = StreamLimits {
            unread: 2000, unread_in_room: 5000, unclaimed: 3, unclaimed_bytes: 3000, untaken: 3,
            open: 5, open_per_sender: 3, content: 10_000, ..StreamLimits::default()
        };
        let mut incoming = Incoming::new(limits.clone());
        let mut readers = StreamReaders::new(limits);
        readers.open_topic(true, "t");
        let mut taken = Vec::new();
        for (n, (sender, packet)) in packets.into_iter().enumerate() {
            incoming.receive(sender, packet);
            if n % 50 == 49 {
                incoming.sender_left("PA_a", Some("ada"), at(n as u64 * 100));
            }
            incoming.handle_timeout(at(n as u64 * 100));
            while let Some(event) = incoming.poll_event() {
                readers.push(event);
            }
            // Each stream costs its description, and there are at most 3 of them in each list.
            prop_assert!(readers.unread() <= 5000 + 10 * 1000 + taken.len() * 1000, "{}", readers.unread());
            if reads {
                while let Poll::Ready(Some(opened)) = readers.next_stream(true, "t") {
                    taken.extend(opened.map(|opened| opened.stream));
                }
                for stream in &taken {
                    while let Poll::Ready(Some(_)) = readers.read(*stream) {}
                }
            }
        }
        incoming.room_ended();
        while let Some(event) = incoming.poll_event() {
            readers.push(event);
        }
        taken.into_iter().for_each(|stream| readers.close(stream));
        readers.close_topic(true, "t");
        prop_assert!(readers.unread() <= 3000, "{}", readers.unread());
    }

    #[test]
    fn text_is_cut_between_characters(text in "(x|é|€|😀){0,50}", limit in 4..60usize) {
        let cut = whole_characters(text.as_bytes(), limit);
        prop_assert!(cut <= limit && text.is_char_boundary(cut) && (cut > limit - 4 || cut == text.len()));
    }

    #[test]
    fn bytes_that_are_no_text_are_cut_as_well(bytes in vec(prop_oneof![any::<u8>(), 0x80..0xc0u8], 0..50), limit in 4..60usize) {
        let cut = whole_characters(&bytes, limit);
        prop_assert!(cut <= limit && (cut > 0 || bytes.is_empty()));
    }
}

fn garbage_packet() -> impl Strategy<Value = (PacketSender, StreamPacket)> {
    let sender = prop::sample::select(vec!["a", "b", ""]).prop_map(|who| PacketSender {
        sid: if who.is_empty() { String::new() } else { format!("PA_{who}") },
        identity: "ada".to_owned(),
    });
    let content =
        || prop_oneof![vec(any::<u8>(), 0..60), Just(vec![0x4b; 900]), Just(b"\x4b\x04\x00".to_vec())];
    let header = (
        any::<bool>(),
        0..3i32,
        prop::option::of(0..100u64),
        prop::option::weighted(0.2, content()),
        "[ab]{0,2}",
    )
        .prop_map(|(is_text, compression, total_length, inline, id)| {
            let header = if is_text { text(&id) } else { bytes(&id) };
            StreamPacket::Header(Header {
                topic: if id.len() == 1 { "t".to_owned() } else { id },
                compression,
                total_length,
                inline_content: inline.map(Bytes::from),
                ..header
            })
        });
    let chunk =
        (0..4u64, content(), "[ab]{0,2}").prop_map(|(index, content, id)| chunk(&id, index, &content));
    let end = ("(|why)", "[ab]{0,2}").prop_map(|(reason, id)| trailer(&id, &reason));
    (sender, prop_oneof![3 => header, 5 => chunk, 1 => end])
}
