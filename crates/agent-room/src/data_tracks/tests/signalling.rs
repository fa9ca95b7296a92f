//! Requests to the server, its answers, and what a lost connection changes.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::{Time, livekit as proto};

use crate::data_tracks::packet::Packet;
use crate::data_tracks::packetizer::Packetizer;
use crate::data_tracks::{
    DataTrackFrame, DataTrackLimits, DataTrackMessage, DataTrackOutput, DataTrackPacket, DataTracks,
    FrameEncryption, SealedData,
};
use crate::{CommandId, RoomError};
use proto::data_track_subscriber_handles::PublishedDataTrack;
use proto::request_response::Reason;
use proto::signal_request::Message as Request;

const TIMEOUT: Duration = Duration::from_secs(5);

fn tracks() -> DataTracks {
    let mut limits = DataTrackLimits::default();
    (limits.published, limits.subscribed, limits.incomplete_bytes) = (2, 3, 50_000);
    DataTracks::new(limits, TIMEOUT, false)
}

/// Frames that are not encrypted are sent and read as they are.
fn plain(payload: Bytes) -> Result<SealedData, RoomError> {
    Ok(SealedData { payload, encryption: None })
}

fn read(_: &str, sealed: SealedData) -> Option<Bytes> {
    sealed.encryption.is_none().then_some(sealed.payload)
}

/// The outputs as text.
fn outputs(tracks: &mut DataTracks) -> Vec<String> {
    let mut outputs = Vec::new();
    while let Some(output) = tracks.poll_output() {
        outputs.push(match output {
            DataTrackOutput::Done(id, result) => format!("done {id} {result:?}"),
            DataTrackOutput::Request(request) => match *request {
                Request::PublishDataTrackRequest(request) => {
                    format!("publish {} {}", request.pub_handle, request.name)
                }
                Request::UnpublishDataTrackRequest(request) => format!("unpublish {}", request.pub_handle),
                Request::UpdateDataSubscription(update) => {
                    let one = |update: &proto::update_data_subscription::Update| {
                        format!(" {}{}", if update.subscribe { "+" } else { "-" }, update.track_sid)
                    };
                    format!("subscriptions{}", update.updates.iter().map(one).collect::<String>())
                }
                other => panic!("{other:?}"),
            },
        });
    }
    outputs
}

fn published(pub_handle: u32, sid: &str) -> DataTrackMessage {
    let info = proto::DataTrackInfo { pub_handle, sid: sid.to_owned(), ..Default::default() };
    DataTrackMessage::Published(info)
}

fn refused(handle: u32, reason: Reason, message: &str) -> DataTrackMessage {
    let (reason, message) = (reason as i32, message.to_owned());
    let response = proto::RequestResponse { reason, message, ..Default::default() };
    DataTrackMessage::Refused(handle, Box::new(response))
}

fn handles(handles: &[(u32, &str)]) -> DataTrackMessage {
    let track = |sid: &str| PublishedDataTrack { track_sid: sid.to_owned(), ..Default::default() };
    let sub_handles = handles.iter().map(|(handle, sid)| (*handle, track(sid))).collect();
    DataTrackMessage::Handles(proto::DataTrackSubscriberHandles { sub_handles })
}

fn push(tracks: &mut DataTracks, track: CommandId) -> Result<usize, RoomError> {
    tracks.push(track, &DataTrackFrame::new("frame"), plain, Time::ZERO).map(|packets| packets.len())
}

#[test]
fn a_track_is_published_used_and_unpublished() {
    let mut tracks = tracks();
    tracks.publish(1, "position".to_owned(), Time::ZERO);
    assert_eq!(outputs(&mut tracks), ["publish 1 position"]);
    assert_eq!(tracks.poll_timeout(), Some(Time::ZERO + TIMEOUT));
    assert_eq!(push(&mut tracks, 1), Ok(0), "not published yet");
    assert!(tracks.message(published(1, "DTR_1")));
    assert_eq!(outputs(&mut tracks), ["done 1 Ok(())"]);
    assert_eq!((push(&mut tracks, 1), tracks.poll_timeout()), (Ok(1), None));
    let frame = DataTrackFrame::new(vec![0; 2_000_001]);
    assert_eq!(tracks.push(1, &frame, plain, Time::ZERO), Err(RoomError::FrameTooLarge { len: 2_000_001 }));
    assert_eq!(tracks.unpublish(1), Ok(()));
    assert_eq!(outputs(&mut tracks), ["unpublish 1"]);
    assert_eq!(tracks.unpublish(1), Err(RoomError::TrackUnpublished));
    assert_eq!(push(&mut tracks, 1), Err(RoomError::TrackUnpublished));
    // Its number is free once the server has removed it.
    tracks.publish(2, "position".to_owned(), Time::ZERO);
    tracks.message(DataTrackMessage::Unpublished(1));
    assert_eq!(outputs(&mut tracks), ["publish 2 position"]);
    // The server may end a track, too.
    tracks.message(published(2, "DTR_2"));
    tracks.message(DataTrackMessage::Unpublished(2));
    assert_eq!(push(&mut tracks, 2), Err(RoomError::TrackUnpublished));
}

