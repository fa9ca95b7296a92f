//! `livekit-testkit serve`: the mock server for workers in any language.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use agent_testkit::MockServer;

pub(crate) const DEFAULT_SECRET: &str = "secret";

#[tokio::main]
pub(crate) async fn run(
    listen: SocketAddr,
    api_key: String,
    api_secret: String,
    history: NonZeroUsize,
) -> ExitCode {
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
        // On a thread of its own, as it blocks while the output is not read.
        let next = async {
            let event = events.next().await;
            tokio::task::spawn_blocking(move || line(&event)).await?
        };
        tokio::select! {
            written = next => written?,
            // Nothing waits for what may be blocked.
            () = &mut stop => std::process::exit(0),
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
