//! Our calls: both forms, timeouts, and every error on our side.

use std::time::Duration;

use super::*;
use crate::RoomError;

const SERVER: &str = "1.13.5";

fn call(rpc: &mut Rpc, id: u64, streams: bool) -> Vec<String> {
    call_at(rpc, id, streams, at(0))
}

fn call_at(rpc: &mut Rpc, id: u64, streams: bool, now: Time) -> Vec<String> {
    rpc.call(id, RpcCall::new(format!("r{id}"), "ada", "greet", "hi"), streams, SERVER, now);
    outputs(rpc)
}

fn times_out(rpc: &mut Rpc, known: bool) -> (u64, Vec<String>) {
    let due = rpc.poll_timeout().unwrap();
    let millis = (due - Time::ZERO).as_millis() as u64;
    rpc.handle_timeout(at(millis - 1), |_| known);
    assert_eq!(outputs(rpc), [""; 0], "too early");
    rpc.handle_timeout(due, |_| known);
    (millis, outputs(rpc))
}

#[test]
fn in_packets() {
    let mut rpc = rpc();
    let expected = ["to ada: request r1 greet(hi) within 8000 ms, version 1"];
    assert_eq!(call(&mut rpc, 1, false), expected);
    rpc.packet("ada", ack("r1"), at(5));
    rpc.packet("ada", response("r1", Ok("hello")), at(9));
    assert_eq!(outputs(&mut rpc), ["call 1 done: hello"]);
    rpc.packet("ada", response("r1", Ok("again")), at(9));
    assert_eq!((outputs(&mut rpc).len(), rpc.poll_timeout()), (0, None));
}

#[test]
fn as_streams() {
    let mut rpc = rpc();
    let expected = [
        "to ada: stream r1 on lk.rpc_request {\"lk.rpc_request_id\": \"r1\", \"lk.rpc_request_method\": \"greet\", \
         \"lk.rpc_request_response_timeout_ms\": \"8000\", \"lk.rpc_request_version\": \"2\"}: hi",
    ];
    assert_eq!(call(&mut rpc, 1, true), expected);
    rpc.packet("ada", ack("r1"), at(5));
    let attributes = [("lk.rpc_request_id", "r1")];
    rpc.stream(opened(1, "lk.rpc_response", "ada", &attributes));
    rpc.stream(content(1, "hel"));
    rpc.stream(content(1, "lo"));
    assert_eq!(outputs(&mut rpc), [""; 0]);
    rpc.stream(ended(1, Ok(())));
    assert_eq!(outputs(&mut rpc), ["call 1 done: hello"]);
    // An error is a packet in this form, too.
    call(&mut rpc, 2, true);
    rpc.packet("ada", response("r2", Err((1400, "Method not supported at destination"))), at(9));
    let expected = ["call 2 failed: RPC error 1400: Method not supported at destination \"\""];
    assert_eq!(outputs(&mut rpc), expected);
}

#[test]
fn only_the_called_participant_can_answer() {
    let mut rpc = rpc();
    call(&mut rpc, 1, true);
    rpc.packet("eve", ack("r1"), at(1));
    rpc.packet("eve", response("r1", Ok("forged")), at(1));
    rpc.stream(opened(1, "lk.rpc_response", "eve", &[("lk.rpc_request_id", "r1")]));
    rpc.stream(content(1, "forged"));
    rpc.stream(ended(1, Ok(())));
    assert_eq!(outputs(&mut rpc), [""; 0]);
    assert_eq!(rpc.poll_timeout(), Some(at(7000)), "it was not acknowledged");
}

#[test]
fn timeouts() {
    let mut rpc = rpc();
    call(&mut rpc, 1, false);
    let expected = vec!["call 1 failed: RPC error 1501: Connection timeout \"\"".to_owned()];
    assert_eq!(times_out(&mut rpc, true), (7000, expected));
    call(&mut rpc, 2, false);
    let expected = vec!["call 2 failed: RPC error 1401: Recipient not found \"\"".to_owned()];
    assert_eq!(times_out(&mut rpc, false), (7000, expected));
    call(&mut rpc, 3, false);
    rpc.packet("ada", ack("r3"), at(6999));
    rpc.packet("ada", ack("r3"), at(9999));
    let expected = vec!["call 3 failed: RPC error 1502: Response timeout \"\"".to_owned()];
    assert_eq!(times_out(&mut rpc, false), (6999 + 15_000, expected));
    // A timeout of our choice; the other side has at least a second.
    let mut short = RpcCall::new("r4", "ada", "greet", "");
    short.response_timeout = Duration::from_millis(300);
    rpc.call(4, short, false, SERVER, at(0));
    assert_eq!(outputs(&mut rpc), ["to ada: request r4 greet() within 1000 ms, version 1"]);
    rpc.packet("ada", ack("r4"), at(10));
    assert_eq!(times_out(&mut rpc, true).0, 310);
    let mut none = RpcCall::new("r5", "ada", "greet", "");
    (none.ack_timeout, none.response_timeout) = (Duration::ZERO, Duration::ZERO);
    rpc.call(5, none, false, SERVER, at(0));
    outputs(&mut rpc);
    assert_eq!(times_out(&mut rpc, true).0, 1);
}

