//! End-to-end encryption: the server forwards frames and data that it cannot read.
//!
//! With it the frames of tracks and the content of data packets are encrypted (AES-128-GCM) by their sender
//! and decrypted by the other participants, with a key that they share by other means: the server never has
//! it. An agent in such a room needs the key, too.
//!
//! ```
//! use agent_worker::room::{E2eeKey, E2eeOptions, JoinOptions};
//! use agent_worker::{JobContext, JobResult, Worker};
//!
//! #[derive(Default, serde::Deserialize)]
//! struct Call { passphrase: String }
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let Call { passphrase } = ctx.metadata()?;
//!     let key = E2eeOptions::shared(E2eeKey::new(passphrase));
//!     let room = ctx.join_with(JoinOptions::new().e2ee(key)).await?;
//!     room.publish_data("status", "here").await?;
//!     Ok(())
//! }
//!
//! // The handler joins by itself, as each room has a key of its own.
//! let builder = Worker::builder(agent).join_room(false);
//! ```
//! A key for all rooms is an option of the worker: [`WorkerBuilder::e2ee`](crate::WorkerBuilder::e2ee). The
//! server reads the metadata of a job: if it must not know the key, send an identifier of the key in them,
//! and have the handler fetch the key itself.
//!
//! # Keys
//! | the other side | here |
//! |---|---|
//! | a passphrase: `setKey("…")` in the browser, `KeyProviderOptions(shared_key=b"…")` in Python | [`E2eeKey::new`](crate::room::E2eeKey::new) |
//! | an `ArrayBuffer` in the browser | [`E2eeKey::derive`](crate::room::E2eeKey::derive) with [`KeyDerivation::Hkdf`](crate::room::KeyDerivation::Hkdf) |
//! | another `ratchet_salt` | the last argument of `derive` |
//! | keys of 256 bits (`keySize` in the browser) | not supported, nor is it by the native SDKs |
//!
//! By default all participants share one key ([`E2eeOptions::shared`](crate::room::E2eeOptions::shared)).
//! With [`E2eeOptions::per_participant`](crate::room::E2eeOptions::per_participant) each has its own, by
//! identity. Deriving a key from a passphrase takes some 50 ms of processor time, on purpose; keep the
//! `E2eeKey` where rooms share it.
//!
//! A sender has up to 16 keys, and names the index of the one it used.
//! [`set_e2ee_key`](crate::Room::set_e2ee_key) sets one, [`use_e2ee_key`](crate::Room::use_e2ee_key) switches
//! to it. [`ratchet_e2ee_key`](crate::Room::ratchet_e2ee_key) replaces a key by the next one, which all
//! others compute by themselves: a participant who learns only the new key cannot read what was sent before.
//! A ratchet of another participant is followed within
//! [`ratchet_window`](crate::room::E2eeOptions::ratchet_window) steps, with the loss of one frame for each
//! step.
//!
//! # What cannot be read
//! A frame of an encrypted track without its key, or with another one, is dropped and never decoded; so are
//! frames that are not encrypted though their track is, except the blank ones that a server sends for a muted
//! track. Video continues with a key frame, which is requested as soon as frames can be read. The first frame
//! that cannot be read is reported as [`RoomEvent::E2eeStateChanged`](crate::RoomEvent::E2eeStateChanged),
//! and so is the first that can be read again:
//!
//! | state | what happened |
//! |---|---|
//! | `Ok` | it can be read |
//! | `Ratcheted` | it can be read; its sender has ratcheted the key |
//! | `Failed(MissingKey)` | no key has this index: set it |
//! | `Failed(WrongKey)` | another passphrase, salt or derivation, or another window |
//! | `Failed(NotEncrypted)` | a frame of an encrypted track was sent in the clear |
//!
//! Nothing of ours is sent without a key: a publish fails with
//! [`RoomError::E2ee`](crate::room::RoomError::E2ee), and frames are dropped and reported in the same way.
//!
//! Data that were sent in the clear are received as well:
//! [`DataReceived::encrypted`](crate::room::DataReceived::encrypted) reports whether they were encrypted.
//! Data tracks have it as [`DataTrack::encrypted`](crate::room::DataTrack::encrypted); their frames are
//! dropped and reported as those of other tracks.
//!
//! # What is not encrypted
//! - the list of participants, their names, metadata and attributes, and the names, sizes and codecs of
//!   tracks;
//! - destinations and the order of data packets, telephone keys, transcriptions in the legacy form, active
//!   speakers;
//! - all data and data tracks with [`media_only`](crate::room::E2eeOptions::media_only), for front ends that
//!   set the older option `e2ee`;
//! - what others send in the clear: their tracks have
//!   [`Track::encrypted`](crate::room::Track::encrypted), and are received either way.
//!
//! Of frames of H.264 and H.265 that are encrypted, parameter sets stay readable, and units that a decoder
//! does not need (SEI, delimiters) are left out.
//!
//! VP9 and AV1 can be received, as far as other SDKs send them encrypted, but not published.
