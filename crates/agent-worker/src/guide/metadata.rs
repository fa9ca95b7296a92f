//! Metadata: what a dispatch tells its agent, read as a type, checked, limited, documented.
//!
//! The metadata of a job is a text that whoever dispatches it writes, mostly JSON. It is the agent's
//! configuration for that one job.
//!
//! # With a type
//! Any type that serde reads will do. A job without metadata has the default of the type;
//! [`required_metadata`] is for types without one. An error names the type, the path of the field, what is
//! there and what was expected, and ends the job as `invalid_input`:
//! ```
//! use agent_worker::{JobContext, JobResult};
//!
//! #[derive(Default, serde::Deserialize)]
//! #[serde(default)]
//! struct Recording {
//!     audio_only: bool,
//!     tracks: Vec<String>,
//! }
//!
//! async fn record(ctx: JobContext) -> JobResult {
//!     let Recording { audio_only, tracks } = ctx.metadata()?;
//!     # drop((audio_only, tracks));
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! # run_job(record, JobSpec::room("lobby")).await.assert_success();
//! let run = run_job(record, JobSpec::room("lobby").metadata(r#"{"tracks":["TR_1", 2]}"#)).await;
//! assert_eq!(
//!     run.outcome.to_string(),
//!     "failed: invalid_input: $.tracks[1] = 2: expected a string"
//! );
//! # });
//! ```
//! Text without metadata is empty, blank or `null`; a byte-order mark in front is skipped.
//!
//! Fields that the type does not know are ignored. To refuse them, give the type
//! `#[serde(deny_unknown_fields)]`; when the type is declared (below), their names are in the log, as they
//! may be typing errors. The fields that the SDK reads itself, `action`, `request_id` and `timeout`, may
//! stand beside those of any type, also a strict one: it does not see them, unless it has a field of that
//! name.
//!
//! [`required_metadata`]: crate::JobContext::required_metadata
//!
//! # One of several
//! The form to begin with for an agent that does several things: an enum with a tag says what to do and with
//! what, and `match` is the router. The compiler knows all actions, each has the fields of its own type, and
//! [`MetadataSchema`](crate::metadata::MetadataSchema) has all of it.
//! ```
//! use agent_worker::{JobContext, JobResult};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(tag = "action", rename_all = "snake_case")]
//! enum Task {
//!     Record(Recording),
//!     Transcribe { language: String },
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Recording { tracks: Vec<String> }
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     match ctx.required_metadata()? {
//!         Task::Record(Recording { tracks }) => ctx.room().publish_data("record", tracks.join(" ")).await?,
//!         Task::Transcribe { language } => ctx.room().publish_data("transcribe", language).await?,
//!     }
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let error = async |metadata: &str| {
//!     run_job(agent, JobSpec::room("lobby").metadata(metadata)).await.outcome.to_string()
//! };
//! assert_eq!(error(r#"{"action":"transcribe","language":"de"}"#).await, "success");
//! assert_eq!(
//!     error(r#"{"action":"dance"}"#).await,
//!     r#"failed: invalid_input: $.action = "dance": expected `record` or `transcribe`"#
//! );
//! assert_eq!(
//!     error(r#"{"action":"record","tracks":[null]}"#).await,
//!     "failed: invalid_input: $.tracks[0] = null: expected a string"
//! );
//! # });
//! ```
//!
//! Agents that are written apart from each other are put together with a [`Router`](crate::Router), which
//! goes by the same field: see [`handlers`](super::handlers#by-the-action-in-the-metadata).
//!
//! # Without a type of one's own
//! [`JobMetadata`](crate::metadata::JobMetadata) has an action, parameters, a priority, a request id and a
//! time limit.
//! ```
//! use agent_worker::{JobContext, JobError, JobResult, metadata::JobMetadata};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let metadata: JobMetadata = ctx.metadata()?;
//!     tracing::info!(metadata.action, metadata.priority, "job");
//!     match metadata.action.as_str() {
//!         "record" => record(&ctx, &metadata.parameters).await,
//!         other => Err(JobError::invalid("$.action", other, "unknown action; known: record")),
//!     }
//! }
//! # async fn record(_: &JobContext, parameters: &serde_json::Map<String, serde_json::Value>) -> JobResult {
//! #     assert_eq!(parameters["format"], "mp4");
//! #     Ok(())
//! # }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # let spec = JobSpec::room("lobby").metadata(r#"{"action":"record","parameters":{"format":"mp4"}}"#);
//! # runtime.block_on(run_job(agent, spec)).assert_success();
//! ```
//!
//! # Declared, with rules
//! A worker that [declares](crate::WorkerBuilder::metadata_format) its metadata checks it before the room is
//! joined: a job with wrong metadata is never seen in its room. Rules for the values come from
//! [garde](https://docs.rs/garde), or from a function:
//! ```
//! use agent_worker::{JobContext, JobResult, metadata::{MetadataError, MetadataFormat}};
//! use garde::Validate;
//!
//! #[derive(serde::Deserialize, Validate)]
//! #[serde(rename_all = "camelCase")]
//! struct Recording {
//!     #[garde(range(min = 1, max = 3600))]
//!     max_seconds: u32,
//!     #[garde(length(max = 8), inner(length(min = 1)))]
//!     tracks: Vec<String>,
//!     #[garde(skip)]
//!     whole_room: bool,
//! }
//!
//! fn format() -> MetadataFormat<Recording> {
//!     MetadataFormat::required().validated().check(|recording: &Recording| {
//!         if recording.whole_room && !recording.tracks.is_empty() {
//!             return Err(MetadataError::at("tracks", "not empty, though `wholeRoom` is set"));
//!         }
//!         Ok(())
//!     })
//! }
//!
//! async fn record(ctx: JobContext) -> JobResult {
//!     let Recording { max_seconds, .. } = ctx.required_metadata()?;
//!     # drop(max_seconds);
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let error = async |metadata: &str| {
//!     let spec = JobSpec::room("lobby").metadata(metadata);
//!     run_job(record, spec.worker(|worker| worker.metadata_format(format()))).await.outcome.to_string()
//! };
//! assert_eq!(error(r#"{"maxSeconds":60,"tracks":[],"wholeRoom":true}"#).await, "success");
//! assert_eq!(
//!     error(r#"{"maxSeconds":0,"tracks":[],"wholeRoom":true}"#).await,
//!     "failed: invalid_input: $.maxSeconds = 0: lower than 1"
//! );
//! assert_eq!(
//!     error(r#"{"maxSeconds":60,"tracks":["TR_1"],"wholeRoom":true}"#).await,
//!     r#"failed: invalid_input: $.tracks = ["TR_1"]: not empty, though `wholeRoom` is set"#
//! );
//! assert_eq!(error("").await, "failed: invalid_input: $: there is none, and it is required");
//! # });
//! ```
//! With [`dismiss_invalid`](crate::WorkerBuilder::dismiss_invalid) such a job is dismissed when it is
//! offered: nobody runs it, and the server records a success, without the error.
//!
//! # Documented from the type
//! [`MetadataSchema`](crate::metadata::MetadataSchema) prints what a type takes, for those who write the
//! metadata: as a JSON Schema, for tools and editors, and as a Markdown table.
//! ```
//! use agent_worker::metadata::MetadataSchema;
//! use schemars::JsonSchema;
//!
//! /// Transcribes what participants say.
//! #[derive(serde::Deserialize, garde::Validate, JsonSchema)]
//! struct Transcription {
//!     /// The language that is spoken.
//!     #[garde(length(min = 2, max = 35))]
//!     language: String,
//!     /// Who; everybody if nobody is named.
//!     #[serde(default)]
//!     #[garde(skip)]
//!     participants: Vec<String>,
//! }
//!
//! let schema = MetadataSchema::of::<Transcription>();
//! assert!(schema.json().contains(r#""minLength": 2"#));
//! assert!(schema.markdown().ends_with("\
//! | field | type | required | default | limits | description |
//! |---|---|---|---|---|---|
//! | `language` | string | yes | | 2 to 35 characters | The language that is spoken. |
//! | `participants` | array of string | no | `[]` | | Who; everybody if nobody is named. |
//!
//! Other fields are ignored.
//! "));
//! ```
//! [`Router::schema`](crate::Router::schema) is the same for a router: one schema for all its actions, with
//! the fields that the SDK reads. `cargo run -p examples --bin router -- --schema` shows it for two whole
//! types.
//!
//! # Limits
//! Metadata has at most [512 KiB](crate::metadata::MAX_METADATA_LEN), attributes
//! [64 KiB](crate::job::MAX_ATTRIBUTES_LEN) of keys and values, as on the server; JSON is read 127 levels
//! deep. What serde keeps of a part that has alternatives (`#[serde(tag = …)]`, `untagged`, `flatten`) is at
//! most 7 MiB: 131,072 numbers, or 24,000 small objects. A job over a limit ends as `invalid_input`, an
//! answer over it is not given: the job is declined, and the log says why.
//!
//! # The request id
//! When the metadata is an object with a `request_id`, that is a field of everything that is logged about the
//! job, beside `job_id` and `room`: by the worker, and by the handler with `tracing`. The type of the
//! metadata need not have it.
//!
//! # The time limit
//! A number of seconds as `timeout` wins over the worker's own
//! [`job_timeout`](crate::WorkerBuilder::job_timeout), if the worker has limits at all, up to its
//! [maximum](crate::WorkerBuilder::max_job_timeout). It may be left out or null. Anything else than a number
//! of seconds above 0, at most 4294967295, ends the job as `invalid_input`, before its room is joined. In a
//! worker without limits the field is the agent's own.
//!
//! # All that a job says
//! | | |
//! |---|---|
//! | [`id`](crate::Job::id), [`kind`](crate::Job::kind), [`room`](crate::Job::room), [`target`](crate::Job::target) | what it is about |
//! | [`agent_name`](crate::Job::agent_name), [`deployment`](crate::Job::deployment) | which agent was asked for |
//! | [`dispatch_id`](crate::Job::dispatch_id) | the dispatch that it comes from; those to several participants share it |
//! | [`raw_metadata`](crate::Job::raw_metadata), [`attributes`](crate::Job::attributes) | what the dispatch says |
//! | [`enable_recording`](crate::Job::enable_recording), [`enable_redaction`](crate::Job::enable_redaction) | what LiveKit Cloud asks for |
//! | [`resuming`](crate::Job::resuming) | it ran before, elsewhere |
