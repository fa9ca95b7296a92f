//! The upper bound: one thread, one socket, only the messages that a job needs, and a set of ids of the held
//! jobs.
//!
//! It repeats no status, waits for no receipt, has no handlers, job states or timeouts.

use std::collections::HashSet;

use anyhow::{Context, Result};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use agent_proto::livekit::{self as wire, server_message, worker_message};
use agent_proto::{MAX_FRAME_LEN, decode, encode};

use super::probe::Probe;
use super::task::Task;
use crate::load::AGENT_NAME;

pub(super) fn run(task: &Task, probe: &Probe) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(task, probe))
}

async fn serve(task: &Task, probe: &Probe) -> Result<()> {
    let address = task.url.strip_prefix("ws://").context("--url has no ws://")?;
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let url = format!("{}/agent?protocol=1", task.url);
    let (mut socket, _) = tokio_tungstenite::client_async(url, tcp).await?;
    let mut client = Client { probe, hold: task.hold, held: HashSet::new(), out: Vec::new() };
    client.register();
    loop {
        for message in client.out.drain(..) {
            let frame = encode(&wire::WorkerMessage { message: Some(message) });
            socket.feed(Message::Binary(frame)).await?;
        }
        socket.flush().await?;
        // All available messages are answered together.
        let mut received = socket.next().await;
        loop {
            if let Message::Binary(frame) = received.context("the load server closed the connection")?? {
                let message: wire::ServerMessage = decode(&frame, MAX_FRAME_LEN)?;
                client.handle(message.message.context("a message without content")?)?;
            }
            match socket.next().now_or_never() {
                Some(next) => received = next,
                None => break,
            }
        }
    }
}

struct Client<'a> {
    probe: &'a Probe,
    hold: bool,
    held: HashSet<String>,
    out: Vec<worker_message::Message>,
}

impl Client<'_> {
    fn register(&mut self) {
        self.out.push(worker_message::Message::Register(wire::RegisterWorkerRequest {
            r#type: wire::JobType::JtRoom.into(),
            agent_name: AGENT_NAME.to_owned(),
            ..Default::default()
        }));
    }

    fn handle(&mut self, message: server_message::Message) -> Result<()> {
        match message {
            server_message::Message::Availability(offer) => {
                let job_id = offer.job.context("an offer without a job")?.id;
                self.out.push(worker_message::Message::Availability(wire::AvailabilityResponse {
                    available: true,
                    participant_identity: format!("agent-{job_id}"),
                    job_id,
                    ..Default::default()
                }));
            }
            server_message::Message::Assignment(assignment) => {
                let job = assignment.job.context("an assignment without a job")?;
                self.probe.began(&job.metadata)?;
                self.send_status(job.id.clone(), wire::JobStatus::JsRunning);
                if self.hold {
                    self.held.insert(job.id);
                } else {
                    self.send_status(job.id, wire::JobStatus::JsSuccess);
                }
            }
            server_message::Message::Termination(termination) => {
                if self.held.remove(&termination.job_id) {
                    self.send_status(termination.job_id, wire::JobStatus::JsSuccess);
                }
            }
            server_message::Message::Register(_)
            | server_message::Message::Pong(_)
            | server_message::Message::GoAway(_) => {}
        }
        Ok(())
    }

    fn send_status(&mut self, job_id: String, status: wire::JobStatus) {
        let update =
            wire::UpdateJobStatus { job_id, status: status.into(), error: String::new(), join_timing: None };
        self.out.push(worker_message::Message::UpdateJob(update));
    }
}
