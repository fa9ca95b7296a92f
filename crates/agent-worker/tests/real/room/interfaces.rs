//! A server and an agent with several network interfaces, one of which fails.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use agent_testkit::{OfficialClient, RealServer, official_host, real_server};
use agent_worker::room::{JoinRequest, RoomConnector, WebRtc};
use agent_worker::{Room, RoomEvent};

use super::media_paths::reaches;
use crate::support::unshared::{is_unshared, unshared};

const SOON: Duration = Duration::from_secs(30);
/// Two cables, each with both ends in this machine.
const TWO_INTERFACES: &str = "ip link set lo up \
    && ip link add one type veth peer name one_end && ip link add two type veth peer name two_end \
    && ip address add 10.9.1.1/24 dev one && ip address add 10.9.2.1/24 dev two \
    && ip link set one up && ip link set one_end up && ip link set two up && ip link set two_end up";
const INTERFACES: [(&str, &str); 2] = [("one", "10.9.1.1"), ("two", "10.9.2.1")];
/// Of the section `rtc`: no address but those of the two.
const RTC: &str = "  ips:\n    includes: [\"10.9.0.0/16\"]";

#[tokio::test]
async fn one_of_two_interfaces_fails() {
    if is_unshared() || real_server().await.is_none() || official_host().await.is_none() {
        return;
    }
    unshared(module_path!(), &["--net"], TWO_INTERFACES, "inside_of_a_machine_with_two_interfaces");
}

/// The address of the server on the path in use.
fn server_address(room: &Room) -> IpAddr {
    room.network_path().expect("there is one").remote.ip()
}

/// The test above, within its namespace.
#[tokio::test]
async fn inside_of_a_machine_with_two_interfaces() {
    if !is_unshared() {
        return;
    }
    let server = RealServer::builder().rtc_addresses(RTC).start().await.expect("a server");
    let token = |identity: &str| server.token().identity(identity).join_room("two").sign().expect("a token");
    let connector = WebRtc::default();
    let joining = connector.connect(JoinRequest::new(server.url(), token("agent")));
    let room = tokio::time::timeout(SOON, joining).await.expect("in time").expect("joined");
    let mut events = room.events();
    let mut ada = OfficialClient::join(&server.url(), &token("ada")).await.expect("the client joins");
    reaches(&room, &mut ada, "over one of the two").await;
    ada.leave().await.expect("left");

    let used = server_address(&room);
    let failing = INTERFACES.iter().find(|(_, ip)| used.to_string() == *ip).expect("one of the two");
    let (name, ip) = failing;
    let removed = Command::new("ip").args(["address", "delete", &format!("{ip}/24"), "dev", name]).status();
    assert!(removed.expect("`ip` is there").success());

    let session = async {
        loop {
            match events.next().await.expect("the room stays open") {
                RoomEvent::Reconnected(again) => assert!(again.resumed, "the session goes on"),
                RoomEvent::NetworkPathChanged(_) => return,
                _ => {}
            }
        }
    };
    // What is sent shows the path, so something is sent all along.
    let ada = async {
        let mut ada =
            OfficialClient::join(&server.url(), &token("ada")).await.expect("the client joins again");
        reaches(&room, &mut ada, "over the other one").await;
        ada.leave().await.expect("left");
    };
    let (moved, ()) = tokio::join!(tokio::time::timeout(SOON, session), ada);
    moved.expect("another path is found");
    assert_ne!(server_address(&room), used);
    assert!(INTERFACES.iter().any(|(_, ip)| server_address(&room).to_string() == *ip), "{room:?}");
    room.leave().await;
}
