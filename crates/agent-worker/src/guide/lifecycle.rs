//! The job lifecycle: from the offer to the recorded outcome, step by step.
//!
//! # States
//! ```text
//! Created ──► Assigned ──► Running ──► Success
//!    │            │            │
//!    └────────────┴────────────┴─────► Failed
//! ```
//! | state | reached when | next |
//! |---|---|---|
//! | `Created` | the server offers the job to this worker; a slot is reserved | `Assigned`, or `Failed` if the offer is not accepted or no assignment follows |
//! | `Assigned` | the server has granted the job to this worker | `Running`, `Failed` |
//! | `Running` | the room is joined and the handler is called | `Success`, `Failed` |
//! | `Success` | the outcome is final: `JS_SUCCESS` is reported to the server | none |
//! | `Failed` | the outcome is final: `JS_FAILED` is reported to the server with the text | none |
//!
//! A state is reached once and in this order, also when the handler is retried: attempts happen within
//! `Running`. The server's own record knows `JS_PENDING`, `JS_RUNNING`, `JS_SUCCESS` and `JS_FAILED` only,
//! and shows `JS_RUNNING` from the offer on.
//!
//! [`on_lifecycle`](crate::WorkerBuilder::on_lifecycle) reports each state as it is reached:
//! ```
//! use agent_worker::{JobContext, JobResult};
//! use std::sync::{Arc, Mutex};
//!
//! async fn agent(_: JobContext) -> JobResult {
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let states = Arc::new(Mutex::new(Vec::new()));
//! let seen = Arc::clone(&states);
//! let spec = JobSpec::room("lobby").worker(move |worker| {
//!     worker.on_lifecycle(move |_job, state| seen.lock().unwrap().push(state.to_string()))
//! });
//! run_job(agent, spec).await.assert_success();
//! assert_eq!(*states.lock().unwrap(), ["created", "assigned", "running", "success"]);
//! # });
//! ```
//! [`WorkerHandle::lifecycle`](crate::WorkerHandle::lifecycle) reads the state of one job; the
//! [metrics](crate::guide::metrics) count them.
//!
//! # The steps of a job
//! 1. **Offer.** The server asks one worker after another. A worker without a free slot, or one that drains,
//!    declines at once. Otherwise [`Agent::on_request`](crate::Agent::on_request) decides: accept (with name,
//!    metadata and attributes of the participant), decline (another worker may take the job) or dismiss (no
//!    worker should run it; the server records success). No answer within 1 s
//!    ([`answer_timeout`](crate::WorkerBuilder::answer_timeout)), or a panic, declines.
//! 2. **Assignment.** The server grants the job and sends the token for its room. Without an assignment
//!    within 7.5 s the slot is free again.
//! 3. **Check.** Metadata of a declared type is parsed and validated: invalid metadata fails the job as
//!    `invalid_input` before the room is joined ([metadata](crate::guide::metadata)).
//! 4. **Join.** The worker joins the room, unless [`join_room(false)`](crate::WorkerBuilder::join_room)
//!    leaves that to the handler.
//! 5. **Run.** [`Agent::run`](crate::Agent::run) is called: one *attempt*. A retryable error leads to another
//!    attempt after a backoff, in the same room ([errors](crate::guide::errors)).
//! 6. **Stop.** The handler returns, or is cancelled with a reason: then it has 10 s of grace, and is aborted
//!    after that ([cancellation](crate::guide::cancellation)).
//! 7. **Cleanup.** The attempt's tasks are cancelled and its cleanup callbacks run, the last one registered
//!    first, within 10 s.
//! 8. **Outcome.** The final status is sent, and the room is left once the server has read it, as a server
//!    records an agent that leaves earlier as failed. [`Agent::on_ended`](crate::Agent::on_ended) is called
//!    with the outcome, and [`on_failure`](crate::WorkerBuilder::on_failure) if the job has failed.
//!
//! # What happens when …
//! | event | effect on the job |
//! |---|---|
//! | the connection to the server is lost | none: it continues; its final status is queued and sent after the next registration |
//! | the connection to the room is lost | it is resumed or re-established; a room that is gone ends the job as `room_gone` |
//! | the worker drains (SIGTERM, [`WorkerHandle::drain`](crate::WorkerHandle::drain)) | it continues until the drain's limit, then it is cancelled as `drained`; no further attempt starts |
//! | the worker is stopped (a second SIGTERM, [`WorkerHandle::stop`](crate::WorkerHandle::stop)) | it is aborted at once, as `stopped` |
//! | the dispatch is deleted | it is cancelled as `terminated` |
//! | all people leave the room | it is cancelled after 10 s, or according to [`end_when`](crate::WorkerBuilder::end_when) |
//! | its time limit ends | it is cancelled, and fails as `job_timeout` |
//! | the worker's process is killed | the open-source server records a failure and does not redispatch the job: dispatch the job again, and the new job resumes from the [checkpoint](crate::guide::checkpoints) ([best practices](crate::guide::best_practices)) |
//!
//! # A job in the log
//! Each line carries the job's span with its id, room and agent name: see
//! [metrics](crate::guide::metrics#the-log).
