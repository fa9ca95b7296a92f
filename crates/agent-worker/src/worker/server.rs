//! The server of a worker, and the options of the connection.

use agent_net::{NetOptions, ServerApi, ServerUrl, worker_api};
use agent_proto::Secret;

use crate::worker::config_error::ConfigError;

/// Settings from the builder and the environment; each may be missing.
#[derive(Clone, Default)]
pub(crate) struct ServerSettings {
    pub(crate) url: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) api_secret: Option<Secret>,
    pub(crate) net: Option<NetOptions>,
    /// A variable that was needed, and is no text.
    pub(crate) unreadable: Option<&'static str>,
}

/// The checked settings of the server. Only the driver holds them: jobs have their own tokens, and call the
/// API through the client in [`Parts`](crate::worker::parts::Parts), which signs for them.
pub(crate) struct Server {
    pub(crate) url: ServerUrl,
    pub(crate) api_key: String,
    pub(crate) api_secret: Secret,
    pub(crate) net: NetOptions,
}

impl ServerSettings {
    pub(crate) fn check(self) -> Result<Server, ConfigError> {
        if let Some(variable) = self.unreadable {
            return Err(ConfigError::NotUtf8 { variable });
        }
        let url: ServerUrl = self.url.ok_or(ConfigError::NoUrl)?.parse().map_err(ConfigError::Url)?;
        let api_key = self.api_key.filter(|key| !key.is_empty()).ok_or(ConfigError::NoApiKey)?;
        let api_secret =
            self.api_secret.filter(|secret| !secret.is_empty()).ok_or(ConfigError::NoApiSecret)?;
        for (what, variable, text) in [
            ("API key", "LIVEKIT_API_KEY", api_key.as_str()),
            ("API secret", "LIVEKIT_API_SECRET", api_secret.expose()),
        ] {
            if text.trim() != text {
                return Err(ConfigError::WhiteSpace { what, variable });
            }
        }
        let net = self.net.unwrap_or_default();
        if url.is_secure() {
            net.check_certificates()?;
        }
        Ok(Server { url, api_key, api_secret, net })
    }
}

impl Server {
    /// The client of its API, which connects as the worker does.
    pub(crate) fn api(&self) -> ServerApi {
        worker_api(&self.url, &self.api_key, &self.api_secret, self.net.clone())
    }
}
