//! Remote procedure calls between participants.

use std::time::Duration;

use agent_room::{CommandId, RoomCommand, RpcCall, RpcError, RpcErrorCode, RpcRequestId};

use super::rig::Rig;
use crate::machine::{MemberId, Output, Timer};

/// Ada, Bob with the method `add`, and Eve, who may not publish data and is hidden.
fn three(rig: &mut Rig) -> [MemberId; 3] {
    let ada = rig.joins_with("lobby", "ada", |_| {});
    let bob = rig.joins_with("lobby", "bob", |grant| grant.permissions.hidden = true);
    let eve = rig.joins_with("lobby", "eve", |grant| grant.permissions.can_publish_data = false);
    rig.commands("", bob, RoomCommand::RegisterMethod("add".to_owned())).unwrap();
    rig.forget();
    [ada, bob, eve]
}

fn call(id: &str, to: &str, method: &str) -> RpcCall {
    RpcCall::new(id, to, method, "1+1")
}

/// The last request that was passed on.
fn request(rig: &Rig) -> RpcRequestId {
    let requests = rig.server.outputs().iter().rev();
    let mut requests = requests.filter_map(|output| match output {
        Output::Requested { request, .. } => Some(request.request),
        _ => None,
    });
    requests.next().expect("a request")
}

fn result(rig: &Rig, call: CommandId) -> Result<String, RpcError> {
    let mut done = rig.server.outputs().iter().filter_map(|output| match output {
        Output::CallDone { id, result, .. } if *id == call => Some(result.clone()),
        _ => None,
    });
    done.next().expect("a result")
}

fn code(rig: &Rig, call: CommandId) -> u32 {
    result(rig, call).expect_err("an error").code
}

/// The timers of calls that are set.
fn timers(rig: &Rig) -> usize {
    rig.server.timers.iter().filter(|(_, timer)| matches!(timer, Timer::Call(_))).count()
}

