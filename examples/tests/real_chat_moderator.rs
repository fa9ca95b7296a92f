//! The example `chat_moderator` on a real server: its process is killed twice, and each new one continues
//! with the strikes that were counted before.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail, and shows what it saw")]

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use agent_testkit::{
    ClientEvent, ClientKind, DispatchRequest, JobEndStatus, OfficialClient, ParticipantSummary,
    ParticipantSummaryKind, RealServer, official_host_of, real_server,
};
use agent_worker::room::AGENT_STATE_ATTRIBUTE;

const AGENT: &str = "chat-moderator";
const ROOM: &str = "lounge";
const CHAT: &str = "lk.chat";
const SOON: Duration = Duration::from_secs(30);

/// The example in a process. Dropping it sends SIGKILL.
struct Moderator(Child);

impl Drop for Moderator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Stage {
    server: RealServer,
    /// The directory in which every process runs, with the file of strikes.
    folder: TempDir,
    /// The agents that were in the room.
    agents: BTreeSet<String>,
}

impl Stage {
    fn new(server: RealServer) -> Self {
        Self { server, folder: tempfile::tempdir().expect("a folder"), agents: BTreeSet::new() }
    }

    /// Starts the example, and dispatches it to the room.
    async fn start(&mut self) -> Moderator {
        let process = Command::new(env!("CARGO_BIN_EXE_chat_moderator"))
            .current_dir(self.folder.path())
            .env("LIVEKIT_URL", self.server.http_url())
            .env("LIVEKIT_API_KEY", self.server.api_key())
            .env("LIVEKIT_API_SECRET", self.server.api_secret().expose())
            .env_remove("LIVEKIT_AGENT_NAME_OVERRIDE")
            .env("LIVEKIT_AGENT_HTTP_PORT", "off")
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let moderator = Moderator(process);
        self.wait_for_lines(r#""msg":"worker registered""#, self.agents.len() + 1).await;
        self.dispatch().await;
        self.wait_for_agent().await;
        moderator
    }

    /// Dispatches the example, and again if the server drops that, as it may just after the registration.
    async fn dispatch(&self) {
        let assigned = || self.server.log().assignments().len();
        let before = assigned();
        for _ in 0..3 {
            self.server.api().create_dispatch(DispatchRequest::new(AGENT, ROOM)).await.expect("dispatched");
            let until = Instant::now() + SOON / 3;
            while assigned() == before && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if assigned() > before {
                return;
            }
        }
        panic!("no assignment: {}", self.server.log().tail(5));
    }

    /// Kills the example, and waits until the server offers it no more jobs.
    async fn kill(&self, moderator: Moderator) {
        drop(moderator);
        self.wait_for_lines("worker deregistered", self.agents.len()).await;
    }

    async fn wait_for_lines(&self, text: &str, count: usize) {
        let mut found = 0;
        let is_last = |line: &str| {
            found += usize::from(line.contains(text));
            found == count
        };
        self.server.log().wait_for_line(is_last, SOON).await.expect("logged");
    }

    /// Waits until one more agent reports that it listens: an agent that the server lists as active may not
    /// have its data channels yet, and what is sent to it before is lost.
    async fn wait_for_agent(&mut self) {
        let until = Instant::now() + SOON;
        loop {
            let present = self.server.api().list_participants(ROOM).await.expect("a list");
            let mut agents = present.iter().filter(|one| one.kind == ParticipantSummaryKind::Agent);
            let listens = |of: &ParticipantSummary| of.attributes.contains_key(AGENT_STATE_ATTRIBUTE);
            if let Some(agent) = agents.find(|one| listens(one) && !self.agents.contains(&one.identity)) {
                self.agents.insert(agent.identity.clone());
                return;
            }
            assert!(Instant::now() < until, "no new agent: {present:?}; {}", self.server.log().tail(5));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn join(&self, identity: &str) -> Guest {
        let token = self.server.token().identity(identity).join_room(ROOM).sign().expect("a token");
        let client = OfficialClient::join_with(ClientKind::Python12, &self.server.url(), &token).await;
        let client = client.expect("joined");
        client.register_text_streams(CHAT).await.expect("registered");
        Guest(client)
    }
}

struct Guest(OfficialClient);

impl Guest {
    /// Writes a message, and returns what comes of it: the next warning, or why the guest is out.
    async fn write(&mut self, message: &str) -> String {
        self.0.send_text(CHAT, message).await.expect("sent");
        loop {
            match self.0.next_event(SOON).await.expect("an event") {
                ClientEvent::TextStream(text) if text.identity.starts_with("agent-") => return text.text,
                ClientEvent::Disconnected { reason } => return reason,
                _ => {}
            }
        }
    }
}

fn warning(strike: u32) -> String {
    format!("Mind your words: strike {strike} of 3.")
}

#[tokio::test]
async fn strikes_outlive_killed_processes() {
    let Some(server) = real_server().await else { return };
    if official_host_of(ClientKind::Python12).await.is_none() {
        return;
    }
    let mut stage = Stage::new(server);
    let (mut ada, mut bob) = (stage.join("ada").await, stage.join("bob").await);

    let moderator = stage.start().await;
    bob.0.send_text(CHAT, "Hello").await.expect("sent");
    assert_eq!(ada.write("Oh bother").await, warning(1));
    stage.kill(moderator).await;

    let moderator = stage.start().await;
    assert_eq!(bob.write("bother").await, warning(1));
    assert_eq!(ada.write("bother!").await, warning(2));
    stage.kill(moderator).await;

    let _moderator = stage.start().await;
    assert_eq!(ada.write("No bother").await, "PARTICIPANT_REMOVED");
    // Each warning is the next one: none was repeated, and bob is not struck for ada's messages.
    assert_eq!(bob.write("bother").await, warning(2));

    let present = stage.server.api().list_participants(ROOM).await.expect("a list");
    let is_guest = |identity: &&str| !stage.agents.contains(*identity);
    let guests: Vec<_> = present.iter().map(|one| one.identity.as_str()).filter(is_guest).collect();
    assert_eq!(guests, ["bob"]);

    let job = stage.server.log().assignments().pop().expect("a job").job_id;
    stage.server.api().delete_room(ROOM).await.expect("deleted");
    let end = stage.server.log().outcome(&job, SOON).await.expect("its end");
    assert_eq!(end.status, JobEndStatus::Success, "{end:?}");
}
