//! Two participants that call each other, with what is between them.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::streams::{Abilities, Incoming, Outgoing, PacketSender, SendOwner, StreamPacket};
use crate::{RpcErrorCode, StreamLimits};

/// A participant: its calls and methods, and its streams.
struct Peer {
    name: &'static str,
    rpc: Rpc,
    outgoing: Outgoing,
    incoming: Incoming,
    abilities: Abilities,
    done: Vec<(u64, Result<String, RpcError>)>,
}

impl Peer {
    fn new(name: &'static str, abilities: Abilities) -> Self {
        let mut rpc =
            Rpc::new(RpcLimits { payload: 1_000_000, receiving: 1_000_000, ..RpcLimits::default() });
        rpc.register("echo".to_owned());
        let outgoing = Outgoing::new(100, 10_000_000);
        let incoming = Incoming::new(StreamLimits::default());
        Self { name, rpc, outgoing, incoming, abilities, done: Vec::new() }
    }

    /// Carries out the outputs; returns the packets for the other one.
    fn packets(&mut self, other: Abilities) -> Vec<Value> {
        let mut packets = Vec::new();
        while let Some(output) = self.rpc.poll_output() {
            match output {
                RpcOutput::Packet { value, .. } => packets.push(*value),
                RpcOutput::Stream { options, content, owner } => {
                    let owner = SendOwner::Rpc(owner);
                    self.outgoing.send(owner, *options, Bytes::from(content), 0, other).unwrap();
                }
                RpcOutput::Done { id, result } => self.done.push((id, result)),
                RpcOutput::Requested(request) => {
                    let result = match request.payload.as_str() {
                        "fail" => Err(RpcError::new(7, "failed", "")),
                        payload => Ok(payload.to_owned()),
                    };
                    self.rpc.respond(request.request, result);
                }
                RpcOutput::UnknownMethod { .. } => {}
            }
        }
        while let Some(packet) = self.outgoing.next_packet() {
            self.outgoing.accepted(packet.stream);
            packets.push(packet.value);
        }
        packets
    }

    fn receives(&mut self, sender: &str, value: Value) {
        match StreamPacket::of(value) {
            Ok(packet) => {
                let sender = PacketSender { sid: format!("PA_{sender}"), identity: sender.to_owned() };
                self.incoming.receive(sender, packet);
                while let Some(event) = self.incoming.poll_event() {
                    self.rpc.stream(event);
                }
            }
            Err(value) => self.rpc.packet(sender, *value, at(1)),
        }
    }
}

fn call(abilities: Abilities, method: &str, payload: &str) -> Result<String, RpcError> {
    let (mut ada, mut bob) = (Peer::new("ada", Abilities::ALL), Peer::new("bob", abilities));
    let request = RpcCall::new("r1", "bob", method, payload);
    ada.rpc.call(1, request, bob.abilities.rpc_streams, "1.13.5", at(0));
    for _ in 0..4 {
        for value in ada.packets(bob.abilities) {
            bob.receives(ada.name, value);
        }
        for value in bob.packets(ada.abilities) {
            ada.receives(bob.name, value);
        }
    }
    ada.packets(bob.abilities);
    let (id, result) = ada.done.pop().expect("no result");
    assert!(id == 1 && ada.done.is_empty() && ada.rpc.poll_timeout().is_none());
    result
}

#[test]
fn every_form() {
    let packets = Abilities::default();
    let chunks = Abilities { rpc_streams: true, ..packets };
    for abilities in [packets, chunks, Abilities { inline: true, ..chunks }, Abilities::ALL] {
        assert_eq!(call(abilities, "echo", "hi").unwrap(), "hi");
        assert_eq!(call(abilities, "echo", "fail").unwrap_err().code, 7);
        assert!(call(abilities, "other", "").unwrap_err().is(RpcErrorCode::UnsupportedMethod));
    }
    let long = "long ".repeat(100_000);
    assert_eq!(call(chunks, "echo", &long).unwrap(), long);
    assert_eq!(call(Abilities::ALL, "echo", &long).unwrap(), long);
    assert!(call(packets, "echo", &long).unwrap_err().is(RpcErrorCode::RequestTooLarge));
    let longest = "long ".repeat(200_001);
    assert!(call(Abilities::ALL, "echo", &longest).unwrap_err().is(RpcErrorCode::RequestTooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_payload_survives_a_round_trip(
        payload in "(x|é|€|😀){0,20000}",
        streams: bool, inline: bool, deflate: bool,
    ) {
        let abilities = Abilities { rpc_streams: streams, inline, deflate: inline && deflate };
        match call(abilities, "echo", &payload) {
            Ok(echo) => prop_assert!(echo == payload || payload == "fail"),
            Err(error) => {
                prop_assert!(!streams && payload.len() > 15_360 && error.is(RpcErrorCode::RequestTooLarge));
            }
        }
    }
}
