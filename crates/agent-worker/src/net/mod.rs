//! Connections to a LiveKit server: addresses, tokens, TLS, proxies and WebSockets.