#[test]
fn each_refusal_has_its_error() {
    for name in [String::new(), "x".repeat(257)] {
        let (mut tracks, len) = (tracks(), name.len());
        tracks.publish(1, name, Time::ZERO);
        let error: Result<(), _> = Err(RoomError::InvalidTrackName { len });
        assert_eq!(outputs(&mut tracks), [format!("done 1 {error:?}")]);
    }
    let text = |detail: &str| detail.to_owned();
    for (reason, message, error) in [
        (Reason::NotAllowed, "no", RoomError::NotAllowed { detail: text("no") }),
        (Reason::LimitExceeded, "too many", RoomError::OverLimit { detail: text("too many") }),
        (Reason::InvalidHandle, "", RoomError::Refused { detail: text("INVALID_HANDLE") }),
        (Reason::InvalidName, "name", RoomError::Refused { detail: text("name") }),
        (Reason::DuplicateHandle, "handle", RoomError::Refused { detail: text("handle") }),
        (Reason::DuplicateName, "twice", RoomError::Refused { detail: text("twice") }),
        (Reason::InvalidRequest, " \u{1b}[31m", RoomError::Refused { detail: text("\\u{1b}[31m") }),
    ] {
        let mut tracks = tracks();
        tracks.publish(1, "a".to_owned(), Time::ZERO);
        outputs(&mut tracks);
        tracks.message(refused(1, reason, message));
        // Once.
        tracks.message(refused(1, reason, message));
        let [done] = &outputs(&mut tracks)[..] else { panic!("{reason:?}") };
        assert_eq!(
            done.replace("\\\\", "\\"),
            format!("done 1 {:?}", Err::<(), _>(error)).replace("\\\\", "\\")
        );
        assert_eq!(push(&mut tracks, 1), Err(RoomError::TrackUnpublished));
    }
    let mut tracks = tracks();
    for (id, name) in [(1, "a"), (2, "a"), (3, "b"), (4, "c")] {
        tracks.publish(id, name.to_owned(), Time::ZERO);
    }
    let all = outputs(&mut tracks);
    assert_eq!(all[..2], ["publish 1 a", "publish 2 b"]);
    assert!(all[2].contains("done 2") && all[2].contains("there is a data track of the name"), "{all:?}");
    assert!(all[3].contains("done 4") && all[3].contains("2 data tracks are published"), "{all:?}");
}

#[test]
fn an_answer_that_is_too_late_is_taken_back() {
    let mut tracks = tracks();
    tracks.publish(1, "a".to_owned(), Time::ZERO);
    tracks.handle_timeout(Time::ZERO + (TIMEOUT - Duration::from_millis(1)));
    assert_eq!(outputs(&mut tracks), ["publish 1 a"]);
    tracks.handle_timeout(Time::ZERO + TIMEOUT);
    assert_eq!(outputs(&mut tracks), ["done 1 Err(TimedOut)"]);
    tracks.message(published(1, "DTR_1"));
    tracks.message(published(1, "DTR_1"));
    assert_eq!(outputs(&mut tracks), ["unpublish 1"]);
    for invalid in [0, 65_536, u32::MAX] {
        tracks.message(published(invalid, "DTR_x"));
        tracks.message(refused(invalid, Reason::NotFound, ""));
        tracks.message(DataTrackMessage::Unpublished(invalid));
    }
    assert_eq!(outputs(&mut tracks), [""; 0]);
}

