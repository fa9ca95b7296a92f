//! How a worker connects to its server.

use agent_core::Backoff;
use agent_net::NetOptions;
use agent_proto::Secret;

use crate::worker::builder::WorkerBuilder;

impl WorkerBuilder {
    /// The LiveKit server: `ws://`, `wss://`, `http://` or `https://`, with a base path if need be.
    #[doc(alias = "ws_url")]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.server.url = Some(url.into());
        self
    }

    /// The API key and its secret, with which the worker signs its tokens.
    pub fn credentials(mut self, key: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.server.api_key = Some(key.into());
        self.server.api_secret = Some(secret.into());
        self
    }

    /// How to connect: proxy, certificates to trust, limits. [`from_env`](Self::from_env) takes proxy and
    /// certificates from the environment, so call this after it to change what it found.
    pub fn net(mut self, options: NetOptions) -> Self {
        self.server.net = options;
        self
    }

    /// The waits between tries to connect; 100 ms and up to half a second at first, up to 10 s at last,
    /// unless set. There are at most ten tries within the longest wait, whatever the jitter draws. A server
    /// that answers with `Retry-After` is left alone for so long, but for at most 60 s, and then for the
    /// backoff.
    pub fn reconnect_backoff(mut self, backoff: Backoff) -> Self {
        self.settings.rules.backoff = backoff;
        self
    }

    /// How failed connections are tried again: never giving up, unless a number of tries in a row is set
    /// here.
    #[doc(alias = "max_retry")]
    pub fn max_connect_attempts(mut self, attempts: u32) -> Self {
        self.settings.rules.max_connect_attempts = Some(attempts);
        self
    }
}
