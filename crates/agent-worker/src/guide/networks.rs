//! Networks that block UDP: which paths a room tries, relays (TURN), and what to open in a firewall.
//!
//! A worker needs one outgoing connection to the server's URL (TCP, with TLS usually to port 443; a
//! [proxy](crate::net::NetOptions) may be between). The media and data of a room take a path of their own,
//! which the room finds by itself when it is joined, and again when the path breaks:
//!
//! | path | when it is tried | what must be open from here |
//! |---|---|---|
//! | UDP, directly | at once, to each address that the server announces, over IPv4 and IPv6 | UDP to the server's `rtc.udp_port`, or to `rtc.port_range_start` to `rtc.port_range_end` |
//! | TCP, directly | after 1 s without UDP | TCP to `rtc.tcp_port` (7881) |
//! | TURN over UDP, TCP or TLS | after 1 s without UDP; at once if forced | the port of the TURN server: with TLS usually 443 |
//!
//! Direct paths are preferred to relays, and UDP is preferred to TCP: a lost packet delays the following ones
//! only over TCP. The log has a line at WARN when a room has to use TCP or a relay, with the reason; direct
//! UDP is a line at DEBUG. A TURN server that does not work is a line at WARN, too, and has no other effect:
//! the other paths are tried at the same time. Relays that are not needed are released 3 s after the
//! connection.
//!
//! A path over which nothing comes for 10 s is dead, such as one over a network interface that is gone: the
//! room looks for another one in the same session ([`RoomEvent::Reconnecting`](crate::RoomEvent) and
//! `Reconnected`). Reliable data wait meanwhile; they go on up to half as long after that, as they are sent
//! again at growing intervals.
//!
//! # Which path a room has
//! [`Room::network_path`](crate::Room::network_path) is the path in use: its transport, the relay if there is
//! one, the addresses of both sides and what they are, and why it is not direct UDP. If it changes, there is
//! a [`RoomEvent::NetworkPathChanged`](crate::RoomEvent::NetworkPathChanged); other ports alone are no
//! change. The metric `lk_agents_room_paths_total` counts the rooms of a worker by path, as they were joined.
//! ```
//! use agent_worker::{JobContext, JobResult, RoomEvent};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//! #   assert!(ctx.room().network_path().is_some_and(|path| path.to_string() == "UDP"));
//!     if let Some(path) = ctx.room().network_path() {
//!         tracing::info!("{path} from {} to {}: {}", path.local, path.remote, path.reason);
//!     }
//!     let mut events = ctx.room().events();
//!     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
//!         if let RoomEvent::NetworkPathChanged(path) = event {
//!             tracing::warn!("{path} from now on: {}", path.reason);
//!         }
//!     }
//!     Ok(())
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! # let job = agent_testkit::JobSpec::room("lobby").lasts(std::time::Duration::from_secs(1));
//! # agent_testkit::run_job(agent, job).await.assert_success();
//! # });
//! ```
//! In [mock rooms](crate::guide) it is UDP on loopback.
//!
//! # Naming TURN servers
//! The LiveKit server sends their URLs and credentials to all participants; there is nothing to set up in the
//! worker. Its configuration has a list for servers of your own, such as coturn, and a built-in TURN server:
//! ```yaml
//! rtc:
//!   turn_servers:
//!     - host: relay.example.com
//!       port: 443
//!       protocol: tls        # or tcp, or udp
//!       secret: ""           # coturn's static-auth-secret; or `username` and `credential`
//! turn:                      # or its own
//!   enabled: true
//!   udp_port: 3478
//!   domain: relay.example.com
//!   tls_port: 5349           # clients connect to port 443: a load balancer has to be there
//! ```
//! - The relay must reach the server's UDP ports. livekit-server's own TURN refuses to relay to private and
//!   loopback addresses, unless `turn.allow_restricted_peer_cidrs` lists them; coturn needs
//!   `allow-loopback-peers` for the latter.
//! - With TLS the certificate of the relay is checked as that of the server is: by the authorities of the
//!   platform, or those of [`ca_file`](crate::net::NetOptions::ca_file) or `SSL_CERT_FILE`. TURN over TCP
//!   and TLS goes through the proxy of [`NetOptions`](crate::net::NetOptions), if there is one for such
//!   addresses.
//! - At most 8 servers are used, 4 at a time. `stun:` URLs are not needed, as the server sees where packets
//!   come from. TURN over DTLS (`turns:` with `transport=udp`) is not supported.
//!
//! # Relays only
//! If everything except a relay is blocked, this saves the first second of each join, and avoids direct
//! attempts, which a firewall may report:
//! ```
//! # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
//! use agent_worker::Worker;
//!
//! let builder = Worker::builder(agent).force_relay(true);
//! ```
//! For one job it is [`JoinOptions::force_relay`](crate::room::JoinOptions::force_relay), and for rooms
//! without a worker a field of [`JoinRequest`](crate::room::JoinRequest). The server may demand the same of
//! its clients; it then counts as set. A join fails as soon as every TURN server has failed, instead of after
//! its timeout.
//!
//! # A relay that ends
//! If the relay in use ends, all servers are tried again, and the room continues through another one, as
//! after any lost connection ([`Reconnecting`](crate::RoomEvent::Reconnecting),
//! [`Reconnected`](crate::RoomEvent::Reconnected)). Without another one it ends after its time for that, with
//! what became of each server.
//!
//! # No path at all
//! The error of the join, and so of the job, names each path that was tried, and its result:
//! ```text
//! no packet came back from 203.0.113.9:50000 (UDP), 203.0.113.9:7881 (TCP): check that the server's RTC ports are open
//! from here …. TURN: turn:relay.example.com:3478?transport=udp: it does not answer as a TURN server …;
//! turns:relay.example.com:443?transport=tcp: no TLS connection: …
//! ```
//! | text for a TURN server | cause, and what to do |
//! |---|---|
//! | `it does not answer as a TURN server` | the port is blocked, or nothing listens there |
//! | `nothing answers there`, `its name was not found` | check host and port in the server's configuration, and DNS |
//! | `no TLS connection` | the certificate is for another host, or of an unknown authority |
//! | `it refuses the user name and credential` | `secret`, or `username` and `credential`, differ from the relay's |
//! | `it does not relay to …` | the relay's rules forbid the server's address |
//! | `no packet came back over it` | the relay does not reach the server's UDP ports |
//! | `a TURN server with an unusable URL` | the entry in the server's configuration is wrong; the text shows where |
//!
//! On a server with several network interfaces, `rtc.node_ip` alone is not enough for media over TCP
//! (livekit-server 1.13.5): name the address in `rtc.ips.includes`, too, as `203.0.113.9/32`.
//!
//! Credentials of TURN servers are in no log and no error.
