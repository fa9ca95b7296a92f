//! Options of the connection to the server.

use agent_core::Backoff;
use agent_net::NetOptions;
use agent_proto::Secret;

use crate::worker::builder::WorkerBuilder;

impl WorkerBuilder {
    /// The LiveKit server: `ws://`, `wss://`, `http://` or `https://`, optionally with a base path.
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

    /// Connection options: proxy, certificates to trust, limits. They replace those that
    /// [`from_env`](Self::from_env) takes from the environment.
    pub fn net(mut self, options: NetOptions) -> Self {
        self.server.net = Some(options);
        self
    }

    /// The backoff between connection attempts; unless set, 100 ms up to half a second at first, up to 10 s
    /// in the end. There are at most ten attempts within the longest wait, whatever the jitter. After an
    /// answer with `Retry-After`, the worker waits that long, at most 60 s, plus the backoff.
    pub fn reconnect_backoff(mut self, backoff: Backoff) -> Self {
        self.settings.rules.backoff = backoff;
        self
    }

    /// Maximum number of consecutive failed connection attempts; unlimited unless set.
    #[doc(alias = "max_retry")]
    pub fn max_connect_attempts(mut self, attempts: u32) -> Self {
        self.settings.rules.max_connect_attempts = Some(attempts);
        self
    }
}
