//! How to test job handlers: alone, with their worker, with mocks, under faults, and with random input.
//!
//! | what is under test | with | takes |
//! |---|---|---|
//! | a handler | [`run_job`](crate::run_job): one job in a mock room | milliseconds, whatever it sleeps |
//! | a worker and its handlers | [`MockServer`](crate::MockServer): many jobs, faults, other participants | real time, or virtual |
//! | the same against LiveKit's own server | [`real_server`](crate::real_server) | seconds |
//! | the worker machine, or a handler, with random input | `strategies` for proptest: the page `fuzzing` | milliseconds for each case |
//! | a worker in another language | `livekit-testkit serve` | |
//!
//! Sound has a [section of its own](#testing-sound).
//!
//! # Unit testing
//! A job with its room is described by a [`JobSpec`](crate::JobSpec); [`run_job`](crate::run_job) runs it in
//! a whole worker. The handler gets the same [`JobContext`](agent_worker::JobContext) and
//! [`Room`](agent_worker::Room) as in production. The time is virtual: sleeping takes none, and a handler
//! that hangs fails immediately.
//! ```
//! use agent_testkit::{JobSpec, run_job};
//! use agent_worker::{Agent, JobContext, JobResult};
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use std::time::Duration;
//!
//! #[derive(Default)]
//! struct MyAgentHandler {
//!     processed: AtomicUsize,
//! }
//!
//! #[derive(Default, serde::Deserialize)]
//! struct Instructions {
//!     action: String,
//! }
//!
//! impl Agent for MyAgentHandler {
//!     async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
//!         let Instructions { action } = ctx.metadata()?;
//!         for participant in ctx.room().participants() {
//!             ctx.room().publish_data(&action, "hello").to([participant.identity.clone()]).await?;
//!             self.processed.fetch_add(1, Ordering::Relaxed);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let handler = Arc::new(MyAgentHandler::default());
//! let job = JobSpec::room("test-room")
//!     .job_id("test-job-1")
//!     .metadata(r#"{"action":"test"}"#)
//!     .participant("user1")
//!     .participant("user2")
//!     .worker(|worker| worker.job_timeout(Duration::from_secs(5)));
//!
//! let run = run_job(handler.clone(), job).await;
//! run.assert_success();
//! assert_eq!(handler.processed.load(Ordering::Relaxed), 2);
//! assert_eq!(run.sent[0].topic, "test");
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! What the others do while the job runs is a script: they join, leave, send data, publish tracks,
//! send encoded frames, change attributes and speak. [`MockRoom`](crate::MockRoom) has all of it. Each
//! participant also has [the room](crate::MockParticipant::room) as an agent has it, to send and read text
//! and byte streams, call methods and offer its own.
//! ```
//! use agent_testkit::{JobSpec, run_job};
//! use agent_worker::{JobContext, JobResult};
//! use std::time::Duration;
//!
//! /// Answers the first question.
//! async fn answer(ctx: JobContext) -> JobResult {
//!     let mut questions = ctx.room().data("question");
//!     if let Some(question) = ctx.run_until_cancelled(questions.next()).await.flatten() {
//!         ctx.room().publish_data("answer", question?.payload).await?;
//!     }
//!     Ok(())
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let job = JobSpec::room("lobby").script(|room| async move {
//!     room.wait_for_agent().await;
//!     tokio::time::sleep(Duration::from_secs(3600)).await;
//!     room.join("ada").send_data("question", "how late is it?");
//! });
//! let run = run_job(answer, job.lasts(Duration::from_secs(7200))).await;
//! run.assert_success();
//! assert_eq!(run.sent_by_agent().next().unwrap().text(), "how late is it?");
//! assert!(run.duration >= Duration::from_secs(3600));
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! A conversation of the chat of front ends:
//! ```
//! use agent_testkit::{JobSpec, run_job};
//! use agent_worker::{JobContext, JobResult};
//!
//! async fn greet(ctx: JobContext) -> JobResult {
//!     let mut messages = ctx.room().text_streams("lk.chat");
//!     let Some(message) = ctx.run_until_cancelled(messages.next()).await.flatten() else { return Ok(()) };
//!     let Some(name) = ctx.run_until_cancelled(message?.read_all()).await else { return Ok(()) };
//!     ctx.room().send_text("lk.chat", format!("Hello, {}!", name?)).await?;
//!     Ok(())
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let job = JobSpec::room("lobby").script(|room| async move {
//!     room.wait_for_agent().await;
//!     room.join("ada").send_text("lk.chat", "Ada");
//! });
//! let run = run_job(greet, job).await;
//! run.assert_success();
//! assert_eq!(run.texts_by_agent().next().unwrap().text, "Hello, Ada!");
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! [`assert_success`](crate::Run::assert_success) prints the job's whole timeline when it fails. For a
//! handler that does real I/O use [`run_job_in_real_time`](crate::run_job_in_real_time).
//!
//! # Integration testing
//! [`MockServer`](crate::MockServer) is a LiveKit server on a free port, with the real server's rules towards
//! workers; one suite checks both. Only its rooms are in the process, so a worker joins them with the
//! server's [`connector`](crate::MockServer::connector); [`worker`](crate::MockServer::worker) sets all of
//! this up in one call.
//! ```
//! use agent_testkit::{JobSpec, MockServer};
//! use agent_worker::{JobContext, JobResult, Outcome, Worker};
//! use std::time::Duration;
//!
//! async fn handler(ctx: JobContext) -> JobResult {
//!     ctx.room().publish_data("status", "done").await?;
//!     Ok(())
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! // Start a test LiveKit server.
//! let server = MockServer::builder().credentials("test-key", "test-secret").start().await?;
//!
//! // Create a worker with the handler, and start it.
//! let worker = Worker::builder(handler)
//!     .url(server.url())
//!     .credentials("test-key", "test-secret")
//!     .connector(server.connector())
//!     .agent_name("test-agent")
//!     .build()?;
//! let handle = worker.handle();
//! tokio::spawn(worker.run());
//!
//! // Dispatch a test job, and wait for its completion.
//! let job = server.dispatch(JobSpec::room("test-room")).await?;
//! assert_eq!(job.outcome_within(Duration::from_secs(10)).await?, Outcome::Success);
//! assert_eq!(job.room().sent()[0].text(), "done");
//! handle.drain(Duration::from_secs(1)).await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! All events are in [`events`](crate::MockServer::events), in order; a
//! [`Violation`](crate::ServerEvent::Violation) is something that no worker should do, such as a second
//! answer, or an outcome after the agent has left. A server that is started [in
//! process](crate::MockServerBuilder::start_in_process) has no socket, so that tests with `start_paused` have
//! virtual time.
//!
//! # LiveKit's own clients
//! In a room of a [`real_server`](crate::real_server), others are played by LiveKit's own SDKs: an
//! [`OfficialClient`](crate::OfficialClient) of a [`ClientKind`](crate::ClientKind), which is Python, Node.js
//! or a browser. It sends data, texts, files and calls, answers calls as a
//! [`RpcBehaviour`](crate::RpcBehaviour) selects, and reports what it receives as
//! [`ClientEvent`](crate::ClientEvent)s. [`official_host_of`](crate::official_host_of) skips a test where the
//! SDK is not installed.
//!
//! Other tools are found, and a test without them is skipped, with [`program`](crate::program) and, for
//! packages of PyPI, [`python_with`](crate::python_with), which installs them.
//!
//! The Python clients play tones and WAV files ([`ClientSound`](crate::ClientSound)). A server that was
//! started with [`udp_proxy`](crate::RealServerBuilder::udp_proxy) loses and delays the media and data of its
//! clients, official or not, as a mobile network does ([`LinkConditions`](crate::LinkConditions)).
//!
//! # Testing sound
//! With the feature `media` of agent-worker, participants of a mock room play and hear PCM as an agent does,
//! on virtual time: a test of ten seconds of sound takes as long as its codec. A [`Tone`](crate::Tone) is
//! made for any format, and [`MeasuredSound`](crate::MeasuredSound) reports what was heard: frequency, level,
//! where it begins and ends, and the gaps in it.
//! ```
//! use agent_testkit::{JobSpec, MeasuredSound, Tone, run_job};
//! use agent_worker::media::{AudioFormat, AudioFrame};
//! use agent_worker::room::{AudioTrackOptions, ParticipantFilter};
//! use agent_worker::{JobContext, JobResult};
//! use std::time::Duration;
//!
//! const TONE: Tone = Tone::new(440.0);
//!
//! /// Plays a second of a tone to the first participant.
//! async fn beep(ctx: JobContext) -> JobResult {
//!     let person = ctx.room().wait_for_participant(ParticipantFilter::human());
//!     let Some(_) = ctx.run_until_cancelled(person).await.transpose()? else { return Ok(()) };
//!     let track = ctx.room().publish_audio(AudioTrackOptions::new("beep")).await?;
//!     let samples = TONE.samples(48_000, 1, Duration::from_secs(1));
//!     track.push(&AudioFrame::new(AudioFormat::MONO_48K, samples)?).await?;
//!     track.wait_for_playout().await?;
//!     Ok(())
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let job = JobSpec::room("lobby").script(|room| async move {
//!     let ada = room.join("ada");
//!     let track = room.wait_for_track(|_, track| track.name == "beep").await;
//!     let mut audio = ada.room().audio(&track.sid, AudioFormat::MONO_48K).unwrap();
//!     let mut samples = Vec::new();
//!     while let Some(received) = audio.next().await {
//!         samples.extend(received.audio.into_samples());
//!     }
//!     let heard = MeasuredSound::of(&samples, 48_000, 1);
//!     assert!(heard.is(TONE) && heard.duration() > Duration::from_millis(950), "{heard:?}");
//! });
//! run_job(beep, job).await.assert_success();
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! In the other direction, `ada.room().publish_audio(…)` plays to the agent: the test of the example `echo`
//! does both. The tool depends on what is tested:
//!
//! | what | with |
//! |---|---|
//! | the sound that an agent plays, and how it handles received sound | `run_job`, as above |
//! | packets, without a codec | [`MockParticipant::send_frame`](crate::MockParticipant::send_frame), and [`Run::audio_by_agent`](crate::Run::audio_by_agent) |
//! | whether LiveKit's clients hear it | [`OfficialClient::listen`](crate::OfficialClient::listen): frequency, level and silence of each second, as [`OfficialSound`](crate::OfficialSound) |
//! | sound of LiveKit's clients | [`OfficialClient::publish_sound`](crate::OfficialClient::publish_sound): a tone or a file of WAV, with discontinuous transmission as they have it |
//! | loss and jitter | [`udp_proxy`](crate::RealServerBuilder::udp_proxy) in front of a real server |
//!
//! Compare frequency, level and gaps, not samples: a codec changes them all, and delays them. With a real
//! server the first seconds have the beginning of the sound in them, and on a busy machine a late packet is
//! concealed: wait for a second without either.
//!
//! # Faults
//! | fault | on [`MockServer`](crate::MockServer) |
//! |---|---|
//! | a connection is cut, or closed as by a server that shuts down | [`cut_workers`](crate::MockServer::cut_workers), [`close_workers`](crate::MockServer::close_workers) |
//! | a network is slow, or loses track of a connection | [`delay_messages`](crate::MockServer::delay_messages), [`half_open_workers`](crate::MockServer::half_open_workers) |
//! | a server stalls, receives but does not send, or refuses connections | [`freeze`](crate::MockServer::freeze), [`mute`](crate::MockServer::mute), [`refuse_connections`](crate::MockServer::refuse_connections) |
//! | an overloaded server refuses joins of rooms, with or without `Retry-After` | [`refuse_joins`](crate::MockServer::refuse_joins), [`allow_joins`](crate::MockServer::allow_joins) |
//! | messages are duplicated or invalid | [`double_messages`](crate::MockServer::double_messages), [`send_garbage`](crate::MockServer::send_garbage), [`send_bytes`](crate::MockServer::send_bytes) |
//! | a final status is lost because it arrives too early | [`lost_status_race`](crate::MockServerBuilder::lost_status_race) |
//! | a room ends, and no termination is sent | [`cold_cache`](crate::MockServerBuilder::cold_cache) |
//! | an agent is removed, a room is deleted, a dispatch is deleted | [`MockRoom::remove`](crate::MockRoom::remove), [`MockRoom::delete`](crate::MockRoom::delete), [`MockJob::terminate`](crate::MockJob::terminate) |
//!
//! As values, for tests that draw them, they are [`ServerFault`](crate::ServerFault)s, which a job for
//! `run_job` takes ([`JobSpec::faults`](crate::JobSpec::faults)).
//!
//! A store of checkpoints that is unavailable, slow or done with the answer lost is a
//! [`FaultyStore`](crate::FaultyStore), for the worker's `checkpoints`.
//!
//! # Mocks
//! Do not mock a server or a room call by call: the testkit has whole ones. A mock is useful for a small
//! trait, to count calls or to give one answer: a trait of your own that the handler uses, or one of
//! [`Agent`](agent_worker::Agent), [`RoomConnector`](agent_worker::room::RoomConnector) and
//! [`Dialer`](agent_worker::net::Dialer). With `mockall` as a dev-dependency:
//! ```
//! use agent_testkit::{JobSpec, run_job};
//! use agent_worker::{BoxFuture, JobContext, Outcome, Room};
//! use agent_worker::room::{JoinError, JoinFailure, JoinRequest, RoomConnector};
//!
//! mockall::mock! {
//!     Connector {}
//!     impl RoomConnector for Connector {
//!         fn connect<'a>(&'a self, request: JoinRequest) -> BoxFuture<'a, Result<Room, JoinError>>;
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let mut connector = MockConnector::new();
//! connector.expect_connect().times(1..).returning(|_| {
//!     let full = JoinFailure::Refused { status: Some(503), detail: "no capacity".into() };
//!     Box::pin(async { Err(full.into()) })
//! });
//! let handler = |_: JobContext| async { Ok(()) };
//! let run = run_job(handler, JobSpec::room("lobby").worker(|worker| worker.connector(connector))).await;
//! assert!(matches!(run.outcome, Outcome::Failed { error } if error.contains("no capacity")));
//! # });
//! # Ok(())
//! # }
//! ```
//! An `async fn` of a trait is mocked as one: `async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult;`.
//! An expected call that did not happen fails the test when the mock is dropped, which `run_job` waits for.
//! The load function is a closure, which may call a mock. `tests/testkit/mocks.rs` of this crate has one of
//! each.

#[cfg(feature = "proptest")]
#[doc = include_str!("guide/fuzzing.md")]
pub mod fuzzing {}