#[test]
fn a_call_is_passed_on_and_answered() {
    let mut rig = Rig::new();
    let [ada, bob, eve] = three(&mut rig);
    rig.calls("ada calls a method of bob", ada, call("1", "bob", "add"));
    let first = request(&rig);
    rig.calls("ada calls it again", ada, call("2", "bob", "add"));
    let respond = |request, result| RoomCommand::Respond { request, result };
    rig.commands("another one answers", ada, respond(first, Ok("3".to_owned()))).unwrap();
    let not_allowed = rig.commands("eve may not answer", eve, respond(first, Ok("3".to_owned())));
    assert!(not_allowed.unwrap_err().to_string().contains("no permission to publish data"));
    let failed = RpcError::new(7, "too hard", "1+1");
    rig.commands("bob fails the second one", bob, respond(request(&rig), Err(failed))).unwrap();
    rig.commands("bob answers the first one", bob, respond(first, Ok("2".to_owned()))).unwrap();
    rig.commands("bob answers it twice", bob, respond(first, Ok("4".to_owned()))).unwrap();
    assert_eq!(timers(&rig), 0);
    rig.commands("bob has no method any more", bob, RoomCommand::UnregisterMethod("add".to_owned())).unwrap();
    rig.calls("ada calls it once more", ada, call("3", "bob", "add"));
    let calls = rig.server.calls_in("lobby");
    let codes: Vec<_> = calls.iter().map(|call| call.result.as_ref().map_err(|error| error.code)).collect();
    assert_eq!(codes, [Err(7), Ok(&"2".to_owned()), Err(1400)]);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_call_without_an_answer_times_out() {
    let mut rig = Rig::new();
    let [ada, _, eve] = three(&mut rig);
    let call = |id: &str, to: &str| {
        let mut call = call(id, to, "add");
        call.response_timeout = Duration::from_secs(5);
        call.ack_timeout = Duration::from_secs(3);
        call
    };
    rig.calls("ada calls bob", ada, call("1", "bob"));
    rig.calls("ada calls nobody", ada, call("2", "nobody"));
    rig.calls("ada calls herself", ada, call("3", "ada"));
    rig.calls("ada calls somebody who joins later", ada, call("4", "late"));
    rig.calls("ada calls somebody without a name", ada, call("5", ""));
    rig.joins_with("lobby", "late", |_| {});
    rig.calls("eve may not call", eve, call("6", "bob"));
    rig.pass(2_999);
    rig.remark("--- 2.999 s later");
    rig.pass(7_001);
    rig.commands(
        "it is too late",
        ada,
        RoomCommand::Respond { request: request(&rig), result: Ok(String::new()) },
    )
    .unwrap();
    assert_eq!(rig.server.calls.len(), 0);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn calls_end_with_the_stay_of_either_side() {
    let mut rig = Rig::new();
    let [ada, bob, _] = three(&mut rig);
    rig.commands("", ada, RoomCommand::RegisterMethod("ask".to_owned())).unwrap();
    rig.forget();
    rig.calls("ada calls bob", ada, call("1", "bob", "add"));
    rig.calls("bob calls ada", bob, call("1", "ada", "ask"));
    rig.leaves(bob);
    rig.calls("bob calls after that", bob, call("2", "ada", "ask"));
    let codes = rig.server.calls_in("lobby").into_iter().map(|call| call.result.unwrap_err().code);
    assert_eq!(codes.collect::<Vec<_>>(), [1503, 1503]);
    assert_eq!((timers(&rig), rig.server.methods.len()), (0, 1));
    insta::assert_snapshot!(rig.log());
}

#[test]
fn calls_are_limited() {
    let mut rig = Rig::new();
    let [ada, bob, eve] = three(&mut rig);
    let mut large = call("large", "bob", "add");
    large.payload = "x".repeat(15_361);
    rig.calls("a request larger than a packet", ada, large.clone());
    rig.commands(
        "is served",
        bob,
        RoomCommand::Respond { request: request(&rig), result: Ok("2".to_owned()) },
    )
    .unwrap();
    large.payload = "x".repeat(16 * 1024 * 1024 + 1);
    let too_large = rig.calls("one that is too large", ada, large.clone());
    assert_eq!(code(&rig, too_large), RpcErrorCode::RequestTooLarge.code());
    let answered = rig.calls("a response that is too large", ada, call("1", "bob", "add"));
    let respond = RoomCommand::Respond { request: request(&rig), result: Ok(large.payload) };
    rig.commands("", bob, respond).unwrap();
    assert_eq!(code(&rig, answered), RpcErrorCode::ResponseTooLarge.code());
    let long = rig.calls("a long error", ada, call("2", "bob", "add"));
    let mut error = RpcError::new(7, "", "");
    (error.message, error.data) = ("m".repeat(1_000), "d".repeat(100_000));
    rig.commands("", bob, RoomCommand::Respond { request: request(&rig), result: Err(error) }).unwrap();
    let error = result(&rig, long).unwrap_err();
    assert_eq!((error.code, error.message.len(), error.data.len()), (7, 256, 15_360));

    rig.calls("", ada, call("same", "bob", "add"));
    for id in ["same", ""] {
        let refused = rig.calls("an id that is not new", ada, call(id, "bob", "add"));
        assert_eq!(code(&rig, refused), RpcErrorCode::SendFailed.code());
    }
    for n in 1..1024 {
        rig.calls("", ada, call(&n.to_string(), "bob", "add"));
    }
    let full = rig.calls("one call too many", ada, call("full", "bob", "add"));
    assert_eq!(result(&rig, full).unwrap_err().data, "1024 calls are pending already");
    let carol = rig.joins_with("lobby", "carol", |_| {});
    let busy = rig.calls("one request too many", carol, call("busy", "bob", "add"));
    assert_eq!(result(&rig, busy).unwrap_err().data, "1024 requests are being served already");
    assert_eq!(code(&rig, busy), RpcErrorCode::ApplicationError.code());
    let forbidden = rig.calls("without the permission", eve, call("1", "bob", "add"));
    assert_eq!(code(&rig, forbidden), RpcErrorCode::SendFailed.code());
    rig.leaves(ada);
    assert_eq!((rig.server.calls.len(), timers(&rig)), (0, 0));
}
