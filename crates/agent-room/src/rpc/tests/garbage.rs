//! Packets and streams of anybody, in any order: no panic, each call is done once, nothing grows (I8, I11).

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Packet(&'static str, Box<Value>),
    Stream(StreamEvent),
    Call(bool),
    Respond(u64, bool),
    Register(bool),
    Left(&'static str),
    Pass(u64),
}

fn who() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["ada", "eve", ""])
}

fn id() -> impl Strategy<Value = String> {
    "(r[0-3])?"
}

fn op() -> impl Strategy<Value = Op> {
    let value = prop_oneof![
        (id(), "(m|x)", ".{0,20}", 0..3u32)
            .prop_map(|(id, method, payload, version)| request(&id, &method, &payload, version)),
        id().prop_map(|id| ack(&id)),
        (id(), any::<bool>())
            .prop_map(|(id, ok)| response(&id, if ok { Ok("p") } else { Err((1400, "no")) })),
        id().prop_map(|request_id| Value::RpcResponse(proto::RpcResponse { request_id, value: None })),
    ];
    let attributes = (id(), "(m|x)", "[0-3a]", any::<bool>(), 0..6u64, who()).prop_map(
        |(id, method, version, is_request, number, sender)| {
            let topic = if is_request { "lk.rpc_request" } else { "lk.rpc_response" };
            let attributes = [
                ("lk.rpc_request_id", id.as_str()),
                ("lk.rpc_request_method", &method),
                ("lk.rpc_request_version", &version),
                ("lk.rpc_request_response_timeout_ms", &version),
            ];
            opened(number, topic, sender, &attributes)
        },
    );
    let stream = prop_oneof![
        2 => attributes,
        3 => (0..6u64, 0..900usize).prop_map(|(number, len)| content(number, &"x".repeat(len))),
        2 => (0..6u64, any::<bool>())
            .prop_map(|(number, ok)| ended(number, if ok { Ok(()) } else { Err(StreamError::SenderLeft) })),
    ];
    prop_oneof![
        4 => (who(), value).prop_map(|(who, value)| Op::Packet(who, Box::new(value))),
        4 => stream.prop_map(Op::Stream),
        2 => any::<bool>().prop_map(Op::Call),
        2 => (0..9u64, any::<bool>()).prop_map(|(request, ok)| Op::Respond(request, ok)),
        1 => any::<bool>().prop_map(Op::Register),
        1 => who().prop_map(Op::Left),
        2 => (0..9000u64).prop_map(Op::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_packets(ops in vec(op(), 1..150)) {
        let (mut rpc, mut now, mut calls) = (rpc(), 0, Vec::new());
        for op in ops {
            match op {
                Op::Packet(who, value) => rpc.packet(who, *value, at(now)),
                Op::Stream(event) => {
                    if let StreamEvent::Opened { stream, .. } = &event {
                        rpc.stream(ended(stream.0, Ok(())));
                    }
                    rpc.stream(event);
                }
                Op::Call(streams) => {
                    let id = calls.len() as u64;
                    calls.push(0);
                    rpc.call(id, RpcCall::new(format!("r{}", id % 4), "ada", "m", "p"), streams, "", at(now));
                }
                Op::Respond(request, ok) => {
                    let result = if ok { Ok("p".to_owned()) } else { Err(RpcError::new(1, "", "")) };
                    rpc.respond(RpcRequestId(request), result);
                }
                Op::Register(true) => rpc.register("m".to_owned()),
                Op::Register(false) => rpc.unregister("m"),
                Op::Left(who) => rpc.participant_left(who, at(now)),
                Op::Pass(millis) => {
                    now += millis;
                    rpc.handle_timeout(at(now), |_| true);
                    prop_assert!(rpc.poll_timeout().is_none_or(|due| due > at(now)));
                }
            }
            while let Some(output) = rpc.poll_output() {
                if let RpcOutput::Done { id, .. } = output {
                    calls[id as usize] += 1;
                }
            }
            prop_assert!(rpc.receiving <= 1500 && rpc.payloads.len() <= 6);
        }
        rpc.room_ended();
        while let Some(output) = rpc.poll_output() {
            if let RpcOutput::Done { id, .. } = output {
                calls[id as usize] += 1;
            }
        }
        prop_assert!(calls.iter().all(|times| *times == 1), "{calls:?}");
    }
}
