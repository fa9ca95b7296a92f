//! Requests of others: both forms, refusals, repeats and limits.

use super::*;
use crate::RoomError;

fn serving() -> Rpc {
    let mut rpc = rpc();
    rpc.register("greet".to_owned());
    rpc
}

/// A whole request as a stream, by number.
fn stream_request(rpc: &mut Rpc, number: u64, method: &str, version: &str) {
    let attributes = [
        ("lk.rpc_request_id", format!("r{number}")),
        ("lk.rpc_request_method", method.to_owned()),
        ("lk.rpc_request_response_timeout_ms", "9000".to_owned()),
        ("lk.rpc_request_version", version.to_owned()),
    ];
    let attributes = attributes.each_ref().map(|(key, value)| (*key, value.as_str()));
    rpc.stream(opened(number, "lk.rpc_request", "ada", &attributes));
    rpc.stream(content(number, "hi"));
    rpc.stream(ended(number, Ok(())));
}

#[test]
fn in_packets() {
    let mut rpc = serving();
    rpc.packet("ada", request("r1", "greet", "hi", 1), at(0));
    let expected = ["to ada: ack r1", "requested 1 by ada: greet(hi) within 8s"];
    assert_eq!(outputs(&mut rpc), expected);
    rpc.respond(RpcRequestId(1), Ok("hello".to_owned()));
    assert_eq!(outputs(&mut rpc), ["to ada: response r1: hello"]);
    rpc.respond(RpcRequestId(1), Ok("twice".to_owned()));
    assert_eq!(outputs(&mut rpc), [""; 0]);
    rpc.packet("ada", request("r2", "greet", "hi", 1), at(0));
    outputs(&mut rpc);
    rpc.respond(RpcRequestId(2), Err(RpcError::new(7, "no", "why")));
    assert_eq!(outputs(&mut rpc), ["to ada: error r2: 7 no \"why\""]);
}

#[test]
fn as_streams() {
    let mut rpc = serving();
    stream_request(&mut rpc, 1, "greet", "2");
    let expected = ["to ada: ack r1", "requested 1 by ada: greet(hi) within 9s"];
    assert_eq!(outputs(&mut rpc), expected);
    rpc.respond(RpcRequestId(1), Ok("hello".to_owned()));
    let expected = ["to ada: stream r1/response on lk.rpc_response {\"lk.rpc_request_id\": \"r1\"}: hello"];
    assert_eq!(outputs(&mut rpc), expected);
    stream_request(&mut rpc, 2, "greet", "2");
    outputs(&mut rpc);
    rpc.respond(RpcRequestId(2), Err(RpcError::new(7, "no", "")));
    assert_eq!(outputs(&mut rpc), ["to ada: error r2: 7 no \"\""]);
    // The acknowledgement does not wait for the payload.
    rpc.stream(opened(
        3,
        "lk.rpc_request",
        "ada",
        &[("lk.rpc_request_id", "r3"), ("lk.rpc_request_method", "greet"), ("lk.rpc_request_version", "2")],
    ));
    assert_eq!(outputs(&mut rpc), ["to ada: ack r3"]);
    rpc.stream(ended(3, Ok(())));
    assert_eq!(outputs(&mut rpc), ["requested 3 by ada: greet() within 15s"]);
}

#[test]
fn an_unknown_method_and_another_version_are_refused_at_once() {
    let mut rpc = serving();
    rpc.packet("ada", request("r1", "other", "", 1), at(0));
    rpc.packet("ada", request("r2", "greet", "", 2), at(0));
    stream_request(&mut rpc, 3, "other", "2");
    stream_request(&mut rpc, 4, "greet", "1");
    rpc.unregister("greet");
    rpc.packet("ada", request("r5", "greet", "", 1), at(0));
    let unknown = "1400 Method not supported at destination \"\"";
    let version = "1404 Unsupported RPC version \"\"";
    let expected = [
        "to ada: ack r1".to_owned(),
        "unknown method other of ada".to_owned(),
        format!("to ada: error r1: {unknown}"),
        "to ada: ack r2".to_owned(),
        format!("to ada: error r2: {version}"),
        "to ada: ack r3".to_owned(),
        "unknown method other of ada".to_owned(),
        format!("to ada: error r3: {unknown}"),
        "to ada: ack r4".to_owned(),
        format!("to ada: error r4: {version}"),
        "to ada: ack r5".to_owned(),
        "unknown method greet of ada".to_owned(),
        format!("to ada: error r5: {unknown}"),
    ];
    assert_eq!(outputs(&mut rpc), expected);
}

