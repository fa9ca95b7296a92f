//! What an agent that repeats sound adds to its delay, and what it costs, on a real livekit-server.

mod agent;
mod delay;
mod figures;
mod load;
mod rooms;
mod wire;

pub(crate) use load::LoadTask;
pub(crate) use load::run as run_load;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use agent_testkit::{OfficialHost, RealServer};

use crate::processes::load_average;
use agent::{Agent, Kind};
use delay::Delays;
use figures::Figures;

/// How the echo is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Everything once, as small as it gets: shows that it works.
    #[arg(long)]
    quick: bool,
    /// Only one of the measurements.
    #[arg(long)]
    only: Option<Part>,
    /// Rounds in which the delay of each agent is measured, one after the other.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Bursts of a tone in each round, one a second.
    #[arg(long, default_value_t = 40)]
    bursts: usize,
    /// Rooms in one process of `echo`.
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Rooms in one process of `echo --pass-through`.
    #[arg(long, default_value_t = 100)]
    pass_through_rooms: usize,
    /// How long processor time is measured, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The delay that an agent adds, ours and the official Python worker's.
    Delay,
    /// Many rooms of `echo`.
    Rooms,
    /// Many rooms of `echo --pass-through`.
    PassThrough,
}

impl Options {
    fn checked(mut self) -> Result<Self> {
        ensure!((1..=20).contains(&self.rounds), "--rounds is {}: give 1 to 20", self.rounds);
        ensure!((1..=1_000).contains(&self.bursts), "--bursts is {}: give 1 to 1000", self.bursts);
        ensure!((1..=200).contains(&self.rooms), "--rooms is {}: give 1 to 200", self.rooms);
        let rooms = self.pass_through_rooms;
        ensure!((1..=200).contains(&rooms), "--pass-through-rooms is {rooms}: give 1 to 200");
        ensure!((1..=600).contains(&self.seconds), "--seconds is {}: give 1 to 600", self.seconds);
        if self.quick {
            (self.rounds, self.bursts, self.seconds) = (1, 3, 2);
            (self.rooms, self.pass_through_rooms) = (2, 2);
        }
        Ok(self)
    }
}

/// Runs the requested measurements; returns the table of figures.
pub(crate) fn run(options: &Options) -> Result<String> {
    let options = options.clone().checked()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        if OfficialHost::find().is_none() {
            // Installs it.
            drop(OfficialHost::start().await?);
        }
        let server = RealServer::start().await?;
        let (mut run, mut figures) = (Run { server, started: 0 }, Figures::default());
        let is_wanted = |part| options.only.is_none_or(|only| only == part);
        if is_wanted(Part::Delay) {
            for round in 1..=options.rounds {
                figures.ours.push(run.delay(Kind::Ours, round, &options).await?);
                figures.pass_through.push(run.delay(Kind::PassThrough, round, &options).await?);
                match run.delay(Kind::Python, round, &options).await {
                    Ok(delays) => figures.python.push(delays),
                    // What the other side does is no fault of this run.
                    Err(error) => eprintln!("the official Python worker: {error:#}"),
                }
            }
        }
        if is_wanted(Part::Rooms) {
            figures.rooms.push((Kind::Ours, run.rooms(Kind::Ours, options.rooms, options.seconds).await?));
        }
        if is_wanted(Part::PassThrough) {
            let rooms = run.rooms(Kind::PassThrough, options.pass_through_rooms, options.seconds).await?;
            figures.rooms.push((Kind::PassThrough, rooms));
        }
        Ok(figures.to_string())
    })
}

/// The server of the run, and how many agents were started on it.
struct Run {
    server: RealServer,
    started: usize,
}

impl Run {
    async fn start(&mut self, kind: Kind) -> Result<(Agent, String)> {
        self.started += 1;
        let name = format!("echo-{}", self.started);
        let agent = Agent::start(kind, &self.server, &name).await;
        Ok((agent.with_context(|| format!("{} could not be started", kind.name()))?, name))
    }

    async fn delay(&mut self, kind: Kind, round: usize, options: &Options) -> Result<Delays> {
        eprintln!(
            "round {round} of {}: the delay of {}; load {}",
            options.rounds,
            kind.name(),
            load_average()
        );
        let (mut agent, name) = self.start(kind).await?;
        let delays = delay::measure(&self.server, &mut agent, &name, options.bursts).await?;
        agent.end(&self.server).await?;
        Ok(delays)
    }

    async fn rooms(&mut self, kind: Kind, rooms: usize, seconds: u64) -> Result<rooms::Rooms> {
        eprintln!("{} in {rooms} rooms; load {}", kind.name(), load_average());
        let (mut agent, name) = self.start(kind).await?;
        let time = Duration::from_secs(seconds);
        let measured = rooms::measure(&self.server, &mut agent, &name, rooms, time).await?;
        agent.end(&self.server).await?;
        Ok(measured)
    }
}
