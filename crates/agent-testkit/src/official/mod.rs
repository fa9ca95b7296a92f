//! LiveKit's own SDKs: participants as an agent meets them in production, the client of the server's API, and
//! workers.

mod api;
mod client;
mod error;
mod event;
mod group;
mod host;
mod kind;
mod node;
mod output;
mod venv;
mod worker;

pub use self::api::OfficialApi;
pub use self::client::OfficialClient;
pub use self::error::{ClientError, OfficialWorkerError};
pub use self::event::{ClientEvent, ClientParticipant, ClientState, ClientTrack, OfficialData};
pub use self::host::OfficialHost;
pub use self::kind::OfficialWorkerKind;
pub use self::output::OfficialJob;
pub use self::worker::{OfficialWorker, OfficialWorkerOptions};
