//! Every metric of the guide's table, and none beyond it, with its expected value. A program of its own with
//! one test, as one recorder records the whole process: most of it is on virtual time, what blocks a thread
//! in real time.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test may fail"
)]

mod recorder;
mod scenario;
mod stuck;

use metrics_util::debugging::DebuggingRecorder;

use recorder::Recorded;

#[test]
fn every_metric_of_the_guide_is_recorded_and_none_beyond_it() {
    let recorder = DebuggingRecorder::new();
    let mut recorded = Recorded::from(recorder.snapshotter());
    recorder.install().expect("the only one of this program");

    let virtual_time = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    virtual_time.unwrap().block_on(scenario::plays_everything(&mut recorded));
    let real_time = tokio::runtime::Builder::new_multi_thread().worker_threads(5).enable_all().build();
    real_time.unwrap().block_on(stuck::blocks(&mut recorded));

    let table = recorder::guide();
    assert!(table.len() > 40, "the guide has its table");
    let beyond: Vec<_> = recorded.lines.difference(&table).collect();
    let never: Vec<_> = table.difference(&recorded.lines).collect();
    assert!(beyond.is_empty() && never.is_empty(), "not in the guide: {beyond:#?}\nnot recorded: {never:#?}");
    let dead: Vec<_> = table.iter().filter(|(name, ..)| !recorded.alive.contains(name)).collect();
    assert!(dead.is_empty(), "only ever 0: {dead:?}");
    assert!(recorded.bare.is_empty(), "without a meaning or a unit: {:?}", recorded.bare);
    let left: Vec<_> = recorded.gauges.iter().filter(|(_, level)| **level != 0.0).collect();
    assert!(left.is_empty(), "all jobs and workers are gone: {left:?}");
}