#[test]
fn a_repeated_request_is_served_once() {
    let mut rpc = serving();
    rpc.packet("ada", request("r1", "greet", "", 1), at(0));
    assert_eq!(outputs(&mut rpc).len(), 2);
    rpc.packet("ada", request("r1", "greet", "", 1), at(0));
    stream_request(&mut rpc, 1, "greet", "2");
    assert_eq!(outputs(&mut rpc), [""; 0]);
    rpc.respond(RpcRequestId(1), Ok(String::new()));
    outputs(&mut rpc);
    rpc.packet("ada", request("r1", "greet", "", 1), at(0));
    assert_eq!(outputs(&mut rpc), [""; 0]);
    // The ids of another caller are its own.
    rpc.packet("bob", request("r1", "greet", "", 1), at(0));
    assert_eq!(outputs(&mut rpc).len(), 2);
}

#[test]
fn requests_are_limited() {
    let mut rpc = serving();
    for id in ["r1", "r2", "r3"] {
        rpc.packet("ada", request(id, "greet", "", 1), at(0));
    }
    let expected =
        "to ada: error r3: 1500 Application error in method handler \"2 requests are being served already\"";
    assert_eq!(outputs(&mut rpc)[5], expected);
    // No response is sent to a caller that has left.
    rpc.participant_left("ada", at(0));
    rpc.respond(RpcRequestId(1), Ok(String::new()));
    assert_eq!(outputs(&mut rpc), [""; 0]);
    rpc.packet("bob", request("r1", "greet", "", 1), at(0));
    assert_eq!(outputs(&mut rpc)[1], "requested 3 by bob: greet() within 8s");
}

#[test]
fn payloads_are_limited() {
    let mut rpc = serving();
    let begin = |rpc: &mut Rpc, number: u64| {
        let id = format!("r{number}");
        let attributes = [
            ("lk.rpc_request_id", id.as_str()),
            ("lk.rpc_request_method", "greet"),
            ("lk.rpc_request_version", "2"),
        ];
        rpc.stream(opened(number, "lk.rpc_request", "ada", &attributes));
        outputs(rpc);
    };
    begin(&mut rpc, 1);
    rpc.stream(content(1, &"x".repeat(1001)));
    rpc.stream(content(1, "more"));
    rpc.stream(ended(1, Ok(())));
    assert_eq!(outputs(&mut rpc), ["to ada: error r1: 1402 Request payload too large \"\""]);
    // Of all that are being received.
    begin(&mut rpc, 2);
    begin(&mut rpc, 3);
    rpc.stream(content(2, &"x".repeat(900)));
    rpc.stream(content(3, &"x".repeat(900)));
    assert_eq!(outputs(&mut rpc), ["to ada: error r3: 1402 Request payload too large \"\""]);
    rpc.stream(ended(2, Ok(())));
    assert_eq!(outputs(&mut rpc).len(), 1);
    begin(&mut rpc, 4);
    rpc.stream(ended(4, Err(StreamError::InvalidUtf8)));
    assert!(outputs(&mut rpc)[0].contains("1500"));
    // A response in a packet.
    rpc.respond(RpcRequestId(2), Ok(String::new()));
    rpc.packet("ada", request("r5", "greet", "", 1), at(0));
    outputs(&mut rpc);
    rpc.respond(RpcRequestId(5), Ok("x".repeat(15_361)));
    assert_eq!(outputs(&mut rpc), ["to ada: error r5: 1504 Response payload too large \"\""]);
}

#[test]
fn requests_without_a_caller_to_answer() {
    let mut rpc = serving();
    rpc.packet("", request("r1", "greet", "", 1), at(0));
    rpc.packet("ada", request("", "greet", "", 1), at(0));
    rpc.packet("ada", request(&"x".repeat(257), "greet", "", 1), at(0));
    rpc.stream(opened(1, "lk.rpc_request", "ada", &[("lk.rpc_request_version", "2")]));
    assert_eq!(outputs(&mut rpc), [""; 0]);
    assert_eq!(rpc.take_violations(), 4);
}

#[test]
fn a_response_that_cannot_be_sent_is_reported_to_the_caller() {
    let mut rpc = serving();
    let owner = RpcSend::Response { caller: "ada".to_owned(), id: "r1".to_owned() };
    rpc.send_failed(owner, &RoomError::QueueFull);
    assert!(outputs(&mut rpc)[0].starts_with("to ada: error r1: 1505 Failed to send"));
}

#[test]
fn errors_are_cut_between_characters() {
    let error = RpcError::new(7, "é".repeat(200), "€".repeat(6000));
    assert_eq!((error.message.len(), error.data.len()), (256, 15_360));
    let error = RpcError::new(7, format!("x{}", "é".repeat(200)), format!("x{}", "€".repeat(6000)));
    assert_eq!((error.message.len(), error.data.len()), (255, 15_358));
    let mut error = RpcError::new(7, "", "");
    error.message = "x".repeat(1000);
    let mut rpc = serving();
    rpc.packet("ada", request("r1", "greet", "", 1), at(0));
    outputs(&mut rpc);
    rpc.respond(RpcRequestId(1), Err(error));
    assert_eq!(outputs(&mut rpc), [format!("to ada: error r1: 7 {} \"\"", "x".repeat(256))]);
}
