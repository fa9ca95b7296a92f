//! Rooms of a real livekit-server whose connection breaks, with an official client as the other participant.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use agent_testkit::{ClientEvent, DataMessage, OfficialClient, RealServer, real_server};
use agent_worker::room::{
    DisconnectReason, JoinRequest, Missed, MissedCause, Reconnected, RoomConnector, RoomEvents, WebRtc,
};
use agent_worker::{Room, RoomEvent};

use crate::support::long;
use crate::support::network::Network;

const SOON: Duration = Duration::from_secs(20);
/// Between two packets of each side.
const PACE: Duration = Duration::from_millis(20);

async fn join(server: &RealServer, network: &Network, room: &str) -> Room {
    let token = server.token().identity("agent").join_room(room).can_update_own_metadata(true);
    let request = JoinRequest::new(server.url(), token.sign().expect("a token"));
    WebRtc::new(network.options()).connect(request).await.expect("the room is joined")
}

async fn ada(server: &RealServer, room: &str) -> OfficialClient {
    let token = server.token().identity("ada").join_room(room);
    OfficialClient::join(&server.url(), &token.sign().expect("a token")).await.expect("the client joins")
}

/// The next time that the connection is re-established; `while_waiting` sees what else happens.
pub(crate) async fn reconnected(
    events: &mut RoomEvents,
    mut while_waiting: impl FnMut(RoomEvent),
) -> Reconnected {
    let again = async {
        loop {
            match events.next().await.expect("the room stays") {
                RoomEvent::Reconnected(again) => return *again,
                RoomEvent::Disconnected { reason } => panic!("{reason}"),
                event => while_waiting(event),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(90), again).await.expect("the connection comes back")
}

/// Numbered packets that flow both ways all the time.
struct Traffic {
    stop: tokio::sync::watch::Sender<bool>,
    agent: JoinHandle<u32>,
    ada: JoinHandle<(OfficialClient, u32)>,
}

impl Traffic {
    fn start(room: &Room, ada: OfficialClient) -> Self {
        let stop = tokio::sync::watch::Sender::new(false);
        let (room, stopped) = (room.clone(), stop.subscribe());
        let agent = tokio::spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            let mut n = 0_u32;
            while !*stopped.borrow() {
                pace.tick().await;
                room.publish_data("n", n.to_string()).await.expect("sent");
                n += 1;
            }
            n
        });
        let stopped = stop.subscribe();
        let ada = tokio::spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            let mut n = 0_u32;
            while !*stopped.borrow() {
                pace.tick().await;
                ada.send(DataMessage::new(n.to_string()).topic("n")).await.expect("sent");
                n += 1;
            }
            (ada, n)
        });
        Self { stop, agent, ada }
    }

    /// How many packets each side has sent: the agent, Ada.
    async fn stop(self) -> (u32, OfficialClient, u32) {
        self.stop.send_replace(true);
        let agent = self.agent.await.expect("the agent sends");
        let (ada, sent) = self.ada.await.expect("Ada sends");
        (agent, ada, sent)
    }
}

fn number(payload: &[u8]) -> u32 {
    std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok()).expect("a number")
}

/// Everything that Ada has received, once she has received this one.
async fn received_by(ada: &mut OfficialClient, last: u32) -> Vec<u32> {
    let mut received = Vec::new();
    while received.last() != Some(&last) {
        match ada
            .next_event(SOON)
            .await
            .unwrap_or_else(|error| panic!("{error}, after {:?} of {last}", received.last()))
        {
            ClientEvent::Data(data) if data.topic.as_deref() == Some("n") => {
                received.push(number(&data.payload))
            }
            _ => {}
        }
    }
    received
}

/// The rest of what the agent receives, up to this one.
async fn received_until(events: &mut RoomEvents, received: &mut Vec<u32>, last: u32) {
    while received.last() != Some(&last) {
        let event = tokio::time::timeout(SOON, events.next()).await.expect("the last one comes");
        receive(received, event.expect("the room stays"));
    }
}

fn receive(received: &mut Vec<u32>, event: RoomEvent) {
    match event {
        RoomEvent::DataReceived(data) if data.topic == "n" => received.push(number(&data.payload)),
        RoomEvent::Lagged { missed } => panic!("{missed} events were missed"),
        _ => {}
    }
}

fn all(count: u32) -> Vec<u32> {
    (0..count).collect()
}

