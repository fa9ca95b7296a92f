//! One suite for the mock server and for livekit-server: what a worker observes of a server, and what the
//! server records.
//!
//! A case plays a scenario and records its observations. The two tests that include this module, one for each
//! server, compare them with the same snapshot, so that the mock stays faithful. A difference fails, unless
//! it is in [`DIFFERENCES`].

pub(crate) mod jobs;
pub(crate) mod offers;
pub(crate) mod protocol;
pub(crate) mod rooms;
pub(crate) mod stage;

/// Known differences of the mock. The list may only shrink.
const DIFFERENCES: &[Difference] = &[];

struct Difference {
    case: &'static str,
    /// A line as observed on the mock, and on livekit-server.
    mock: &'static str,
    real: &'static str,
    reason: &'static str,
}

/// Compares the observations with the snapshot of the case.
pub(crate) fn check(case: &str, observed: Vec<String>, on_mock: bool) {
    let mut observed = observed;
    for difference in DIFFERENCES.iter().filter(|difference| on_mock && difference.case == case) {
        let line = observed.iter_mut().find(|line| *line == difference.mock);
        // An entry that is no longer needed has to be removed.
        let line = line.unwrap_or_else(|| panic!("no longer a difference: {}", difference.reason));
        *line = difference.real.to_owned();
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(case, observed.join("\n")));
}

/// A test for each case, on the stage that `$stage` creates; `None` skips.
#[macro_export]
macro_rules! conformance {
    ($stage:path, on_mock: $on_mock:expr) => {
        conformance!(@tests $stage, $on_mock,
            jobs: outcomes_of_handlers, a_job_over_its_time, drained_jobs, jobs_that_end_at_once, a_burst_into_every_slot,
                a_deleted_dispatch, a_deleted_room, a_room_deleted_too_early, a_removed_agent, fields_of_a_job, participant_jobs, publisher_jobs;
            offers: a_dismissed_job, declined_by_everybody, declined_and_taken_by_another, unanswered_and_taken_by_another,
                a_full_worker, deployments, an_unnamed_agent, a_room_with_its_own_agents;
            rooms: two_jobs_in_one_room, one_identity_twice, who_the_agent_is, talking, refused_tokens;
            protocol: refused_workers, broken_protocol, pings_and_unknown_jobs, the_json_form;
        );
    };
    (@tests $stage:path, $on_mock:expr, $($module:ident: $($case:ident),+;)+) => {
        $($(
            #[tokio::test]
            async fn $case() {
                let Some(stage) = $stage().await else { return };
                let observed = conformance::$module::$case(&stage).await;
                conformance::check(stringify!($case), observed, $on_mock);
            }
        )+)+
    };
}