#[test]
fn a_resume_repeats_unanswered_requests() {
    let mut tracks = tracks();
    tracks.publish(1, "a".to_owned(), Time::ZERO);
    tracks.message(published(1, "DTR_1"));
    tracks.publish(2, "b".to_owned(), Time::ZERO);
    tracks.subscribe(9, "DTR_x").unwrap();
    outputs(&mut tracks);
    tracks.disconnected();
    tracks.unpublish(1).unwrap();
    assert_eq!((outputs(&mut tracks), tracks.poll_timeout()), (Vec::new(), None));
    let state = tracks.state();
    assert_eq!((state.published.len(), state.subscription.updates.len()), (0, 1));
    let now = Time::ZERO + TIMEOUT * 3;
    tracks.reconnected(true, now);
    assert_eq!(outputs(&mut tracks), ["publish 2 b", "unpublish 1", "subscriptions +DTR_x"]);
    assert_eq!(tracks.poll_timeout(), Some(now + TIMEOUT));
    // The server had read the first request.
    tracks.message(refused(2, Reason::DuplicateHandle, ""));
    assert_eq!((outputs(&mut tracks), push(&mut tracks, 2)), (vec!["done 2 Ok(())".to_owned()], Ok(1)));
    assert_eq!(tracks.state().published, [], "its id is not known");
}

#[test]
fn another_session_publishes_and_subscribes_again() {
    let mut tracks = tracks();
    tracks.publish(1, "a".to_owned(), Time::ZERO);
    tracks.message(published(1, "DTR_1"));
    assert_eq!(tracks.state().published[0].info.as_ref().unwrap().sid, "DTR_1");
    tracks.publish(2, "b".to_owned(), Time::ZERO);
    tracks.subscribe(9, "DTR_x").unwrap();
    tracks.message(handles(&[(1, "DTR_x")]));
    outputs(&mut tracks);
    tracks.disconnected();
    tracks.interrupted();
    assert_eq!((push(&mut tracks, 1), tracks.poll_timeout()), (Ok(0), None));
    tracks.reconnected(false, Time::ZERO + TIMEOUT);
    assert_eq!(outputs(&mut tracks), ["publish 1 a", "publish 2 b", "subscriptions +DTR_x"]);
    tracks.message(published(1, "DTR_3"));
    tracks.message(refused(2, Reason::NotAllowed, "no"));
    assert_eq!(outputs(&mut tracks), ["done 2 Err(NotAllowed { detail: \"no\" })"]);
    assert_eq!((push(&mut tracks, 1), push(&mut tracks, 2)), (Ok(1), Err(RoomError::TrackUnpublished)));
    // The old numbers are gone.
    let bytes = Packetizer::new(1).packets(&DataTrackFrame::new("x"), None, Time::ZERO)[0].encode();
    assert_eq!(tracks.receive(&bytes, read), DataTrackPacket::Nothing);
    tracks.publish(3, "c".to_owned(), Time::ZERO);
    tracks.room_ended();
    assert_eq!(outputs(&mut tracks), ["publish 3 c", "done 3 Err(NotConnected)"]);
}

#[test]
fn frames_come_from_the_tracks_that_are_subscribed_to() {
    let mut tracks = tracks();
    // Each packet is a frame of its own.
    let number = std::cell::Cell::new(0);
    let packet = |handle: u16| {
        let mut packet =
            Packetizer::new(handle).packets(&DataTrackFrame::new("x"), None, Time::ZERO).remove(0);
        packet.frame = number.replace(number.get() + 1);
        packet.encode()
    };
    let is_frame = |tracks: &mut DataTracks, handle: u16, expected: Option<&str>| match (
        tracks.receive(&packet(handle), read),
        expected,
    ) {
        (DataTrackPacket::Frame(sid, frame), Some(expected)) => {
            assert_eq!((&*sid, &frame.payload[..]), (expected, &b"x"[..]));
        }
        (DataTrackPacket::Nothing, None) => {}
        (got, expected) => panic!("{handle}: {got:?} for {expected:?}"),
    };
    is_frame(&mut tracks, 1, None);
    for (id, sid) in [(1, "DTR_a"), (2, "DTR_b"), (3, "DTR_a")] {
        tracks.subscribe(id, sid).unwrap();
    }
    assert!(matches!(tracks.subscribe(4, "DTR_c"), Err(RoomError::OverLimit { .. })));
    assert_eq!(outputs(&mut tracks), ["subscriptions +DTR_a", "subscriptions +DTR_b"]);
    assert!(tracks.message(handles(&[(1, "DTR_a"), (9, "DTR_b"), (3, "DTR_unknown")])));
    is_frame(&mut tracks, 1, Some("DTR_a"));
    is_frame(&mut tracks, 9, Some("DTR_b"));
    is_frame(&mut tracks, 3, None);
    // A list replaces the one before it; impossible numbers are invalid.
    assert!(!tracks.message(handles(&[(2, "DTR_a"), (0, "DTR_b"), (65_536, "DTR_b")])));
    is_frame(&mut tracks, 9, None);
    // The last subscription ends the frames.
    tracks.unsubscribe(1);
    tracks.unsubscribe(1);
    assert_eq!(outputs(&mut tracks), [""; 0]);
    is_frame(&mut tracks, 2, Some("DTR_a"));
    tracks.unsubscribe(3);
    assert_eq!(outputs(&mut tracks), ["subscriptions -DTR_a"]);
    is_frame(&mut tracks, 2, None);
    // An unpublished track needs no request.
    tracks.gone("DTR_b");
    assert_eq!(outputs(&mut tracks), [""; 0]);
    assert_eq!(tracks.receive(&Bytes::from_static(b"garbage"), read), DataTrackPacket::Garbage);
}

