//! Jobs that know of each other: one leads, all can talk.
//!
//! # A leader
//! [`ctx.elect(key)`](crate::JobContext::elect) stands for election among all jobs that do so under the same key. The name of the room is
//! the key for one leader per room. One job gets a [`Lease`](crate::Lease), the others a [`Follower`](crate::Follower) that stands
//! again by itself whenever the leader is gone.
//! ```
//! use agent_worker::{JobContext, JobResult, Leadership};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let lease = match ctx.elect(&ctx.job().room.name).await? {
//!         Leadership::Leader(lease) => lease,
//!         Leadership::Follower(follower) => follower.elected().await?, // or work for the leader meanwhile
//!     };
//!     tokio::select! {
//!         done = coordinate(&lease) => done,
//!         why = lease.lost() => Err(format!("lost the lead: {why:?}").into()),
//!         _ = ctx.cancelled() => Ok(()), // the lease is given back on return
//!     }
//! }
//!
//! async fn coordinate(lease: &agent_worker::Lease) -> JobResult {
//!     lease.write("what the next leader has to know").await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # use agent_worker::coordination::MemoryCoordinator;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! // Its test: one process has its leases in memory.
//! let spec = JobSpec::room("lobby").worker(|worker| worker.coordinator(MemoryCoordinator::new()));
//! run_job(agent, spec).await.assert_success();
//! # });
//! ```
//! The lease (10 s, [`WorkerBuilder::lease`](crate::WorkerBuilder::lease)) is renewed in the background. A leader that stops, is killed,
//! hangs or is cut off is followed within the lease and a second; one that returns gives its lease back, and is followed within a third
//! of it.
//!
//! ## What a leader must not believe
//! That it still leads. It is told when its lease is over, by its own clock and before anybody else can lead; but a process can stand
//! still between a look at the clock and the next step, for longer than any lease. So whatever must not come from two leaders carries
//! the fencing token, a number that only grows: [`lease.write`](crate::Lease::write) is refused by the store as soon as a later leader
//! was elected, and a service of your own should refuse tokens smaller than the largest it has seen
//! ([`lease.fencing_token`](crate::Lease::fencing_token)).
//!
//! ## Where leases are kept
//! | [`coordinator(…)`](crate::WorkerBuilder::coordinator) | for | survives |
//! |---|---|---|
//! | [`MemoryCoordinator`](crate::coordination::MemoryCoordinator) | tests, the jobs of one process | nothing |
//! | [`FileCoordinator`](crate::coordination::FileCoordinator) | the processes of one machine | `kill -9` at any moment |
//! | `RedisCoordinator` (feature `redis`) | any number of machines | what Redis is told to keep; tokens grow in any case |
//! | a [`Coordinator`](crate::coordination::Coordinator) of your own | | |
//!
//! When the store goes away, jobs go on: a leader loses its lease in time, followers wait, and once the store is back somebody leads
//! within the lease and a second. Only `elect` itself returns an error when it cannot reach the store: it is worth another attempt of the job, while
//! refused credentials are not. What a failover of Redis to a replica can lose is told at `RedisCoordinator`.
//!
//! # Talking
//! [`ctx.jobs_channel()`](crate::JobContext::jobs_channel) is the topic of the room's jobs, `room:{name}:jobs`;
//! [`ctx.channel(topic)`](crate::JobContext::channel) any other. A job announces what it can do, which reaches those who come later, too,
//! and publishes messages of up to 60,000 bytes.
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
//!             Some(ChannelEvent::Announced(other)) if other.capability == "translate" => {
//!                 jobs.publish_json(&("please translate", "Guten Tag")).await?;
//!             }
//!             Some(ChannelEvent::Announced(_)) => {}
//!             Some(ChannelEvent::Message(message)) => println!("{}: {}", message.from, message.text()),
//!             Some(lost) => println!("{lost:?}"), // Missed, Interrupted or Lagged: what it cost is up to you
//!             None => return Ok(()),              // the room is over
//!         }
//!     }
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! # run_job(agent, JobSpec::room("lobby")).await.assert_success();
//! # });
//! ```
//! A message arrives once or not at all, each publisher's in their order, and no loss is silent:
//!
//! | event | what it means |
//! |---|---|
//! | [`Missed`](crate::coordination::ChannelEvent::Missed) | so many messages of one publisher were lost on the way |
//! | [`Interrupted`](crate::coordination::ChannelEvent::Interrupted) | some may have been lost, of anybody; the others are asked what they have said, and announce themselves again |
//! | [`Lagged`](crate::coordination::ChannelEvent::Lagged) | this job was too slow, and its oldest events were dropped |
//!
//! | [`pubsub(…)`](crate::WorkerBuilder::pubsub) | for | loses |
//! |---|---|---|
//! | [`RoomData`](crate::coordination::RoomData), the default | agents in one room; people in it neither read nor write along | what was sent while the connection to the room was made anew; of a job that has just joined, the others hear all, and it hears them up to 3 s later |
//! | `RedisPubSub` (feature `redis`) | jobs on any number of machines, in a room or not | what Redis had not kept when it was restarted |
//! | [`MemoryPubSub`](crate::coordination::MemoryPubSub) | tests, the jobs of one process | nothing |
//! | a [`PubSub`](crate::coordination::PubSub) of your own | | |
//!
//! The examples `leader` and `announce` run both with three workers: `cargo run -p agent-worker --example leader`.