#[tokio::test]
async fn cuts_of_the_signal_lose_nothing() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let network = Network::default();
    let room = join(&server, &network, "cuts").await;
    let mut events = room.events();
    let traffic = Traffic::start(&room, ada(&server, "cuts").await);
    let mut received = Vec::new();
    for cut in 0..long::times("cuts of the signal", 5, 20) {
        network.cut();
        let again = reconnected(&mut events, |event| receive(&mut received, event)).await;
        assert!(again.resumed && !again.room_changed && again.unconfirmed == 0, "cut {cut}: {again:?}");
        // The server receives our messages on the new connection, and answers there.
        room.set_attributes([("cut", cut.to_string())]).await.expect("taken");
    }
    let (agent_sent, mut ada, ada_sent) = traffic.stop().await;
    assert_eq!(received_by(&mut ada, agent_sent - 1).await, all(agent_sent));
    received_until(&mut events, &mut received, ada_sent - 1).await;
    assert_eq!(received, all(ada_sent));
    room.leave().await;
}

#[tokio::test]
async fn datagrams_that_are_blocked_for_a_while_are_late_and_not_lost() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let network = Network::default();
    let room = join(&server, &network, "blocked").await;
    let mut events = room.events();
    let traffic = Traffic::start(&room, ada(&server, "blocked").await);
    let (mut received, mut losses) = (Vec::new(), 0);
    // After 30 s the data have long gone over TCP.
    for seconds in [1, 5, 30] {
        network.block_udp(true);
        let blocked = tokio::time::sleep(Duration::from_secs(seconds));
        tokio::pin!(blocked);
        loop {
            tokio::select! {
                () = &mut blocked => break,
                event = events.next() => match event.expect("the room stays") {
                    RoomEvent::Reconnecting { .. } => losses += 1,
                    RoomEvent::Reconnected(again) => assert!(again.resumed && again.unconfirmed == 0, "{again:?}"),
                    event => receive(&mut received, event),
                },
            }
        }
        network.block_udp(false);
    }
    let (agent_sent, mut ada, ada_sent) = traffic.stop().await;
    assert_eq!(received_by(&mut ada, agent_sent - 1).await, all(agent_sent));
    received_until(&mut events, &mut received, ada_sent - 1).await;
    assert_eq!(received, all(ada_sent));
    assert_eq!(losses, 1, "only the long one is a loss");
    room.leave().await;
}

