//! What the server reports of tracks that it sends us, or does not.

use super::*;

#[test]
fn states_permissions_and_failures_of_tracks() {
    let mut rig = Rig::connected(quiet);
    let mut ada = info("PA_ada", "ada", 2);
    ada.tracks = vec![track("TR_a", proto::TrackType::Video, false)];
    rig.updates(vec![ada]);
    let state = |participant: &str, track: &str, state| proto::StreamStateInfo {
        participant_sid: participant.to_owned(),
        track_sid: track.to_owned(),
        state,
    };
    // Unknown states, tracks and participants are harmless.
    let stream_states = vec![
        state("PA_ada", "TR_a", 1),
        state("PA_ada", "TR_a", 77),
        state("PA_ada", "TR_b", 1),
        state("PA_x", "TR_a", 1),
        state("PA_ada", "TR_a", 0),
    ];
    rig.receives(Response::StreamStateUpdate(proto::StreamStateUpdate { stream_states }));
    for (participant, allowed) in [("PA_ada", false), ("PA_x", true), ("PA_ada", true)] {
        rig.receives(Response::SubscriptionPermissionUpdate(proto::SubscriptionPermissionUpdate {
            participant_sid: participant.to_owned(),
            track_sid: "TR_a".to_owned(),
            allowed,
        }));
    }
    for err in [0, 1, 2, 77] {
        let track_sid = "TR_gone".to_owned();
        rig.receives(Response::SubscriptionResponse(proto::SubscriptionResponse { track_sid, err }));
    }
    rig.check("states_permissions_and_failures_of_tracks");
}

#[test]
fn a_long_list_of_states_is_cut() {
    let mut rig = Rig::connected(quiet);
    let mut ada = info("PA_ada", "ada", 2);
    ada.tracks = vec![track("TR_a", proto::TrackType::Video, false)];
    rig.updates(vec![ada]);
    let one = proto::StreamStateInfo { participant_sid: "PA_ada".into(), track_sid: "TR_a".into(), state: 1 };
    let stream_states = vec![one; 50_000];
    rig.receives(Response::StreamStateUpdate(proto::StreamStateUpdate { stream_states }));
    assert_eq!(rig.script.matches("TrackStreamStateChanged").count(), 1024);
}
