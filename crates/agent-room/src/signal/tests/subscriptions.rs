//! Which tracks are requested: automatically, by hand, while they are read, and again after a loss.

use super::recovery::{lost, opened, rejoin, restarted, resumed, synced};
use super::*;
use crate::SubscriptionChange::{self, Enable, Read, StopReading, Subscribe};

/// Ada with an audio track `TR_a` and a video track `TR_v`.
fn ada(version: u32) -> proto::ParticipantInfo {
    let mut ada = info("PA_ada", "ada", version);
    ada.tracks =
        vec![track("TR_a", proto::TrackType::Audio, false), track("TR_v", proto::TrackType::Video, false)];
    ada
}

fn with_tracks(mode: AutoSubscribe) -> Rig {
    let mut rig = Rig::connected(|config| config.auto_subscribe = mode);
    rig.updates(vec![ada(2)]);
    rig.script.clear();
    rig
}

fn change(rig: &mut Rig, id: CommandId, track_sid: &str, change: SubscriptionChange) {
    rig.command(id, RoomCommand::ChangeSubscription { track_sid: track_sid.to_owned(), change });
}

#[test]
fn tracks_are_subscribed_and_paused_by_hand() {
    let mut rig = with_tracks(AutoSubscribe::All);
    for (id, step) in [
        Subscribe(false),
        // Sent with the subscription only.
        Enable(false),
        Subscribe(true),
        Enable(true),
        Enable(true),
        // Again, as an earlier request may have failed.
        Subscribe(true),
    ]
    .into_iter()
    .enumerate()
    {
        change(&mut rig, id as u64 + 1, "TR_a", step);
    }
    rig.command(10, RoomCommand::ResetSubscriptions { before: 10 });
    change(&mut rig, 11, "TR_v", Subscribe(false));
    change(&mut rig, 12, "TR_a", Enable(false));
    rig.command(13, RoomCommand::ResetSubscriptions { before: 12 });
    rig.command(14, RoomCommand::ResetSubscriptions { before: 13 });
    rig.check("by_hand");
}

#[test]
fn a_track_is_sent_while_it_is_read_unless_it_was_unsubscribed_by_hand() {
    let mut rig = with_tracks(AutoSubscribe::None);
    change(&mut rig, 1, "TR_a", Read(1));
    change(&mut rig, 2, "TR_a", Read(2));
    change(&mut rig, 3, "TR_a", StopReading(1));
    change(&mut rig, 4, "TR_a", StopReading(2));
    change(&mut rig, 5, "TR_v", Subscribe(false));
    change(&mut rig, 6, "TR_v", Read(6));
    rig.command(7, RoomCommand::ResetSubscriptions { before: 7 });
    rig.check("while_read");
}

#[test]
fn subscribing_to_unknown_or_own_tracks_is_an_error() {
    let mut rig = with_tracks(AutoSubscribe::None);
    // Unknown, and our own.
    let mut me = info("PA_me", "me", 2);
    me.tracks = vec![track("TR_mine", proto::TrackType::Audio, false)];
    rig.updates(vec![me.clone()]);
    rig.script.clear();
    change(&mut rig, 1, "TR_x\n", Subscribe(true));
    change(&mut rig, 2, "TR_mine", Enable(false));
    // The track has ended before its reader.
    change(&mut rig, 3, "TR_x", StopReading(9));
    me.version = 3;
    me.permission = Some(proto::ParticipantPermission { can_publish: true, ..Default::default() });
    rig.updates(vec![me]);
    change(&mut rig, 4, "TR_a", Subscribe(true));
    change(&mut rig, 5, "TR_a", Subscribe(false));
    let error = RoomError::TrackNotFound { sid: "TR_x\n".to_owned() }.to_string();
    assert!(!error.contains('\n'), "{error}");
    rig.check("not_subscribed");
}

/// A choice outlives a resume and a new session of ours, but not the track.
#[test]
fn choices_are_repeated_after_a_loss() {
    for mode in [AutoSubscribe::All, AutoSubscribe::AudioOnly] {
        let mut rig = with_tracks(mode);
        change(&mut rig, 1, "TR_a", Subscribe(false));
        change(&mut rig, 2, "TR_v", Subscribe(true));
        change(&mut rig, 3, "TR_v", Enable(false));
        rig.script.clear();
        lost(&mut rig);
        // Without a connection it is sent with the next one: for one track as a part of the state, for the
        // other as a request.
        change(&mut rig, 4, "TR_a", Enable(false));
        change(&mut rig, 5, "TR_v", Subscribe(mode != AutoSubscribe::All));
        change(&mut rig, 6, "TR_v", Enable(true));
        change(&mut rig, 7, "TR_v", Subscribe(true));
        opened(&mut rig);
        resumed(&mut rig, 0);
        synced(&mut rig);
        restarted(&mut rig);
        rig.step("gone", |signal, now| signal.media_gone("closed", now));
        lost(&mut rig);
        rig.wait(Duration::from_secs(1));
        rig.step("bound", |signal, _| signal.bound("v=0 again".to_owned()));
        opened(&mut rig);
        rig.receives(rejoin("RM_1", vec![ada(3)]));
        rig.step("media ready", Signal::media_ready);
        // Published again it is another track, with the automatic subscription.
        let mut again = info("PA_ada", "ada", 4);
        again.tracks = vec![track("TR_a2", proto::TrackType::Audio, false)];
        rig.updates(vec![again]);
        rig.step("paused", |signal, _| assert!(signal.subscriptions.paused().is_empty()));
        rig.check(&format!("choices_after_a_loss_{mode:?}"));
    }
}

#[test]
fn a_subscription_that_precedes_its_track_is_reported_after_it() {
    let mut rig = with_tracks(AutoSubscribe::All);
    let mid_to_track_id = [("0".to_owned(), "TR_b".to_owned())].into();
    rig.receives(Response::Answer(proto::SessionDescription { mid_to_track_id, ..Default::default() }));
    let mut bob = info("PA_bob", "bob", 1);
    bob.tracks = vec![track("TR_b", proto::TrackType::Audio, false)];
    rig.updates(vec![bob]);
    // One that is paused already is paused again once it is sent.
    change(&mut rig, 1, "TR_v", Enable(false));
    let mid_to_track_id = [("1".to_owned(), "TR_v".to_owned())].into();
    rig.receives(Response::Answer(proto::SessionDescription { mid_to_track_id, ..Default::default() }));
    rig.check("subscription_first");
}

/// A server subscribes us to all tracks some time after the join, whatever was requested before.
#[test]
fn a_track_that_is_sent_and_not_wanted_is_unsubscribed_again() {
    let mut rig = with_tracks(AutoSubscribe::All);
    change(&mut rig, 1, "TR_v", Subscribe(false));
    let mid_to_track_id = [("0".to_owned(), "TR_v".to_owned())].into();
    rig.receives(Response::Answer(proto::SessionDescription { mid_to_track_id, ..Default::default() }));
    rig.check("unwanted");
}
