//! The delay that an agent adds to sound that goes through it.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use agent_testkit::{OfficialHost, RealServer};

use super::agent::Agent;
use super::wire::Wire;

/// Two official clients, and what they hear.
const CLIENTS: &str = include_str!("client.py");

/// Bursts that were heard both ways before the first one that counts: jitter buffers adapt meanwhile.
const WARM_UP: usize = 5;

/// Until the first sound comes back, and for bursts that are not heard.
const SECONDS_TO_BEGIN: usize = 60;

/// What was measured with one agent in one room.
#[derive(Debug, Default)]
pub(super) struct Delays {
    pub(super) bursts: Vec<Burst>,
    /// How much later bursts came from the agent, before any jitter buffer, in milliseconds.
    pub(super) wire: Vec<Option<f64>>,
    /// Share of a core that the agent needed for the room.
    pub(super) cores: f64,
}

/// A burst, in milliseconds from when it was passed to the official SDK to when it was heard.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Burst {
    /// By another client.
    pub(super) direct: Option<f64>,
    /// From the agent, by the client that had played it.
    pub(super) echo: Option<f64>,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Measuring,
    Burst(Burst),
}

/// Sends this agent to a room, and plays bursts there.
pub(super) async fn measure(
    server: &RealServer,
    agent: &mut Agent,
    room: &str,
    bursts: usize,
) -> Result<Delays> {
    let python = OfficialHost::find().context("there is no Python with LiveKit's SDK")?;
    let token = |identity: &str| server.token().identity(identity).join_room(room).sign();
    let settings = json!({
        "url": server.url(),
        "ada": token("ada")?.expose(),
        "bob": token("bob")?.expose(),
        "bursts": bursts,
        "warm_up": WARM_UP,
        "seconds": SECONDS_TO_BEGIN + 2 * (bursts + WARM_UP),
    });
    agent.dispatch(server, room, "ada").await?;
    let wire = Wire::join(server, room, "ada").await?;
    let mut clients = Command::new(python)
        .args(["-I", "-u", "-c", CLIENTS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the official clients could not be started")?;
    let mut input = clients.stdin.take().context("the clients have no input")?;
    let output = clients.stdout.take().context("the clients have no output")?;
    input.write_all(format!("{settings}\n").as_bytes()).await?;
    let mut lines = BufReader::new(output).lines();
    let (mut delays, mut since) = (Delays::default(), None);
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line).with_context(|| format!("a line of the clients: {line:?}"))? {
            Line::Measuring => since = Some((Instant::now(), agent.usage()?.processor_seconds()?)),
            Line::Burst(burst) => delays.bursts.push(burst),
        }
    }
    let heard = delays.bursts.iter().filter(|burst| burst.echo.is_some()).count();
    let status = clients.wait().await?;
    ensure!(
        status.success() && heard > 0,
        "{heard} bursts came back in {room}; the agent's log ends with:\n{}",
        agent.log_tail()
    );
    if let Some((begin, before)) = since {
        delays.wire = wire.added_since(begin);
        let used = agent.usage()?.processor_seconds()? - before;
        delays.cores = used / begin.elapsed().as_secs_f64();
    }
    Ok(delays)
}
