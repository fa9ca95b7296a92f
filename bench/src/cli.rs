//! The options of the program, and its commands.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::compare::{self, Plan};
use crate::echo;
use crate::metadata;
use crate::scrape;
use crate::start;
use crate::subject::{self, Kind, Task};

/// Compares the worker with a raw WebSocket client: jobs a second, latency, memory.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
struct Options {
    /// A few small rounds that show that everything works; their figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Rounds; each runs every subject once. The table shows medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Concurrent jobs in the closed loop.
    #[arg(long, default_value_t = 50)]
    at_once: usize,
    /// Concurrently held jobs when memory is measured.
    #[arg(long, default_value_t = 10_000)]
    held: usize,
    /// Duration of each closed loop, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Reads worst-case metadata: time and memory, compared with serde_json alone.
    Metadata(metadata::Options),
    /// Repeats sound on a real livekit-server: the delay that an agent adds, processor time and memory for
    /// each room, compared with the official Python worker.
    Echo(echo::Options),
    /// Starts a static program and the official workers: the time to their registration, and their memory
    /// when they are idle.
    Start(start::Options),
    /// Has a worker with many running jobs scraped once a second: processor time with and without.
    Scrape(scrape::Options),
    /// Sends sound to many rooms, as started by the benchmark of an echo.
    #[command(hide = true)]
    EchoLoad(echo::LoadTask),
    /// Reads one document, as started by the benchmark of metadata.
    #[command(hide = true)]
    MetadataReading(metadata::Reading),
    /// Runs one subject, as started by the benchmark. It answers each line on its standard input with its
    /// figures, and ends with it.
    #[command(hide = true)]
    Subject {
        kind: Kind,
        #[command(flatten)]
        task: Task,
    },
}

pub(crate) fn run() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Metadata(options)) => {
            println!("{}", metadata::compare(&options)?);
            Ok(())
        }
        Some(Command::Echo(options)) => {
            print!("{}", echo::run(&options)?);
            Ok(())
        }
        Some(Command::Start(options)) => {
            print!("{}", start::run(&options)?);
            Ok(())
        }
        Some(Command::Scrape(options)) => {
            print!("{}", scrape::run(&options)?);
            Ok(())
        }
        Some(Command::EchoLoad(task)) => echo::run_load(&task),
        Some(Command::MetadataReading(reading)) => {
            println!("{}", metadata::measure(&reading)?);
            Ok(())
        }
        Some(Command::Subject { kind, task }) => subject::run(kind, &task),
        None => {
            let table = compare::run(&plan(&cli.options)?)?;
            println!("{table}");
            Ok(())
        }
    }
}

fn plan(options: &Options) -> Result<Plan> {
    ensure!(options.rounds > 0, "--rounds is 0: give at least 1");
    ensure!(options.at_once > 0, "--at-once is 0: give at least 1");
    ensure!((1..=100_000).contains(&options.held), "--held is {}: give 1 to 100000", options.held);
    ensure!((1..=60).contains(&options.seconds), "--seconds is {}: give 1 to 60", options.seconds);
    Ok(if options.quick {
        Plan::quick()
    } else {
        Plan::full(options.rounds, options.at_once, options.held, Duration::from_secs(options.seconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(args: &[&str]) -> String {
        let cli = Cli::parse_from([&["agent-bench"], args].concat());
        plan(&cli.options).err().map_or_else(|| "none".to_owned(), |error| error.to_string())
    }

    #[test]
    fn problems_name_the_option() {
        for option in ["--rounds", "--at-once", "--held", "--seconds"] {
            assert!(problem(&[option, "0"]).starts_with(option), "{option}");
        }
        assert_eq!(problem(&[]), "none");
    }
}