#[test]
fn a_participant_that_leaves_has_two_seconds() {
    let mut rpc = rpc();
    call(&mut rpc, 1, false);
    rpc.participant_left("bob", at(100));
    rpc.participant_left("ada", at(100));
    rpc.participant_left("ada", at(900));
    let expected = vec!["call 1 failed: RPC error 1503: Recipient disconnected \"\"".to_owned()];
    assert_eq!(times_out(&mut rpc, false), (2100, expected));
    call(&mut rpc, 2, false);
    rpc.participant_left("ada", at(100));
    rpc.packet("ada", response("r2", Ok("still")), at(2000));
    assert_eq!(outputs(&mut rpc), ["call 2 done: still"]);
    // The timeout may come first.
    call(&mut rpc, 3, false);
    rpc.participant_left("ada", at(6500));
    assert_eq!(times_out(&mut rpc, false).0, 7000);
}

#[test]
fn calls_that_fail_at_once() {
    let mut rpc = rpc();
    let mut fails = |destination: &str, payload: usize, streams, server: &str| {
        let call = RpcCall::new("r1", destination, "m", "x".repeat(payload));
        rpc.call(1, call, streams, server, at(0));
        outputs(&mut rpc)
    };
    assert_eq!(
        fails("ada", 0, true, "1.7.9"),
        ["call 1 failed: RPC error 1403: RPC not supported by server \"\""]
    );
    assert_eq!(fails("", 0, true, SERVER), ["call 1 failed: RPC error 1401: Recipient not found \"\""]);
    assert_eq!(
        fails("ada", 15_361, false, SERVER),
        ["call 1 failed: RPC error 1402: Request payload too large \"\""]
    );
    assert!(fails("ada", 15_360, false, SERVER)[0].contains("version 1"));
    let expected = ["call 1 failed: RPC error 1505: Failed to send \"the id of the request is not new\""];
    assert_eq!(fails("ada", 0, true, SERVER), expected);
    // A server without a version, or with another text, is not too old; a stream has no limit.
    for version in ["", "v1.8.0", "2.0", "main"] {
        let mut rpc = self::rpc();
        rpc.call(1, RpcCall::new("r1", "ada", "m", "x".repeat(15_361)), true, version, at(0));
        assert!(outputs(&mut rpc)[0].starts_with("to ada: stream r1"), "{version}");
    }
}

#[test]
fn calls_are_limited() {
    let mut rpc = rpc();
    for id in 1..=3 {
        call(&mut rpc, id, false);
    }
    let expected = ["call 4 failed: RPC error 1505: Failed to send \"3 calls are pending already\""];
    assert_eq!(call(&mut rpc, 4, false), expected);
    rpc.room_ended();
    let expected: Vec<String> =
        (1..=3).map(|id| format!("call {id} failed: RPC error 1503: Recipient disconnected \"\"")).collect();
    assert_eq!(outputs(&mut rpc), expected);
}

#[test]
fn a_request_that_cannot_be_sent() {
    let mut rpc = rpc();
    call(&mut rpc, 1, true);
    rpc.send_failed(RpcSend::Request("r1".to_owned()), &RoomError::QueueFull);
    let expected = [
        "call 1 failed: RPC error 1505: Failed to send \"the send queue is full; send less, or retry later\"",
    ];
    assert_eq!(outputs(&mut rpc), expected);
}

#[test]
fn a_response_that_is_damaged_or_too_long() {
    let mut rpc = rpc();
    let begin = |rpc: &mut Rpc, id: u64| {
        call(rpc, id, true);
        rpc.stream(opened(id, "lk.rpc_response", "ada", &[("lk.rpc_request_id", &format!("r{id}"))]));
    };
    begin(&mut rpc, 1);
    rpc.stream(ended(1, Err(StreamError::SenderLeft)));
    let expected = "call 1 failed: RPC error 1500: Application error in method handler \
                    \"failed to read the response: the sender left the room before the end of the stream\"";
    assert_eq!(outputs(&mut rpc), [expected]);
    begin(&mut rpc, 2);
    rpc.stream(content(2, &"x".repeat(1001)));
    assert_eq!(outputs(&mut rpc), ["call 2 failed: RPC error 1504: Response payload too large \"\""]);
}
