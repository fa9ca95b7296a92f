//! What official clients send in packets of their own: telephone keys, and the chat messages and
//! transcriptions that are older than text streams.

use agent_testkit::{ClientEvent, ClientKind, OfficialClient, RealServer, official_host_of, real_server};
use agent_worker::net::{AccessToken, TokenKind};
use agent_worker::{Room, RoomEvent};

use super::{SOON, join, until};

const ALL: [ClientKind; 4] =
    [ClientKind::Python, ClientKind::Python12, ClientKind::Node, ClientKind::Browser];

/// Our room, and a client that it knows, of one kind.
async fn pair(server: &RealServer, kind: ClientKind, token: AccessToken) -> Option<(Room, OfficialClient)> {
    official_host_of(kind).await?;
    let room_name = format!("{kind:?}");
    let room = join(server, &room_name, "agent").await;
    let token = token.identity("ada").join_room(&room_name).sign().expect("a token");
    let mut client = OfficialClient::join_with(kind, &server.url(), &token).await.expect("it joins");
    let ada = agent_worker::room::ParticipantFilter::identity("ada").within(SOON);
    room.wait_for_participant(ada).await.expect("ada is active");
    let knows = |state: &agent_testkit::ClientState| state.others.iter().any(|one| one.identity == "agent");
    client.wait_for_state(knows, SOON).await.expect("it knows the agent");
    Some((room, client))
}

#[tokio::test]
async fn telephone_keys_go_both_ways() {
    let Some(server) = real_server().await else { return };
    for kind in ALL {
        let Some((room, mut client)) = pair(&server, kind, server.token()).await else { return };
        let mut events = room.events();
        for (code, key) in [(7, '7'), (10, '*'), (15, 'D')] {
            client.publish_dtmf(code, &key.to_string()).await.expect("sent");
            let received = until(&mut events, |event| match event {
                RoomEvent::DtmfReceived { sender, code, digit } => Some((sender, code, digit)),
                _ => None,
            });
            assert_eq!(received.await, ("ada".to_owned(), code, key), "{kind:?}");

            room.send_dtmf(key).await.expect("sent");
            let is_key = |event: &ClientEvent| matches!(event, ClientEvent::Dtmf { .. });
            let received = client.wait_for(is_key, SOON).await.expect("it arrives");
            let expected = ClientEvent::Dtmf { identity: "agent".to_owned(), code, digit: key.to_string() };
            assert_eq!(received, expected, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn messages_of_the_old_chat_arrive() {
    let Some(server) = real_server().await else { return };
    for kind in [ClientKind::Node, ClientKind::Browser] {
        let Some((room, client)) = pair(&server, kind, server.token()).await else { return };
        let mut events = room.events();
        let id = client.send_chat_message("Grüße").await.expect("sent");
        let received = until(&mut events, |event| match event {
            RoomEvent::ChatMessageReceived(message) => Some(message),
            _ => None,
        });
        let received = received.await;
        let received = (received.sender.as_str(), received.id, received.message.as_str());
        assert_eq!(received, ("ada", id, "Grüße"), "{kind:?}");
    }
}

#[tokio::test]
async fn transcriptions_of_old_agents_arrive() {
    let Some(server) = real_server().await else { return };
    for kind in [ClientKind::Python, ClientKind::Python12, ClientKind::Node] {
        // The server passes them on from agents only.
        let Some((room, client)) = pair(&server, kind, server.token().kind(TokenKind::Agent)).await else {
            return;
        };
        let mut events = room.events();
        client.publish_transcription("bob", "TR_1", "SG_1", "Good morning").await.expect("sent");
        let received = until(&mut events, |event| match event {
            RoomEvent::TranscriptionReceived(transcription) => Some(transcription),
            _ => None,
        });
        let received = received.await;
        assert_eq!((received.sender.as_str(), received.participant.as_str()), ("ada", "bob"), "{kind:?}");
        assert_eq!(received.track_sid, "TR_1", "{kind:?}");
        let [segment] = &received.segments[..] else { panic!("{kind:?}: {:?}", received.segments) };
        assert_eq!((segment.id.as_str(), segment.text.as_str()), ("SG_1", "Good morning"), "{kind:?}");
        assert!(segment.is_final, "{kind:?}");
    }
}
