//! Coordination between jobs: leader election, and messages.
//!
//! # Leader election
//! [`ctx.elect(key)`](crate::JobContext::elect) joins an election among all jobs that use the same key. Use
//! the room's name for one leader per room. One job gets a [`Lease`](crate::coordination::Lease), the others
//! a [`Follower`](crate::coordination::Follower), which retries automatically when the leader is gone.
//! ```
//! use agent_worker::{JobContext, JobError, JobResult, coordination::Lease};
//! use std::time::Duration;
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     tokio::select! {
//!         done = participate(&ctx) => done,
//!         _ = ctx.cancelled() => Ok(()), // leaders and followers alike; a lease is released
//!     }
//! }
//!
//! async fn participate(ctx: &JobContext) -> JobResult {
//!     let lease = ctx.elect(ctx.room().name()).await?.lead().await?; // or match on it, and work as a follower meanwhile
//!     tokio::select! {
//!         done = coordinate(&lease) => done,
//!         why = lease.lost() => {
//!             // Retried: the next attempt takes part in the election again.
//!             Err(JobError::retryable(format!("lost the lease: {why:?}"), Duration::ZERO))
//!         }
//!     }
//! }
//!
//! async fn coordinate(lease: &Lease) -> JobResult {
//!     lease.write("state for the next leader").await?;
//!     std::future::pending().await
//! }
//! # use agent_testkit::{JobSpec, MockServer};
//! # use agent_worker::coordination::{Coordinator, MemoryCoordinator};
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! // The test: two workers with one job each in one room. As it is one process, the leases are in memory.
//! let (server, store) = (MockServer::start().await.unwrap(), MemoryCoordinator::new());
//! let mut jobs = Vec::new();
//! for name in ["one", "two"] {
//!     let worker = server.worker(agent).agent_name(name).coordinator(store.clone()).build().unwrap();
//!     tokio::spawn(worker.run());
//!     jobs.push(server.dispatch(JobSpec::room("lobby").agent_name(name)).await.unwrap());
//! }
//! while store.read("lobby").await.unwrap().is_none() {
//!     tokio::time::sleep(Duration::from_millis(1)).await;
//! }
//! let first = store.read("lobby").await.unwrap().unwrap().token;
//! for job in &jobs {
//!     job.room().wait_for(&format!("agent-{}", job.job_id().await)).await;
//!     job.terminate();
//!     assert!(job.outcome().await.unwrap().is_success());
//! }
//! assert!(store.read("lobby").await.unwrap().unwrap().token >= first); // tokens only grow
//! # });
//! ```
//! The lease (10 s, [`WorkerBuilder::lease`](crate::WorkerBuilder::lease)) is renewed in the background. A
//! leader that stops, is killed, hangs or is disconnected is replaced within the lease and a second; one that
//! returns releases its lease, and is replaced within a third of it.
//!
//! ## Stale leaders
//! A leader is notified by its own clock when its lease is over, before another job can lead. But its process
//! can be suspended between a check of the clock and the next step, for longer than any lease. So an action
//! that two leaders must never both perform carries the fencing token, a number that only grows: the store
//! refuses [`lease.write`](crate::coordination::Lease::write) once a later leader was elected, and your own
//! services should refuse tokens smaller than the largest they have seen
//! ([`lease.fencing_token`](crate::coordination::Lease::fencing_token)).
//!
//! ## Lease stores
//! | [`coordinator(…)`](crate::WorkerBuilder::coordinator) | for | survives |
//! |---|---|---|
//! | [`MemoryCoordinator`](crate::coordination::MemoryCoordinator) | tests, the jobs of one process | nothing |
//! | [`FileCoordinator`](crate::coordination::FileCoordinator) | the processes of one machine | `kill -9` at any moment |
//! | `RedisCoordinator` (feature `redis`) | any number of machines | what Redis is configured to persist; tokens grow in any case |
//! | your own [`Coordinator`](crate::coordination::Coordinator) | | |
//!
//! Redis is connected at its first use: call `redis.ping().await?` before the worker runs to detect errors
//! early. Its URL, prefix, permissions and failover are described on a [separate page](super::redis).
//!
//! | event | effect on the job |
//! |---|---|
//! | the store is unavailable when a job calls `elect` | an error; with `?` the job is retried according to its retry policy |
//! | credentials refused, a missing permission, a Redis Cluster, no folder, no coordinator set, an empty key | an error; with `?` the job fails |
//! | the store becomes unavailable later | it continues: `lost` of a leader returns in time ([`Expired`](crate::coordination::LeaseLoss::Expired)), followers wait, and once the store is back a job leads within the lease and a second |
//! | the store has lost its data | it continues: `lost` of the leader returns ([`Refused`](crate::coordination::LeaseLoss::Refused)), and tokens still grow |
//! | `write` of a leader that was replaced | the error [`Stale`](crate::coordination::CoordinationError::Stale), and nothing is written |
//! | the leader returns, is drained, panics or is aborted | its lease is released |
//! | the leader's process is killed, suspended or disconnected | another job leads within the lease and a second |
//!
//! ## What Redis can lose
//! Redis confirms a write before its replicas have it. A failover then may lose a confirmed lease, token or
//! value: a second leader is elected while the first one still considers itself leader, until its lease ends.
//! Tokens still grow, as each is at least the server's time in microseconds, so only the later leader can
//! write, and a service that refuses smaller tokens accepts only that one. To exclude even that, use a single
//! Redis with `appendonly yes` and `appendfsync always`. The same applies to
//! [checkpoints](super::checkpoints#two-workers-one-job).
//!
//! ## Leader and followers
//! Assignments of the leader and reports of the followers go over a channel, which may lose messages, and
//! jobs join and leave. Therefore:
//! - followers announce what they can do; the leader assigns work only to jobs that have announced
//!   themselves;
//! - an assignment has a recipient, a number and a timeout: a task that was not reported in time is assigned
//!   to another job;
//! - reports are deduplicated by their number, and stored with `lease.write` before they count: the next
//!   leader starts with `lease.read`;
//! - the leader announces when all tasks are done, and a follower that missed this finds out when it is
//!   elected.
//!
//! The example `leader` does this: three workers, twelve tasks, and a leader that is stopped in the middle.
//! ```console
//! $ cargo run -p examples --bin leader
//! worker-1 leads, and finds 0 results
//!   worker-2 gets task 0
//!   worker-3 gets task 1
//!   worker-2 reports task 0: 0 (1 of 12)
//!   …
//! worker-1 is cancelled
//! worker-3 leads, and finds 5 results
//! ```
//!
//! # Messages
//! [`ctx.jobs_channel()`](crate::JobContext::jobs_channel) is the topic of the room's jobs,
//! `room:{name}:jobs`; [`ctx.channel(topic)`](crate::JobContext::channel) any other. A job announces itself
//! and publishes messages:
//! ```
//! use agent_worker::coordination::ChannelEvent;
//! use agent_worker::{JobContext, JobResult};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let mut jobs = ctx.jobs_channel().await?;
//!     jobs.announce("transcribe").await?;
//!     loop {
//!         let event = tokio::select! {
//!             event = jobs.next() => event,
//!             _ = ctx.cancelled() => return Ok(()),
//!         };
//!         match event {
//!             Some(ChannelEvent::Announced(other)) => {
//!                 println!("{} of worker {} can {}", other.job_id, other.worker_id, other.capability);
//!                 println!("since {:?}", other.timestamp); // by its own clock
//!                 if other.capability == "translate" {
//!                     jobs.publish_json(&("please translate", "Guten Tag")).await?;
//!                 }
//!             }
//!             Some(ChannelEvent::Message(message)) => println!("{}: {}", message.job_id(), message.text()),
//!             Some(lost) => println!("{lost:?}"), // Missed, Interrupted or Lagged: how to react is up to you
//!             None => return Ok(()),              // the room is over
//!         }
//!     }
//! }
//! # use agent_testkit::{JobSpec, MockServer};
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! // The test: two workers with one job each in one room.
//! let server = MockServer::start().await.unwrap();
//! let mut jobs = Vec::new();
//! for name in ["one", "two"] {
//!     tokio::spawn(server.worker(agent).agent_name(name).build().unwrap().run());
//!     jobs.push(server.dispatch(JobSpec::room("lobby").agent_name(name)).await.unwrap());
//! }
//! jobs[0].room().wait_for_data(|sent| sent.text().contains(r#""capability":"transcribe""#)).await;
//! for job in &jobs {
//!     job.terminate();
//!     assert!(job.outcome().await.unwrap().is_success());
//! }
//! # });
//! ```
//! ## Announcements
//! An [`Announcement`](crate::coordination::Announcement) contains the job, its worker, its capability (a
//! name that the jobs agree on; a later announcement of the same job replaces it), and the time of the
//! announcement. Newcomers receive it, too: a job that opens the topic requests the announcements of the
//! others. There is no message for leaving, as a killed job could not send it: a job that does not answer is
//! gone, and so is the participant of a job that has left the room.
//!
//! ## Message size
//! A message has at most [`MAX_MESSAGE_LEN`](crate::coordination::MAX_MESSAGE_LEN), 60,000 bytes, with every
//! backend; a larger one is refused as [`TooLarge`](crate::coordination::CoordinationError::TooLarge) and not
//! split. Store larger data elsewhere, and publish its location.
//! ```
//! use agent_worker::{JobContext, JobResult, coordination::CoordinationError};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let jobs = ctx.jobs_channel().await?;
//!     let transcript = vec![b'x'; 100_000];
//!     match jobs.publish(transcript).await {
//!         Err(CoordinationError::TooLarge { len, limit, .. }) => {
//!             assert_eq!((len, limit), (100_000, 60_000));
//!             Ok(jobs.publish("s3://transcripts/7").await?)
//!         }
//!         other => Ok(other?),
//!     }
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(run_job(agent, JobSpec::room("lobby"))).assert_success();
//! ```
//! ## Lost messages
//! A message arrives at most once, in the order of its publisher, and every loss is reported:
//!
//! | event | meaning | what to do |
//! |---|---|---|
//! | [`Missed`](crate::coordination::ChannelEvent::Missed) | messages of one publisher were lost in transit, with their number | ask that job to repeat them, or wait until it does |
//! | [`Interrupted`](crate::coordination::ChannelEvent::Interrupted) | messages of any publisher may have been lost, or the backend cannot be read for a permanent reason (see the log); the other jobs are asked to repeat their announcements | request important data again from all jobs |
//! | [`Lagged`](crate::coordination::ChannelEvent::Lagged) | this job read too slowly (the queue has 1,024 events and 4 MiB), and its oldest events were dropped | the same; read in a separate task that only dispatches events |
//!
//! If `publish` returns an error, the others may or may not have received the message, and it is not retried.
//! Only an answer shows that a message was *understood*.
//!
//! ## Backends
//! | [`pubsub(…)`](crate::WorkerBuilder::pubsub) | use it if | loses |
//! |---|---|---|
//! | [`RoomData`](crate::coordination::RoomData), the default | the jobs are agents in one room; people in it can neither read nor write the messages, which count as data of the room | messages sent while the connection to the room was re-established; the others receive all messages of a job that has just joined, which receives theirs up to 3 s later |
//! | `RedisPubSub` (feature `redis`) | jobs are in several rooms or in none, on any number of machines, or send many messages | messages that Redis had not persisted before a restart, and all but the last 10,000 of a topic; no messages sent while a connection is interrupted |
//! | [`MemoryPubSub`](crate::coordination::MemoryPubSub) | all jobs are in one process; tests | nothing |
//! | your own [`PubSub`](crate::coordination::PubSub) | you have a broker already | |
//!
//! Room data needs a joined room: with `join_room(false)`, call `ctx.join()` first. No pub/sub backend has
//! fencing: do not elect a leader over a channel.
//!
//! In the example `announce`, three agents discover each other over room data: `cargo run -p examples
//! --bin announce`.
