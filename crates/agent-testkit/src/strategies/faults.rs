//! Faults of servers and stores.

use std::time::Duration;

use proptest::prelude::*;

use crate::faulty_store::{StoreFault, StoreOperation};
use crate::mock::ServerFault;

/// The longest time of a fault, and before one.
const MILLIS: std::ops::Range<u32> = 0..5000;

/// Faults of the server while a job runs, for [`JobSpec::faults`](crate::JobSpec::faults): up to 4, each up
/// to 5 s after the last one and for up to 5 s, so that a worker recovers from all of them. Shrinks to fewer
/// and shorter ones.
pub fn server_faults() -> impl Strategy<Value = Vec<(Duration, ServerFault)>> {
    let fault = prop_oneof![
        Just(ServerFault::Cut),
        prop::sample::select(&[1000, 1001, 1011][..]).prop_map(ServerFault::Close),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(ServerFault::Bytes),
        MILLIS.prop_map(ServerFault::Double),
        MILLIS.prop_map(ServerFault::Mute),
        MILLIS.prop_map(ServerFault::Freeze),
        MILLIS.prop_map(ServerFault::Refuse),
        (MILLIS, MILLIS).prop_map(|(by, millis)| ServerFault::Delay { by, millis }),
        Just(ServerFault::HalfOpen),
    ];
    let after = MILLIS.prop_map(|millis| Duration::from_millis(millis.into()));
    prop::collection::vec((after, fault), 0..=4)
}

/// Faults of a [`FaultyStore`](crate::FaultyStore), each of the next operation of its kind
/// ([`fail_next`](crate::FaultyStore::fail_next)): up to 4, with delays of up to 2 s, so that none hangs.
/// Shrinks to fewer and shorter ones.
///
/// ```
/// use agent_testkit::strategies::proptest::prelude::*;
/// use agent_testkit::strategies::store_faults;
/// use agent_testkit::{FaultyStore, JobSpec, run_job_blocking};
/// use agent_worker::{JobContext, JobResult};
///
/// /// Continues without checkpoints if the store fails.
/// async fn handler(ctx: JobContext) -> JobResult {
///     if let Ok(progress) = ctx.checkpoint::<u64>().resume().await {
///         progress.set(1);
///         let _ = progress.save().await;
///     }
///     Ok(())
/// }
///
/// proptest!(ProptestConfig::with_cases(16), |(faults in store_faults())| {
///     let store = FaultyStore::new();
///     for (operation, fault) in faults {
///         store.fail_next(operation, fault);
///     }
///     let job = JobSpec::room("lobby").worker(move |worker| worker.checkpoints(store));
///     run_job_blocking(handler, job).assert_success();
/// });
/// ```
pub fn store_faults() -> impl Strategy<Value = Vec<(StoreOperation, StoreFault)>> {
    let fault = prop_oneof![
        (0..2000u64).prop_map(|millis| StoreFault::delayed(Duration::from_millis(millis))),
        Just(()).prop_map(|()| StoreFault::unavailable("the store is down")),
        Just(()).prop_map(|()| StoreFault::answer_lost()),
        Just(()).prop_map(|()| StoreFault::late()),
    ];
    prop::collection::vec((prop::sample::select(&StoreOperation::ALL[..]), fault), 0..=4)
}
