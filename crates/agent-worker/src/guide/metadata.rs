//! Metadata: typed configuration from the dispatch, with validation, limits and documentation.
//!
//! The metadata of a job is a text from its dispatch, usually JSON. It is the agent's configuration for that
//! job.
//!
//! # Typed metadata
//! Use any type that serde can deserialize. A job without metadata has the default of the type;
//! [`required_metadata`] is for types without one. An error names the path of the field, its value and what
//! was expected, and ends the job as `invalid_input`:
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
//! Empty or blank text, and `null`, count as no metadata; a leading byte-order mark is skipped.
//!
//! Unknown fields are ignored. To refuse them, use `#[serde(deny_unknown_fields)]`; for a declared type
//! (below), their names are logged, as they may be typing errors. The fields that the SDK reads itself,
//! `action`, `request_id` and `timeout`, are allowed beside those of any type, including a strict one: it
//! does not see them, unless it has a field of that name.
//!
//! [`required_metadata`]: crate::JobContext::required_metadata
//!
//! # One of several
//! The simplest form for an agent with several actions: a tagged enum for the actions and their fields, and a
//! `match` as the router. The compiler checks that all actions are handled, each has its own fields, and
//! [`MetadataSchema`](crate::metadata::MetadataSchema) describes all of them.
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
//! Combine separate agents with a [`Router`](crate::Router), which uses the same field: see
//! [`handlers`](super::handlers#by-the-action-in-the-metadata).
//!
//! # Without your own type
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
//! # Declared types and validation
//! A worker that [declares](crate::WorkerBuilder::metadata_format) its metadata checks it before the room is
//! joined: a job with invalid metadata never joins its room. Rules for values come from
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
//! offered: no worker runs it, and the server records a success, without the error.
//!
//! # Documentation from the type
//! [`MetadataSchema`](crate::metadata::MetadataSchema) documents a type for the authors of metadata: as a
//! JSON Schema, for tools and editors, and as a Markdown table.
//! ```
//! use agent_worker::metadata::MetadataSchema;
//! use schemars::JsonSchema;
//!
//! /// Transcribes participants.
//! #[derive(serde::Deserialize, garde::Validate, JsonSchema)]
//! struct Transcription {
//!     /// The spoken language.
//!     #[garde(length(min = 2, max = 35))]
//!     language: String,
//!     /// Identities; all participants if empty.
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
//! | `language` | string | yes | | 2 to 35 characters | The spoken language. |
//! | `participants` | array of string | no | `[]` | | Identities; all participants if empty. |
//!
//! Other fields are ignored.
//! "));
//! ```
//! [`Router::schema`](crate::Router::schema) is the same for a router: one schema for all its actions, with
//! the fields that the SDK reads. `cargo run -p examples --bin router -- --command true schema` prints it.
//!
//! # Limits
//! Metadata has at most [512 KiB](crate::metadata::MAX_METADATA_LEN), attributes [64
//! KiB](crate::job::MAX_ATTRIBUTES_LEN) of keys and values, as on the server; JSON is read 127 levels deep.
//! serde may buffer at most 7 MiB for a part with alternatives (`#[serde(tag = …)]`, `untagged`, `flatten`):
//! 131,072 numbers, or 24,000 small objects. A job over a limit ends as `invalid_input`; with an answer over
//! a limit, the job is declined, and the log shows the reason.
//!
//! # The request id
//! If the metadata is an object with a `request_id`, that is a field of every log line about the job, beside
//! `job_id` and `room`, of the worker and of the handler (with `tracing`). The type of the metadata does not
//! need this field.
//!
//! # The time limit
//! The field `timeout`, a number of seconds, overrides the worker's
//! [`job_timeout`](crate::WorkerBuilder::job_timeout), up to its
//! [maximum](crate::WorkerBuilder::max_job_timeout). It may be missing or null. Any other value than a number
//! of seconds above 0, at most 4294967295, ends the job as `invalid_input`, before its room is joined. In a
//! worker without time limits, the SDK does not read the field.
//!
//! # All fields of a job
//! | | |
//! |---|---|
//! | [`id`](crate::Job::id), [`kind`](crate::Job::kind), [`room`](crate::Job::room), [`target`](crate::Job::target) | its id, kind, room and participant |
//! | [`agent_name`](crate::Job::agent_name), [`deployment`](crate::Job::deployment) | the requested agent |
//! | [`dispatch_id`](crate::Job::dispatch_id) | its dispatch; the jobs for several participants share it |
//! | [`raw_metadata`](crate::Job::raw_metadata), [`attributes`](crate::Job::attributes) | the data of the dispatch |
//! | [`enable_recording`](crate::Job::enable_recording), [`enable_redaction`](crate::Job::enable_redaction) | requested by LiveKit Cloud |
//! | [`resuming`](crate::Job::resuming) | whether it ran before, on another worker |