#[test]
fn incomplete_frames_of_all_tracks_are_bounded_and_those_that_cannot_be_opened_dropped() {
    let mut tracks = tracks();
    for (id, sid) in [(1, "DTR_a"), (2, "DTR_b")] {
        tracks.subscribe(id, sid).unwrap();
    }
    tracks.message(handles(&[(1, "DTR_a"), (2, "DTR_b")]));
    let frame = DataTrackFrame::new(vec![0; 40_000]);
    let parts = |handle| Packetizer::new(handle).packets(&frame, None, Time::ZERO);
    let send = |tracks: &mut DataTracks, packet: &Packet| tracks.receive(&packet.encode(), read);
    let (a, b) = (parts(1), parts(2));
    for packet in [&a[0], &a[1], &b[0]] {
        assert_eq!(send(&mut tracks, packet), DataTrackPacket::Nothing);
    }
    assert_eq!(tracks.dropped(), 0);
    // With this one there would be more than 50,000 bytes: the frame that it is of is dropped.
    send(&mut tracks, &b[1]);
    assert_eq!((send(&mut tracks, &b[2]), tracks.dropped()), (DataTrackPacket::Nothing, 1));
    assert!(matches!(send(&mut tracks, &a[2]), DataTrackPacket::Frame(..)));
    let mut encrypted = parts(1).remove(0);
    (encrypted.frame, encrypted.last) = (1, true);
    encrypted.extensions.encryption = Some(FrameEncryption { key_index: 0, iv: [0; 12] });
    assert_eq!((send(&mut tracks, &encrypted), tracks.dropped()), (DataTrackPacket::Nothing, 2));
}

#[test]
fn encrypted_frames_are_announced_sealed_and_opened() {
    let mut tracks = DataTracks::new(DataTrackLimits::default(), TIMEOUT, true);
    tracks.publish(1, "position".to_owned(), Time::ZERO);
    let Some(DataTrackOutput::Request(request)) = tracks.poll_output() else { panic!("a request") };
    let Request::PublishDataTrackRequest(request) = *request else { panic!("{request:?}") };
    assert_eq!(request.encryption, proto::encryption::Type::Gcm as i32);
    tracks.message(published(1, "DTR_1"));
    let infos: Vec<_> = tracks.state().published.into_iter().filter_map(|response| response.info).collect();
    assert_eq!(infos[0].encryption, request.encryption, "also to a server that takes over");

    let encryption = FrameEncryption { key_index: 3, iv: [7; 12] };
    let seal = |payload: Bytes| {
        assert_eq!(payload, "frame");
        Ok(SealedData { payload: Bytes::from_static(b"sealed"), encryption: Some(encryption) })
    };
    let frame = DataTrackFrame::new("frame").with_user_timestamp(9);
    let packets = tracks.push(1, &frame, seal, Time::ZERO).unwrap();
    let refused = |_| Err(RoomError::NotConnected);
    assert_eq!(tracks.push(1, &frame, refused, Time::ZERO), Err(RoomError::NotConnected));

    tracks.subscribe(2, "DTR_a").unwrap();
    tracks.message(handles(&[(1, "DTR_a")]));
    let open = |track: &str, sealed: SealedData| {
        assert_eq!(
            (track, &sealed.payload[..], sealed.encryption),
            ("DTR_a", &b"sealed"[..], Some(encryption))
        );
        Some(Bytes::from_static(b"frame"))
    };
    assert_eq!(tracks.receive(&packets[0], open), DataTrackPacket::Frame("DTR_a".into(), frame));
}
