//! `livekit-testkit`: the mock server and the simulator as a program.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

mod serve;
mod simulate;

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Test tools for LiveKit agents.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a mock LiveKit server for workers in any language, until it is interrupted (Ctrl-C or SIGTERM).
    ///
    /// It implements the agent protocol and the dispatch and room APIs; rooms have no media. Each event is
    /// one line of JSON on the standard output: listening, registered, offered, answered, assigned, ended and
    /// others.
    Serve {
        /// The address to listen on; with port 0 a free port is chosen and printed in the first line.
        #[arg(long, default_value = "127.0.0.1:7880")]
        listen: SocketAddr,
        /// The API key of workers and clients.
        #[arg(long, env = "LIVEKIT_API_KEY", default_value = "devkey")]
        api_key: String,
        /// The secret that signs their tokens. Set one of your own if others can reach the address.
        #[arg(long, env = "LIVEKIT_API_SECRET", default_value = serve::DEFAULT_SECRET, hide_env_values = true)]
        api_secret: String,
        /// How many events, data messages and ended jobs are kept: the newest of each, and at most 64 MiB of
        /// each, so that it can run for weeks.
        #[arg(long, default_value = "100000")]
        history: NonZeroUsize,
    },
    /// Simulates workers and a server with faults, one run for each seed, and checks their promises.
    ///
    /// The last line is the sum: seeds, jobs, events, events per second, failures. It fails if a promise was
    /// broken, and prints how to replay that seed.
    Sim {
        /// The number of seeds.
        #[arg(long, default_value = "1000")]
        seeds: NonZeroU64,
        /// The first seed.
        #[arg(long, default_value = "0")]
        from: u64,
        /// Ends after this many seconds, even if there are seeds left.
        #[arg(long)]
        seconds: Option<NonZeroU64>,
        /// Checks nothing, to measure what the checks cost.
        #[arg(long)]
        unchecked: bool,
    },
    /// Prints what happens in the run of one seed, line by line.
    Replay {
        /// The seed.
        seed: u64,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { listen, api_key, api_secret, history } => {
            serve::run(listen, api_key, api_secret, history)
        }
        Command::Sim { seeds, from, seconds, unchecked } => simulate::run(seeds, from, seconds, unchecked),
        Command::Replay { seed } => simulate::replay(seed),
    }
}
