//! What an agent needs in many rooms at once: processor time and memory.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use agent_testkit::{ClientEvent, OfficialClient, OfficialSound, RealServer};

use super::agent::Agent;
use super::load::{Ask, GUEST, HERTZ, LoadMark, room_name};
use crate::processes::{Of, resident_kib};

const SOON: Duration = Duration::from_secs(30);

/// Seconds of sound in which the witness looks for one that is as it was played.
const WITNESSED: usize = 10;

/// What was measured with one agent.
#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) rooms: usize,
    /// Shares of a core, while all rooms have sound.
    pub(super) agent: f64,
    pub(super) server: f64,
    pub(super) load: f64,
    /// Packets that came back, of those that were sent meanwhile.
    pub(super) back: f64,
    /// Of the agent's process with one room, and with all.
    pub(super) resident_kib: (f64, f64),
}

impl Rooms {
    /// Memory for each room after the first.
    pub(super) fn further_kib(&self) -> f64 {
        let (one, all) = self.resident_kib;
        (all - one) / (self.rooms.max(2) - 1) as f64
    }

    /// Processor time for each room, in percent of a core.
    pub(super) fn percent(&self) -> f64 {
        self.agent * 100.0 / self.rooms as f64
    }
}

/// The processes of the run, and what they had used at a time.
struct Marks {
    at: Instant,
    agent: f64,
    server: f64,
    load: LoadMark,
}

/// Fills rooms with sound, first one and then all, and measures for some time with each.
pub(super) async fn measure(
    server: &RealServer,
    agent: &mut Agent,
    prefix: &str,
    rooms: usize,
    time: Duration,
) -> Result<Rooms> {
    let pid = agent.pid().context("only our own agents are measured in many rooms")?;
    let mut load = Load::start(server, prefix)?;
    load.grow(server, agent, prefix, 0..1).await?;
    let mut witness = witness(server, prefix).await?;
    tokio::time::sleep(time / 4).await;
    let one = resident_kib(pid)?;
    load.grow(server, agent, prefix, 1..rooms).await?;
    // So that jitter buffers have adapted.
    tokio::time::sleep(time / 4).await;
    let before = marks(server, pid, &mut load).await?;
    tokio::time::sleep(time).await;
    let after = marks(server, pid, &mut load).await?;
    let all = resident_kib(pid)?;
    wait_for_tone(&mut witness).await?;
    load.end().await?;
    let seconds = (after.at - before.at).as_secs_f64();
    let share = |of: fn(&Marks) -> f64| (of(&after) - of(&before)) / seconds;
    let received = |mark: &Marks| mark.load.received.iter().sum::<u64>();
    let silent =
        after.load.received.iter().zip(&before.load.received).filter(|(after, before)| after <= before);
    let silent = silent.count();
    ensure!(
        silent == 0,
        "{silent} of {rooms} rooms fell silent; the agent's log ends with:\n{}",
        agent.log_tail()
    );
    Ok(Rooms {
        rooms,
        agent: share(|marks| marks.agent),
        server: share(|marks| marks.server),
        load: share(|marks| marks.load.processor_ns as f64 / 1e9),
        back: (received(&after) - received(&before)) as f64 / (after.load.sent - before.load.sent) as f64,
        resident_kib: (one, all),
    })
}

async fn marks(server: &RealServer, pid: u32, load: &mut Load) -> Result<Marks> {
    let server = server.pid().context("the server has ended")?;
    let load = load.ask(Ask::Mark).await?;
    Ok(Marks {
        at: Instant::now(),
        agent: Of::Process(pid).processor_seconds()?,
        server: Of::Process(server).processor_seconds()?,
        load,
    })
}

/// An official client in the first room, which listens to the agent.
async fn witness(server: &RealServer, prefix: &str) -> Result<OfficialClient> {
    let token = server.token().identity("witness").join_room(room_name(prefix, 0)).sign()?;
    let mut witness = OfficialClient::join(&server.url(), &token).await?;
    let of_agent = |event: &ClientEvent| matches!(event, ClientEvent::TrackSubscribed { identity, .. } if identity != GUEST);
    if let ClientEvent::TrackSubscribed { track, .. } = witness.wait_for(of_agent, SOON).await? {
        witness.listen(&track.sid).await?;
    }
    Ok(witness)
}

/// Waits until the witness has heard a second of what the load plays.
async fn wait_for_tone(witness: &mut OfficialClient) -> Result<()> {
    let mut heard: Vec<OfficialSound> = Vec::new();
    for _ in 0..WITNESSED {
        if let ClientEvent::Heard(sound) =
            witness.wait_for(|e| matches!(e, ClientEvent::Heard(_)), SOON).await?
        {
            if (sound.hertz - HERTZ).abs() < 4.0 && sound.dbfs > -30.0 {
                return Ok(());
            }
            heard.push(sound);
        }
    }
    anyhow::bail!("the official client hears something else: {heard:?}")
}

/// The process of the load.
struct Load {
    process: Child,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Load {
    fn start(server: &RealServer, prefix: &str) -> Result<Self> {
        let program = std::env::current_exe().context("this program's own path")?;
        let mut process = Command::new(program)
            .args(["echo-load", "--url", &server.url(), "--prefix", prefix])
            .env("LIVEKIT_API_KEY", server.api_key())
            .env("LIVEKIT_API_SECRET", server.api_secret().expose())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the load could not be started")?;
        let input = process.stdin.take().context("the load has no input")?;
        let output = process.stdout.take().context("the load has no output")?;
        Ok(Self { process, input, answers: BufReader::new(output).lines() })
    }

    /// Adds rooms, and sends the agent there; returns when sound comes back in all.
    async fn grow(
        &mut self,
        server: &RealServer,
        agent: &mut Agent,
        prefix: &str,
        rooms: std::ops::Range<usize>,
    ) -> Result<()> {
        self.ask(Ask::Grow { rooms: rooms.end }).await?;
        for room in rooms {
            agent.dispatch(server, &room_name(prefix, room), GUEST).await?;
        }
        let heard = self.ask(Ask::Heard).await;
        heard.map(drop).with_context(|| format!("the agent's log ends with:\n{}", agent.log_tail()))
    }

    async fn ask(&mut self, ask: Ask) -> Result<LoadMark> {
        let ask = serde_json::to_string(&ask)?;
        self.input.write_all(format!("{ask}\n").as_bytes()).await.context("the load is gone")?;
        let line = self.answers.next_line().await?.context("the load is gone")?;
        serde_json::from_str(&line).with_context(|| format!("an answer of the load: {line:?}"))
    }

    async fn end(self) -> Result<()> {
        let Self { mut process, input, .. } = self;
        drop(input);
        let status = process.wait().await?;
        ensure!(status.success(), "the load ended with {status}");
        Ok(())
    }
}
