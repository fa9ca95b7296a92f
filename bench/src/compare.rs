//! Runs the subjects, interleaved, and compares their figures.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::child::Child;
use crate::load::Bound;
use crate::subject::Kind;
use crate::table::{Row, Table};
use crate::usage::processor_ns;

/// The extent of the measurements.
pub(crate) struct Plan {
    rounds: usize,
    at_once: usize,
    /// Longer than the settling time, so that the steady state is measured.
    warm_up: Bound,
    closed_loop: Bound,
    one_at_a_time: Bound,
    held: usize,
}

impl Plan {
    pub(crate) fn full(rounds: usize, at_once: usize, held: usize, time: Duration) -> Self {
        let bound = |time| Bound { time, jobs: usize::MAX };
        Self {
            rounds,
            at_once,
            warm_up: bound(Duration::from_secs(1)),
            closed_loop: bound(time),
            one_at_a_time: bound(time),
            held,
        }
    }

    /// Everything once, as small as possible.
    pub(crate) fn quick() -> Self {
        let bound = |jobs| Bound { time: Duration::from_secs(60), jobs };
        Self {
            rounds: 1,
            at_once: 50,
            warm_up: bound(100),
            closed_loop: bound(500),
            one_at_a_time: bound(100),
            held: 200,
        }
    }
}

/// A worker's own default, which is more than the closed loop needs.
const MAX_JOBS: usize = 1000;

/// The figures of one kind of run, in the order of the table.
#[derive(Default)]
struct Samples {
    with_settling: Vec<LoopSample>,
    without_settling: Vec<LoopSample>,
    one_at_a_time: Vec<LoopSample>,
    held: Vec<f64>,
}

/// One closed loop.
#[derive(Clone, Copy)]
struct LoopSample {
    jobs_per_second: f64,
    processor_us: f64,
    p50_us: f64,
    p99_us: f64,
    /// Share of one core that the load server used: near 1 it limits the subject.
    server: f64,
}

/// Runs everything; returns the table of medians.
pub(crate) fn run(plan: &Plan) -> Result<Table> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut ours, mut raw) = (Samples::default(), Samples::default());
        for round in 1..=plan.rounds {
            eprintln!("round {round} of {}", plan.rounds);
            let many = (plan.at_once, plan.closed_loop);
            ours.with_settling.push(closed_loop(plan, Kind::Ours, many, None).await?);
            raw.with_settling.push(closed_loop(plan, Kind::Raw, many, None).await?);
            ours.without_settling.push(closed_loop(plan, Kind::Ours, many, Some(0)).await?);
            let one = (1, plan.one_at_a_time);
            ours.one_at_a_time.push(closed_loop(plan, Kind::Ours, one, None).await?);
            raw.one_at_a_time.push(closed_loop(plan, Kind::Raw, one, None).await?);
            ours.held.push(bytes_per_held_job(plan, Kind::Ours).await?);
            raw.held.push(bytes_per_held_job(plan, Kind::Raw).await?);
        }
        // The raw client has no settling time: one figure serves both comparisons.
        raw.without_settling = raw.with_settling.clone();
        Ok(table(plan, &ours, &raw))
    })
}

async fn closed_loop(
    plan: &Plan,
    kind: Kind,
    (at_once, bound): (usize, Bound),
    settling_ms: Option<u64>,
) -> Result<LoopSample> {
    let (mut child, mut session) = Child::start(kind, MAX_JOBS.max(at_once), false, settling_ms).await?;
    session.closed_loop(at_once, plan.warm_up).await?;
    let before = child.mark().await?;
    let (start, server_before) = (Instant::now(), processor_ns());
    let jobs = session.closed_loop(at_once, bound).await?;
    let (seconds, server_after) = (start.elapsed().as_secs_f64(), processor_ns());
    let after = child.mark().await?;
    child.end().await?;
    ensure!(
        jobs > 0 && after.began == jobs as u64,
        "{jobs} jobs ended, and the {kind:?} subject ran {} of them",
        after.began
    );
    let count = jobs as f64;
    Ok(LoopSample {
        jobs_per_second: count / seconds,
        processor_us: (after.processor_ns - before.processor_ns) as f64 / 1e3 / count,
        p50_us: after.p50_ns as f64 / 1e3,
        p99_us: after.p99_ns as f64 / 1e3,
        server: (server_after - server_before) as f64 / 1e9 / seconds,
    })
}

async fn bytes_per_held_job(plan: &Plan, kind: Kind) -> Result<f64> {
    let (mut child, mut session) = Child::start(kind, plan.held.max(MAX_JOBS), true, None).await?;
    let before = child.mark().await?;
    session.hold(plan.held).await?;
    let after = child.mark().await?;
    session.release().await?;
    // RUNNING is sent before the handler's first line, so the last ones may have begun after the mark.
    let began = after.began + child.mark().await?.began;
    child.end().await?;
    ensure!(
        began == plan.held as u64,
        "{} jobs were held, and the {kind:?} subject ran {began} of them",
        plan.held
    );
    Ok(after.memory_bytes.saturating_sub(before.memory_bytes) as f64 / plan.held as f64)
}

fn table(plan: &Plan, ours: &Samples, raw: &Samples) -> Table {
    let mut rows = Vec::new();
    let at_once = plan.at_once;
    let mut add = |figure: String, pick: fn(&LoopSample) -> f64, of: fn(&Samples) -> &Vec<LoopSample>| {
        let values = |samples: &Samples| of(samples).iter().map(pick).collect();
        rows.push(Row { figure, ours: values(ours), raw: values(raw) });
    };
    let with_settling: fn(&Samples) -> &Vec<LoopSample> = |s| &s.with_settling;
    add(format!("{at_once} at a time: jobs/s"), |l| l.jobs_per_second, with_settling);
    add(format!("{at_once} at a time: processor time a job, µs"), |l| l.processor_us, with_settling);
    add(format!("{at_once} at a time: assignment → handler p50, µs"), |l| l.p50_us, with_settling);
    add(format!("{at_once} at a time: assignment → handler p99, µs"), |l| l.p99_us, with_settling);
    add(format!("{at_once} at a time: cores the load server needs"), |l| l.server, with_settling);
    let without_settling: fn(&Samples) -> &Vec<LoopSample> = |s| &s.without_settling;
    add(format!("{at_once} at a time, no settling: jobs/s"), |l| l.jobs_per_second, without_settling);
    add(
        format!("{at_once} at a time, no settling: processor time a job, µs"),
        |l| l.processor_us,
        without_settling,
    );
    let one: fn(&Samples) -> &Vec<LoopSample> = |s| &s.one_at_a_time;
    add("1 at a time: assignment → handler p50, µs".to_owned(), |l| l.p50_us, one);
    add("1 at a time: assignment → handler p99, µs".to_owned(), |l| l.p99_us, one);
    rows.push(Row {
        figure: format!("memory per held job of {}, bytes", plan.held),
        ours: ours.held.clone(),
        raw: raw.held.clone(),
    });
    Table(rows)
}
