//! Telephone keys through a real server.

use agent_testkit::real_server;
use agent_worker::RoomEvent;
use agent_worker::room::RoomError;

use super::{join, until};

#[tokio::test]
async fn keys_arrive_in_order_at_those_they_are_for() {
    let Some(server) = real_server().await else { return };
    let agent = join(&server, "keys", "agent").await;
    let (sip, other) = (join(&server, "keys", "sip").await, join(&server, "keys", "other").await);
    let (mut at_sip, mut at_other) = (sip.events(), other.events());
    agent.send_dtmf('7').to(["sip"]).await.expect("sent");
    for digit in "0*#D".chars() {
        agent.send_dtmf(digit).await.expect("sent");
    }
    let key = |event| match event {
        RoomEvent::DtmfReceived { sender, code, digit } => Some((sender, code, digit)),
        _ => None,
    };
    for (code, digit) in [(7, '7'), (0, '0'), (10, '*'), (11, '#'), (15, 'D')] {
        let expected = ("agent".to_owned(), code, digit);
        assert_eq!(until(&mut at_sip, key).await, expected);
        if digit != '7' {
            assert_eq!(until(&mut at_other, key).await, expected);
        }
    }
    let error = agent.send_dtmf('E').await.expect_err("no key");
    assert_eq!(error, RoomError::InvalidDtmf { digit: 'E' });
    assert_eq!(error.to_string(), "'E' is no DTMF digit: the digits are 0-9, *, # and A-D");
}
