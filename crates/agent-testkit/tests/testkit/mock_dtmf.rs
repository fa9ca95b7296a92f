//! Telephone keys in mock rooms.

use std::time::Duration;

use agent_testkit::{JobSpec, ServerEvent, run_job};
use agent_worker::room::RoomError;
use agent_worker::{JobContext, JobResult, RoomEvent};

/// Repeats each key to its sender, until `#`.
async fn repeat(ctx: JobContext) -> JobResult {
    let mut events = ctx.room().events();
    while let Some(event) = events.next().await {
        let RoomEvent::DtmfReceived { sender, digit, .. } = event else { continue };
        ctx.room().send_dtmf(digit).to([sender]).await?;
        if digit == '#' {
            break;
        }
    }
    assert_eq!(ctx.room().send_dtmf('x').await, Err(RoomError::InvalidDtmf { digit: 'x' }));
    Ok(())
}

#[tokio::test]
async fn an_agent_receives_the_keys_of_a_caller_and_answers() {
    let spec = JobSpec::room("call").script(|room| async move {
        let caller = room.join("sip_1");
        room.wait_for_agent().await;
        "1A?#".chars().for_each(|digit| caller.send_dtmf(digit));
    });
    let run = run_job(repeat, spec).await;
    run.assert_success();
    let keys = |sender: &str| -> String {
        let key = |(_, event): &(Duration, ServerEvent)| match event {
            ServerEvent::Dtmf { from, digit, .. } if (from == "sip_1") == (sender == "sip_1") => Some(*digit),
            _ => None,
        };
        run.timeline.events().iter().filter_map(key).collect()
    };
    assert_eq!((keys("sip_1"), keys("agent")), ("1A#".to_owned(), "1A#".to_owned()));
}
