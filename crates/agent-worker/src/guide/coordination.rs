//! Jobs that know of each other: one leads, all can talk.
//!
//! # A leader
//! [`ctx.elect(key)`](crate::JobContext::elect) stands for election among all jobs that do so under the same
//! key. The name of the room is the key for one leader per room. One job gets a
//! [`Lease`](crate::coordination::Lease), the others a [`Follower`](crate::coordination::Follower) that
//! stands again by itself whenever the leader is gone.
//! ```
//! use agent_worker::{JobContext, JobResult, coordination::Lease};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     tokio::select! {
//!         done = take_part(&ctx) => done,
//!         _ = ctx.cancelled() => Ok(()), // leaders and followers alike; a lease is given back
//!     }
//! }
//!
//! async fn take_part(ctx: &JobContext) -> JobResult {
//!     let lease = ctx.elect(ctx.room().name()).await?.lead().await?; // or match on it, and work for the leader meanwhile
//!     tokio::select! {
//!         done = coordinate(&lease) => done,
//!         why = lease.lost() => Err(format!("lost the lead: {why:?}").into()),
//!     }
//! }
//!
//! async fn coordinate(lease: &Lease) -> JobResult {
//!     lease.write("what the next leader has to know").await?;
//!     std::future::pending().await
//! }
//! # use agent_testkit::{JobSpec, MockServer};
//! # use agent_worker::coordination::{Coordinator, MemoryCoordinator};
//! # use std::time::Duration;
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! // Its test: two workers, and a job of each in one room. One process has its leases in memory.
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
//! leader that stops, is killed, hangs or is cut off is followed within the lease and a second; one that
//! returns gives its lease back, and is followed within a third of it.
//!
//! ## What a leader must not believe
//! That it still leads. It is told when its lease is over, by its own clock and before anybody else can lead;
//! but a process can stand still between a look at the clock and the next step, for longer than any lease. So
//! whatever must not come from two leaders carries the fencing token, a number that only grows:
//! [`lease.write`](crate::coordination::Lease::write) is refused by the store as soon as a later leader was
//! elected, and a service of your own should refuse tokens smaller than the largest it has seen
//! ([`lease.fencing_token`](crate::coordination::Lease::fencing_token)).
//!
//! ## Where leases are kept
//! | [`coordinator(…)`](crate::WorkerBuilder::coordinator) | for | survives |
//! |---|---|---|
//! | [`MemoryCoordinator`](crate::coordination::MemoryCoordinator) | tests, the jobs of one process | nothing |
//! | [`FileCoordinator`](crate::coordination::FileCoordinator) | the processes of one machine | `kill -9` at any moment |
//! | `RedisCoordinator` (feature `redis`) | any number of machines | what Redis is told to keep; tokens grow in any case |
//! | a [`Coordinator`](crate::coordination::Coordinator) of your own | | |
//!
//! Redis is connected at its first use: `redis.ping().await?` before the worker runs tells at once what is
//! wrong. Its URL, prefix, rights and failover have a [page of their own](super::redis).
//!
//! | what | the job |
//! |---|---|
//! | the store is away when a job calls `elect` | gets an error; with `?` it is tried again, as its retry policy says |
//! | credentials refused, a right missing, a Redis Cluster, no folder, no coordinator on the builder, an empty key | gets an error; with `?` it fails |
//! | the store goes away later | goes on: a leader hears `lost` in time ([`Expired`](crate::coordination::LeaseLoss::Expired)), followers wait, and once the store is back somebody leads within the lease and a second |
//! | the store has lost its data | goes on: the leader hears `lost` ([`Refused`](crate::coordination::LeaseLoss::Refused)), and tokens grow nevertheless |
//! | `write` of a leader that was replaced | gets [`Stale`](crate::coordination::CoordinationError::Stale), and nothing is written |
//! | the leader returns, is drained, panics or is aborted | its lease is given back |
//! | the leader's process is killed, stopped or cut off | another one leads within the lease and a second |
//!
//! ## What Redis can lose
//! Redis confirms a write before its replicas have it. A failover in that moment may take back a lease, a
//! token or a value that was confirmed: then a second leader is elected while the first one still believes in
//! its lease, for as long as that lasts. Tokens grow all the same, as each is at least the server's time in
//! microseconds, so only the later leader can write, and a service that refuses smaller tokens hears only
//! that one. What cannot bear even that wants one Redis with `appendonly yes` and `appendfsync always`. For
//! checkpoints the same is told [there](super::checkpoints#two-workers-one-job).
//!
//! ## Leader and followers
//! What a leader hands out and followers report goes over a channel, which may lose messages, and jobs come
//! and go. So:
//! - followers announce what they can do; the leader gives work only to jobs that it has heard of;
//! - an assignment has an addressee, a number and a patience: what was not reported in time goes to somebody
//!   else;
//! - reports are taken once each, by their number, and kept with `lease.write` before they count: the next
//!   leader begins with `lease.read`;
//! - the leader says when all is done, and a follower that did not hear it finds out when it is elected.
//!
//! The example `leader` is that: three workers, twelve tasks, and a leader that is told to stop in the
//! middle.
//! ```console
//! $ cargo run -p examples --bin leader
//! worker-1 leads, and finds 0 results
//!   worker-2 gets task 0
//!   worker-3 gets task 1
//!   worker-2 reports task 0: 0 (1 of 12)
//!   …
//! worker-1 is told to stop
//! worker-3 leads, and finds 5 results
//! ```
//!
//! # Talking
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
//!             Some(lost) => println!("{lost:?}"), // Missed, Interrupted or Lagged: what it cost is up to you
//!             None => return Ok(()),              // the room is over
//!         }
//!     }
//! }
//! # use agent_testkit::{JobSpec, MockServer};
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! // Its test: two workers, and a job of each in one room.
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
//! An [`Announcement`](crate::coordination::Announcement) says which job of which worker it is, what it can
//! do (a word that the jobs agree on, which a later one of the same job replaces), and since when. It reaches
//! those who come later, too: a job that opens the topic asks the others for theirs. Nobody says goodbye, as
//! a killed job could not: who does not answer is gone, and so is the participant of a job that has left the
//! room.
//!
//! ## How large
//! A message has at most [`MAX_MESSAGE_LEN`](crate::coordination::MAX_MESSAGE_LEN), 60,000 bytes, with every
//! backend; what is larger is refused as [`TooLarge`](crate::coordination::CoordinationError::TooLarge)
//! before anything is sent, and is not split. Put it where the others can find it, and publish where that is.
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
//! ## When messages were lost
//! A message arrives once or not at all, each publisher's in their order, and no loss is silent:
//!
//! | event | what it means | what to do |
//! |---|---|---|
//! | [`Missed`](crate::coordination::ChannelEvent::Missed) | so many messages of one publisher were lost on the way | ask that job again, or wait until it repeats |
//! | [`Interrupted`](crate::coordination::ChannelEvent::Interrupted) | some may have been lost, of anybody, or what carries the topic cannot be read for a reason that does not pass by itself (the log says which); the others are asked what they have said, and announce themselves again | ask all again for what matters |
//! | [`Lagged`](crate::coordination::ChannelEvent::Lagged) | this job was too slow (1,024 events, 4 MiB wait for it), and its oldest events were dropped | the same; read in a task of its own, which only sorts what comes |
//!
//! A `publish` that returns an error may or may not have been heard, and is not tried again. Whether a
//! message was *understood* only an answer tells.
//!
//! ## What carries it
//! | [`pubsub(…)`](crate::WorkerBuilder::pubsub) | take it when | loses |
//! |---|---|---|
//! | [`RoomData`](crate::coordination::RoomData), the default | the jobs are agents in one room; people in it neither read nor write along; each agent's messages count as data of the room, for all others | what was sent while the connection to the room was made anew; of a job that has just joined, the others hear all, and it hears them up to 3 s later |
//! | `RedisPubSub` (feature `redis`) | jobs are in several rooms or in none, on any number of machines, or talk much | what Redis had not kept when it was restarted, and beyond the last 10,000 messages of a topic; not what is sent while a connection breaks |
//! | [`MemoryPubSub`](crate::coordination::MemoryPubSub) | all jobs are in one process; tests | nothing |
//! | a [`PubSub`](crate::coordination::PubSub) of your own | there is a broker already | |
//!
//! Room data needs a joined room: with `join_room(false)`, `ctx.join()` comes first. None of them can fence:
//! a topic elects no leader, and "I am the leader" over a channel is only a rumour.
//!
//! The example `announce` has three agents meet over room data: `cargo run -p examples --bin announce`.
