//! Every metric of the guide's table, and none beyond it, with what it should say. One recorder hears the
//! whole process, so this is one test: most of it on virtual time, what blocks a thread in real time.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test may fail"
)]

mod heard;
mod scribe;
mod stuck;

use metrics_util::debugging::DebuggingRecorder;

use heard::Heard;

#[test]
fn every_metric_of_the_guide_is_recorded_and_none_beyond_it() {
    let recorder = DebuggingRecorder::new();
    let mut heard = Heard::from(recorder.snapshotter());
    recorder.install().expect("the only one of this program");

    let virtual_time = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    virtual_time.unwrap().block_on(scribe::plays_everything(&mut heard));
    let real_time = tokio::runtime::Builder::new_multi_thread().worker_threads(5).enable_all().build();
    real_time.unwrap().block_on(stuck::blocks(&mut heard));

    let table = heard::guide();
    assert!(table.len() > 40, "the guide has its table");
    let beyond: Vec<_> = heard.lines.difference(&table).collect();
    let never: Vec<_> = table.difference(&heard.lines).collect();
    assert!(beyond.is_empty() && never.is_empty(), "not in the guide: {beyond:#?}\nnot recorded: {never:#?}");
    let dead: Vec<_> = table.iter().filter(|(name, ..)| !heard.alive.contains(name)).collect();
    assert!(dead.is_empty(), "only ever 0: {dead:?}");
    assert!(heard.bare.is_empty(), "without a meaning or a unit: {:?}", heard.bare);
    let left: Vec<_> = heard.gauges.iter().filter(|(_, level)| **level != 0.0).collect();
    assert!(left.is_empty(), "all jobs and workers are gone: {left:?}");
}
