//! `livekit-testkit serve`: the mock server as a program, for workers in any language.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use agent_testkit::MockServer;

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
        #[arg(long, env = "LIVEKIT_API_SECRET", default_value = DEFAULT_SECRET, hide_env_values = true)]
        api_secret: String,
        /// How many events, data messages and ended jobs are kept: the newest of each, and at most 64 MiB of
        /// each, so that it can run for weeks.
        #[arg(long, default_value = "100000")]
        history: NonZeroUsize,
    },
}

const DEFAULT_SECRET: &str = "secret";

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Serve { listen, api_key, api_secret, history } = Cli::parse().command;
    for (option, value) in [("--api-key", &api_key), ("--api-secret", &api_secret)] {
        if value.is_empty() {
            eprintln!("livekit-testkit: {option} is empty: give the one that the workers use");
            return ExitCode::from(2);
        }
    }
    if !listen.ip().to_canonical().is_loopback() && api_secret == DEFAULT_SECRET {
        eprintln!(
            "livekit-testkit: warning: --listen {listen} is reachable by others, and the API secret is the default one, which everybody \
             knows: give --api-secret (or LIVEKIT_API_SECRET), or listen on 127.0.0.1"
        );
    }
    let builder =
        MockServer::builder().listen(listen).credentials(api_key, api_secret).history(history.get());
    let server = match builder.start().await {
        Ok(server) => server,
        Err(error) => {
            eprintln!(
                "livekit-testkit: --listen {listen}: {error}: choose another address, or port 0 for a free one"
            );
            return ExitCode::FAILURE;
        }
    };
    match print_events(&server).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the events is gone, so nobody needs the server any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("livekit-testkit: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints events until the program is interrupted.
async fn print_events(server: &MockServer) -> io::Result<()> {
    line(&serde_json::json!({ "event": "listening", "url": server.url() }))?;
    let mut events = server.follow();
    let mut stop = std::pin::pin!(stop()?);
    loop {
        tokio::select! {
            event = events.next() => line(&event)?,
            () = &mut stop => return Ok(()),
        }
    }
}

fn line(event: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string(event)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    // A reader may be waiting for this line.
    out.flush()
}

#[cfg(unix)]
fn stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
