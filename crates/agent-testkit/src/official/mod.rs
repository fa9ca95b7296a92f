//! LiveKit's own SDKs: participants as in production, the client of the server's API, and
//! workers.

mod api;
mod browser;
mod client;
mod client_kind;
mod data_tracks;
mod error;
mod event;
mod group;
mod host;
mod kind;
mod node;
mod output;
mod received;
mod rpc;
mod sound;
mod streams;
mod venvs;
mod video;
mod worker;

pub(crate) use self::browser::chromium as find_chromium;

pub use self::api::OfficialApi;
pub use self::client::OfficialClient;
pub use self::client_kind::ClientKind;
pub use self::error::{ClientError, OfficialWorkerError};
pub use self::event::{ClientEvent, ClientParticipant, ClientState, ClientTrack, OfficialData};
pub use self::host::OfficialHost;
pub use self::kind::OfficialWorkerKind;
pub use self::output::OfficialJob;
pub use self::received::{
    OfficialByteStream, OfficialPictures, OfficialSegment, OfficialSound, OfficialTextStream,
};
pub use self::rpc::RpcBehaviour;
pub use self::sound::ClientSound;
pub use self::streams::ClientStream;
pub use self::video::ClientVideo;
pub use self::worker::{OfficialWorker, OfficialWorkerOptions};