/// After 30 s without any packet the server has given the session up: what another one loses is counted, and
/// nothing comes twice.
#[tokio::test]
async fn a_long_outage_is_another_session_that_reports_what_it_lost() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let network = Network::default();
    let room = join(&server, &network, "outage").await;
    room.set_attributes([("mood", "steady")]).await.expect("taken");
    let (mut events, mut by_topic) = (room.events(), room.data("n"));
    let traffic = Traffic::start(&room, ada(&server, "outage").await);
    let (mut received, mut missed) = (Vec::new(), 0);
    // Both directions work before anything is taken away.
    received_until(&mut events, &mut received, 5).await;
    let (blocked, mut noticed_after) = (Instant::now(), None);
    network.block_media(true);
    let unblock = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        network.block_media(false);
    };
    let again = reconnected(&mut events, |event| match event {
        RoomEvent::Reconnecting { .. } => noticed_after = Some(blocked.elapsed()),
        event => receive(&mut received, event),
    });
    let (again, ()) = tokio::join!(again, unblock);
    assert!(noticed_after.expect("it was noticed") < Duration::from_secs(15), "{noticed_after:?}");
    assert!(!again.resumed && !again.room_changed, "{again:?}");

    let (agent_sent, mut ada, ada_sent) = traffic.stop().await;
    while received.last() != Some(&(ada_sent - 1)) {
        let event = tokio::time::timeout(SOON, events.next()).await.expect("the last one comes");
        match event.expect("the room stays") {
            RoomEvent::DataMissed { up_to, .. } => missed += up_to,
            event => receive(&mut received, event),
        }
    }
    let ada_received = received_by(&mut ada, agent_sent - 1).await;
    for received in [&received, &ada_received] {
        assert!(
            received.iter().zip(received.iter().skip(1)).all(|(a, b)| a < b),
            "in order, nothing twice: {received:?}"
        );
    }
    // Messages that Ada did not get are reported as an upper bound; those that we did not get are reported
    // exactly, as all was for us.
    let lost = u64::from(agent_sent) - ada_received.len() as u64;
    assert!(lost > 0 && lost <= again.unconfirmed, "{lost} lost, {} reported", again.unconfirmed);
    assert_eq!(u64::from(missed), u64::from(ada_sent) - received.len() as u64);
    // The stream of the topic has the same messages, and reports where some are missing.
    let (mut read, mut gaps) = (Vec::new(), Vec::new());
    while read.last() != received.last() {
        match by_topic.next().await.expect("the room stays") {
            Ok(message) => read.push(number(&message.payload)),
            Err(gap) => gaps.push((read.len(), gap)),
        }
    }
    assert_eq!(read, received);
    let cause = |sender: Option<&str>| MissedCause::Reconnected { sender: sender.map(str::to_owned) };
    let hole =
        (1..read.len()).find(|at| read.get(*at).copied() != read.get(at - 1).map(|n| n + 1)).expect("a hole");
    let expected = [Missed::new(0, cause(None)), Missed::new(missed.into(), cause(Some("ada")))];
    assert_eq!(gaps, expected.map(|gap| (hole, gap)));
    // What we had changed of ourselves is changed again.
    let mood = async {
        loop {
            let participants = server.api().list_participants("outage").await.expect("the server answers");
            let agent = participants.iter().find(|participant| participant.identity == "agent");
            if agent.and_then(|agent| agent.attributes.get("mood")).is_some_and(|mood| mood == "steady") {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, mood).await.expect("the attribute is listed again");
    room.leave().await;
}

#[tokio::test]
async fn a_room_is_joined_over_tcp_where_no_datagram_gets_through() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let network = Network::default();
    network.block_udp(true);
    let room = join(&server, &network, "tcp").await;
    let mut events = room.events();
    let traffic = Traffic::start(&room, ada(&server, "tcp").await);
    let mut received = Vec::new();
    received_until(&mut events, &mut received, 50).await;
    network.cut();
    let again = reconnected(&mut events, |event| receive(&mut received, event)).await;
    assert!(again.resumed, "{again:?}");
    let (agent_sent, mut ada, ada_sent) = traffic.stop().await;
    assert_eq!(received_by(&mut ada, agent_sent - 1).await, all(agent_sent));
    received_until(&mut events, &mut received, ada_sent - 1).await;
    assert_eq!(received, all(ada_sent));
    room.leave().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_that_is_stopped_for_a_while_is_waited_for() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let network = Network::default();
    let room = join(&server, &network, "still").await;
    let mut events = room.events();
    let mut ada = ada(&server, "still").await;
    let mut received = Vec::new();
    server.pause().expect("it stops");
    for n in 0..50_u32 {
        room.publish_data("n", n.to_string()).await.expect("sent");
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    server.resume().expect("it continues");
    assert_eq!(received_by(&mut ada, 49).await, all(50));
    for n in 0..10_u32 {
        ada.send(DataMessage::new(n.to_string()).topic("n")).await.expect("sent");
    }
    received_until(&mut events, &mut received, 9).await;
    assert_eq!(received, all(10));
    assert!(room.is_connected());
    room.leave().await;
}

#[cfg(unix)]
#[tokio::test]
async fn leaving_does_not_hang_on_a_dead_link() {
    let Some(server) = real_server().await else { return };
    let network = Network::default();
    let (still, cut) = (join(&server, &network, "still").await, join(&server, &network, "cut").await);
    server.pause().expect("it stops");
    network.block_media(true);
    let start = Instant::now();
    // This message is not received, and its loss is not known yet.
    still.publish_data("last", "words").await.expect("queued");
    still.leave().await;
    // This room is reconnecting.
    let mut events = cut.events();
    network.cut();
    while !matches!(events.next().await, Some(RoomEvent::Reconnecting { .. })) {}
    cut.leave().await;
    // A leave takes three seconds at most, also if the other side does nothing.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    server.resume().expect("it continues");
    for room in [still, cut] {
        assert_eq!(tokio::time::timeout(SOON, room.closed()).await, Ok(DisconnectReason::ClientInitiated));
    }
}

#[tokio::test]
async fn a_restarted_server_has_another_room_of_the_same_name() {
    let Some(server) = real_server().await else { return };
    let network = Network::default();
    let room = join(&server, &network, "restart").await;
    let sid = room.sid();
    let mut events = room.events();
    server.restart().await.expect("it starts again");
    let again = reconnected(&mut events, drop).await;
    assert!(!again.resumed && again.room_changed, "{again:?}");
    assert_ne!(room.sid(), sid);
    assert_eq!(room.sid(), again.room.sid);
    room.publish_data("still", "there").await.expect("sent");
    room.leave().await;
    assert_eq!(room.closed().await, DisconnectReason::ClientInitiated);
}

#[tokio::test]
async fn an_expired_token_is_replaced_by_the_servers_newer_one() {
    let Some(server) = real_server().await else { return };
    let network = Network::default();
    // A server takes a token for a minute after its end.
    let token = server.token().identity("agent").join_room("expired").ttl(Duration::from_secs(1));
    let token = token.sign().expect("a token");
    let request = JoinRequest::new(server.url(), token.clone());
    let room = WebRtc::new(network.options()).connect(request).await.expect("the room is joined");
    let mut events = room.events();
    tokio::time::sleep(Duration::from_secs(63)).await;
    network.cut();
    assert!(reconnected(&mut events, drop).await.resumed);
    // The first token would not be accepted any more.
    let late = WebRtc::default().connect(JoinRequest::new(server.url(), token)).await;
    let error = late.expect_err("it has expired").to_string();
    assert!(error.contains("401"), "{error}");
    room.leave().await;
}
